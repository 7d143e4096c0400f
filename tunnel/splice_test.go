// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// noise returns n bytes that do not repeat.
func noise(n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = src.Read(b)
	return b
}

// send writes b and ends that direction.
func send(t testing.TB, c *net.TCPConn, b []byte) {
	if _, err := c.Write(b); err != nil {
		t.Errorf("writing: %v", err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Errorf("ending: %v", err)
	}
}

// receive reads to the end and compares with want by hash.
func receive(t testing.TB, c io.Reader, want []byte) {
	t.Helper()
	h := sha256.New()
	n, err := io.Copy(h, c)
	if err != nil {
		t.Errorf("after %d bytes: %v", n, err)
	}
	if sum := sha256.Sum256(want); n != int64(len(want)) || !bytes.Equal(h.Sum(nil), sum[:]) {
		t.Errorf("read %d bytes, want other %d", n, len(want))
	}
}

// expect reads exactly want.
func expect(t testing.TB, c io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %.100q (%d bytes), %v, want %.100q (%d)", got[:n], n, err, want, len(want))
	}
}

func write(t testing.TB, c io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

// fill writes until nothing is taken any more, or n bytes are.
func fill(c *net.TCPConn, n int) (wrote int) {
	defer c.SetWriteDeadline(time.Time{})
	chunk := make([]byte, 1<<20)
	for wrote < n {
		c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		m, err := c.Write(chunk)
		if wrote += m; err != nil && m == 0 {
			break
		}
	}
	return wrote
}

func checkCounts(t testing.TB, r Result, sent, received int64) {
	t.Helper()
	if r.Sent != sent || r.Received != received {
		t.Errorf("counted %d sent and %d received, want %d and %d", r.Sent, r.Received, sent, received)
	}
}

// TestHalfClose: the end of one direction is passed on and leaves the other
// alone, whichever comes first.
func TestHalfClose(t *testing.T) {
	big := noise(1 << 20)
	for _, clientFirst := range []bool{true, false} {
		r := newRig(t).start()
		first, last := r.client, r.origin
		if !clientFirst {
			first, last = last, first
		}
		send(t, first, []byte("request"))
		receive(t, last, []byte("request")) // sees the end
		go send(t, last, big)
		receive(t, first, big)
		res, err := r.wait()
		if err != nil || res.Reason != ReasonEnd {
			t.Errorf("client first %t: ended with %q, %v", clientFirst, res.Reason, err)
		}
		if clientFirst {
			checkCounts(t, res, 7, 1<<20)
		} else {
			checkCounts(t, res, 1<<20, 7)
		}
	}
}

// TestBulkBothWays moves 64 MiB each way at once.
func TestBulkBothWays(t *testing.T) {
	up, down := noise(64<<20), noise(64<<20+1)
	r := newRig(t).start()
	go send(t, r.client, up)
	go send(t, r.origin, down)
	got := make(chan struct{})
	go func() {
		defer close(got)
		receive(t, r.origin, up)
	}()
	receive(t, r.client, down)
	<-got
	res, err := r.wait()
	if err != nil {
		t.Error(err)
	}
	checkCounts(t, res, int64(len(up)), int64(len(down)))
}

func TestEarlyBytesGoFirst(t *testing.T) {
	r := newRig(t)
	early := noise(300 << 10) // more than one write's worth
	r.tunnel.Early = early
	r.start()
	go send(t, r.client, []byte("later"))
	receive(t, r.origin, append(bytes.Clone(early), "later"...))
	r.origin.CloseWrite()
	res, err := r.wait()
	if err != nil {
		t.Error(err)
	}
	checkCounts(t, res, int64(len(early))+5, 0)
}

// TestBackPressure: a reader that does not read stops the writer; the tunnel
// does not store what it carries.
func TestBackPressure(t *testing.T) {
	r := newRig(t)
	// Small buffers in the kernel, so that what lies in them cannot pass for
	// what a storing tunnel would take.
	for _, c := range []*net.TCPConn{r.client, r.origin, r.tunnel.Client.(*net.TCPConn), r.tunnel.Origin.(*net.TCPConn)} {
		c.SetReadBuffer(64 << 10)
		c.SetWriteBuffer(64 << 10)
	}
	r.start()
	wrote := fill(r.origin, 64<<20)
	if wrote >= 64<<20 {
		t.Fatal("64 MiB were taken from the origin while the client read nothing")
	}
	r.origin.CloseWrite()
	if n, err := io.Copy(io.Discard, r.client); err != nil || n != int64(wrote) {
		t.Errorf("the client read %d bytes, %v; the origin wrote %d", n, err, wrote)
	}
	r.client.CloseWrite()
	if res, err := r.wait(); err != nil || res.Received != int64(wrote) {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestReset: a side that resets is a cut stream on the other side as well,
// never an ordinary end.
func TestReset(t *testing.T) {
	for _, byClient := range []bool{true, false} {
		r := newRig(t).start()
		write(t, r.client, "ping")
		expect(t, r.origin, "ping")
		write(t, r.origin, "pong")
		expect(t, r.client, "pong")
		from, to, reason := r.client, r.origin, ReasonClient
		if !byClient {
			from, to, reason = to, from, ReasonOrigin
		}
		from.SetLinger(0)
		from.Close()
		if n, err := to.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("by client %t: the other side read %d, %v", byClient, n, err)
		}
		res, err := r.wait()
		if !errors.Is(err, syscall.ECONNRESET) || res.Reason != reason {
			t.Errorf("by client %t: %q, %v", byClient, res.Reason, err)
		}
	}
}

// TestResetDuringUpload: both directions of the tunnel learn of the reset at
// once, one by a write and one by a read, and only the first gets to know it
// as a reset. Whoever that is, the client must not see an ordinary end.
func TestResetDuringUpload(t *testing.T) {
	chunk := noise(1 << 20)
	for range 50 {
		r := newRig(t).start()
		write(t, r.origin, "go")
		expect(t, r.client, "go")
		wrote := make(chan error)
		go func() {
			for {
				if _, err := r.client.Write(chunk); err != nil {
					wrote <- err
					return
				}
			}
		}()
		io.ReadFull(r.origin, make([]byte, 200<<10))
		r.origin.SetLinger(0)
		r.origin.Close()
		// The client, too, learns of it in one of two ways.
		_, rerr := r.client.Read(make([]byte, 1))
		werr := <-wrote
		if !errors.Is(rerr, syscall.ECONNRESET) && !errors.Is(werr, syscall.ECONNRESET) {
			t.Fatalf("the client read %v and wrote %v: an ordinary end", rerr, werr)
		}
		if res, err := r.wait(); err == nil || res.Reason != ReasonOrigin {
			t.Fatalf("%q, %v", res.Reason, err)
		}
	}
}

// TestEarlyAnswer: an origin that answers an upload before it has read it and
// closes makes the tunnel's writes fail. The answer still arrives whole.
func TestEarlyAnswer(t *testing.T) {
	answer := noise(4 << 20)
	r := newRig(t).start()
	upload := make(chan struct{})
	go func() {
		defer close(upload)
		chunk := noise(1 << 20)
		for {
			if _, err := r.client.Write(chunk); err != nil {
				return // the connection ends under it
			}
		}
	}()
	io.ReadFull(r.origin, make([]byte, 200<<10))
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		r.origin.Write(answer)
		r.origin.CloseWrite()
		// The answer is taken; now the unread upload makes this a reset.
		for !delivered(t, r.origin) {
			runtime.Gosched()
		}
		r.origin.Close()
	}()
	receive(t, r.client, answer)
	<-answered
	r.client.Close()
	<-upload
	res, err := r.wait()
	if err == nil || res.Reason != ReasonOrigin {
		t.Errorf("%q, %v", res.Reason, err)
	}
	if res.Received != int64(len(answer)) {
		t.Errorf("%d bytes of the answer counted", res.Received)
	}
}

func TestContextEndsBoth(t *testing.T) {
	cause := errors.New("no longer allowed")
	ctx, cancel := context.WithCancelCause(t.Context())
	r := newRig(t)
	r.ctx = ctx
	r.start()
	write(t, r.client, "x")
	expect(t, r.origin, "x")
	cancel(cause)
	for _, c := range []*net.TCPConn{r.client, r.origin} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read %v, want a reset", err)
		}
	}
	res, err := r.wait()
	if !errors.Is(err, cause) || res.Reason != ReasonContext {
		t.Errorf("%q, %v", res.Reason, err)
	}
	checkCounts(t, res, 1, 0)
}

// TestContextEndsBlockedWrites: an end from outside also reaches directions
// that wait for a reader.
func TestContextEndsBlockedWrites(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := newRig(t)
	r.ctx = ctx
	r.start()
	var both sync.WaitGroup
	both.Go(func() { fill(r.client, 1<<40) })
	both.Go(func() { fill(r.origin, 1<<40) })
	both.Wait()
	cancel()
	if res, err := r.wait(); !errors.Is(err, context.Canceled) || res.Reason != ReasonContext {
		t.Errorf("%q, %v", res.Reason, err)
	}
}

func TestMaxBytes(t *testing.T) {
	for _, size := range []int{10, 200 << 10, 8 << 20} { // one read, copied, spliced
		r := newRig(t)
		r.tunnel.MaxBytes = int64(size)
		r.start()
		go r.origin.Write(noise(size + 1000))
		n, err := io.Copy(io.Discard, r.client)
		if err == nil {
			t.Errorf("%d: an ordinary end after %d bytes", size, n)
		}
		res, err := r.wait()
		if !errors.Is(err, ErrMaxBytes) || res.Reason != ReasonMaxBytes {
			t.Errorf("%d: %q, %v", size, res.Reason, err)
		}
		if res.Received != int64(size) || res.Sent != 0 {
			t.Errorf("%d: %+v", size, res)
		}
	}
}

// TestMaxBytesReached: a tunnel that carries exactly what it may ends in order.
func TestMaxBytesReached(t *testing.T) {
	r := newRig(t)
	r.tunnel.MaxBytes = 12
	r.start()
	send(t, r.client, []byte("question"))
	receive(t, r.origin, []byte("question"))
	send(t, r.origin, []byte("fine"))
	receive(t, r.client, []byte("fine"))
	res, err := r.wait()
	if err != nil {
		t.Error(err)
	}
	checkCounts(t, res, 8, 4)
}

func TestMissingEnd(t *testing.T) {
	near, far := tcpPair(t)
	if _, err := (&Tunnel{Client: near}).Run(t.Context()); err == nil {
		t.Error("ran with one end")
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the end that was there is open: %v", err)
	}
}

// TestLimitsOfTime runs in synctest's clock, over pipes.
func TestLimitsOfTime(t *testing.T) {
	check := func(Hello, error) error { return nil }
	tests := []struct {
		name   string
		tunnel Tunnel
		err    error
		reason Reason
		after  time.Duration
	}{
		{"idle", Tunnel{Idle: 5 * time.Minute}, ErrIdle, ReasonIdle, 9 * time.Minute}, // last byte after 4
		{"idle by default", Tunnel{}, ErrIdle, ReasonIdle, 4*time.Minute + time.Hour},
		{"duration", Tunnel{MaxDuration: 6 * time.Minute}, ErrMaxDuration, ReasonMaxDuration, 6 * time.Minute},
		{"hello", Tunnel{Check: check, ClientFirst: true, HelloTimeout: 3 * time.Second}, ErrHelloTimeout, ReasonHelloTimeout, 3 * time.Second},
		{"hello by default", Tunnel{Check: check, ClientFirst: true}, ErrHelloTimeout, ReasonHelloTimeout, 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				client, near := net.Pipe()
				far, origin := net.Pipe()
				tun := tt.tunnel
				tun.Client, tun.Origin = near, far
				go io.Copy(io.Discard, client)
				if tun.Check == nil {
					go func() {
						for range 4 { // a byte a minute keeps it alive
							time.Sleep(time.Minute)
							origin.Write([]byte{'.'})
						}
					}()
				}
				res, err := tun.Run(t.Context())
				if !errors.Is(err, tt.err) || res.Reason != tt.reason {
					t.Errorf("%q, %v", res.Reason, err)
				}
				if d := time.Since(start); d != tt.after {
					t.Errorf("ended after %v, want %v", d, tt.after)
				}
				if _, err := origin.Write([]byte{1}); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("the origin's connection is open: %v", err)
				}
			})
		})
	}
}

// TestHelloInTime: what follows an accepted first message is no longer
// measured by HelloTimeout.
func TestHelloInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, near := net.Pipe()
		far, origin := net.Pipe()
		tun := Tunnel{
			Client: near, Origin: far, ClientFirst: true, HelloTimeout: time.Second,
			Check: func(Hello, error) error { return nil },
		}
		done := make(chan error)
		go func() {
			_, err := tun.Run(t.Context())
			done <- err
		}()
		go client.Write([]byte("hello"))
		expect(t, origin, "hello")
		time.Sleep(time.Minute)
		go origin.Write([]byte("late"))
		expect(t, client, "late")
		client.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestPlainConnections: the same over connections that are no sockets, where
// there is no half-close and the end of one side is the end.
func TestPlainConnections(t *testing.T) {
	client, near := net.Pipe()
	far, origin := net.Pipe()
	type counts struct {
		sent, received int64
		err            error
	}
	done := make(chan counts)
	go func() {
		s, r, err := Splice(t.Context(), near, far, 0)
		done <- counts{s, r, err}
	}()
	down := noise(1 << 20)
	go func() {
		origin.Write(down)
		origin.Close()
	}()
	receive(t, client, down)
	if c := <-done; c != (counts{0, 1 << 20, nil}) {
		t.Errorf("%+v", c)
	}
	if _, err := client.Write([]byte{1}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the client's connection is open: %v", err)
	}
}
