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
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/gateway/h1"
	"sallyport/policy"
)

const interceptRules = "  - {name: look, from: any, to: 127.0.0.1, ports: any, mode: intercept, allow_private: true}\n"

// An innerClient is a client's connection inside a CONNECT.
type innerClient struct {
	*tls.Conn
	br *bufio.Reader
}

func (r *rig) connectTLS(origin string, cfg *tls.Config) (*innerClient, error) {
	c := r.dial(r.addr)
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: a\r\n\r\n", origin)
	res, err := http.ReadResponse(bufio.NewReader(&onebyte{c}), &http.Request{Method: http.MethodConnect})
	if err != nil {
		c.Close()
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		c.Close()
		return nil, fmt.Errorf("CONNECT: %s", res.Status)
	}
	if cfg == nil {
		cfg = &tls.Config{ServerName: "127.0.0.1", RootCAs: r.roots}
	}
	t := tls.Client(c, cfg)
	if err := t.Handshake(); err != nil {
		c.Close()
		return nil, err
	}
	return &innerClient{t, bufio.NewReader(t)}, nil
}

// inner is connectTLS for a test that goes on only with it.
func (r *rig) inner(t *testing.T, origin string) *innerClient {
	t.Helper()
	c, err := r.connectTLS(origin, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// onebyte reads no byte too many.
type onebyte struct{ net.Conn }

func (c *onebyte) Read(b []byte) (int, error) { return c.Conn.Read(b[:1]) }

func (c *innerClient) get(path, host string) (int, string, error) {
	return getOver(c, c.br, path, host)
}

func getOver(to io.Writer, from *bufio.Reader, path, host string) (int, string, error) {
	fmt.Fprintf(to, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host)
	res, err := http.ReadResponse(from, nil)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

func (r *rig) recordOf(method string) *Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range slices.Backward(r.records) {
		if rec.Method == method {
			return rec
		}
	}
	return nil
}

// TestInterceptIsCutByReload: what a policy no longer allows ends, and its record
// says why.
func TestInterceptIsCutByReload(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, interceptRules, path)
		origin := r.httpOrigin(true)
		c := r.inner(t, origin)
		if status, _, err := c.get("/5", origin); status != http.StatusOK {
			t.Fatal(status, err)
		}
		<-r.handed
		if n := r.server.Tunnels(); n != 1 {
			t.Errorf("%d are open", n)
		}
		r.server.Recheck() // nothing has changed
		if status, _, err := c.get("/5", origin); status != http.StatusOK {
			t.Fatal(status, err)
		}
		<-r.handed
		denies, err := policy.Parse("rig.yaml", []byte("version: 1\nrules:\n  - {name: no, from: any, to: any, mode: deny}\n"), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		r.generation.Store(&Generation{Policy: denies})
		r.server.Recheck()
		// The request may have come before the cut: it is refused then.
		status, _, err := c.get("/5", origin)
		if err == nil && status == http.StatusForbidden {
			<-r.handed
			status, _, err = c.get("/5", origin)
		}
		if err == nil {
			t.Fatalf("%d after the connection is no longer allowed", status)
		}
		<-r.handed
		if rec := r.recordOf(http.MethodConnect); rec == nil || rec.Outcome != Closed || !errors.Is(rec.Err, errRecheck) {
			t.Errorf("%+v", rec)
		}
		if err := r.server.Shutdown(t.Context()); err != nil || r.server.Tunnels() != 0 {
			t.Errorf("%d are open: %v", r.server.Tunnels(), err)
		}
	})
}

// TestInterceptIsDecidedAnew: each request inside by the present policy.
func TestInterceptIsDecidedAnew(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, interceptRules, path)
		origin := r.httpOrigin(true)
		c := r.inner(t, origin)
		now := *r.generation.Load()
		var err error
		now.Policy, err = policy.Parse("rig.yaml", []byte("version: 1\nrules:\n  - {name: no, from: any, to: any, paths: /7, mode: deny}\n"+interceptRules), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		r.generation.Store(&now)
		for path, want := range map[string]int{"/5": http.StatusOK, "/7": http.StatusForbidden, "/%37": http.StatusForbidden, "/6": http.StatusOK} {
			if status, _, err := c.get(path, origin); status != want {
				t.Errorf("%s: %d, %v; want %d", path, status, err, want)
			}
		}
	})
}

// TestInterceptEndsWithTheDrain: a connection on which nothing is going on does not
// hold up the gateway's end.
func TestInterceptEndsWithTheDrain(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, interceptRules, path)
		origin := r.httpOrigin(true)
		c := r.inner(t, origin)
		if status, _, err := c.get("/5", origin); status != http.StatusOK {
			t.Fatal(status, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := r.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if _, err := c.br.ReadByte(); err == nil {
			t.Error("the client was told something")
		}
		if rec := r.recordOf(http.MethodConnect); rec == nil || rec.Outcome != Done {
			t.Errorf("%+v", rec)
		}
	})
}

// TestInterceptForgetsWhoIsGone: who opened a connection is looked at with each
// request in it.
func TestInterceptForgetsWhoIsGone(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		var gone atomic.Bool
		r := newRig(t, interceptRules, path, func(s *Server) {
			s.Identify = func(q Request) (Identity, error) {
				c := policy.Client{Addr: q.From.Addr(), User: "eva"}
				return Identity{Client: c, Still: func() (policy.Client, error) {
					if gone.Load() {
						return policy.Client{}, errors.New("nobody knows eva")
					}
					return c, nil
				}}, nil
			}
		})
		origin := r.httpOrigin(true)
		c := r.inner(t, origin)
		if status, _, err := c.get("/5", origin); status != http.StatusOK {
			t.Fatal(status, err)
		}
		<-r.handed
		if rec := r.recordOf(http.MethodGet); rec.Identity.User != "eva" || rec.Connect == "" || rec.Kind != policy.Inner {
			t.Errorf("%+v", rec)
		}
		gone.Store(true)
		if status, text, err := c.get("/5", origin); status != http.StatusForbidden || strings.Contains(text, "eva") {
			t.Error(status, text, err)
		}
	})
}

// TestInterceptOfABadOrigin: a client that could be shown a good certificate for a
// bad origin would take it for a good one.
func TestInterceptOfABadOrigin(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		var minted atomic.Int32
		r := newRig(t, interceptRules, path)
		gen := *r.generation.Load()
		gen.Mint = func(string, time.Duration) (*tls.Certificate, error) {
			minted.Add(1)
			return &r.cert, nil
		}
		r.generation.Store(&gen)
		origin := newRig(t, interceptRules).httpOrigin(true) // whom r does not trust
		if _, err := r.connectTLS(origin, nil); err == nil || !strings.Contains(err.Error(), "502") {
			t.Error(err)
		}
		alerting, err := policy.Parse("rig.yaml", []byte("version: 1\nrules:\n"+strings.Replace(interceptRules, "mode: intercept", "mode: intercept, intercept: {bad_origin: alert}", 1)), "")
		if err != nil {
			t.Fatal(err)
		}
		next := gen
		next.Policy = alerting
		r.generation.Store(&next)
		if _, err := r.connectTLS(origin, nil); err == nil || !strings.Contains(err.Error(), "remote error: tls: internal error") {
			t.Error(err)
		}
		<-r.handed
		<-r.handed
		if rec := r.recordOf(http.MethodConnect); rec.Cause != "tls_certificate_error" || rec.Outcome != Failed || rec.Status != http.StatusOK {
			t.Errorf("%s, %s, %d: %v", rec.Outcome, rec.Cause, rec.Status, rec.Err)
		}
		if n := minted.Load(); n != 0 {
			t.Errorf("%d certificates were minted", n)
		}
		until(t, "both connections are given up", func() bool { return r.server.Tunnels() == 0 }) // their records are handed over first
	})
}

// TestInterceptDoesNotPretendECH: the client of an origin with a key learns that nobody
// has opened what it sent.
func TestInterceptDoesNotPretendECH(t *testing.T) {
	rules := strings.Replace(interceptRules, "127.0.0.1", "any", 1)
	twice := strings.Replace(rules, "mode: intercept", "mode: intercept, intercept: {alpn: [h2, http/1.1]}", 1)
	for _, tt := range []struct{ outer, event, rules string }{
		{"origin.test", "client_insists_on_ech", rules},
		{"origin.test", "client_insists_on_ech", twice},
		{"other.test", "client_hides_name", rules},
	} {
		onBothPaths(t, func(t *testing.T, path func(*Server)) {
			r := newRig(t, tt.rules, allHere, path)
			origin := r.httpOrigin(true)
			_, err := r.connectTLS("origin.test"+origin[strings.LastIndex(origin, ":"):], &tls.Config{
				ServerName: "inner.example", RootCAs: r.roots, EncryptedClientHelloConfigList: echList(t, tt.outer), NextProtos: []string{"h2", "http/1.1"},
			})
			if err == nil {
				t.Fatal("the client took the gateway for the origin")
			}
			var rejected *tls.ECHRejectionError
			if errors.As(err, &rejected) && len(rejected.RetryConfigList) > 0 {
				t.Errorf("the gateway offers keys: %v", err)
			}
			<-r.handed
			rec := r.recordOf(http.MethodConnect)
			if rec == nil || rec.Event != tt.event || rec.Err == nil || !strings.Contains(rec.EventText, "DNS that names no ECH keys") {
				t.Errorf("%s behind %s: %+v", tt.event, tt.outer, rec)
			}
		})
	}
}

// TestInterceptCutAtAnyMoment: whatever is going on inside, a cut ends it, once,
// and leaves nothing counted.
func TestInterceptCutAtAnyMoment(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, interceptRules, path)
		origin := r.httpOrigin(true)
		denies, err := policy.Parse("rig.yaml", []byte("version: 1\nrules:\n  - {name: no, from: any, to: any, mode: deny}\n"), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		allows := r.generation.Load()
		var asking sync.WaitGroup
		stop := make(chan struct{})
		for range 4 {
			asking.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					c, err := r.connectTLS(origin, nil)
					if err != nil {
						continue
					}
					for range rand.IntN(4) {
						if _, _, err := c.get("/2000", origin); err != nil {
							break
						}
					}
					c.Close()
				}
			})
		}
		for range 30 {
			for range rand.IntN(20) { // some transactions later
				<-r.handed
			}
			r.generation.Store(&Generation{Policy: denies})
			r.server.Recheck()
			r.generation.Store(allows)
		}
		close(stop)
		asking.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := r.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if n := r.server.Tunnels(); n != 0 {
			t.Errorf("%d are open", n)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		seen := map[string]bool{}
		for _, rec := range r.records {
			if seen[rec.ID] {
				t.Fatalf("two records of %s", rec.ID)
			}
			seen[rec.ID] = true
		}
	})
}

// TestInnerResumption: a session inside is resumed for its host and for no other.
func TestInnerResumption(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, interceptRules, path)
		origin := r.httpOrigin(true)
		cfg := &tls.Config{ServerName: "127.0.0.1", RootCAs: r.roots, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
		for n := range 2 {
			c, err := r.connectTLS(origin, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if status, _, err := c.get("/5", origin); status != http.StatusOK {
				t.Fatal(status, err)
			}
			if resumed := c.ConnectionState().DidResume; resumed != (n == 1) {
				t.Errorf("connection %d: resumed: %v", n, resumed)
			}
			c.Close()
		}
	})
	var keys innerTickets
	now := time.Now()
	a, b, later := keys.keys("a.test", now), keys.keys("b.test", now), keys.keys("a.test", now.Add(24*time.Hour))
	if a[0] == b[0] || a[0] == a[1] || later[1] != a[0] || later[0] == a[0] || !slices.Equal(a, keys.keys("a.test", now)) {
		t.Error("the keys of tickets are not a host's and a day's")
	}
}

// TestInsideTarget: which origin a request inside names.
func TestInsideTarget(t *testing.T) {
	host, err := policy.ParseHost("a.test")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		scheme string
		port   uint16
		raw    string
		host   string
		status int // 0: taken
		url    string
	}{
		{"https", 443, "/x?y", "a.test", 0, "https://a.test/x?y"},
		{"https", 443, "/x", "A.TEST:443", 0, "https://a.test/x"},
		{"https", 443, "/x", "a.test.", 0, "https://a.test/x"},
		{"https", 443, "/x", "", 0, "https://a.test/x"},
		{"https", 443, "*", "a.test", 0, "https://a.test"},
		{"https", 8443, "/x", "a.test:8443", 0, "https://a.test:8443/x"},
		{"https", 8443, "/x", "a.test", 421, ""},
		{"https", 443, "/x", "a.test:80", 421, ""},
		{"https", 443, "/x", "b.test", 421, ""},
		{"https", 443, "/x", "a.test.evil", 421, ""},
		{"https", 443, "/x", "user@a.test", 400, ""},
		{"https", 443, "/x", "a.test:x", 400, ""},
		{"https", 443, "https://a.test/x", "a.test", 0, "https://a.test/x"},
		{"https", 443, "https://a.test/x", "b.test", 421, ""},
		{"https", 443, "https://b.test/x", "a.test", 421, ""},
		{"https", 443, "http://a.test/x", "a.test", 421, ""},
		{"https", 443, "http://a.test:443/x", "a.test", 421, ""},
		{"https", 443, "//b.test/x", "a.test", 0, "https://a.test//b.test/x"},
		{"https", 443, "/x#y", "a.test", 400, ""},
		{"http", 80, "/x", "a.test", 0, "http://a.test/x"},
		{"http", 443, "/x", "a.test", 421, ""},
		{"http", 443, "/x", "a.test:443", 0, "http://a.test:443/x"},
		{"http", 80, "https://a.test/x", "a.test", 421, ""},
	} {
		in := &inside{query: policy.Query{Host: host, Port: tt.port}}
		method := http.MethodGet
		if tt.raw == "*" {
			method = http.MethodOptions
		}
		var fields h1.Fields
		if tt.host != "" {
			fields = h1.Fields{field("Host", tt.host)}
		}
		got, err := in.target(method, tt.raw, fields, tt.scheme)
		var e *Error
		switch {
		case tt.status == 0 && (err != nil || got.url(tt.raw, true) != tt.url):
			t.Errorf("%+v: %s, %v", tt, got.url(tt.raw, true), err)
		case tt.status != 0 && (!errors.As(err, &e) || e.Status != tt.status):
			t.Errorf("%+v: %v", tt, err)
		}
	}
	in := &inside{query: policy.Query{Host: host, Port: 443}}
	var e *Error
	if _, err := in.target(http.MethodConnect, "a.test:443", nil, "https"); !errors.As(err, &e) || e.Status != http.StatusMethodNotAllowed {
		t.Error(err)
	}
}

// TestInterceptMeetsTheOriginOnce: the connection that the origin was verified on is
// the one that the first request goes out on, whatever tickets have come on it.
func TestInterceptMeetsTheOriginOnce(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		var met atomic.Int32
		r := newRig(t, interceptRules, path)
		origin := r.accept(func(raw net.Conn) {
			met.Add(1)
			c := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{r.cert}})
			defer c.Close()
			for br := bufio.NewReader(c); ; {
				if _, err := http.ReadRequest(br); err != nil {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		})
		for range 3 {
			c, err := r.connectTLS(origin, nil)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if status, _, err := c.get("/", origin); status != http.StatusOK {
					t.Fatal(status, err)
				}
			}
			c.Close()
			for range 3 { // the connection to the origin is back when the CONNECT's record is there, behind those of its requests
				<-r.handed
			}
		}
		// net/http does not lend its connections: each CONNECT makes one, and no request another.
		if n, standard := met.Load(), r.server.Standard; standard && n != 3 || !standard && n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// TestPreparedConnectionsAreBounded: clients that have CONNECTs opened and leave
// cannot pile up connections to ever new origins.
func TestPreparedConnectionsAreBounded(t *testing.T) {
	var closed atomic.Int32
	tr := &transport{Transport: &http.Transport{}, meet: func(context.Context, string) (*tls.Conn, error) {
		near, far := net.Pipe()
		t.Cleanup(func() { near.Close(); far.Close() })
		return tls.Client(countClose{near, &closed}, &tls.Config{ServerName: "a.test"}), nil
	}}
	for n := range 2 * maxReady {
		if c, err := tr.prepare(t.Context(), fmt.Sprintf("h%d.test:443", n)); c == nil || err != nil {
			t.Fatal(err)
		}
	}
	if n := len(tr.ready); n != maxReady || closed.Load() != maxReady {
		t.Errorf("%d are kept, %d were closed", n, closed.Load())
	}
	tr.abandon()
	if len(tr.ready) != 0 {
		t.Errorf("%d are left", len(tr.ready))
	}
}

type countClose struct {
	net.Conn
	n *atomic.Int32
}

func (c countClose) Close() error {
	c.n.Add(1)
	return c.Conn.Close()
}

// TestEventTellsNoSecret: an origin that was sent a secret once could have it in the
// subject of its next certificate, and that is quoted.
func TestEventTellsNoSecret(t *testing.T) {
	p := &passage{s: &Server{Describe: func(error, string) (string, string) { return "CN=s3cret-token", "origin_name_mismatch" }}}
	p.secrets = [][]byte{[]byte("s3cret-token")}
	e := p.asError(&legError{stage: stageTLS, addr: "a.test:443", err: errors.New("another name")})
	if strings.Contains(e.Msg+e.EventText+e.Error(), "s3cret") || e.Event != "origin_name_mismatch" || !strings.Contains(e.EventText, string(echo)) {
		t.Errorf("%+v", e)
	}
}
