// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"io"
	"math"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// begin starts r's tunnel without a goroutine that waits for it.
func (r *rig) begin() Running {
	return r.tunnel.Start(func(res Result, err error) {
		r.result, r.err = res, err
		close(r.done)
	})
}

// TestIdleTunnelHoldsNothing: 500 tunnels that have been used, before and after
// their first message is judged, are their sockets and no goroutine.
func TestIdleTunnelHoldsNothing(t *testing.T) {
	closePipes()
	const tunnels = 500
	routines, fds := runtime.NumGoroutine(), countFDs(t)
	loopsBefore := len(loops.all)
	var rigs []*rig
	for i := range tunnels {
		r := newRig(t)
		if i%2 == 0 {
			r.tunnel.Check = func(Hello, error) error { return nil }
		} else {
			r.tunnel.Idle, r.tunnel.MaxDuration = math.MaxInt64, math.MaxInt64
		}
		if r.begin(); i%4 != 0 { // every fourth client says nothing at all
			write(t, r.client, "ping")
			expect(t, r.origin, "ping")
		}
		write(t, r.origin, "pong")
		expect(t, r.client, "pong")
		rigs = append(rigs, r)
	}
	until(t, "the goroutines to end", func() bool {
		return runtime.NumGoroutine() <= routines+len(loops.all)-loopsBefore
	})
	if n := countFDs(t) - fds; n != 4*tunnels { // two of them the test's
		t.Errorf("%d descriptors for %d tunnels", n, tunnels)
	}
	if n := livePipes(); n != 0 {
		t.Errorf("%d pipes", n)
	}
	for _, r := range rigs {
		r.client.CloseWrite()
		r.origin.CloseWrite()
		if _, err := r.wait(); err != nil {
			t.Error(err)
		}
	}
}

// TestCutWithBytesInThePipe: a cut takes effect wherever the bytes are, and
// what was in a pipe comes out nowhere.
func TestCutWithBytesInThePipe(t *testing.T) {
	closePipes()
	cause := errors.New("no longer allowed")
	full := 0
	for range 5 {
		r := newRig(t)
		running := r.begin()
		fill(r.origin, 1<<40)
		full += usedPipes()
		running.Cut(cause)
		running.Cut(errors.New("too late"))
		if res, err := r.wait(); !errors.Is(err, cause) || res.Reason != ReasonContext {
			t.Errorf("%q, %v", res.Reason, err)
		}
		if n := usedPipes(); n != 0 {
			t.Errorf("%d pipes in use after the cut", n)
		}
		if _, err := io.Copy(io.Discard, r.client); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client read %v", err)
		}
	}
	if full == 0 {
		t.Error("there never were bytes in a pipe")
	}
}

func usedPipes() int {
	pipes.mu.Lock()
	defer pipes.mu.Unlock()
	return pipes.live - len(pipes.idle)
}

// TestCutDuringCheck: the connections end at once, done is called when Check
// has returned.
func TestCutDuringCheck(t *testing.T) {
	r := newRig(t)
	asked, answer := make(chan struct{}), make(chan error)
	r.tunnel.ClientFirst = true
	r.tunnel.Check = func(Hello, error) error {
		close(asked)
		return <-answer
	}
	running := r.begin()
	write(t, r.client, "hello")
	<-asked
	running.Cut(nil)
	if _, err := r.client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client read %v", err)
	}
	select {
	case <-r.done:
		t.Error("done was called while Check ran")
	default:
	}
	answer <- errors.New("no")
	if res, err := r.wait(); res.Reason != ReasonContext || err == nil {
		t.Errorf("%q, %v", res.Reason, err)
	}
	nothing(t, r.origin)
}

// TestBulkIsFair: while bulk goes through every loop without end, a conversation
// goes on. TestTurnEnds is the reason.
func TestBulkIsFair(t *testing.T) {
	var moved atomic.Int64
	var bulks []*rig
	for range 2 * runtime.GOMAXPROCS(0) {
		r := newRig(t)
		r.client.SetDeadline(time.Time{})
		r.origin.SetDeadline(time.Time{})
		r.start()
		go func() {
			chunk := make([]byte, 1<<20)
			for {
				if _, err := r.origin.Write(chunk); err != nil {
					return
				}
			}
		}()
		go func() {
			buf := make([]byte, 1<<20)
			for {
				n, err := r.client.Read(buf)
				if moved.Add(int64(n)); err != nil {
					return
				}
			}
		}()
		bulks = append(bulks, r)
	}
	talk := newRig(t).start()
	talk.client.SetDeadline(time.Now().Add(3 * deadline)) // the test is as busy as the tunnels
	talk.origin.SetDeadline(time.Now().Add(3 * deadline))
	until(t, "bulk", func() bool { return moved.Load() > 64<<20 })
	for range 50 {
		write(t, talk.client, "ping")
		expect(t, talk.origin, "ping")
		write(t, talk.origin, "pong")
		expect(t, talk.client, "pong")
	}
	for _, r := range bulks {
		r.client.Close()
		r.origin.Close()
		r.wait()
	}
	talk.client.Close()
	talk.origin.Close()
	talk.wait()
}

// TestTurnEnds: whoever could go on for ever leaves the loop to others.
func TestTurnEnds(t *testing.T) {
	r := newRig(t)
	near, far := r.tunnel.Client.(*net.TCPConn), r.tunnel.Origin.(*net.TCPConn)
	p := &pair{loop: &loop{epfd: -1}, done: func(Result, error) {}, budget: -1}
	for side, c := range []*net.TCPConn{near, far} {
		fd, err := duplicate(c)
		if err != nil {
			t.Fatal(err)
		}
		p.fd[side] = fd
		defer unix.Close(int(fd))
	}
	for _, c := range []*net.TCPConn{r.client, near, r.origin, far} {
		c.SetWriteBuffer(2 << 20)
		c.SetReadBuffer(2 << 20)
	}
	const most = 128 << 10
	wrote := fill(r.origin, 2*most)
	until(t, "the bytes to arrive", func() bool { return buffered(t, far) > most })
	f := &p.flow[originSide]
	f.noSplice, f.ready = true, true
	more := p.move(originSide, most)
	if f.n < most || f.n > most+largeSize || !more {
		t.Errorf("%d bytes of %d in a turn, more: %t", f.n, wrote, more)
	}
}

// TestUrgent: TCP's urgent mark ends a read early; what follows it must not
// wait for the next segment.
func TestUrgent(t *testing.T) {
	r := newRig(t)
	rc, err := r.client.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	rc.Control(func(fd uintptr) {
		for _, part := range []struct {
			s     string
			flags int
		}{{"before", 0}, {"!", unix.MSG_OOB}, {"after", 0}} {
			if err := unix.Sendto(int(fd), []byte(part.s), part.flags, nil); err != nil {
				t.Error(err)
			}
		}
	})
	r.start()
	expect(t, r.origin, "beforeafter")
	send(t, r.client, nil)
	send(t, r.origin, nil)
	r.wait()
}

// TestNoDescriptorForALoop: without a descriptor to spare, a tunnel takes
// goroutines instead.
func TestNoDescriptorForALoop(t *testing.T) {
	r := newRig(t)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lower := limit
	lower.Cur = 1
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lower); err != nil {
		t.Fatal(err)
	}
	running := r.begin()
	err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := running.(*passage); !ok {
		t.Errorf("it runs as a %T", running)
	}
	r.bothWays(noise(8<<20), noise(8<<20+1))

	r = newRig(t)
	running = r.begin()
	if _, ok := running.(*pair); !ok {
		t.Errorf("it runs as a %T", running)
	}
	running.Cut(nil)
	r.wait()
}

// TestLimitsOnALoop: the limits of time are kept by the loop's own heap.
func TestLimitsOnALoop(t *testing.T) {
	const limit = 60 * time.Millisecond
	agree := func(Hello, error) error { return nil }
	for _, tt := range []struct {
		tunnel Tunnel
		reason Reason
		err    error
	}{
		{Tunnel{Idle: limit}, ReasonIdle, ErrIdle},
		{Tunnel{MaxDuration: limit}, ReasonMaxDuration, ErrMaxDuration},
		{Tunnel{Check: agree, ClientFirst: true, HelloTimeout: limit}, ReasonHelloTimeout, ErrHelloTimeout},
		{Tunnel{Check: agree, Idle: limit}, ReasonIdle, ErrIdle},
	} {
		r := newRig(t)
		tt.tunnel.Client, tt.tunnel.Origin = r.tunnel.Client, r.tunnel.Origin
		r.tunnel = tt.tunnel
		start := time.Now()
		r.begin()
		talking := make(chan struct{})
		go func() { // used all the time, and ended all the same
			defer close(talking)
			for tt.reason == ReasonMaxDuration {
				if _, err := r.client.Write([]byte{'.'}); err != nil {
					return
				}
				if _, err := r.origin.Read(make([]byte, 1)); err != nil {
					return
				}
			}
		}()
		res, err := r.wait()
		if res.Reason != tt.reason || !errors.Is(err, tt.err) {
			t.Errorf("%q, %v, want %q", res.Reason, err, tt.reason)
		}
		if d := time.Since(start); d < limit {
			t.Errorf("%q after %v", res.Reason, d)
		}
		<-talking
		nothing(t, r.origin)
	}

	// Bytes that move put the idle limit off.
	r := newRig(t)
	const idle = 500 * time.Millisecond
	r.tunnel.Idle = idle
	start := time.Now()
	r.begin()
	pace := time.NewTicker(idle / 5)
	defer pace.Stop()
	for range 8 {
		<-pace.C
		write(t, r.client, ".")
		expect(t, r.origin, ".")
	}
	if res, _ := r.wait(); res.Reason != ReasonIdle || time.Since(start) < idle*8/5+idle {
		t.Errorf("%q after %v", res.Reason, time.Since(start))
	}
}
