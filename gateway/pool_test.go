// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"sallyport/gateway/wire"
	"sallyport/policy"
)

// idleHop is a connection to nobody in particular, and its other end.
func idleHop(t *testing.T, o *pool, r route) (*hop, net.Conn) {
	t.Helper()
	c, origin := net.Pipe()
	t.Cleanup(func() { c.Close(); origin.Close() })
	h := &hop{leg: &leg{Conn: c}, route: r, pool: o, wire: wire.New(c)}
	h.in, h.w = h.wire, h.wire
	return h, origin
}

// closed reports whether the gateway has closed its end of a pipe.
func closed(origin net.Conn) bool {
	_ = origin.SetReadDeadline(past)
	_, err := origin.Read(make([]byte, 1))
	return err == io.EOF
}

func TestMostRecentlyUsedFirst(t *testing.T) {
	var o pool
	defer o.close()
	r := route{host: "a", port: 80}
	var kept []*hop
	for range 3 {
		h, _ := idleHop(t, &o, r)
		o.keep(h, time.Now())
		kept = append(kept, h)
	}
	for i := range 3 {
		if got, _ := o.take(r, nil); got != kept[2-i] || o.idle != 2-i {
			t.Errorf("take %d: %p of %p; %d are counted as idle", i, got, kept, o.idle)
		}
	}
}

// TestLaw7RoutesAreNotShared: what differs in anything that identity, trust or
// permission hang on gets a connection and a TLS configuration, which holds the
// session tickets, of its own.
func TestLaw7RoutesAreNotShared(t *testing.T) {
	ours := route{secure: true, trust: "t", user: "u", cert: "c", permit: "p", host: "a", port: 443}
	for name, differs := range map[string]func(*route){
		"secure": func(r *route) { r.secure = false }, "trust": func(r *route) { r.trust = "x" }, "permit": func(r *route) { r.permit = "x" },
		"ech":  func(r *route) { r.ech = policy.ECHRequire },
		"host": func(r *route) { r.host = "x" }, "port": func(r *route) { r.port = 444 },
		"user": func(r *route) { r.user = "x" }, "nobody": func(r *route) { r.user, r.cert = "", "" }, "cert": func(r *route) { r.cert = "x" },
	} {
		other := ours
		differs(&other)
		t.Run(name, func(t *testing.T) {
			var o pool
			defer o.close()
			h, _ := idleHop(t, &o, ours)
			o.keep(h, time.Now())
			got, k := o.take(other, h.known) // a client that was at ours before
			if got != nil || k == h.known {
				t.Fatal("shared")
			}
			o.made(k)
			fresh := func() *tls.Config { return new(tls.Config) }
			if cfg := o.config(ours, fresh); cfg == o.config(other, fresh) || cfg != o.config(ours, fresh) {
				t.Error("configurations are shared between routes, or not within one")
			}
			if got, _ := o.take(ours, k); got != h {
				t.Error("the connection is lost")
			}
		})
	}
}

// TestIdleConnectionsAreBounded for a route and for all together.
func TestIdleConnectionsAreBounded(t *testing.T) {
	var o pool
	defer o.close()
	for port := range uint16(maxIdle/maxIdlePerRoute + 1) {
		for i := range maxIdlePerRoute + 1 {
			h, origin := idleHop(t, &o, route{host: "a", port: port})
			o.keep(h, time.Now())
			over := i == maxIdlePerRoute || port == maxIdle/maxIdlePerRoute
			if closed(origin) != over {
				t.Fatalf("connection %d of route %d: closed %v", i, port, !over)
			}
		}
	}
	if o.idle != maxIdle {
		t.Errorf("%d are counted", o.idle)
	}
}

// TestRoutesAreBounded: a connection of one that is forgotten is closed, and what
// is given back after that is kept under what is known by then.
func TestRoutesAreBounded(t *testing.T) {
	var o pool
	defer o.close()
	r := route{host: "first"}
	h, origin := idleHop(t, &o, r)
	o.keep(h, time.Now())
	o.mu.Lock()
	o.drop(r)
	o.mu.Unlock()
	if !closed(origin) || o.idle != 0 {
		t.Error("the connection of a forgotten route is kept")
	}
	late, _ := idleHop(t, &o, r)
	late.known = h.known
	o.keep(late, time.Now())
	if got, k := o.take(r, h.known); got != late || k == h.known {
		t.Error("what is given back to a forgotten route is lost")
	}
	for port := range uint16(maxRoutes + 100) {
		o.mu.Lock()
		o.know(route{host: "a", port: port}, time.Now())
		o.mu.Unlock()
	}
	if len(o.routes) != maxRoutes {
		t.Errorf("%d routes are known", len(o.routes))
	}
}

// TestCleanClosesWhatRestsTooLong, and forgets a route nobody went to for an hour.
func TestCleanClosesWhatRestsTooLong(t *testing.T) {
	var o pool
	defer o.close()
	r, now := route{host: "a"}, time.Now()
	old, oldOrigin := idleHop(t, &o, r)
	young, youngOrigin := idleHop(t, &o, r)
	o.keep(old, now.Add(-idleTime-time.Second))
	o.keep(young, now)
	o.clean()
	if !closed(oldOrigin) || closed(youngOrigin) || o.idle != 1 {
		t.Errorf("%d idle, the old one or the wrong one", o.idle)
	}
	young.since = now.Add(-2 * time.Hour)
	o.routes[r].used = young.since
	o.clean()
	if !closed(youngOrigin) || len(o.routes) != 0 || o.idle != 0 {
		t.Errorf("%d routes are known, %d idle", len(o.routes), o.idle)
	}
}

func TestCloseEndsEveryIdleConnection(t *testing.T) {
	var o pool
	h, origin := idleHop(t, &o, route{host: "a"})
	o.keep(h, time.Now())
	if o.close(); !closed(origin) || o.idle != 0 || len(o.routes) != 0 || o.sweep.Stop() {
		t.Errorf("%d idle, %d routes, or the sweep goes on", o.idle, len(o.routes))
	}
}

// TestAnswersNobodyAskedFor: an origin, or whoever smuggled a request to it, says
// more than one answer to one question. The next client must not get it
// (response queue poisoning), whether it came with the first or later.
func TestAnswersNobodyAskedFor(t *testing.T) {
	const answer, poison = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for name, unasked := range map[string]struct{ with, later string }{
		"another answer with it": {poison, ""},
		"one byte with it":       {"H", ""},
		"another answer later":   {"", poison},
		"one byte later":         {"", "\n"},
		"an end":                 {"", "end"},
	} {
		for _, mode := range []string{"relay", "originate"} {
			t.Run(name+", "+mode, func(t *testing.T) {
				r := newRig(t, strings.Replace(relayAll, "relay", mode, 1))
				conns := make(chan net.Conn, 10)
				origin := r.accept(func(c net.Conn) {
					defer c.Close()
					if mode == "originate" {
						c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{r.cert}})
					}
					conns <- c
					for br := bufio.NewReader(c); ; {
						if _, err := http.ReadRequest(br); err != nil {
							return
						}
						_, _ = io.WriteString(c, answer+unasked.with)
					}
				})
				request := "GET http://" + origin + "/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
				for range 2 {
					if got := r.converse(request); !strings.HasSuffix(got, "\r\n\r\nok") {
						t.Errorf("a client got %q", got)
					}
					<-r.handed
					switch c := <-conns; unasked.later {
					case "":
						continue
					case "end":
						c.Close()
					default:
						_, _ = io.WriteString(c, unasked.later)
					}
					r.server.pool.unsettled()
				}
				if r.records[1].Origin.Reused {
					t.Error("the second question went out on the connection of the first")
				}
			})
		}
	}
}

// unsettled waits until the kernel has brought what the origin of the one idle
// connection has said.
func (o *pool) unsettled() {
	for quiet := true; quiet; runtime.Gosched() {
		o.mu.Lock()
		for _, k := range o.routes {
			for _, h := range k.idle {
				quiet = h.sound()
			}
		}
		o.mu.Unlock()
	}
}

// TestNothingRunsAfterShutdown: every goroutine has an end, also of an exchange
// that came to none.
func TestNothingRunsAfterShutdown(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nhello"
	for name, tt := range map[string]struct {
		method  string // behind the head of a POST the client sends chunks for as long as it can
		origin  func(*net.TCPConn)
		leave   bool // the client, in the middle of the answer
		outcome Outcome
	}{
		"early answer while an upload flows": {"POST", func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
			_, _ = io.Copy(io.Discard, c) // until the gateway gives it up
		}, false, Done},
		"client that leaves mid-answer": {"GET", func(c *net.TCPConn) {
			for _, err := io.WriteString(c, head); err == nil; {
				_, err = c.Write(make([]byte, 64<<10))
			}
		}, true, Gone},
		"client that leaves mid-upload":       {"POST", func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }, true, Gone},
		"origin that ends mid-body":           {"GET", func(c *net.TCPConn) { _, _ = io.WriteString(c, head) }, false, Failed},
		"origin that ends while upload flows": {"POST", func(c *net.TCPConn) { _, _ = io.WriteString(c, head) }, false, Failed},
		"origin that resets mid-body": {"GET", func(c *net.TCPConn) {
			_, _ = io.WriteString(c, head)
			_ = c.SetLinger(0)
		}, false, Failed},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, relayAll)
			origin := r.accept(func(c net.Conn) {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					tt.origin(c.(*net.TCPConn))
				}
			})
			c := r.dial(r.addr).(*net.TCPConn)
			defer c.Close()
			more := map[string]string{"POST": "Transfer-Encoding: chunked\r\n"}[tt.method]
			fmt.Fprintf(c, "%s http://%s/ HTTP/1.1\r\nHost: a\r\n%s\r\n", tt.method, origin, more)
			uploaded := make(chan struct{})
			go func() {
				defer close(uploaded)
				for err := error(nil); err == nil && more != ""; {
					_, err = io.WriteString(c, "5\r\nhello\r\n")
				}
			}()
			if tt.leave {
				if more == "" {
					_, _ = io.ReadFull(c, make([]byte, 1000))
				}
				_ = c.SetLinger(0)
			} else if res, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
				if _, err = io.Copy(io.Discard, res.Body); (err == nil) == (tt.outcome == Failed) {
					t.Errorf("the answer ends in %v", err)
				}
			}
			c.Close()
			<-uploaded
			<-r.handed
			if rec := r.records[0]; rec.Outcome != tt.outcome {
				t.Errorf("recorded as %s: %v", rec.Outcome, rec.Err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			err := r.server.Shutdown(ctx)
			for ; err == nil && engineGoroutines() != ""; runtime.Gosched() {
				err = ctx.Err()
			}
			if err != nil {
				t.Fatal(err, engineGoroutines())
			}
		})
	}
}

// engineGoroutines is the first stack that the engine runs on, if any.
func engineGoroutines() string {
	all := make([]byte, 1<<20)
	all = all[:runtime.Stack(all, true)]
	for stack := range strings.SplitSeq(string(all), "\n\n") {
		if strings.Contains(strings.ReplaceAll(stack, "gateway.(*rig)", "rig"), "sallyport/gateway.(*") {
			return stack
		}
	}
	return ""
}
