// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"time"

	"sallyport/policy"
)

// What is measured here holds client, gateway and origin in one process, on
// loopback. The absolute figures say little; beside each stands the same thing
// without the gateway, measured in the same run, and the ratio of the two:
// x-direct in time, x-cpu in processor time.

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// compare runs op b.N times, then reference as often, and reports the ratios.
func compare(b *testing.B, bytes int64, op, reference func() error) {
	b.Helper()
	for _, f := range []func() error{op, reference} { // warm: pools, tickets, caches
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(bytes)
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	for range b.N {
		if err := op(); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	cpu = cpuTime() - cpu
	start, directCPU := time.Now(), cpuTime()
	for range b.N {
		if err := reference(); err != nil {
			b.Fatal(err)
		}
	}
	direct := time.Since(start)
	directCPU = cpuTime() - directCPU
	b.ReportMetric(float64(b.Elapsed())/float64(direct), "x-direct")
	b.ReportMetric(float64(cpu)/float64(max(directCPU, 1)), "x-cpu")
	b.ReportMetric(float64(direct.Nanoseconds())/float64(b.N), "direct-ns/op")
}

// BenchmarkOriginate: plain HTTP from the client, TLS to the origin. Direct is
// the client's own TLS to the origin.
func BenchmarkOriginate(b *testing.B) {
	r := newRig(b, "  - {name: web, from: any, to: 127.0.0.1, ports: any, mode: originate, allow_private: true}\n")
	origin := r.httpOrigin(true)
	for _, size := range []struct{ name, path string }{{"kept-1KiB", "/1024"}, {"kept-64KiB", "/65536"}} {
		b.Run(size.name, func(b *testing.B) {
			r := r.within(b)
			through := newExchanger(r.dial(r.addr), "http://"+origin+size.path, origin)
			defer through.Close()
			direct := newExchanger(r.dialTLS(origin), size.path, origin)
			defer direct.Close()
			compare(b, sizeOf(size.path), through.exchange, direct.exchange)
		})
	}
	// The gateway's connections to the origin are kept, so a client that comes
	// anew saves the handshake it would have to make itself.
	b.Run("new-client-1KiB", func(b *testing.B) {
		r := r.within(b)
		compare(b, 1024, func() error {
			return once(newExchanger(r.dial(r.addr), "http://"+origin+"/1024", origin))
		}, func() error {
			return once(newExchanger(r.dialTLS(origin), "/1024", origin))
		})
	})
}

// BenchmarkOriginateBulk moves 16 MiB an operation from the origin to the client.
func BenchmarkOriginateBulk(b *testing.B) {
	r := newRig(b, "  - {name: web, from: any, to: 127.0.0.1, ports: any, mode: originate, allow_private: true}\n")
	origin := r.httpOrigin(true)
	const path = "/16777216"
	through := newExchanger(r.dial(r.addr), "http://"+origin+path, origin)
	defer through.Close()
	direct := newExchanger(r.dialTLS(origin), path, origin)
	defer direct.Close()
	compare(b, sizeOf(path), through.exchange, direct.exchange)
}

// BenchmarkRelay: plain HTTP on both sides.
func BenchmarkRelay(b *testing.B) {
	r := newRig(b, "  - {name: plain, from: any, to: 127.0.0.1, ports: any, mode: relay, allow_private: true}\n")
	origin := r.httpOrigin(false)
	for _, size := range []struct{ name, path string }{{"kept-1KiB", "/1024"}, {"kept-64KiB", "/65536"}} {
		b.Run(size.name, func(b *testing.B) {
			r := r.within(b)
			through := newExchanger(r.dial(r.addr), "http://"+origin+size.path, origin)
			defer through.Close()
			direct := newExchanger(r.dial(origin), size.path, origin)
			defer direct.Close()
			compare(b, sizeOf(size.path), through.exchange, direct.exchange)
		})
	}
}

// BenchmarkLimits: a request under limits that let it through. Direct is one by a
// rule without limits, through the same gateway.
func BenchmarkLimits(b *testing.B) {
	r := newRig(b, `
  - {name: limited, from: any, to: 127.0.0.1, ports: any, methods: [GET], paths: [/1024], mode: relay, allow_private: true,
     limits: {rate: 1000000/s, concurrent: 1000, bandwidth: 100GB/s, response_body: 1MB, per: client}}
  - {name: free, from: any, to: 127.0.0.1, ports: any, methods: [GET], paths: [/01024], mode: relay, allow_private: true}
`)
	origin := r.httpOrigin(false)
	limited := newExchanger(r.dial(r.addr), "http://"+origin+"/1024", origin)
	defer limited.Close()
	free := newExchanger(r.dial(r.addr), "http://"+origin+"/01024", origin)
	defer free.Close()
	compare(b, 1024, limited.exchange, free.exchange)
}

// BenchmarkIntercept: TLS from the client ends at the gateway, and a second one leads
// to the origin. Direct is the client's own TLS to the origin. The certificate is
// there already: what minting costs is pki's BenchmarkMint.
func BenchmarkIntercept(b *testing.B) {
	r := newRig(b, interceptRules)
	origin := r.httpOrigin(true)
	client := func(b *testing.B, cfg *tls.Config) func() error {
		r := r.within(b)
		return func() error {
			c, err := r.connectTLS(origin, cfg)
			if err != nil {
				return err
			}
			return once(newExchanger(c, "/1024", origin))
		}
	}
	direct := func(cfg *tls.Config) func() error {
		return func() error {
			c, err := tls.Dial("tcp", origin, cfg)
			if err != nil {
				return err
			}
			return once(newExchanger(c, "/1024", origin))
		}
	}
	b.Run("kept-1KiB", func(b *testing.B) {
		c, err := r.within(b).connectTLS(origin, nil)
		if err != nil {
			b.Fatal(err)
		}
		through, straight := newExchanger(c, "/1024", origin), newExchanger(r.within(b).dialTLS(origin), "/1024", origin)
		defer through.Close()
		defer straight.Close()
		compare(b, 1024, through.exchange, straight.exchange)
	})
	for name, tickets := range map[string]bool{"new": false, "resumed": true} {
		b.Run(name+"-1KiB", func(b *testing.B) {
			cfg := [2]*tls.Config{}
			for n := range cfg {
				cfg[n] = &tls.Config{ServerName: "127.0.0.1", RootCAs: r.roots}
				if tickets {
					cfg[n].ClientSessionCache = tls.NewLRUClientSessionCache(1)
				}
			}
			compare(b, 1024, client(b, cfg[0]), direct(cfg[1]))
		})
	}
}

// BenchmarkResumption: how many of the sessions that intercepting needs are resumed
// (RFC 8446 §2.2), where each request has a CONNECT, a client that keeps its last
// ticket, and an origin that closes the connection after its answer.
func BenchmarkResumption(b *testing.B) {
	for name, path := range map[string]func(*Server){"engine": func(*Server) {}, "net/http": func(s *Server) { s.Standard = true }} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, interceptRules, path)
			tickets := tls.NewLRUClientSessionCache(64)
			gen := *r.generation.Load()
			gen.Trust = func(*policy.Origin) (Trust, error) {
				return Trust{Key: "rig", Config: func(host string) *tls.Config {
					return &tls.Config{ServerName: host, RootCAs: r.roots, ClientSessionCache: tickets}
				}}, nil
			}
			r.generation.Store(&gen)
			cfg := &tls.Config{Certificates: []tls.Certificate{r.cert}}
			origin := r.accept(func(c net.Conn) {
				defer c.Close()
				t := tls.Server(c, cfg)
				if _, err := http.ReadRequest(bufio.NewReader(t)); err == nil {
					_, _ = io.WriteString(t, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
				}
			})
			client := &tls.Config{ServerName: "127.0.0.1", RootCAs: r.roots, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			for b.Loop() {
				c, err := r.connectTLS(origin, client)
				if err != nil {
					b.Fatal(err)
				}
				if status, _, err := c.get("/", origin); status != http.StatusOK {
					b.Fatal(status, err)
				}
				c.Close()
			}
			for range 2 * b.N { // a request's record, and its CONNECT's
				<-r.handed
			}
			var near, far float64
			for _, rec := range r.records {
				switch {
				case rec.Method == http.MethodConnect && rec.Origin.TLS.DidResume:
					far++
				case rec.Method == http.MethodGet && rec.ClientTLS.DidResume:
					near++
				}
			}
			b.ReportMetric(near/float64(b.N), "resumed-by-client/op")
			b.ReportMetric(far/float64(b.N), "resumed-at-origin/op")
		})
	}
}

// BenchmarkConnect opens a tunnel, has one exchange through it and closes it.
func BenchmarkConnect(b *testing.B) {
	r := newRig(b, "  - {name: pass, from: any, to: 127.0.0.1, ports: any, mode: tunnel, tunnel: {tls: optional}, allow_private: true}\n")
	b.Run("plain", func(b *testing.B) {
		r := r.within(b)
		echo := r.accept(func(c net.Conn) {
			defer c.Close()
			_, _ = io.Copy(c, c)
		})
		ping := func(c net.Conn, err error) error {
			if err != nil {
				return err
			}
			defer c.Close()
			one := []byte{'x'}
			if _, err := c.Write(one); err != nil {
				return err
			}
			_, err = io.ReadFull(c, one)
			return err
		}
		compare(b, 0, func() error { return ping(r.connect(echo)) }, func() error { return ping(net.Dial("tcp", echo)) })
	})
	b.Run("tls", func(b *testing.B) {
		r := r.within(b)
		origin := r.httpOrigin(true)
		config := &tls.Config{RootCAs: r.roots, ServerName: "127.0.0.1"}
		compare(b, 0, func() error {
			c, err := r.connect(origin)
			if err != nil {
				return err
			}
			return once(newExchanger(tls.Client(c, config), "/1", origin))
		}, func() error {
			return once(newExchanger(r.dialTLS(origin), "/1", origin))
		})
	})
}

func once(x *exchanger) error {
	defer x.Close()
	return x.exchange()
}

func sizeOf(path string) int64 {
	n, err := strconv.ParseInt(path[1:], 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}
