// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"io"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// closePipes closes the idle pipes and returns how many are in use.
func closePipes() int {
	pipes.mu.Lock()
	idle := pipes.idle
	pipes.idle = nil
	pipes.mu.Unlock()
	for _, p := range idle {
		closePipe(p)
	}
	pipes.mu.Lock()
	defer pipes.mu.Unlock()
	return pipes.live
}

// TestSpliceEngages: bulk goes through a pipe, a conversation does not.
func TestSpliceEngages(t *testing.T) {
	closePipes()
	r := newRig(t).start()
	for range 100 {
		write(t, r.client, "ping")
		expect(t, r.origin, "ping")
	}
	if n := livePipes(); n != 0 {
		t.Errorf("%d pipes for a conversation", n)
	}
	up := noise(32 << 20)
	go send(t, r.client, up)
	receive(t, r.origin, up)
	if n := livePipes(); n != 1 {
		t.Errorf("%d pipes after 32 MiB one way", n)
	}
	r.origin.CloseWrite()
	if _, err := r.wait(); err != nil {
		t.Error(err)
	}
	if n := closePipes(); n != 0 {
		t.Errorf("%d pipes left in use", n)
	}
}

func livePipes() int {
	pipes.mu.Lock()
	defer pipes.mu.Unlock()
	return pipes.live
}

// TestPipesRunOut: without a pipe to be had, bytes are copied.
func TestPipesRunOut(t *testing.T) {
	closePipes()
	var all []*pipe
	for range maxPipes {
		p := borrowPipe()
		if p == nil {
			t.Fatalf("only %d pipes", len(all))
		}
		all = append(all, p)
	}
	if p := borrowPipe(); p != nil {
		t.Errorf("more than %d pipes", maxPipes)
		returnPipe(p)
	}
	r := newRig(t).start()
	up := noise(16 << 20)
	go send(t, r.client, up)
	receive(t, r.origin, up)
	r.origin.CloseWrite()
	if _, err := r.wait(); err != nil {
		t.Error(err)
	}
	for _, p := range all {
		returnPipe(p)
	}
	if n := livePipes(); n != maxIdlePipes {
		t.Errorf("%d pipes kept", n)
	}
	if p := borrowPipe(); p.asked != largePipe {
		t.Error("a small pipe was handed out while a large one was idle")
	} else {
		returnPipe(p)
	}
	if n := closePipes(); n != 0 {
		t.Errorf("%d pipes left in use", n)
	}
}

// TestPipesRefused: what the kernel refuses is not asked for again at once.
func TestPipesRefused(t *testing.T) {
	closePipes()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lower := limit
	lower.Cur = 1
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lower); err != nil {
		t.Fatal(err)
	}
	refused := borrowPipe()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if refused != nil || borrowPipe() != nil {
		t.Error("a pipe")
	}
	pipes.mu.Lock()
	if left := pipes.not - clock(); left <= 0 || left > int64(pipeRest) {
		t.Errorf("asked again in %v", time.Duration(left))
	}
	pipes.not = clock()
	pipes.mu.Unlock()
	p := borrowPipe()
	if p == nil {
		t.Fatal("still no pipe")
	}
	closePipe(p)
	if n := livePipes(); n != 0 {
		t.Errorf("%d pipes left in use", n)
	}
}

// TestBytesStayOutOfPooledPipes: a pipe that still holds bytes when its
// tunnel ends is closed and not handed to the next.
func TestBytesStayOutOfPooledPipes(t *testing.T) {
	closePipes()
	for range 5 {
		r := newRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		r.ctx = ctx
		r.start()
		fill(r.origin, 1<<40) // the client's buffers, and the pipe after them
		cancel()
		r.wait()
	}
	pipes.mu.Lock()
	for _, p := range pipes.idle {
		if n, err := unix.IoctlGetInt(p.r, unix.TIOCINQ); err != nil || n != 0 {
			t.Errorf("an idle pipe holds %d bytes, %v", n, err)
		}
	}
	pipes.mu.Unlock()
	if n := closePipes(); n != 0 {
		t.Errorf("%d pipes left in use", n)
	}
}

// TestNothingLeaks: two hundred tunnels, ended in all ways, leave no
// descriptor and no goroutine behind, and hold only their sockets while idle.
func TestNothingLeaks(t *testing.T) {
	closePipes()
	const tunnels = 200
	fds, routines := countFDs(t), runtime.NumGoroutine()
	var rigs []*rig
	for range tunnels {
		r := newRig(t).start()
		write(t, r.client, "x")
		expect(t, r.origin, "x")
		rigs = append(rigs, r)
	}
	if n := countFDs(t) - fds; n != 4*tunnels { // two of them the test's
		t.Errorf("%d descriptors for %d tunnels", n, tunnels)
	}
	if n := runtime.NumGoroutine() - routines; n > 2*tunnels {
		t.Errorf("%d goroutines for %d tunnels", n, tunnels)
	}
	for i, r := range rigs {
		switch i % 3 {
		case 0:
			r.client.CloseWrite()
			r.origin.CloseWrite()
		case 1:
			r.client.SetLinger(0)
		case 2:
			r.origin.Write(make([]byte, 1<<20))
			io.ReadFull(r.client, make([]byte, 1<<10))
		}
		r.client.Close()
		r.origin.Close()
	}
	for _, r := range rigs {
		r.wait()
	}
	closePipes()
	if n := countFDs(t); n != fds {
		t.Errorf("%d descriptors before, %d after", fds, n)
	}
	until(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= routines })
}

// until polls for what the runtime tells nobody: that a goroutine that has
// nothing left to do is gone.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
