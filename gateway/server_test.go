// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/policy"
	"sallyport/tunnel"
)

// serve runs s on a free port until the test ends.
func serve(t *testing.T, s *Server) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != http.ErrServerClosed {
			t.Errorf("serving ended with %v", err)
		}
	})
	return l.Addr().String()
}

func ask(t *testing.T, addr, request string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func load(t *testing.T, text string) *policy.Policy {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := policy.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestLaw3ZeroServerDenies: nothing filled in, nothing opened. So it is with a
// generation that is nil, empty, or has a policy but no trust.
func TestLaw3ZeroServerDenies(t *testing.T) {
	all := load(t, "version: 1\nrules:\n  - {name: all, from: any, to: any, ports: any, mode: [originate, tunnel], tunnel: {tls: optional}, allow_private: true}\n")
	for name, tt := range map[string]struct {
		generation    func() *Generation
		plain, tunnel int
	}{
		"zero":            {nil, 403, 403},
		"nil generation":  {func() *Generation { return nil }, 403, 403},
		"zero generation": {func() *Generation { return &Generation{} }, 403, 403},
		"no trust":        {func() *Generation { return &Generation{Policy: all} }, 500, 200},
		"empty trust": {func() *Generation {
			return &Generation{Policy: all, Trust: func(*policy.Origin) (Trust, error) { return Trust{}, nil }}
		}, 500, 200},
	} {
		t.Run(name, func(t *testing.T) {
			origin, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer origin.Close()
			s := &Server{Generation: tt.generation}
			addr := serve(t, s)
			res, _ := ask(t, addr, "GET http://"+origin.Addr().String()+"/ HTTP/1.1\r\nHost: a\r\n\r\n")
			if res.StatusCode != tt.plain {
				t.Errorf("GET: %s", res.Status)
			}
			if tt.tunnel == 200 {
				return // the policy allows it, and a tunnel needs no trust of ours
			}
			res, _ = ask(t, addr, "CONNECT "+origin.Addr().String()+" HTTP/1.1\r\nHost: a\r\n\r\n")
			if res.StatusCode != tt.tunnel {
				t.Errorf("CONNECT: %s", res.Status)
			}
		})
	}
}

// TestIDsAgree: the id in Proxy-Status, in the body and in the record is one.
func TestIDsAgree(t *testing.T) {
	records := make(chan *Record, 1)
	s := &Server{Observe: func(r *Record) { records <- r }}
	res, body := ask(t, serve(t, s), "GET http://a.example/ HTTP/1.1\r\nHost: a\r\n\r\n")
	r := <-records
	if len(r.ID) != 16 || !strings.Contains(res.Header.Get("Proxy-Status"), `id="`+r.ID+`"`) || !strings.Contains(body, "["+r.ID+"]") {
		t.Errorf("record %s, Proxy-Status %s, body %s", r.ID, res.Header.Get("Proxy-Status"), body)
	}
}

// TestAnswerOutlivesDeadlineOfTheOneBefore: a deadline that was set for one
// answer of a connection is not the next one's, whoever makes that.
func TestAnswerOutlivesDeadlineOfTheOneBefore(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "answer") }))
	defer origin.Close()
	all := load(t, "version: 1\nrules:\n  - {name: all, from: any, to: 127.0.0.0/8, ports: any, mode: relay}\n")
	s := &Server{
		Generation: func() *Generation { return &Generation{Policy: all} },
		Limits:     Limits{Stall: 50 * time.Millisecond},
	}
	c, err := net.Dial("tcp", serve(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	br := bufio.NewReader(c)
	for i, url := range []string{origin.URL, "http://denied.example/", origin.URL} {
		if i > 0 {
			// The deadline passes, and meanwhile nothing comes: no end either.
			_ = c.SetReadDeadline(time.Now().Add(60 * time.Millisecond))
			if _, err := br.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("between the answers: %v", err)
			}
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		}
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", url)
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
	}
}

// A late dialer's lookups wait until they are let go.
func lateResolver(arrived chan<- struct{}, release <-chan struct{}) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case arrived <- struct{}{}:
		default:
		}
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil, fmt.Errorf("no name server")
	}}
}

// TestTunnelDecidedBeforeAReloadAndOpenedAfterIt: Recheck is over when the
// tunnel comes to stand, so it is judged there.
func TestTunnelDecidedBeforeAReloadAndOpenedAfterIt(t *testing.T) {
	allow := load(t, "version: 1\nrules:\n  - {name: all, from: any, to: 127.0.0.0/8, ports: any, mode: tunnel, tunnel: {tls: optional}, allow_private: true}\n")
	for name, tt := range map[string]struct {
		after  *policy.Policy
		status int
	}{
		"denied now":    {load(t, "version: 1\nrules: []\n"), 403},
		"still allowed": {load(t, "version: 1\nrules:\n  - {name: other, from: any, to: any, ports: any, mode: tunnel, allow_private: true}\n"), 200},
	} {
		t.Run(name, func(t *testing.T) {
			origin, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer origin.Close()
			var mu sync.Mutex
			asked := 0
			s := &Server{Generation: func() *Generation {
				mu.Lock()
				defer mu.Unlock()
				if asked++; asked == 1 { // the request; the reload and its Recheck come right behind
					return &Generation{Policy: allow}
				}
				return &Generation{Policy: tt.after}
			}}
			res, _ := askHead(t, serve(t, s), "CONNECT "+origin.Addr().String()+" HTTP/1.1\r\nHost: a\r\n\r\n")
			if res.StatusCode != tt.status {
				t.Errorf("CONNECT: %s", res.Status)
			}
		})
	}
}

// askHead is ask for an answer that no body follows.
func askHead(t *testing.T, addr, request string) (*http.Response, net.Conn) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodConnect})
	if err != nil {
		t.Fatal(err)
	}
	return res, c
}

// TestDrainLimitReachesEveryPassage: one that still looks its origin up ends
// with the drain, and its record is handed over before Shutdown returns.
func TestDrainLimitReachesEveryPassage(t *testing.T) {
	all := load(t, "version: 1\nrules:\n  - {name: all, from: any, to: any, ports: any, mode: [relay, tunnel], allow_private: true}\n")
	for _, request := range []string{
		"GET http://slow.example/ HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST http://slow.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello",
		"CONNECT slow.example:443 HTTP/1.1\r\nHost: a\r\n\r\n",
		"CONNECT slow.example:443 HTTP/1.1\r\nHost: a\r\n\r\nearly",
	} {
		arrived, release := make(chan struct{}, 1), make(chan struct{})
		records := make(chan *Record, 1)
		s := &Server{
			Generation: func() *Generation { return &Generation{Policy: all} },
			Dialer:     tunnel.Dialer{Resolver: lateResolver(arrived, release)},
			Observe:    func(r *Record) { records <- r },
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, request)
		<-arrived
		over, cancel := context.WithCancel(context.Background())
		cancel()
		if err := s.Shutdown(over); err == nil {
			t.Errorf("%q: nothing was cut", request)
		}
		select {
		case r := <-records:
			if r.Outcome != Closed {
				t.Errorf("%q: outcome %s, %v", request, r.Outcome, r.Err)
			}
		default:
			t.Errorf("%q: no record when Shutdown returned", request)
		}
		close(release)
		c.Close()
		<-served
	}
}
