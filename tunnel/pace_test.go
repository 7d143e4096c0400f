// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestPaceIsKept: bytes wait as long as they are told, in pieces as large as they
// are told, and every one arrives; on sockets, which would have gone to a loop.
func TestPaceIsKept(t *testing.T) {
	var asked, passed atomic.Int64
	r := newRig(t)
	r.tunnel.Pace = func(n int) (int, time.Duration) {
		if n < 1 {
			t.Errorf("asked about %d bytes", n)
		}
		n = min(n, 1000)
		passed.Add(int64(n))
		if asked.Add(1)%50 == 0 {
			return n, time.Millisecond
		}
		return n, 0
	}
	r.start()
	up, down := noise(300_001), noise(200_002)
	var both sync.WaitGroup
	both.Go(func() { send(t, r.client, up) })
	both.Go(func() { send(t, r.origin, down) })
	both.Go(func() { receive(t, r.origin, up) })
	both.Go(func() { receive(t, r.client, down) })
	both.Wait()
	res, err := r.wait()
	if err != nil {
		t.Error(err)
	}
	checkCounts(t, res, 300_001, 200_002)
	if passed.Load() != 500_003 {
		t.Errorf("the pace was asked about %d bytes", passed.Load())
	}
}

// TestPaceOfTheFirstBytes: what came with the CONNECT, and what Check has seen,
// waits like everything else.
func TestPaceOfTheFirstBytes(t *testing.T) {
	for _, check := range []func(Hello, error) error{nil, func(Hello, error) error { return nil }} {
		synctest.Test(t, func(t *testing.T) {
			client, near := net.Pipe()
			far, origin := net.Pipe()
			start := time.Now()
			tun := Tunnel{
				Client: near, Origin: far, Early: []byte("early"), Check: check,
				Pace: func(n int) (int, time.Duration) { return 1, time.Minute },
			}
			done := make(chan error)
			go func() {
				_, err := tun.Run(t.Context())
				done <- err
			}()
			expect(t, origin, "early")
			if took := time.Since(start); took != 5*time.Minute {
				t.Errorf("it took %v", took)
			}
			client.Close()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPaceIsTold: how long bytes have waited, and not how long they would have.
func TestPaceIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, near := net.Pipe()
		far, origin := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(90*time.Second, cancel)
		tun := Tunnel{Client: near, Origin: far, Pace: func(n int) (int, time.Duration) { return 1, time.Minute }}
		go io.Copy(io.Discard, origin)
		go client.Write([]byte("four"))
		res, _ := tun.Run(ctx)
		if res.Paced != 90*time.Second {
			t.Errorf("paced %v", res.Paced)
		}
	})
}

// TestWaitingForItsTurnIsNotIdle, and neither is a wait a way out of the other limits.
func TestWaitingForItsTurnIsNotIdle(t *testing.T) {
	for name, tt := range map[string]struct {
		tunnel Tunnel
		cut    time.Duration
		reason Reason
		after  time.Duration
	}{
		"idle":     {Tunnel{Idle: time.Second}, 0, ReasonIdle, 4*time.Minute + time.Second},
		"duration": {Tunnel{MaxDuration: 90 * time.Second}, 0, ReasonMaxDuration, 90 * time.Second},
		"bytes":    {Tunnel{MaxBytes: 2}, 0, ReasonMaxBytes, 3 * time.Minute},
		"cut":      {Tunnel{}, 30 * time.Second, ReasonContext, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				client, near := net.Pipe()
				far, origin := net.Pipe()
				tun := tt.tunnel
				tun.Client, tun.Origin = near, far
				tun.Pace = func(int) (int, time.Duration) { return 1, time.Minute }
				go io.Copy(io.Discard, origin)
				go client.Write([]byte("four"))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.cut > 0 {
					time.AfterFunc(tt.cut, cancel)
				}
				res, err := tun.Run(ctx)
				if err == nil || res.Reason != tt.reason {
					t.Errorf("%q, %v", res.Reason, err)
				}
				if took := time.Since(start); took != tt.after {
					t.Errorf("ended after %v, want %v", took, tt.after)
				}
				if _, err := origin.Write([]byte{1}); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("the origin's connection is open: %v", err)
				}
			})
		})
	}
}

// TestResetOfWhoIsHeldUp: it does not keep its place until its turn comes.
func TestResetOfWhoIsHeldUp(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere a reset is noticed by reading")
	}
	r := newRig(t)
	var once sync.Once
	asked := make(chan struct{})
	r.tunnel.Pace = func(n int) (int, time.Duration) {
		once.Do(func() { close(asked) })
		return n, time.Hour
	}
	r.start()
	write(t, r.client, "x")
	<-asked
	r.client.SetLinger(0)
	r.client.Close()
	if res, err := r.wait(); !errors.Is(err, syscall.ECONNRESET) || res.Reason != ReasonClient {
		t.Errorf("%q, %v", res.Reason, err)
	}
}

// TestWhoHasEndedIsNotReset: a side that has ended, and been told of the other's
// end, still has its last bytes passed on.
func TestWhoHasEndedIsNotReset(t *testing.T) {
	r := newRig(t)
	r.tunnel.Pace = func(n int) (int, time.Duration) { return n, 1100 * time.Millisecond }
	r.start()
	if err := r.origin.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	receive(t, r.client, nil)
	send(t, r.client, []byte("last words"))
	receive(t, r.origin, []byte("last words"))
	if _, err := r.wait(); err != nil {
		t.Error(err)
	}
}

// TestWhoIsHeldUpHoldsUpItsSender: no more is read than may be passed on soon.
func TestWhoIsHeldUpHoldsUpItsSender(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := newRig(t)
	r.ctx = ctx
	var asked atomic.Int64
	r.tunnel.Pace = func(n int) (int, time.Duration) {
		asked.Add(1)
		return n, time.Hour
	}
	r.start()
	if n := fill(r.client, 1<<40); n > 64<<20 {
		t.Errorf("%d bytes were taken", n)
	}
	if asked.Load() != 1 {
		t.Errorf("the pace was asked %d times", asked.Load())
	}
	cancel()
	if _, err := r.wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
