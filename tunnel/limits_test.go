// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

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

type stubborn struct{ net.Conn }

func (stubborn) SetDeadline(time.Time) error { return nil }

type refusing struct{ net.Conn }

func (refusing) SetDeadline(time.Time) error { return errors.ErrUnsupported }

func TestDeadlinesThatAreNone(t *testing.T) {
	for name, tt := range map[string]struct {
		wrap func(net.Conn) net.Conn
		took time.Duration
	}{
		"kept":    {func(c net.Conn) net.Conn { return c }, 0},
		"ignored": {func(c net.Conn) net.Conn { return stubborn{c} }, lingering},
		"refused": {func(c net.Conn) net.Conn { return refusing{c} }, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, near := net.Pipe()
			far, _ := net.Pipe()
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Minute, cancel)
			start := time.Now()
			_, _, err := Splice(ctx, tt.wrap(near), tt.wrap(far), 0)
			if took := time.Since(start) - time.Minute; took != tt.took || !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v after %v", name, err, took)
			}
		})
	}
}

func TestOverBeforeItBegan(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := newRig(t)
	r.ctx = ctx
	r.tunnel.ClientFirst = true
	r.tunnel.Check = func(Hello, error) error { return nil }
	res, err := r.start().wait()
	if !errors.Is(err, context.Canceled) || res.Reason != ReasonContext {
		t.Errorf("%q, %v", res.Reason, err)
	}
	nothing(t, r.client)
	nothing(t, r.origin)
}
