// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// buildGateway builds the program as it is shipped. The test's own binary will
// not do: it is larger, and the race detector ends at 8128 goroutines.
func buildGateway(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "sallyport")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

const idlePolicy = `version: 1
rules:
  - {name: idle, from: 127.0.0.0/8, to: 127.0.0.1, ports: any, mode: tunnel, tunnel: {tls: optional}, allow_private: true, log: none}
`

// startGateway runs the program under a policy until the test ends.
// With so few file descriptors, or as many as it can have for 0.
func startGateway(tb testing.TB, policy string, files int) (g *gatewayProcess, addr string) {
	tb.Helper()
	dir := tb.TempDir()
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		tb.Fatal(err)
	}
	argv := []string{buildGateway(tb), "run", "--listen", "127.0.0.1:0", "--policy", file, "--state", dir, "--log", "json"}
	if files > 0 {
		argv = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$@"`, files), "sh"}, argv...)
	}
	g = &gatewayProcess{cmd: exec.Command(argv[0], argv[1:]...), errs: newJournal(), done: make(chan struct{})}
	stderr, err := g.cmd.StderrPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		defer close(g.done)
		g.errs.follow(stderr)
		_ = g.cmd.Wait()
	}()
	tb.Cleanup(g.kill)
	g.errs.wait(func(text string) bool {
		if m := serving.FindStringSubmatch(text); m != nil {
			addr = m[1]
		}
		return addr != ""
	})
	if addr == "" {
		tb.Fatalf("the gateway did not start:\n%s", g.errs)
	}
	return g, addr
}

var serving = regexp.MustCompile(`"listen":\["([^"]+)"`)

// A herd is many tunnels that do nothing, with both their ends.
type herd struct {
	clients []net.Conn
	origins []net.Conn
	reached chan net.Conn
	closing func()
}

// openHerd opens n tunnels through the gateway at addr.
func openHerd(tb testing.TB, addr string, n int) *herd {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	h := &herd{clients: make([]net.Conn, n), reached: make(chan net.Conn, n)}
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.reached <- c
		}
	}()
	h.closing = func() {
		l.Close()
		<-accepting
		close(h.reached)
		for c := range h.reached {
			c.Close()
		}
		for _, c := range append(h.clients, h.origins...) {
			if c != nil {
				c.Close()
			}
		}
	}
	tb.Cleanup(h.closing)

	const abreast = 16
	failures := make(chan error, abreast)
	var all sync.WaitGroup
	for w := range abreast {
		all.Go(func() {
			for i := w; i < n; i += abreast {
				c, err := openTunnel(addr, l.Addr().String())
				if err != nil {
					failures <- fmt.Errorf("tunnel %d: %w", i, err)
					return
				}
				h.clients[i] = c
			}
		})
	}
	all.Wait()
	close(failures)
	for err := range failures {
		tb.Fatal(err)
	}
	for range n { // each 200 was said after the origin's side stood
		c := <-h.reached
		h.origins = append(h.origins, c)
	}
	return h
}

func openTunnel(gateway, origin string) (net.Conn, error) {
	return openTunnelIn(gateway, origin, patience)
}

// openTunnelIn gives up when there is no answer in time.
func openTunnelIn(gateway, origin string, most time.Duration) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", gateway, most)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(most)); err != nil {
		return nil, err
	}
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", origin, origin)
	head := make([]byte, 0, 512)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		one := head[len(head) : len(head)+1]
		if _, err := io.ReadFull(c, one); err != nil {
			c.Close()
			return nil, fmt.Errorf("no tunnel: %q %w", head, err)
		}
		if head = head[:len(head)+1]; len(head) == cap(head) {
			break
		}
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		c.Close()
		return nil, fmt.Errorf("no tunnel: %q", head)
	}
	return c, c.SetDeadline(time.Time{})
}

// pass sends each client's number through its tunnel and back.
func (h *herd) pass() error {
	deadline := time.Now().Add(2 * time.Minute)
	var number [4]byte
	for i, c := range h.clients {
		binary.BigEndian.PutUint32(number[:], uint32(i))
		if err := c.SetDeadline(deadline); err != nil {
			return err
		}
		if _, err := c.Write(number[:]); err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
	}
	for _, c := range h.origins {
		if err := c.SetDeadline(deadline); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, number[:]); err != nil {
			return fmt.Errorf("an origin's side: %w", err)
		}
		if _, err := c.Write(number[:]); err != nil {
			return err
		}
	}
	for i, c := range h.clients {
		if _, err := io.ReadFull(c, number[:]); err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
		if got := binary.BigEndian.Uint32(number[:]); int(got) != i {
			return fmt.Errorf("client %d got what client %d had sent", i, got)
		}
	}
	return nil
}

// mostTunnels is how many tunnels the limit of file descriptors allows, 10,000
// at most: each takes two in the gateway and two here.
func mostTunnels(tb testing.TB) int {
	tb.Helper()
	var limit syscall.Rlimit // Go has raised it as far as it goes, here and in the gateway
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		tb.Fatal(err)
	}
	return int(min(10_000, (limit.Max-100)/2))
}

// TestManyIdleTunnels holds as many tunnels as the descriptors allow. All of
// them still work after all have idled, each for its own client.
func TestManyIdleTunnels(t *testing.T) {
	n := mostTunnels(t)
	if testing.Short() {
		n = min(n, 500)
	}
	g, addr := startGateway(t, idlePolicy, 0)
	h := openHerd(t, addr, n)
	for range 2 {
		if err := h.pass(); err != nil {
			t.Fatalf("%v\n%s", err, g.errs)
		}
	}
	t.Logf("%d tunnels", n)
}

// TestDescriptorsRunOut: a gateway without a free file descriptor refuses or
// keeps waiting, but what stands goes on, in bulk too, and when there are
// descriptors again, so are tunnels.
func TestDescriptorsRunOut(t *testing.T) {
	g, addr := startGateway(t, idlePolicy, 64)
	h := openHerd(t, addr, 10)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var origins sync.WaitGroup
	defer origins.Wait()
	defer l.Close()
	origins.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			origins.Go(func() { // ends when its client does
				defer c.Close()
				_, _ = io.Copy(io.Discard, c)
			})
		}
	})
	var more []net.Conn
	for {
		c, err := openTunnelIn(addr, l.Addr().String(), time.Second)
		if err != nil {
			t.Logf("after %d tunnels: %v", len(more)+10, err)
			break
		}
		if more = append(more, c); len(more) > 64 {
			t.Fatal("64 descriptors do not run out")
		}
	}
	// Connections that nothing can be done for yet stay in the backlog.
	var waiting []net.Conn
	for range 5 {
		c, err := net.DialTimeout("tcp", addr, patience)
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, c)
	}
	if err := h.pass(); err != nil {
		t.Fatalf("%v\n%s", err, g.errs)
	}
	if err := h.bulk(8 << 20); err != nil {
		t.Fatalf("%v\n%s", err, g.errs)
	}
	for _, c := range append(more, waiting...) {
		c.Close()
	}
	c, err := openTunnel(addr, l.Addr().String())
	if err != nil {
		t.Fatalf("%v\n%s", err, g.errs)
	}
	c.Close()
}

// bulk moves so many bytes through one tunnel, towards the client.
func (h *herd) bulk(n int64) error {
	deadline := time.Now().Add(time.Minute)
	origin, client := h.origins[0], net.Conn(nil)
	if err := origin.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := origin.Write([]byte{1}); err != nil {
		return err
	}
	// Which client is at the other end?
	found := make(chan net.Conn, len(h.clients))
	for _, c := range h.clients {
		if err := c.SetDeadline(deadline); err != nil {
			return err
		}
		go func() {
			if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
				found <- c
			}
		}()
	}
	client = <-found
	wrote := make(chan error, 1)
	go func() {
		_, err := io.Copy(origin, io.LimitReader(pattern{}, n))
		wrote <- err
	}()
	got, err := io.CopyN(io.Discard, client, n)
	if err := errors.Join(err, <-wrote); err != nil {
		return fmt.Errorf("after %d bytes: %w", got, err)
	}
	return nil
}

// BenchmarkIdleTunnels reports the resident memory of the gateway's process for
// each of many tunnels that have been used once and do nothing now. The
// kernel's memory for sockets is not in it.
func BenchmarkIdleTunnels(b *testing.B) {
	n := mostTunnels(b)
	for range b.N {
		g, addr := startGateway(b, idlePolicy, 0)
		openHerd(b, addr, 1)
		before, fds := residentKiB(b, g.cmd.Process.Pid), descriptors(b, g.cmd.Process.Pid)
		h := openHerd(b, addr, n-1)
		if err := h.pass(); err != nil {
			b.Fatal(err)
		}
		after := residentKiB(b, g.cmd.Process.Pid)
		b.ReportMetric(float64(n), "tunnels")
		b.ReportMetric(float64(after-before)/float64(n-1), "KiB/tunnel")
		b.ReportMetric(float64(descriptors(b, g.cmd.Process.Pid)-fds)/float64(n-1), "fds/tunnel")
		b.ReportMetric(0, "ns/op")
	}
}

func residentKiB(tb testing.TB, pid int) int {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Skip("needs /proc: ", err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		tb.Fatalf("no VmRSS in %s", text)
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		tb.Fatal(err)
	}
	return kib
}

func descriptors(tb testing.TB, pid int) int {
	tb.Helper()
	names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		tb.Skip("needs /proc: ", err)
	}
	return len(names)
}

// BenchmarkStart reports the time from starting the program, with its built-in
// policy, to the first answer of it.
func BenchmarkStart(b *testing.B) {
	bin, state := buildGateway(b), b.TempDir()
	var total time.Duration
	for range b.N {
		port, err := freePort()
		if err != nil {
			b.Fatal(err)
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		cmd := exec.Command(bin, "run", "--listen", addr, "--state", state, "--log", "json")
		start := time.Now()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		answer, err := firstAnswer(addr)
		total += time.Since(start)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if err != nil || !strings.HasPrefix(answer, "HTTP/1.1 403") {
			b.Fatalf("%q %v", answer, err)
		}
	}
	b.ReportMetric(float64(total.Microseconds())/1000/float64(b.N), "ms/start")
}

// firstAnswer asks until somebody is there to answer.
func firstAnswer(addr string) (string, error) {
	for end := time.Now().Add(patience); ; {
		c, err := net.Dial("tcp", addr)
		if errors.Is(err, syscall.ECONNREFUSED) && time.Now().Before(end) {
			continue
		}
		if err != nil {
			return "", err
		}
		defer c.Close()
		if err := c.SetDeadline(end); err != nil {
			return "", err
		}
		fmt.Fprintf(c, "GET http://127.0.0.1/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
		answer, err := io.ReadAll(c)
		return string(answer), err
	}
}
