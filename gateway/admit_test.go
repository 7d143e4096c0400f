// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"fmt"
	"io"
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

// onBothPaths runs f with the engine and with net/http alone.
func onBothPaths(t *testing.T, f func(t *testing.T, path func(*Server))) {
	for _, standard := range []bool{false, true} {
		t.Run(fmt.Sprintf("standard=%v", standard), func(t *testing.T) {
			f(t, func(s *Server) { s.Standard = standard })
		})
	}
}

// openPlaces is how many requests and tunnels are counted.
func (s *Server) openPlaces() (n int) {
	for i := range s.meters.shards {
		shard := &s.meters.shards[i]
		shard.mu.Lock()
		for _, m := range shard.of {
			n += m.open
		}
		shard.mu.Unlock()
	}
	return n
}

// TestPanicGivesItsPlaceBack: a defect costs the request it happened in, and not
// the place of all that follow.
func TestPanicGivesItsPlaceBack(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		var calls atomic.Int32
		r := newRig(t, "  - {name: one, from: any, to: 127.0.0.1, ports: any, mode: originate, allow_private: true, limits: {concurrent: 1}}\n",
			path, func(s *Server) {
				generation := s.Generation
				s.Generation = func() *Generation {
					g := *generation()
					trust := g.Trust
					g.Trust = func(o *policy.Origin) (Trust, error) {
						if calls.Add(1) == 1 {
							panic("a defect")
						}
						return trust(o)
					}
					return &g
				}
			})
		origin := r.httpOrigin(true)
		c := r.dial(r.addr)
		defer c.Close()
		fmt.Fprintf(c, "GET http://%s/1 HTTP/1.1\r\nHost: a\r\n\r\n", origin)
		_, _ = io.Copy(io.Discard, c)
		<-r.handed
		if n := r.server.openPlaces(); n != 0 {
			t.Errorf("%d places are taken", n)
		}
		if err := once(newExchanger(r.dial(r.addr), "http://"+origin+"/1", origin)); err != nil {
			t.Error(err)
		}
	})
}

// TestPlacesComeBack, whatever clients do: they are gone at every stage, and
// nothing stays counted.
func TestPlacesComeBack(t *testing.T) {
	const rules = "  - {name: all, from: any, to: 127.0.0.1, ports: any, mode: [relay, tunnel], tunnel: {tls: optional}, allow_private: true, limits: {concurrent: 1000, bandwidth: 10MB/s, request_body: 1kB, response_body: 100kB}}\n"
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, rules, path)
		origin := r.httpOrigin(false)
		deaf := r.accept(func(c net.Conn) { // says nothing and goes with its peer
			defer c.Close()
			_, _ = io.Copy(io.Discard, c)
		})
		asked := 0
		for _, ending := range []func(*net.TCPConn){
			func(c *net.TCPConn) { c.Close() },
			func(c *net.TCPConn) { _ = c.SetLinger(0); c.Close() },
			func(c *net.TCPConn) { _ = c.CloseWrite(); _, _ = io.Copy(io.Discard, c); c.Close() },
		} {
			for _, say := range []string{
				"GET http://" + origin + "/5 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
				"GET http://" + origin + "/90000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
				"GET http://" + origin + "/200000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
				"POST http://" + deaf + "/ HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nhalf",
				"POST http://" + deaf + "/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\nhalf",
				"POST http://" + deaf + "/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf ",
				"POST http://" + deaf + "/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n" + strings.Repeat("x", 5000),
				"POST http://" + deaf + "/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n",
				"CONNECT " + deaf + " HTTP/1.1\r\nHost: a\r\n\r\nearly",
				"CONNECT " + deaf + " HTTP/1.1\r\nHost: a\r\n\r\n",
			} {
				c := r.dial(r.addr).(*net.TCPConn)
				_, _ = io.WriteString(c, say)
				ending(c)
				asked++
			}
		}
		deadline := time.After(20 * time.Second)
		for range asked { // a client that was reset before its request was read has no record
			select {
			case <-r.handed:
				continue
			case <-deadline:
			case <-time.After(2 * time.Second):
			}
			break
		}
		for r.server.openPlaces() != 0 {
			select {
			case <-deadline:
				t.Fatalf("%d places are taken", r.server.openPlaces())
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
}

// TestBandwidthIsAskedFor by answers, uploads and tunnels, and a client that leaves
// while it waits for its turn has left.
func TestBandwidthIsAskedFor(t *testing.T) {
	const rules = "  - {name: slow, from: any, to: 127.0.0.1, ports: any, mode: [relay, tunnel], tunnel: {tls: optional}, allow_private: true, limits: {bandwidth: 125GB/s}}\n"
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, rules, path)
		meters := &r.server.meters
		now := meters.clock(time.Now())
		k := keyOf(&policy.Limits{}, "slow", policy.Client{})
		shard := &meters.shards[meters.hash(k)%meterShards]
		used := func() bucket {
			shard.mu.Lock()
			defer shard.mu.Unlock()
			return shard.meter(k, now).bytes
		}
		// As if the bandwidth had been used up for an hour: a byte of it waits, and so
		// is seen to be asked for.
		shard.mu.Lock()
		shard.meter(k, now).bytes = bucket(now + int64(time.Hour))
		shard.mu.Unlock()
		origin := r.httpOrigin(false)
		for _, say := range []string{
			"GET http://" + origin + "/1000 HTTP/1.1\r\nHost: a\r\n\r\n",
			"POST http://" + origin + "/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
			"CONNECT " + origin + " HTTP/1.1\r\nHost: a\r\n\r\nGET /1 HTTP/1.1\r\n\r\n",
		} {
			before := used()
			c := r.dial(r.addr)
			_, _ = io.WriteString(c, say)
			until(t, "bandwidth is asked for", func() bool { return used() != before })
			if strings.HasPrefix(say, "GET") { // its head goes out before its body waits
				if _, err := c.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
			<-r.handed
			r.mu.Lock()
			rec := r.records[len(r.records)-1]
			r.mu.Unlock()
			if rec.Limit != limitBandwidth || rec.Paced <= 0 || rec.Paced > 2*rec.Total || rec.Limits != "rule/slow" {
				t.Errorf("%.20s: limit %q of %q, paced %v, %s", say, rec.Limit, rec.Limits, rec.Paced, rec.Outcome)
			}
		}
		if n := r.server.openPlaces(); n != 0 {
			t.Errorf("%d places are taken", n)
		}
	})
}

// TestNobodyWaitsForAnother: one whose bandwidth is used up holds up nobody else.
func TestNobodyWaitsForAnother(t *testing.T) {
	const rules = "  - {name: slow, from: any, to: 127.0.0.1, ports: any, methods: [PUT], mode: relay, allow_private: true, limits: {bandwidth: 1kB/s}}\n" +
		"  - {name: fast, from: any, to: 127.0.0.1, ports: any, mode: relay, allow_private: true}\n"
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, rules, path)
		origin := r.httpOrigin(false)
		slow := r.dial(r.addr)
		defer slow.Close()
		fmt.Fprintf(slow, "PUT http://%s/100000 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", origin)
		res, err := http.ReadResponse(bufio.NewReader(slow), nil)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(res, err)
		}
		if err := once(newExchanger(r.dial(r.addr), "http://"+origin+"/100000", origin)); err != nil {
			t.Error(err)
		}
		if n := r.server.openPlaces(); n != 1 {
			t.Errorf("%d places are taken", n)
		}
	})
}

// TestConcurrentIsNeverExceeded, and nobody is refused who need not be.
func TestConcurrentIsNeverExceeded(t *testing.T) {
	const rules = "  - {name: all, from: any, to: 127.0.0.1, ports: any, mode: relay, allow_private: true, limits: {concurrent: 3}}\n"
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, rules, path)
		var inside, most, answered, refused atomic.Int32
		origin := r.accept(func(c net.Conn) {
			defer c.Close()
			br := bufio.NewReader(c)
			for {
				if _, err := http.ReadRequest(br); err != nil {
					return
				}
				n := inside.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell")
				time.Sleep(time.Millisecond)
				inside.Add(-1)
				_, _ = io.WriteString(c, "o")
			}
		})
		ask := func() int {
			c := r.dial(r.addr)
			defer c.Close()
			fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", origin)
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Error(err)
				return 0
			}
			_, _ = io.Copy(io.Discard, res.Body)
			return res.StatusCode
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				for range 30 {
					switch status := ask(); status {
					case 200:
						answered.Add(1)
					case 429:
						refused.Add(1)
					default:
						t.Errorf("status %d", status)
					}
				}
			})
		}
		all.Wait()
		if most.Load() > 3 || answered.Load() == 0 || refused.Load() == 0 {
			t.Errorf("%d at once, %d answered, %d refused", most.Load(), answered.Load(), refused.Load())
		}
		// As many as are allowed, one behind the other on connections of their own.
		for range 3 {
			all.Go(func() {
				for range 100 {
					if status := ask(); status != 200 {
						t.Errorf("status %d", status)
					}
				}
			})
		}
		all.Wait()
	})
}

// A watcher is a client that looks at what is counted when a byte reaches it.
type watcher struct {
	client
	s    *Server
	open []int // at each write, and at the end
}

func (w *watcher) begin(*reply) error { return nil }
func (w *watcher) reusable() bool     { return true }
func (w *watcher) flush() error       { return nil }
func (w *watcher) write([]byte) error {
	w.open = append(w.open, w.s.openPlaces())
	return nil
}

func (w *watcher) finish(h1.Fields) error {
	w.open = append(w.open, w.s.openPlaces())
	return nil
}

// pieces are an answer's body.
type pieces []string

func (p *pieces) next() ([]byte, error) {
	if len(*p) == 0 {
		return nil, io.EOF
	}
	b := []byte((*p)[0])
	*p = (*p)[1:]
	return b, nil
}
func (p *pieces) wait() error         { return nil }
func (p *pieces) trailers() h1.Fields { return nil }
func (p *pieces) close()              {}
func (p *pieces) upgraded() net.Conn  { return nil }

// TestPlaceIsFreeBeforeTheLastByte: who has the whole answer may ask again at
// once, on another connection.
func TestPlaceIsFreeBeforeTheLastByte(t *testing.T) {
	for name, tt := range map[string]struct {
		length int64
		open   []int
	}{
		"known":   {6, []int{1, 0, 0}},
		"unknown": {-1, []int{1, 1, 0}},
	} {
		var s Server
		h, _, _ := s.meters.enter(&policy.Limits{Name: "l", Concurrent: 1}, "r", clientAt("10.0.0.1"), time.Now())
		w := &watcher{s: &s}
		p := &passage{s: &s, client: w, req: &h1.Request{}, rec: new(Record), up: &nothing, hold: h}
		p.answer(&answer{status: 200, length: tt.length, body: &pieces{"one", "two"}})
		if !slices.Equal(w.open, tt.open) {
			t.Errorf("%s length: open %v, want %v", name, w.open, tt.open)
		}
	}
}
