// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync"
	"testing"
	"time"
)

var (
	soak    = flag.Duration("soak", time.Second, "how long TestMemoryIsFlat lasts")
	soakDir = flag.String("soakprofiles", "", "directory for the heap profiles of TestMemoryIsFlat")
)

// TestMemoryIsFlat: whatever clients do, and however they leave, nothing of them
// is held when they have gone. For ten minutes, with heap profiles before and after:
//
//	go test ./gateway -run TestMemoryIsFlat -soak 10m -timeout 20m -soakprofiles DIR -v
func TestMemoryIsFlat(t *testing.T) {
	r := newRig(t, "  - {name: all, from: any, to: 127.0.0.1, ports: any, mode: [originate, tunnel], tunnel: {tls: optional}, allow_private: true}\n", func(s *Server) {
		s.Observe = nil // the rig keeps every record
	})
	origin := r.httpOrigin(true)
	taker := r.uploadOrigin()
	echo := r.accept(func(c net.Conn) {
		defer c.Close()
		_, _ = io.Copy(c, c)
	})
	kinds := []func() error{
		func() error { return once(newExchanger(r.dial(r.addr), "http://"+origin+"/1024", origin)) },
		func() error { return once(newExchanger(r.dial(r.addr), "http://"+origin+"/65536", origin)) },
		func() error { // several on a connection
			x := newExchanger(r.dial(r.addr), "http://"+origin+"/300000", origin)
			defer x.Close()
			for range 10 {
				if err := x.exchange(); err != nil {
					return err
				}
			}
			return nil
		},
		func() error { // leaves in the middle of the answer
			c := r.dial(r.addr)
			defer c.Close()
			fmt.Fprintf(c, "GET http://%s/10000000 HTTP/1.1\r\nHost: a\r\n\r\n", origin)
			_, err := io.ReadFull(c, make([]byte, 100_000))
			return err
		},
		func() error { // and of its own request
			c := r.dial(r.addr)
			defer c.Close()
			_, err := fmt.Fprintf(c, "POST http://%s/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhello", taker)
			return err
		},
		func() error { return r.post(taker, "Content-Length: 100000", 100_000, false) },
		func() error { return r.post(taker, "Transfer-Encoding: chunked", 100_000, true) },
		func() error {
			c, err := r.connect(echo)
			if err != nil {
				return err
			}
			defer c.Close()
			if _, err := c.Write(make([]byte, 50_000)); err != nil {
				return err
			}
			_, err = io.ReadFull(c, make([]byte, 50_000))
			return err
		},
	}
	base := runtime.NumGoroutine() + 4 // loops of tunnels, and the patrol
	run := func(d time.Duration) (n int) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		end := time.Now().Add(d)
		for _, kind := range kinds {
			wg.Go(func() {
				for first := true; first || time.Now().Before(end); first = false {
					if err := kind(); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					n++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		return n
	}
	run(*soak / 10) // pools and caches fill
	before := r.settle("before", base)
	n := run(*soak)
	after := r.settle("after", base)
	t.Logf("%d clients in %v: heap %d KiB before and %d KiB after, goroutines %d and %d", n, *soak, before.heap>>10, after.heap>>10, before.goroutines, after.goroutines)
	// The origins of the rig, and what ran before, leave a few MiB for a while.
	if after.heap > before.heap+16<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before.heap, after.heap)
	}
}

type state struct {
	heap       uint64
	goroutines int // workers at rest not counted
}

// settle waits until every client of the rig has been noticed to be gone, and
// until there are no more goroutines than there should be.
func (r *rig) settle(name string, base int) state {
	r.server.conns.mu.Lock()
	empty := make(chan struct{})
	r.server.conns.empty = empty // as a drain would, but nothing else of it
	if len(r.server.conns.open) == 0 {
		r.server.conns.close()
	}
	r.server.conns.mu.Unlock()
	<-empty
	r.server.conns.mu.Lock()
	r.server.conns.empty = nil
	r.server.conns.mu.Unlock()
	for r.server.Tunnels() > 0 {
		runtime.Gosched()
	}
	r.server.passages.Wait()
	r.server.pool.close()
	count := func() int {
		r.server.conns.mu.Lock()
		defer r.server.conns.mu.Unlock()
		return runtime.NumGoroutine() - len(r.server.conns.idle)
	}
	for until := time.Now().Add(20 * time.Second); count() > base; runtime.Gosched() {
		if time.Now().After(until) {
			r.tb.Fatalf("%d goroutines, and not %d", count(), base)
		}
	}
	runtime.GC()
	runtime.GC() // pools keep what they hold for one collection more
	if *soakDir != "" {
		f, err := os.Create(filepath.Join(*soakDir, name+".heap"))
		if err != nil {
			r.tb.Fatal(err)
		}
		defer f.Close()
		if err := pprof.WriteHeapProfile(f); err != nil {
			r.tb.Fatal(err)
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return state{m.HeapAlloc, count()}
}

// uploadOrigin reads every request to its end and answers 200.
func (r *rig) uploadOrigin() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.tb.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { _, _ = io.Copy(io.Discard, q.Body) })}
	served := make(chan error, 1)
	go func() {
		served <- server.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{r.cert}}))
	}()
	r.tb.Cleanup(func() {
		server.Close()
		<-served
	})
	return l.Addr().String()
}

func (r *rig) post(origin, framing string, size int, chunked bool) error {
	c := r.dial(r.addr)
	defer c.Close()
	fmt.Fprintf(c, "POST http://%s/ HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", origin, framing)
	if chunked {
		fmt.Fprintf(c, "%x\r\n", size)
	}
	if _, err := c.Write(make([]byte, size)); err != nil {
		return err
	}
	if chunked {
		fmt.Fprint(c, "\r\n0\r\n\r\n")
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil && res.StatusCode != 200 {
		err = fmt.Errorf("%w: %s", errStatus, res.Status)
	}
	return err
}
