// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"crypto/tls"
	"net/netip"
	"strings"
	"testing"

	"sallyport/tunnel"
)

// flowOf is a flow in which was said what is in says: "> " goes up, "< " comes down,
// and nothing behind it ends the direction.
func flowOf(says ...string) *Flow {
	f := newRecording().open("client", false, netip.AddrPort{}, netip.AddrPort{})
	for _, s := range says {
		data := []byte(s[2:])
		if len(data) == 0 {
			data = nil
		}
		f.add(s[0] == '<', data)
	}
	return f
}

// told is what messages are read from a flow, one a line.
func told(f *Flow) string {
	var b strings.Builder
	for _, m := range messages(f) {
		b.WriteString(map[bool]string{false: "> ", true: "< "}[m.down] + m.text)
		if m.number != 0 {
			b.WriteString(" [" + string(rune('0'+m.number)) + "]")
		}
		if !m.clear {
			b.WriteString(" (secret)")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestMessagesOfAFlow(t *testing.T) {
	hello, err := earlyFlight(&tls.Config{ServerName: "shop.demo.test"})
	if err != nil {
		t.Fatal(err)
	}
	secret := "\x17\x03\x03\x00\x03abc"
	for name, c := range map[string]struct {
		said []string
		want string
	}{
		"plain": {
			[]string{"> POST http://a.demo.test/x HTTP/1.1\r\nHost: a\r\n\r\nbody", "> more", "< HTTP/1.1 200 OK\r\n\r\npage", "> ", "< "},
			"> POST http://a.demo.test/x\n> body\n< HTTP/1.1 200 OK\n< body\n> closes\n",
		},
		"two requests": {
			[]string{"> GET / HTTP/1.1\r\n\r\n", "< HTTP/1.1 204 No Content\r\n\r\n", "> DELETE / HTTP/1.1\r\n\r\n", "< HTTP/1.1 403 Forbidden\r\n\r\n"},
			"> GET /\n< HTTP/1.1 204 No Content\n> DELETE /\n< HTTP/1.1 403 Forbidden\n",
		},
		"a head in pieces": {
			[]string{"> GET / HT", "> TP/1.1\r\nHost: a", "> \r\n\r\n", "< SSH-2.0", "< "},
			"> GET /\n< SSH-2.0\n< closes\n",
		},
		"tunnel": {
			[]string{
				"> CONNECT shop.demo.test:443 HTTP/1.1\r\n\r\n", "< HTTP/1.1 200 Connection established\r\n\r\n", "> " + string(hello),
				"< \x16\x03\x03\x00\x04\x02\x00\x00\x00\x14\x03\x03\x00\x01\x01" + secret + secret, "> " + secret,
			},
			"> CONNECT shop.demo.test:443 [1]\n< HTTP/1.1 200 Connection established [4]\n" +
				"> TLS ClientHello, SNI shop.demo.test, offers early data [5]\n> TLS, encrypted (secret)\n" +
				"< TLS ServerHello [5]\n< TLS, encrypted (secret)\n> TLS, encrypted (secret)\n",
		},
		"a CONNECT refused": {
			[]string{"> CONNECT a.demo.test:443 HTTP/1.1\r\n\r\n", "< HTTP/1.1 403 Forbidden\r\n\r\nno", "< "},
			"> CONNECT a.demo.test:443 [1]\n< HTTP/1.1 403 Forbidden\n< body\n< closes\n",
		},
		"ssh in a tunnel": {
			[]string{"> CONNECT a.demo.test:22 HTTP/1.1\r\n\r\n", "< HTTP/1.1 200 Connection established\r\n\r\nSSH-2.0-x\r\n", "> SSH-2.0-y\r\n"},
			"> CONNECT a.demo.test:22 [1]\n< HTTP/1.1 200 Connection established [4]\n< SSH-2.0-x [5]\n> SSH-2.0-y [5]\n",
		},
		"an alert before there are keys": {
			[]string{"> " + string(hello[:len(hello)-69]) + "", "< \x15\x03\x03\x00\x02\x02\x6e"},
			"> TLS ClientHello, SNI shop.demo.test, offers early data\n< TLS alert: unsupported_extension\n",
		},
		"half a record": {
			[]string{"> \x16\x03\x01\x02\x00abc"},
			"",
		},
		"a secret that looks like a head": {
			[]string{"> \x16\x03\x01\x00\x01\x01", "> " + secret + "", "> GET / HTTP/1.1\r\n\r\n"},
			"> TLS ClientHello\n> TLS, encrypted (secret)\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := told(flowOf(c.said...)); got != c.want {
				t.Errorf("read\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestEarlyFlightIsAnOffer: what crypto/tls does not do by itself.
func TestEarlyFlightIsAnOffer(t *testing.T) {
	flight, err := earlyFlight(&tls.Config{ServerName: "a.demo.test"})
	if err != nil {
		t.Fatal(err)
	}
	h, complete, err := tunnel.ParseHello(flight)
	if err != nil || !complete || h.ServerName != "a.demo.test" {
		t.Errorf("%+v, %v, %v", h, complete, err)
	}
	rs := records(flight)
	if len(rs) != 2 || rs[0].kind != recordHandshake || rs[1].kind != recordApplication || len(rs[1].payload) != 64 {
		t.Errorf("%d records", len(rs))
	}
	if !offersEarlyData(flight) {
		t.Error("there is no offer in it")
	}
	c := &helloTrap{}
	_ = tls.Client(c, &tls.Config{ServerName: "a.demo.test"}).Handshake()
	if offersEarlyData(c.sent) {
		t.Error("crypto/tls offers early data by itself: the row needs no hello made by hand")
	}
	for n := range flight {
		if n < len(flight)-69 && offersEarlyData(flight[:n]) {
			t.Errorf("an offer is seen in %d bytes of %d", n, len(flight))
		}
	}
}

// TestRecordingIsBounded: what is not kept is counted, and told.
func TestRecordingIsBounded(t *testing.T) {
	f := flowOf("> GET / HTTP/1.1\r\n\r\n")
	for range 2 * keptOfFlow / 1000 {
		f.add(true, make([]byte, 1000))
	}
	if kept, total := len(f.bytes(true)), f.Total(true); kept != keptOfFlow || total != 2*keptOfFlow/1000*1000 {
		t.Errorf("kept %d of %d", kept, total)
	}
	ms := messages(f)
	if last := ms[len(ms)-1]; last.text != "more, not kept" {
		t.Errorf("the last message is %+v", last)
	}
	size := 0
	for _, m := range ms {
		if m.down {
			size += m.size
		}
	}
	if size != f.Total(true) {
		t.Errorf("the messages have %d bytes, the flow %d", size, f.Total(true))
	}
	r := f.rec
	for range keptOfAll / keptOfFlow {
		g := r.open("client", false, netip.AddrPort{}, netip.AddrPort{})
		g.add(false, make([]byte, keptOfFlow))
	}
	if g := r.Flows()[len(r.Flows())-1]; r.kept != keptOfAll || len(g.bytes(false)) >= keptOfFlow || g.Total(false) != keptOfFlow {
		t.Errorf("%d bytes are kept of %d allowed", r.kept, keptOfAll)
	}
}

func TestEntropy(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, c := range []struct {
		b    string
		want float64
	}{{"", 0}, {"aaaa", 0}, {"abab", 1}, {"abcd", 2}, {string(all), 8}} {
		if got := entropy([]byte(c.b)); got != c.want {
			t.Errorf("%.20q: %f, want %f", c.b, got, c.want)
		}
	}
	if text := entropy([]byte(page)); text >= cipherlike {
		t.Errorf("the page has %f bits in a byte: it would be taken for ciphertext", text)
	}
}

// TestStripShowsTheCanaryOrWhereItWouldBe: in clear the canary, else the record of
// the request.
func TestStripShowsTheCanaryOrWhereItWouldBe(t *testing.T) {
	canary := []byte("canary-1")
	w := wireOf("client", []*Flow{flowOf("> POST / HTTP/1.1\r\n\r\n" + strings.Repeat("y", 100) + "canary-1 and more")}, canary)
	if w.Canaries != 1 || w.Strip.Canary != [2]int{32, 40} || w.Strip.Offset != 119-32 || w.TLS {
		t.Errorf("%+v", w)
	}
	w = wireOf("client", []*Flow{flowOf("> \x16\x03\x01\x00\x01\x01\x17\x03\x03\x00\x01a\x17\x03\x03\x00\x02bc", "< \x16\x03\x03\x00\x01\x02")}, canary)
	if !w.TLS || w.Canaries != 0 || w.Strip.Hex != "17030300026263" || w.Strip.Offset != 12 || w.Strip.Canary != [2]int{} {
		t.Errorf("%+v", w)
	}
}

// FuzzMessages: whatever is on a wire, no byte of it is told twice.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("CONNECT a:1 HTTP/1.1\r\n\r\n\x16\x03\x01\x00\x01\x01"), []byte("HTTP/1.1 200 OK\r\n\r\n\x15\x03\x03\x00\x02\x02\x28"), 7)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"), []byte("SSH-2.0-x\r\n"), 3)
	f.Fuzz(func(t *testing.T, up, down []byte, step int) {
		flow := flowOf()
		step = max(1, step&63)
		for len(up)+len(down) > 0 {
			for i, side := range []*[]byte{&up, &down} {
				if n := min(step, len(*side)); n > 0 {
					flow.add(i == 1, (*side)[:n])
					*side = (*side)[n:]
				}
			}
		}
		sum := [2]int{}
		for _, m := range messages(flow) {
			sum[direction(m.down)] += m.size
		}
		if sum[0] > flow.Total(false) || sum[1] > flow.Total(true) {
			t.Errorf("%d and %d bytes told of %d and %d", sum[0], sum[1], flow.Total(false), flow.Total(true))
		}
		_ = wireOf("client", []*Flow{flow}, []byte("canary"))
		_ = nameOf(flow.bytes(false))
	})
}
