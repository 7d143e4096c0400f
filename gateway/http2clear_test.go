// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"

	"sallyport/policy"
)

// TestHTTP2WithoutTLS: whoever knows that HTTP/2 is spoken here begins with it, in
// whatever pieces, and is served as everybody is that comes without TLS.
func TestHTTP2WithoutTLS(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, "  - {name: out, from: any, to: 127.0.0.1, ports: any, mode: originate, allow_private: true}\n", path)
		origin := r.httpOrigin(true)
		for _, pieces := range [][]string{{h2.ClientPreface}, strings.Split(h2.ClientPreface, "")} {
			h := newH2Client(t, r.dial(r.addr), pieces...)
			for range 2 {
				a := h.read(h.ask(true, getBy2(origin, "/5")...), nil)
				if a.status != "200" || a.body != "01234" {
					t.Fatalf("%+v", a)
				}
				<-r.handed
				rec := r.recordOf(http.MethodGet)
				if rec.Proto != "HTTP/2" || rec.ClientTLS != nil || rec.Origin.TLS == nil || rec.URL != "http://"+origin+"/5" || rec.Mode != policy.Originate {
					t.Errorf("%+v", rec)
				}
			}
			h.c.Close()
		}
	})
}

// TestHTTP2WithoutTLSNamesHTTPS: law 1. The library forgets a :scheme of https where
// there is no TLS, and the request would have been relayed.
func TestHTTP2WithoutTLSNamesHTTPS(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, "  - {name: out, from: any, to: 127.0.0.1, ports: any, mode: relay, allow_private: true}\n", path)
		origin := r.httpOrigin(false)
		h := newH2Client(t, r.dial(r.addr), h2.ClientPreface)
		defer h.c.Close()
		if a := h.read(h.ask(true, getBy2(origin, "/5")...), nil); a.status != "200" {
			t.Fatalf("http: %+v", a)
		}
		if a := h.read(h.ask(true, ":method", "GET", ":scheme", "https", ":authority", origin, ":path", "/5"), nil); a.status != "403" {
			t.Errorf("https: %+v", a)
		}
		<-r.handed
		<-r.handed
		if rec := r.recordOf(http.MethodGet); rec.URL != "https://"+origin+"/5" || rec.Outcome != Denied || rec.Origin.Addr.IsValid() {
			t.Errorf("%s, %s, %v", rec.URL, rec.Outcome, rec.Origin.Addr)
		}
	})
}

// TestHTTP2WithoutTLSOrNot: what only begins like the preface is a request, and one
// that does not go on has the time of a head.
func TestHTTP2WithoutTLSOrNot(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, "  - {name: out, from: any, to: 127.0.0.1, ports: any, mode: relay, allow_private: true}\n", path, func(s *Server) { s.Limits.HeadTime = 50 * time.Millisecond })
		origin := r.httpOrigin(false)
		for text, want := range map[string]int{
			"PRI * HTTP/2.0\r\n\r\nXX":                                                     505,
			"PRI * HTTP/1.1\r\nHost: " + origin + "\r\n\r\n":                               400,
			"PUT http://" + origin + "/5 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n": 200,
		} {
			c := r.dial(r.addr)
			_, _ = io.WriteString(c, text)
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || res.StatusCode != want {
				t.Errorf("%q: %v, %v", text, res, err)
			}
			c.Close()
		}
		c := r.dial(r.addr)
		defer c.Close()
		_, _ = io.WriteString(c, h2.ClientPreface[:20])
		if b, err := io.ReadAll(c); len(b) > 0 && !bytes.HasPrefix(b, []byte("HTTP/1.1 4")) || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	})
}

// TestHTTP2WithoutTLSIsDrained: its client is told to go, and Shutdown waits for what
// it has asked for.
func TestHTTP2WithoutTLSIsDrained(t *testing.T) {
	r := newRig(t, "  - {name: out, from: any, to: 127.0.0.1, ports: any, mode: relay, allow_private: true}\n")
	asked, answer := make(chan struct{}), make(chan struct{})
	origin, _ := r.rawOrigin(func(string) string {
		close(asked)
		<-answer
		return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	})
	h := newH2Client(t, r.dial(r.addr), h2.ClientPreface)
	defer h.c.Close()
	id := h.ask(true, getBy2(origin, "/")...)
	<-asked
	done := make(chan error, 1)
	go func() { done <- r.server.Shutdown(context.Background()) }()
	close(answer)
	if a := h.read(id, nil); a.status != "200" || a.body != "ok" {
		t.Errorf("%+v", a)
	}
	h.c.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestPrefaceByTheByteHasTheTimeOfOneHead: each byte of it once had that time anew.
func TestPrefaceByTheByteHasTheTimeOfOneHead(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, "  - {name: out, from: any, to: 127.0.0.1, ports: any, mode: relay, allow_private: true}\n", path, func(s *Server) { s.Limits.HeadTime = 200 * time.Millisecond })
		c := r.dial(r.addr)
		defer c.Close()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = io.Copy(io.Discard, c)
		}()
		next := time.NewTicker(100 * time.Millisecond)
		defer next.Stop()
		for _, b := range []byte(h2.ClientPreface[:23]) {
			_, _ = c.Write([]byte{b})
			select {
			case <-ended:
				return
			case <-next.C:
			}
		}
		t.Error("it is still open after the last byte but one")
	})
}
