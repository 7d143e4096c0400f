// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/policy"
)

// announcedRules are a policy, but for its first lines, that originates to an origin
// which listens elsewhere than at port 443.
func announcedRules(origin string, more string) string {
	return more + "  - {name: web, from: any, to: 127.0.0.1, mode: originate, origin: here}\norigins: {here: {port: " + origin[strings.LastIndex(origin, ":")+1:] + "}}\n"
}

// follow puts r under other rules.
func (r *rig) follow(rules string) {
	r.tb.Helper()
	p, err := policy.Parse("rig.yaml", []byte("version: 1\nrules:\n"+rules), r.tb.TempDir())
	if err != nil {
		r.tb.Fatal(err)
	}
	gen := *r.generation.Load()
	gen.Policy, gen.Mint = p, nil // originating needs no CA
	r.generation.Store(&gen)
}

// announce opens what a browser opens for ws://127.0.0.1/.
func (r *rig) announce() (net.Conn, *bufio.Reader) {
	r.tb.Helper()
	c, err := r.connect("127.0.0.1:80")
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(func() { c.Close() })
	return c, bufio.NewReader(c)
}

// TestAnnouncedWebSocket: a browser's ws:// by a rule that only originates, from the
// CONNECT to the end, by TLS to the origin and without a CA.
func TestAnnouncedWebSocket(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, interceptRules, path)
		r.follow(announcedRules(r.webSocketOrigin(), ""))
		c, br := r.announce()
		fmt.Fprint(c, "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n")
		res, err := http.ReadResponse(br, nil)
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(res, err)
		}
		const said = "\x81\x05hello"
		got := make([]byte, len(said))
		if _, err := io.WriteString(c, said); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(br, got); err != nil || string(got) != said {
			t.Fatalf("%q, %v", got, err)
		}
		c.Close()
		<-r.handed
		<-r.handed
		in, out := r.recordOf(http.MethodGet), r.recordOf(http.MethodConnect)
		if in.Mode != policy.Originate || in.Kind != policy.Plain || in.Origin.TLS == nil || in.Connect != out.ID {
			t.Errorf("%+v", in)
		}
		if out.Mode != policy.Originate || out.Kind != policy.Connect || out.Outcome != Done || out.Status != http.StatusOK {
			t.Errorf("%+v", out)
		}
		until(t, "nothing is open", func() bool { return r.server.Tunnels() == 0 })
	})
}

// TestAnnouncedIsDecidedAnew: what comes inside is a request like any other in the
// clear, for the host that was announced and no other.
func TestAnnouncedIsDecidedAnew(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, interceptRules, path)
		rules := announcedRules(r.httpOrigin(true), "  - {name: no, from: any, to: any, paths: /7, mode: deny}\n")
		r.follow(rules)
		c, br := r.announce()
		for _, tt := range []struct {
			path, host string
			want       int
		}{
			{"/5", "127.0.0.1", http.StatusOK},
			{"/7", "127.0.0.1", http.StatusForbidden},
			{"/5", "127.0.0.1:80", http.StatusOK},
			{"/5", "origin.test", http.StatusMisdirectedRequest},
			{"http://origin.test/5", "origin.test", http.StatusMisdirectedRequest},
			{"https://127.0.0.1/5", "127.0.0.1", http.StatusMisdirectedRequest},
			{"http://127.0.0.1/5", "127.0.0.1", http.StatusOK},
		} {
			if status, _, err := getOver(c, br, tt.path, tt.host); err != nil || status != tt.want {
				t.Errorf("%s of %s: %d, %v; want %d", tt.path, tt.host, status, err, tt.want)
			}
			<-r.handed
		}
		r.follow(rules) // the same again: nothing is cut
		r.server.Recheck()
		if status, _, err := getOver(c, br, "/5", "127.0.0.1"); status != http.StatusOK {
			t.Error(status, err)
		}
		<-r.handed
		r.follow("  - {name: no, from: any, to: any, mode: deny}\n")
		r.server.Recheck()
		status, _, err := getOver(c, br, "/5", "127.0.0.1")
		if err == nil && status == http.StatusForbidden { // it came before the cut
			<-r.handed
			status, _, err = getOver(c, br, "/5", "127.0.0.1")
		}
		if err == nil {
			t.Errorf("%d after the connection is no longer allowed", status)
		}
		<-r.handed
		if out := r.recordOf(http.MethodConnect); out.Outcome != Closed || !errors.Is(out.Err, errRecheck) {
			t.Errorf("%+v", out)
		}
	})
}

// TestAnnouncedMeetsNoTLS: the gateway has no certificate for what it has not been asked
// to intercept, and lets nothing through that it cannot read.
func TestAnnouncedMeetsNoTLS(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, interceptRules, path)
		r.follow(announcedRules(r.httpOrigin(true), ""))
		c, _ := r.announce()
		err := tls.Client(c, &tls.Config{ServerName: "127.0.0.1", RootCAs: r.roots}).Handshake()
		if notTLS := new(tls.RecordHeaderError); !errors.As(err, notTLS) {
			t.Error(err)
		}
		c.Close()
		<-r.handed
		<-r.handed
		out, in := r.recordOf(http.MethodConnect), r.recordOf("")
		if out.Outcome != Denied || out.Err == nil || !strings.Contains(out.Err.Error(), `rule "web" originates, and takes a CONNECT to port 80 for requests in the clear`) {
			t.Errorf("%s: %v", out.Outcome, out.Err)
		}
		if in.Connect != out.ID || in.Status != http.StatusBadRequest || !strings.Contains(in.Err.Error(), "use http://127.0.0.1/ or ws://127.0.0.1/") {
			t.Errorf("%d: %v", in.Status, in.Err)
		}
		for _, rec := range []*Record{in, out} {
			if rec.Origin.Addr.IsValid() {
				t.Errorf("the origin was met: %+v", rec)
			}
		}
	})
}

// TestAnnouncedNamesAddressesAsURLsDo: what a client is told to use can be used.
func TestAnnouncedNamesAddressesAsURLsDo(t *testing.T) {
	in := &inside{
		s: &Server{}, live: &liveTunnel{rec: &Record{Decision: policy.Decision{Rule: &policy.Rule{Name: "web"}}}},
		query: policy.Query{Host: policy.Host{Addr: netip.MustParseAddr("2001:db8::1")}, Port: 80},
	}
	if msg := in.noTLS().Msg; !strings.HasSuffix(msg, "use http://[2001:db8::1]/ or ws://[2001:db8::1]/") {
		t.Error(msg)
	}
}

// TestAnnouncedEndsWithTheDrain: as what is intercepted does.
func TestAnnouncedEndsWithTheDrain(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, interceptRules, path)
		r.follow(announcedRules(r.httpOrigin(true), ""))
		asked, br := r.announce()
		if status, _, err := getOver(asked, br, "/5", "127.0.0.1"); status != http.StatusOK {
			t.Fatal(status, err)
		}
		_, silent := r.announce()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := r.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		for _, br := range []*bufio.Reader{br, silent} {
			if _, err := br.ReadByte(); err == nil {
				t.Error("the client was told something")
			}
		}
		if rec := r.recordOf(http.MethodConnect); rec == nil || r.server.Tunnels() != 0 {
			t.Errorf("%+v, %d are open", rec, r.server.Tunnels())
		}
	})
}

// TestAnnouncedByHTTP2: the same in a stream, by which browsers come to an https proxy.
func TestAnnouncedByHTTP2(t *testing.T) {
	r := newTLSRig(t, interceptRules)
	r.follow(announcedRules(r.httpOrigin(true), "  - {name: no, from: any, to: any, paths: /7, mode: deny}\n"))
	by := r.transport2()
	for range 2 {
		c, status := r.connect2(by, "127.0.0.1:80")
		if status != http.StatusOK {
			t.Fatal(status)
		}
		br := bufio.NewReader(c)
		for path, want := range map[string]int{"/5": http.StatusOK, "/7": http.StatusForbidden, "/90000": http.StatusOK} {
			if status, text, err := getOver(c, br, path, "127.0.0.1"); err != nil || status != want {
				t.Errorf("%s: %d, %d bytes, %v; want %d", path, status, len(text), err, want)
			}
			<-r.handed
			if rec := r.recordOf(http.MethodGet); rec.Kind != policy.Plain || rec.Connect == "" {
				t.Errorf("%+v", rec)
			}
		}
		c.Close()
		<-r.handed
		if rec := r.recordOf(http.MethodConnect); rec.Mode != policy.Originate || rec.Outcome != Done || rec.ClientTLS == nil {
			t.Errorf("%+v", rec)
		}
	}
}
