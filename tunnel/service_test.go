// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/net/dns/dnsmessage"
)

// echList is an ECHConfigList of one X25519 key (RFC 9849 §4).
func echList(t testing.TB, public string) []byte {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint16(0xfe0d)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint8(7)
			b.AddUint16(0x0020) // DHKEM(X25519, HKDF-SHA256)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(key.PublicKey().Bytes()) })
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(1); b.AddUint16(1) })
			b.AddUint8(32)
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(public)) })
			b.AddUint16(0)
		})
	})
	return b.BytesOrPanic()
}

// https is a record: pairs of key and value.
func https(priority uint16, target string, params ...any) dnsmessage.HTTPSResource {
	r := dnsmessage.HTTPSResource{SVCBResource: dnsmessage.SVCBResource{Priority: priority, Target: dnsmessage.MustNewName(target)}}
	for i := 0; i < len(params); i += 2 {
		r.SetParam(params[i].(dnsmessage.SVCParamKey), []byte(params[i+1].(string)))
	}
	return r
}

// TestServiceSaysWhatTheRecordSays, and nothing that a record says about another
// place: the policy was asked about this one.
func TestServiceSaysWhatTheRecordSays(t *testing.T) {
	const (
		alpn, port, ech, mandatory = dnsmessage.SVCParamALPN, dnsmessage.SVCParamPort, dnsmessage.SVCParamECH, dnsmessage.SVCParamMandatory
		h3                         = "\x02h3"
	)
	list := string(echList(t, "front.example"))
	for name, c := range map[string]struct {
		records []dnsmessage.HTTPSResource
		port    uint16
		want    string
	}{
		"no record":                     {want: "[]"},
		"protocols and keys":            {[]dnsmessage.HTTPSResource{https(1, ".", alpn, "\x02h3\x02h2", ech, list)}, 443, "[h3 h2] ech"},
		"the host by its name":          {[]dnsmessage.HTTPSResource{https(1, "Origin.example.", alpn, h3)}, 443, "[h3]"},
		"another host":                  {[]dnsmessage.HTTPSResource{https(1, "elsewhere.example.", alpn, h3, ech, list)}, 443, "[]"},
		"the best that fits":            {[]dnsmessage.HTTPSResource{https(1, "elsewhere.example.", alpn, "\x02xx"), https(9, ".", alpn, "\x02h2"), https(3, ".", alpn, h3)}, 443, "[h3]"},
		"an alias":                      {[]dnsmessage.HTTPSResource{https(1, ".", alpn, h3), https(0, "elsewhere.example.")}, 443, "[]"},
		"this port":                     {[]dnsmessage.HTTPSResource{https(1, ".", alpn, h3, port, "\x01\xbb")}, 443, "[h3]"},
		"another port":                  {[]dnsmessage.HTTPSResource{https(1, ".", alpn, h3, port, "\x20\xfb")}, 443, "[]"},
		"of another port":               {[]dnsmessage.HTTPSResource{https(1, "origin.example.", alpn, h3)}, 8443, "[h3]"},
		"of another port, at no host":   {[]dnsmessage.HTTPSResource{https(1, ".", alpn, h3)}, 8443, "[]"},
		"what is known is mandatory":    {[]dnsmessage.HTTPSResource{https(1, ".", mandatory, "\x00\x01\x00\x05", alpn, h3, ech, list)}, 443, "[h3] ech"},
		"what is unknown is mandatory":  {[]dnsmessage.HTTPSResource{https(1, ".", mandatory, "\x00\x01\x00\x63", alpn, h3, dnsmessage.SVCParamKey(99), "x")}, 443, "[]"},
		"what is unknown":               {[]dnsmessage.HTTPSResource{https(1, ".", alpn, h3, dnsmessage.SVCParamKey(99), "x")}, 443, "[h3]"},
		"mandatory and not there":       {[]dnsmessage.HTTPSResource{https(1, ".", mandatory, "\x00\x05", alpn, h3)}, 443, "asking: the HTTPS record: mandatory names a key that is not there"},
		"mandatory cut short":           {[]dnsmessage.HTTPSResource{https(1, ".", mandatory, "\x00", alpn, h3)}, 443, "asking: the HTTPS record: mandatory is not a list of keys"},
		"protocols cut short":           {[]dnsmessage.HTTPSResource{https(1, ".", alpn, "\x03h3")}, 443, "asking: the HTTPS record: alpn is not a list of names"},
		"protocols without name":        {[]dnsmessage.HTTPSResource{https(1, ".", alpn, "\x00")}, 443, "asking: the HTTPS record: alpn is not a list of names"},
		"port of one byte":              {[]dnsmessage.HTTPSResource{https(1, ".", port, "\x01")}, 443, "asking: the HTTPS record: port is not a number"},
		"keys that are none":            {[]dnsmessage.HTTPSResource{https(1, ".", alpn, h3, ech, "rubbish")}, 443, "[h3] bad: ech: malformed ECHConfigList"},
		"keys of the future":            {[]dnsmessage.HTTPSResource{https(1, ".", ech, "\x00\x04\xff\xff\x00\x00")}, 443, "[] bad: ech: EncryptedClientHelloConfigList contains no valid configs"},
		"empty keys":                    {[]dnsmessage.HTTPSResource{https(1, ".", ech, "")}, 443, "[] bad: ech is empty"},
		"a public name that is address": {[]dnsmessage.HTTPSResource{https(1, ".", ech, string(echList(t, "x")))}, 443, "[] bad: ech: EncryptedClientHelloConfigList contains no valid configs"},
		"too large to keep":             {[]dnsmessage.HTTPSResource{https(1, ".", alpn, h3, dnsmessage.SVCParamKey(99), strings.Repeat("x", maxService))}, 443, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			dns := hosts(t, map[string][]string{"origin.example.": {"192.0.2.1"}})
			asked := "origin.example."
			if c.port != 443 && c.port != 0 {
				asked = "_" + strconv.Itoa(int(c.port)) + "._https." + asked
			}
			dns.services = map[string][]dnsmessage.HTTPSResource{asked: c.records}
			n := &Names{Resolver: dns.resolver()}
			if c.port == 0 {
				c.port = 443
			}
			s, err := n.inquire("Origin.Example", c.port, true).Service(t.Context(), true)
			got := fmt.Sprint(s.ALPN)
			if s.ECH != nil {
				got += " ech"
			}
			if s.BadECH != nil {
				got += " bad: " + s.BadECH.Error()
			}
			if err != nil {
				got = "asking: " + err.Error()
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if w := dns.wanted(); len(w) != 1 || !strings.EqualFold(w[0], asked) {
				t.Errorf("asked for %q, want %q", w, asked)
			}
		})
	}
}

// TestServiceBehindAnAlias: a CNAME leads the addresses and the record to the
// same place, whatever that is called.
func TestServiceBehindAnAlias(t *testing.T) {
	dns := hosts(t, map[string][]string{"origin.example.": {"192.0.2.1"}})
	h3 := https(1, ".", dnsmessage.SVCParamALPN, "\x02h3")
	dns.aliases = map[string]string{"origin.example.": "a.cdn.example.", "a.cdn.example.": "b.cdn.example.", "_8443._https.origin.example.": "b.cdn.example."}
	dns.services = map[string][]dnsmessage.HTTPSResource{"b.cdn.example.": {h3}}
	n := &Names{Resolver: dns.resolver()}
	if s, err := n.Service(t.Context(), "origin.example", 443); err != nil || !slices.Equal(s.ALPN, []string{"h3"}) {
		t.Errorf("%v, %v", s, err)
	}
	if s, err := n.Service(t.Context(), "origin.example", 8443); err != nil || s.ALPN != nil {
		t.Errorf("the record of port 8443 leads to another host, and says %v, %v", s, err)
	}
}

// TestServiceIsRememberedForItsTTL, its absence too, and asked for once by all.
func TestServiceIsRememberedForItsTTL(t *testing.T) {
	for _, records := range [][]dnsmessage.HTTPSResource{nil, {https(1, ".", dnsmessage.SVCParamALPN, "\x02h3")}} {
		synctest.Test(t, func(t *testing.T) {
			dns := hosts(t, map[string][]string{"origin.example.": {"192.0.2.1"}})
			dns.ttl = 60
			dns.services = map[string][]dnsmessage.HTTPSResource{"origin.example.": records}
			n := &Names{Resolver: dns.resolver()}
			for i, wait := range []time.Duration{0, 59 * time.Second, time.Second} {
				time.Sleep(wait) // the bubble's clock
				for range 3 {
					if s, err := n.Service(t.Context(), "origin.example", 443); err != nil || len(s.ALPN) != len(records) {
						t.Fatalf("%v, %v", s, err)
					}
				}
				if got, want := len(dns.wanted()), []int{1, 1, 2}[i]; got != want {
					t.Fatalf("after %v asked %d times, want %d", wait, got, want)
				}
			}
		})
	}
}

// TestServiceHoldsADialUpOnce and for a moment only, where the name server never
// answers or refuses. Who cannot do without is told why, and asks again.
func TestServiceHoldsADialUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := hosts(t, map[string][]string{"origin.example.": {"192.0.2.1"}})
		dns.ttl, dns.mute = 60, true
		n := &Names{Resolver: dns.resolver()}
		waited := func(want time.Duration, patient bool) error {
			t.Helper()
			start := time.Now()
			_, err := n.inquire("origin.example", 443, patient).Service(t.Context(), patient)
			if got := time.Since(start); got != want {
				t.Fatalf("waited %v, want %v", got, want)
			}
			return err
		}
		for i := range 100 { // within a minute
			want := time.Duration(0)
			if i == 0 {
				want = serviceDelay
			}
			if err := waited(want, false); err == nil {
				t.Fatal("no answer is no error")
			}
			time.Sleep(time.Second / 2)
		}
		if got := len(dns.wanted()); got != inquiryTries {
			t.Fatalf("asked %d times, want %d", got, inquiryTries)
		}
		err := waited(inquiryTries*inquiryTime, true)
		if err == nil || !strings.HasPrefix(err.Error(), "asking for the HTTPS record of origin.example: ") {
			t.Fatal(err)
		}
		dns.mu.Lock()
		dns.mute, dns.code = false, dnsmessage.RCodeRefused
		dns.mu.Unlock()
		time.Sleep(unheardTTL)
		if err := waited(0, true); err == nil || err.Error() != "asking for the HTTPS record of origin.example: the name server answered RCodeRefused" {
			t.Fatal(err)
		}
		n.mu.Lock()
		q := n.services[inquired{"origin.example", 443}]
		n.mu.Unlock()
		if d := q.until.Sub(q.asked); d != time.Minute { // the TTL of the addresses
			t.Fatalf("a refusal is remembered for %v", d)
		}
	})
}

// TestServiceMayTakeAsLongAsTheAddresses where everything is slow, within bounds.
func TestServiceMayTakeAsLongAsTheAddresses(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		time.Millisecond: serviceDelay, 100 * time.Millisecond: 100 * time.Millisecond, 3 * time.Second: maxServiceDelay,
	} {
		synctest.Test(t, func(t *testing.T) {
			dns := hosts(t, map[string][]string{"origin.example.": {"192.0.2.1"}})
			dns.ttl, dns.mute = 60, true
			answer := dns.answer
			dns.answer = func(name string) []string { time.Sleep(took); return answer(name) } // the bubble's clock
			start := time.Now()
			if _, err := (&Names{Resolver: dns.resolver()}).Service(t.Context(), "origin.example", 443); err == nil {
				t.Error("no answer is no error")
			}
			if got := time.Since(start); got != took+want {
				t.Errorf("waited %v behind the addresses, which took %v, want %v", got-took, took, want)
			}
			time.Sleep(time.Minute) // nobody is left
		})
	}
}

// TestKeysOutlastSilence: whoever keeps the record of a host back does not get its
// name to show, for a day. Who says that there is none is believed.
func TestKeysOutlastSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := echList(t, "front.example")
		records := []dnsmessage.HTTPSResource{https(1, ".", dnsmessage.SVCParamECH, string(list))}
		dns := hosts(t, map[string][]string{"origin.example.": {"192.0.2.1"}})
		dns.ttl, dns.services = 60, map[string][]dnsmessage.HTTPSResource{"origin.example.": records}
		n := &Names{Resolver: dns.resolver()}
		set := func(mute bool, code dnsmessage.RCode, records []dnsmessage.HTTPSResource) {
			dns.mu.Lock()
			defer dns.mu.Unlock()
			dns.mute, dns.code, dns.services["origin.example."] = mute, code, records
		}
		keys := func(wait time.Duration, patient bool, want []byte) {
			t.Helper()
			time.Sleep(wait) // the bubble's clock
			s, err := n.inquire("origin.example", 443, patient).Service(t.Context(), patient)
			if !bytes.Equal(s.ECH, want) {
				t.Fatalf("after %v: %v, %v", wait, s, err)
			}
		}
		keys(0, true, list)
		set(true, 0, records)
		keys(time.Minute, false, list)
		keys(time.Minute, true, list)
		set(false, dnsmessage.RCodeServerFailure, records)
		keys(20*time.Hour, false, list)
		keys(time.Second, true, list)
		keys(4*time.Hour, false, nil) // a day and more
		set(false, 0, records)
		keys(time.Hour, false, list)
		set(false, 0, nil)
		keys(time.Minute, false, nil)
		set(true, 0, nil)
		keys(time.Minute, true, nil)
	})
}

// TestServiceOfWhatIsNotInTheDNS: addresses have no record, and what /etc/hosts
// knows is not asked of others.
func TestServiceOfWhatIsNotInTheDNS(t *testing.T) {
	dns := hosts(t, nil)
	n := &Names{Resolver: dns.resolver()}
	for _, host := range []string{"192.0.2.1", "2001:db8::1", "localhost", "", ".", strings.Repeat("a.", 126) + "example"} {
		s, err := n.Service(t.Context(), host, 8443)
		if err != nil || s.ALPN != nil || s.ECH != nil {
			t.Errorf("%s: %v, %v", host, s, err)
		}
	}
	if w := dns.wanted(); len(w) != 0 {
		t.Errorf("asked for %q", w)
	}
}

// TestWhatIsRememberedOfServicesIsFree: connections to a host without a record,
// which are most, cost nothing more.
func TestWhatIsRememberedOfServicesIsFree(t *testing.T) {
	dns := hosts(t, map[string][]string{"origin.example.": {"192.0.2.1"}})
	dns.ttl = 60
	n := &Names{Resolver: dns.resolver()}
	if _, err := n.inquire("origin.example", 443, true).Service(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if got := testing.AllocsPerRun(100, func() {
		also := with{port: 443}
		if _, err := n.lookup(ctx, time.Time{}, "origin.example", &also); err != nil {
			t.Error(err)
		}
		if _, err := also.inquiry.Service(ctx, false); err != nil {
			t.Error(err)
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
	if got := len(dns.wanted()); got != 1 {
		t.Errorf("asked %d times", got)
	}
}

// TestServicesAreBounded as names are.
func TestServicesAreBounded(t *testing.T) {
	done := make(chan struct{})
	close(done)
	n := &Names{}
	for i := range 2 * maxNames {
		n.services = remember(n.services, inquired{"a.example", uint16(i)}, &Inquiry{ready: done, until: time.Now().Add(time.Hour)})
	}
	if len(n.services) > maxNames {
		t.Errorf("%d are remembered", len(n.services))
	}
}

// TestDialServiceAsksBesideTheAddresses, of the same name server, and does not
// wait.
func TestDialServiceAsksBesideTheAddresses(t *testing.T) {
	port := listen(t, "127.0.0.1")
	dns := hosts(t, map[string][]string{"origin.example.": {"127.0.0.1"}})
	dns.ttl, dns.mute = 60, true
	d := &Dialer{Permit: ban().permit, Names: &Names{Resolver: dns.resolver()}}
	n, _ := strconv.ParseUint(port, 10, 16)
	c, q, err := d.DialService(t.Context(), "origin.example", uint16(n), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Service(ctx, true); err == nil {
		t.Error("there is an answer")
	}
	c, q, err = d.DialService(t.Context(), "127.0.0.1", uint16(n), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if s, err := q.Service(t.Context(), true); q != nil || err != nil || s.ECH != nil {
		t.Errorf("of an address: %v, %v, %v", q, s, err)
	}
}

// listenBoth listens on a port that is free for both.
func listenBoth(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	var failure error
	for range 100 {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err == nil {
			t.Cleanup(func() { udp.Close(); tcp.Close() })
			return udp, tcp
		}
		udp.Close()
		failure = err
	}
	t.Fatal(failure)
	return nil, nil
}

// TestServiceByUDP: answers to other questions are not ours, however many come
// first, and what does not fit is fetched by TCP.
func TestServiceByUDP(t *testing.T) {
	list := echList(t, "front.example")
	dns := hosts(t, map[string][]string{"origin.example.": {"192.0.2.1"}})
	dns.ttl = 60
	dns.services = map[string][]dnsmessage.HTTPSResource{"origin.example.": {https(1, ".", dnsmessage.SVCParamECH, string(list))}}
	udp, tcp := listenBoth(t)
	go func() {
		buf := make([]byte, 1500)
		for {
			m, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			reply, err := dns.reply(buf[:m])
			if err != nil {
				t.Error(err)
				return
			}
			for _, spoil := range []func(b []byte){
				func(b []byte) { b[0]++ },        // another ID
				func(b []byte) { b[2] &^= 0x80 }, // a question
				func(b []byte) { b[13]++ },       // about another name
				func(b []byte) { clear(b) },
				func(b []byte) { b[2] |= 2 }, // the one, cut short
			} {
				b := bytes.Clone(reply)
				spoil(b)
				_, _ = udp.WriteTo(b, from)
			}
		}
	}()
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			go dns.serve(c)
		}
	}()
	n := &Names{Resolver: &net.Resolver{Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, udp.LocalAddr().String())
	}}}
	s, err := n.inquire("origin.example", 443, true).Service(t.Context(), true)
	if err != nil || !bytes.Equal(s.ECH, list) {
		t.Errorf("%v, %v", s, err)
	}
}

// TestInquiriesGoToWhoAnswers: should the first name server be down.
func TestInquiriesGoToWhoAnswers(t *testing.T) {
	l := newLifetime()
	if s := l.server(); s != (server{}) {
		t.Errorf("nobody was asked, and it is %v", s)
	}
	dead, live := server{"udp", "192.0.2.1:53"}, server{"udp", "192.0.2.2:53"}
	for _, s := range []server{dead, dead, live} {
		l.dial(s)
	}
	<-l.dialled
	if s := l.server(); s != dead {
		t.Errorf("%v", s)
	}
	l.hear(live, []byte("anything"))
	if s := l.server(); s != live {
		t.Errorf("%v", s)
	}
}

// FuzzService: a name server's message is bytes like any other.
func FuzzService(f *testing.F) {
	q := dnsmessage.Question{Name: dnsmessage.MustNewName("origin.example."), Type: dnsmessage.TypeHTTPS, Class: dnsmessage.ClassINET}
	dns := hosts(f, nil)
	for _, records := range [][]dnsmessage.HTTPSResource{
		nil,
		{https(1, ".", dnsmessage.SVCParamALPN, "\x02h3", dnsmessage.SVCParamECH, string(echList(f, "front.example")))},
		{https(2, "origin.example.", dnsmessage.SVCParamMandatory, "\x00\x01", dnsmessage.SVCParamALPN, "\x02h2"), https(0, "x.example.")},
	} {
		dns.services = map[string][]dnsmessage.HTTPSResource{"origin.example.": records}
		query, _, err := newQuery(q)
		if err != nil {
			f.Fatal(err)
		}
		reply, err := dns.reply(query)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(reply)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) > 2 {
			answers(message, binary.BigEndian.Uint16(message), q)
		}
		s, err := parseService(message, inquired{"origin.example", 443})
		size := len(s.ECH)
		for _, id := range s.ALPN {
			if id == "" {
				t.Fatal("a protocol without name")
			}
			size += len(id)
		}
		if size > maxService || s.ECH != nil && s.BadECH != nil || err != nil && size > 0 {
			t.Fatalf("%v, %v", s, err)
		}
		if s.ECH != nil && CheckECH(s.ECH) != nil {
			t.Fatal("keys that cannot be used")
		}
	})
}
