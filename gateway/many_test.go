// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestManyAtOnce: every kind of request on many connections while the policy
// is replaced under them. Each gets its own answer, and one record.
func TestManyAtOnce(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %d", r.URL.Path, n)
	}))
	defer origin.Close()
	const text = "version: 1\nrules:\n  - {name: all, from: any, to: 127.0.0.0/8, ports: any, mode: [relay, tunnel], tunnel: {tls: optional}}\n"
	generations := []*Generation{{Policy: load(t, text)}, {Policy: load(t, text)}}
	var (
		now     atomic.Pointer[Generation]
		mu      sync.Mutex
		records = make(map[string]int)
		made    int
		all     = make(chan struct{}) // closed with the last record
	)
	const clients, rounds = 20, 10
	const want = clients * (rounds*4 + 1)
	now.Store(generations[0])
	s := &Server{Generation: now.Load, Observe: func(r *Record) {
		mu.Lock()
		defer mu.Unlock()
		if made++; made == want {
			close(all)
		}
		records[r.ID]++
	}}
	addr := serve(t, s)
	over := make(chan struct{})
	var reloads sync.WaitGroup
	reloads.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			default:
				now.Store(generations[i%2])
				s.Recheck()
			}
		}
	})
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			if err := everyKind(addr, origin.URL, i, rounds); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	close(over)
	reloads.Wait()
	select {
	case <-all:
	case <-time.After(20 * time.Second):
	}
	mu.Lock()
	defer mu.Unlock()
	if made != want || len(records) != want {
		t.Errorf("%d records with %d ids, want %d", made, len(records), want)
	}
}

// everyKind asks in turn on one connection, and ends in a tunnel.
func everyKind(addr, origin string, i, rounds int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	br := bufio.NewReader(c)
	ask := func(method, request, want string, status int) error {
		if _, err := io.WriteString(c, request); err != nil {
			return err
		}
		res, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			return fmt.Errorf("%q: %w", request, err)
		}
		if status == 200 && method == "CONNECT" {
			return nil
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != status || !strings.Contains(string(body), want) {
			return fmt.Errorf("%q: %s %q, %v; want %d %q", request, res.Status, body, err, status, want)
		}
		return nil
	}
	host := strings.TrimPrefix(origin, "http://")
	for n := range rounds {
		id := fmt.Sprintf("/%d/%d", i, n)
		size := n * 1000
		for _, a := range []struct {
			method, request, want string
			status                int
		}{
			{"GET", "GET " + origin + id + " HTTP/1.1\r\nHost: a\r\n\r\n", id + " 0", 200},
			{"POST", fmt.Sprintf("POST %s%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", origin, id, size, strings.Repeat("x", size)), fmt.Sprintf("%s %d", id, size), 200},
			{"GET", "GET http://denied.example/ HTTP/1.1\r\nHost: a\r\n\r\n", "no rule", 403},
			{"CONNECT", "CONNECT denied.example:443 HTTP/1.1\r\nHost: a\r\n\r\n", "no rule", 403},
		} {
			if err := ask(a.method, a.request, a.want, a.status); err != nil {
				return err
			}
		}
	}
	if err := ask("CONNECT", "CONNECT "+host+" HTTP/1.1\r\nHost: a\r\n\r\n", "", 200); err != nil {
		return err
	}
	return ask("GET", "GET /inside HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "/inside 0", 200)
}
