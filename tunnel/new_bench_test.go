// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tunnel

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
)

// newLoad says in parent where its origin listens, which echoes, and goes
// through n tunnels: as many abreast as it takes to keep a proxy busy, each
// dialed where parent was.
func newLoad(parent net.Conn, n int) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
			}()
		}
	}()
	fmt.Fprintln(parent, ln.Addr())
	const abreast = 16
	var begun atomic.Int64
	errs := make(chan error, abreast)
	for range abreast {
		go func() {
			var err error
			for err == nil && begun.Add(1) <= int64(n) {
				err = oneByte(parent.RemoteAddr().String())
			}
			errs <- err
		}()
	}
	for range abreast {
		if e := <-errs; e != nil {
			err = e
		}
	}
	io.Copy(io.Discard, parent) // the origin is there until nobody wants it
	return err
}

// oneByte sends a byte, waits for its echo and ends in order.
func oneByte(through string) error {
	c, err := net.Dial("tcp", through)
	if err != nil {
		return err
	}
	defer c.Close()
	b := make([]byte, 1)
	if _, err := c.Write(b); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	c.(*net.TCPConn).CloseWrite()
	if _, err := c.Read(b); err != io.EOF {
		return fmt.Errorf("at the end: %v", err)
	}
	return nil
}

// benchNew starts a newLoad and returns where its clients come in and its
// origin listens.
func benchNew(b *testing.B, n int) (clients net.Listener, origin netip.AddrPort) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s - new %d", loadEnv, ln.Addr(), n))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	control, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		control.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	var at string
	if _, err := fmt.Fscanln(control, &at); err != nil {
		b.Fatal(err)
	}
	return ln, netip.MustParseAddrPort(at)
}

// dialers are what is measured: ours, and net's.
var dialers = []struct {
	name string
	dial func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}{
	{"Dial", func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		return open.Dial(ctx, to.Addr().String(), to.Port(), &Times{})
	}},
	{"DialOrigin", func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		return open.DialOrigin(ctx, to.Addr().String(), to.Port(), &Times{})
	}},
	{"DialContext", func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		return open.DialContext(ctx, "tcp", to.String())
	}},
	{"net", func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		return (&net.Dialer{Timeout: defaultDialTimeout}).DialContext(ctx, "tcp", to.String())
	}},
}

var open = &Dialer{Permit: func(netip.AddrPort) error { return nil }}

// BenchmarkDial is a connection to an address, and its end.
func BenchmarkDial(b *testing.B) {
	for _, d := range dialers {
		b.Run(d.name, func(b *testing.B) {
			_, origin := benchNew(b, 0)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu()
			for range b.N {
				c, err := d.dial(b.Context(), origin)
				if err != nil {
					b.Fatal(err)
				}
				c.Close()
			}
			b.ReportMetric(float64(cpu()-before)/float64(b.N)/1e3, "cpu-µs/op")
			b.StopTimer()
		})
	}
}

// BenchmarkNew is a whole short tunnel: accept, dial, a byte there and back,
// the end of both sides.
func BenchmarkNew(b *testing.B) {
	for _, j := range joiners {
		b.Run(j.name, func(b *testing.B) {
			clients, origin := benchNew(b, b.N)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu()
			var all sync.WaitGroup
			for range b.N {
				c, err := clients.Accept()
				if err != nil {
					b.Fatal(err)
				}
				all.Add(1)
				go func() {
					o, err := j.dial(b.Context(), origin)
					if err != nil {
						panic(err)
					}
					j.join(c, o, all.Done)
				}()
			}
			all.Wait()
			b.ReportMetric(float64(cpu()-before)/float64(b.N)/1e3, "cpu-µs/op")
			b.StopTimer()
		})
	}
}
