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
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// joiners are what is measured: ours, and io.Copy twice as everybody writes
// it. Only ratios of the two in one run mean anything on a shared machine.
var joiners = []struct {
	name string
	join func(client, origin net.Conn, done func())
	dial func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}{
	{name: "tunnel", join: func(client, origin net.Conn, done func()) {
		(&Tunnel{Client: client, Origin: origin}).Start(func(Result, error) { done() })
	}, dial: dialers[1].dial},
	{name: "iocopy", join: func(client, origin net.Conn, done func()) {
		go func() {
			copyTwice(client, origin)
			done()
		}()
	}, dial: dialers[len(dialers)-1].dial},
}

func copyTwice(client, origin net.Conn) {
	var wg sync.WaitGroup
	pass := func(dst, src net.Conn) {
		io.Copy(dst, src)
		dst.(*net.TCPConn).CloseWrite()
	}
	wg.Go(func() { pass(origin, client) })
	pass(client, origin)
	wg.Wait()
	client.Close()
	origin.Close()
}

// cpu is what this process has used, load generators included.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The load comes from a second process, so that what is measured here is
// ours alone. loadEnv makes the test binary that process: two addresses, the
// kind of load and how much of it.
const loadEnv = "SALLYPORT_TEST_LOAD"

func TestMain(m *testing.M) {
	if load := os.Getenv(loadEnv); load != "" {
		if err := generate(strings.Fields(load)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// generate is client and origin at once, of a tunnel in the parent process.
func generate(args []string) error {
	client, err := net.Dial("tcp", args[0])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	if args[2] == "new" {
		return newLoad(client, n)
	}
	if args[2] == "herd" {
		return herdLoad(client, n)
	}
	origin, err := net.Dial("tcp", args[1])
	if err != nil {
		return err
	}
	switch args[2] {
	case "bulk":
		return bulkLoad(client, origin, n)
	default:
		return echoLoad(client, origin, n)
	}
}

// bulkLoad moves n MiB from the origin to the client.
func bulkLoad(client, origin net.Conn, n int) error {
	done := make(chan error)
	go func() {
		buf := make([]byte, 256<<10)
		for {
			if _, err := client.Read(buf); err != nil {
				client.Close()
				done <- err
				return
			}
		}
	}()
	chunk := make([]byte, 1<<20)
	for range n {
		if _, err := origin.Write(chunk); err != nil {
			return err
		}
	}
	origin.Close()
	if err := <-done; err != io.EOF {
		return err
	}
	return nil
}

// echoLoad exchanges 1 KiB n times.
func echoLoad(client, origin net.Conn, n int) error {
	buf := make([]byte, 1<<10)
	for range n {
		for _, leg := range [][2]net.Conn{{client, origin}, {origin, client}} {
			if _, err := leg[0].Write(buf); err != nil {
				return err
			}
			if _, err := io.ReadFull(leg[1], buf); err != nil {
				return err
			}
		}
	}
	client.Close()
	return nil
}

// benchLoad measures one tunnel under b.N operations of a load, each of so
// many bytes.
func benchLoad(b *testing.B, kind string, bytes int64) {
	for _, j := range joiners {
		b.Run(j.name, func(b *testing.B) {
			var addrs []string
			var lns []net.Listener
			for range 2 {
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					b.Fatal(err)
				}
				defer ln.Close()
				lns, addrs = append(lns, ln), append(addrs, ln.Addr().String())
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", loadEnv, strings.Join(addrs, " "), kind, b.N))
			cmd.Stderr = os.Stderr
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			var conns [2]net.Conn
			for i, ln := range lns {
				c, err := ln.Accept()
				if err != nil {
					b.Fatal(err)
				}
				conns[i] = c
			}
			b.SetBytes(bytes)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu()
			done := make(chan struct{})
			j.join(conns[0], conns[1], func() { close(done) })
			<-done
			b.ReportMetric(float64(cpu()-before)/float64(b.N)/1e3, "cpu-µs/op")
			b.StopTimer()
			if err := cmd.Wait(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkSplice moves 1 MiB an operation, origin to client.
func BenchmarkSplice(b *testing.B) {
	benchLoad(b, "bulk", 1<<20)
}

// BenchmarkSpliceEcho exchanges 1 KiB an operation.
func BenchmarkSpliceEcho(b *testing.B) { benchLoad(b, "echo", 2<<10) }

// BenchmarkIdleTunnel opens and uses 500 tunnels and lets them idle. What it
// reports is memory of ours, without that of the kernel's sockets.
func BenchmarkIdleTunnel(b *testing.B) {
	const tunnels = 500
	for _, j := range joiners {
		b.Run(j.name, func(b *testing.B) {
			for range b.N {
				var wg sync.WaitGroup
				type four struct{ client, near, far, origin *net.TCPConn }
				var all []four
				for range tunnels {
					c, n := tcpPair(b)
					o, f := tcpPair(b)
					all = append(all, four{c, n, f, o})
				}
				mem, fds := inUse(), countFDs(b)
				for _, f := range all {
					wg.Add(1)
					j.join(f.near, f.far, wg.Done)
					buf := make([]byte, 1<<10)
					f.client.Write(buf)
					if _, err := io.ReadFull(f.origin, buf); err != nil {
						b.Fatal(err)
					}
					f.origin.Write(buf)
					if _, err := io.ReadFull(f.client, buf); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(inUse()-mem)/1024/tunnels, "KiB/tunnel")
				b.ReportMetric(2+float64(countFDs(b)-fds)/tunnels, "fds/tunnel")
				for _, f := range all {
					f.client.Close()
					f.origin.Close()
				}
				wg.Wait()
			}
		})
	}
}

func inUse() int64 {
	for range 3 { // two to empty the pools, one to shrink the stacks
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// countFDs counts the descriptors of this process, pooled pipes not counted.
func countFDs(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc:", err)
	}
	n := 0
	for _, e := range names {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		} else if strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}
