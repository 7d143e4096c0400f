// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	qh "github.com/quic-go/quic-go/http3"

	"sallyport/policy"
)

// TestHTTP3FallsBack: a port of UDP where nobody is any more costs the request nothing but
// a moment, and the next ones not even that.
func TestHTTP3FallsBack(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, openOrigins, path)
		r.meetsBy("h3", "h2", "http/1.1")
		o := r.newest(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			_, _ = io.Copy(io.Discard, q.Body)
			fmt.Fprint(w, q.Proto)
		}))
		o.mute()
		c := r.asker()
		for i := range 4 {
			_, body := say(t, c, c.br, "POST http://"+o.addr+"/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
			if body != "HTTP/2.0" {
				t.Errorf("request %d by %s", i+1, body)
			}
			rec := r.record()
			if tried := rec.NoHTTP3 != nil; tried != (i == 1) || rec.Outcome != Done || rec.Origin.TLS.NegotiatedProtocol != "h2" {
				t.Errorf("request %d: %v, %+v", i+1, rec.NoHTTP3, rec.Origin)
			}
		}
	})
}

// TestHTTP3OfSomebodyElse: whoever answers on UDP with a certificate that is not accepted
// gets nothing and breaks nothing; where there is nothing but HTTP/3, the request is refused.
func TestHTTP3OfSomebodyElse(t *testing.T) {
	r := newRig(t, openOrigins)
	other := &rig{tb: t}
	other.certify("127.0.0.1", "origin.test")
	o := r.newest(tellProto, func(cfg *tls.Config, s *qh.Server) {
		cfg.Certificates = []tls.Certificate{other.cert}
		s.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	})
	r.meetsBy("h3", "http/1.1")
	c := r.asker()
	for i := range 3 {
		if _, body := c.get("http://" + o.addr + "/"); body != "HTTP/1.1" {
			t.Errorf("by %s", body)
		}
		rec := r.record()
		if i == 1 && (rec.NoHTTP3 == nil || !strings.Contains(rec.NoHTTP3.Error(), "TLS handshake with "+o.addr+" by HTTP/3: ")) || rec.Outcome != Done {
			t.Errorf("%v %v", rec.NoHTTP3, rec.Outcome)
		}
	}
	r.meetsBy("h3")
	res, _ := c.get("http://" + o.addr + "/")
	if rec := r.record(); res.StatusCode != http.StatusBadGateway || rec.Cause != "tls_certificate_error" || rec.Event == "" {
		t.Errorf("%d %s %s %v", res.StatusCode, rec.Cause, rec.Event, rec.Err)
	}
}

// TestOnlyHTTP3: there is nothing to fall back on, and it is said why.
func TestOnlyHTTP3(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, openOrigins, path)
		r.meetsBy("h3")
		o := r.newest(tellProto)
		c := r.asker()
		if _, body := c.get("http://" + o.addr + "/"); body != "HTTP/3.0" {
			t.Errorf("by %s", body)
		}
		r.record()
		for request, want := range map[string]string{
			"GET http://" + o.addr + "/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n": "this request cannot go by HTTP/3, because WebSocket needs HTTP/1.1, and the origin's trust profile allows nothing else (alpn: [h3, http/1.1] would)",
			"GET_0RTT http://" + o.addr + "/ HTTP/1.1\r\nHost: a\r\n\r\n": "this request cannot go by HTTP/3, because the method has another meaning there, and the origin's trust profile allows nothing else (alpn: [h3, http/1.1] would)",
		} {
			res, body := say(t, c, c.br, request)
			rec := r.record()
			if res.StatusCode != http.StatusNotImplemented || !strings.Contains(body, want) || rec.Err.Error() != want {
				t.Errorf("%d %s\n%v", res.StatusCode, body, rec.Err)
			}
		}
		gone := r.newest(tellProto)
		gone.mute()
		res, body := c.get("http://" + gone.addr + "/")
		if rec := r.record(); res.StatusCode != http.StatusBadGateway || rec.Cause != "connection_refused" ||
			!strings.Contains(body, "127.0.0.1 refuses connections on this port by HTTP/3 (over UDP), and the trust profile allows nothing else") {
			t.Errorf("%d %s %s", res.StatusCode, rec.Cause, body)
		}
	})
}

// TestOnlyHTTP3FromNobody: it is waited for as long as for a handshake, and said what for.
func TestOnlyHTTP3FromNobody(t *testing.T) {
	r := newRig(t, openOrigins, func(s *Server) { s.Limits.Shake = 100 * time.Millisecond })
	r.meetsBy("h3")
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	res, body := r.asker().get("http://" + silent.LocalAddr().String() + "/")
	if rec := r.record(); res.StatusCode != http.StatusGatewayTimeout || rec.Cause != "connection_timeout" ||
		!strings.Contains(body, "127.0.0.1 did not accept a connection in time by HTTP/3 (over UDP), and the trust profile allows nothing else") {
		t.Errorf("%d %s %s", res.StatusCode, rec.Cause, body)
	}
}

// TestMethodsThatQUICGoTakesForGet: GET_0RTT would have become GET on the way, behind the
// policy's back.
func TestMethodsThatQUICGoTakesForGet(t *testing.T) {
	r := newRig(t, openOrigins)
	r.meetsBy("h3", "http/1.1")
	o := r.newest(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { fmt.Fprintf(w, "%s by %s", q.Method, q.Proto) }))
	c := r.asker()
	c.get("http://" + o.addr + "/")
	for _, method := range []string{"GET_0RTT", "HEAD_0RTT"} {
		if _, body := say(t, c, c.br, method+" http://"+o.addr+"/ HTTP/1.1\r\nHost: a\r\n\r\n"); body != method+" by HTTP/1.1" {
			t.Errorf("%s became %s", method, body)
		}
	}
	if _, body := say(t, c, c.br, "get http://"+o.addr+"/ HTTP/1.1\r\nHost: a\r\n\r\n"); body != "get by HTTP/3.0" {
		t.Errorf("get became %s", body)
	}
}

// TestAddressesAreGuardedForUDP: QUIC goes nowhere that TCP may not (law 4), nor to the
// gateway itself.
func TestAddressesAreGuardedForUDP(t *testing.T) {
	r := newRig(t, "  - {name: all, from: any, to: any, ports: any, mode: originate}\n")
	r.meetsBy("h3")
	o := r.newest(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
	c := r.asker()
	_, port, _ := strings.Cut(o.addr, ":")
	res, body := c.get("http://localhost:" + port + "/") // a name, which is looked at when it is resolved
	rec := r.record()
	if res.StatusCode != http.StatusForbidden || rec.Cause != "destination_ip_prohibited" || o.sessions.Load() != 0 {
		t.Errorf("%d %s %s", res.StatusCode, rec.Cause, body)
	}
	self := newRig(t, openOrigins)
	self.meetsBy("h3")
	c = self.asker()
	res, body = c.get("http://127.0.0.1:" + strings.Split(self.addr, ":")[1] + "/")
	if rec := self.record(); rec.Cause != "proxy_loop_detected" {
		t.Errorf("%d %s %s", res.StatusCode, rec.Cause, body)
	}
}

// TestHTTP3OriginStartedAnew: of a connection that the origin does not know any more, and
// whose end nobody told, a request that does no harm twice is asked again on another. One that
// could is not.
func TestHTTP3OriginStartedAnew(t *testing.T) {
	for _, protocols := range []string{"h3", "h3 http/1.1"} {
		r := newRig(t, openOrigins)
		r.meetsBy(strings.Fields(protocols)...)
		var posts atomic.Int32
		h := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.Method == "POST" {
				posts.Add(1)
			}
			fmt.Fprint(w, q.Proto)
		})
		o := r.newest(h)
		c := r.asker()
		c.get("http://" + o.addr + "/")
		if _, body := c.get("http://" + o.addr + "/"); body != "HTTP/3.0" {
			t.Fatalf("%s: by %s", protocols, body)
		}
		o.restart(r, h)
		if _, body := c.get("http://" + o.addr + "/"); body != "HTTP/3.0" {
			t.Errorf("%s: by %s", protocols, body)
		}
		o.restart(r, h)
		res, _ := say(t, c, c.br, "POST http://"+o.addr+"/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
		if res.StatusCode != http.StatusBadGateway || posts.Load() != 0 {
			t.Errorf("%s: %d, %d posts", protocols, res.StatusCode, posts.Load())
		}
		for range 3 {
			r.record()
		}
		if rec := r.record(); rec.Cause != "connection_terminated" {
			t.Errorf("%s: %s %v", protocols, rec.Cause, rec.Err)
		}
	}
}

// TestHTTP3OriginThatDiesSilently: an origin that goes without a word while it thinks about
// a request, or in the middle of an answer, has ended the connection. It is not late, which
// it was said to be: it was a 504 that depended on when its last packet came.
func TestHTTP3OriginThatDiesSilently(t *testing.T) {
	r := newRig(t, openOrigins)
	r.meetsBy("h3")
	asked := make(chan struct{}, 2)
	o := r.newest(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method == "GET" {
			fmt.Fprint(w, "the first half")
			_ = http.NewResponseController(w).Flush()
		}
		asked <- struct{}{}
		<-q.Context().Done()
	}))
	c, d := r.asker(), r.asker()
	fmt.Fprintf(c, "POST http://%s/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", o.addr)
	fmt.Fprintf(d, "GET http://%s/ HTTP/1.1\r\nHost: a\r\n\r\n", o.addr)
	half, err := http.ReadResponse(d.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	<-asked
	o.mute()
	res, err := http.ReadResponse(c.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusBadGateway {
		t.Errorf("the request that was thought about: %d", res.StatusCode)
	}
	if all, err := io.ReadAll(half.Body); err == nil {
		t.Errorf("half an answer passes for %q", all)
	}
	for range 2 {
		rec := r.record()
		if want := map[string]string{"POST": "connection_terminated", "GET": "http_response_incomplete"}; rec.Cause != want[rec.Method] {
			t.Errorf("%s: %s %v", rec.Method, rec.Cause, rec.Err)
		}
	}
}

// TestHTTP3OriginThatSaysGoodbye: what it says it has not looked at is asked again, whatever
// it is, and elsewhere if need be.
func TestHTTP3OriginThatSaysGoodbye(t *testing.T) {
	r := newRig(t, openOrigins)
	r.meetsBy("h3", "http/1.1")
	o := r.newest(tellProto)
	c := r.asker()
	c.get("http://" + o.addr + "/")
	c.get("http://" + o.addr + "/")
	o.udp.Close() // with a CONNECTION_CLOSE
	if _, body := c.get("http://" + o.addr + "/"); body != "HTTP/1.1" {
		t.Errorf("by %s", body)
	}
	if n := r.quicConns(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// quicConns is how many QUIC connections are kept.
func (r *rig) quicConns() (n int) {
	r.server.transports.mu.Lock()
	defer r.server.transports.mu.Unlock()
	for _, t := range r.server.transports.pools {
		if t.quic != nil {
			n += t.quic.Conns()
		}
	}
	return n
}

// TestHTTP3OriginThatSendsAway: 421 by HTTP/3 is no answer to the request (RFC 7838 §6).
func TestHTTP3OriginThatSendsAway(t *testing.T) {
	r := newRig(t, openOrigins)
	r.meetsBy("h3", "http/1.1")
	o := r.newest(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.ProtoMajor == 3 {
			w.WriteHeader(http.StatusMisdirectedRequest)
		}
		fmt.Fprint(w, q.Proto)
	}))
	c := r.asker()
	for range 3 {
		if _, body := c.get("http://" + o.addr + "/"); body != "HTTP/1.1" {
			t.Errorf("by %s", body)
		}
	}
	if n := o.sessions.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestHTTP3KeepsUsersApart: what was connected in a user's name carries nobody else's
// requests, and is gone with the next look at who everybody is (law 7).
func TestHTTP3KeepsUsersApart(t *testing.T) {
	r := newRig(t, openOrigins)
	r.meetsBy("h3")
	o := r.newest(tellProto)
	ask := func(user, cert string) {
		tr := r.server.transport(route{secure: true, trust: "h3", user: user, cert: cert}, r.trustOf(), policy.Decision{Mode: policy.Originate, Rule: r.rule()}, false)
		if _, _, err := tr.quic.Meet(t.Context(), o.addr); err != nil {
			t.Fatal(err)
		}
	}
	ask("eva", "1")
	ask("eva", "1")
	ask("adam", "1")
	ask("eva", "2")
	ask("", "")
	if n := o.sessions.Load(); n != 4 {
		t.Errorf("%d connections, want 4", n)
	}
	r.server.transports.disown()
	ask("", "")
	ask("eva", "2")
	if n := o.sessions.Load(); n != 5 {
		t.Errorf("%d connections, want 5", n)
	}
}

func (r *rig) trustOf() Trust {
	t, err := r.generation.Load().Trust(nil)
	if err != nil {
		r.tb.Fatal(err)
	}
	return t
}

func (r *rig) rule() *policy.Rule { return r.generation.Load().Policy.Rules[0] }
