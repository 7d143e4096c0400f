// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A talk is one tunnel of the herd: what each side says, how, and how it ends.
type talk struct {
	r        *rig
	up, down []byte
	slowUp   bool // the origin reads slowly
	slowDown bool
	ending   string

	clientWrote, originWrote error
}

var errCut = errors.New("cut")

// TestHerd carries 2,000 tunnels with all kinds of ends and compares what
// arrives with what was sent.
func TestHerd(t *testing.T) {
	closePipes()
	routines, fds := runtime.NumGoroutine(), countFDs(t)
	loopsBefore := len(loops.all)
	const waves, abreast = 8, 250
	words := noise(4 << 20)
	for wave := range waves {
		var all sync.WaitGroup
		for i := range abreast {
			rnd := rand.New(rand.NewPCG(uint64(wave), uint64(i)))
			k := newTalk(t, rnd, words)
			all.Go(func() {
				if err := k.run(rnd.IntN); err != nil {
					t.Errorf("wave %d, tunnel %d (%s, %d up, %d down): %v", wave, i, k.ending, len(k.up), len(k.down), err)
				}
			})
		}
		all.Wait()
	}
	closePipes()
	if n := livePipes(); n != 0 {
		t.Errorf("%d pipes left in use", n)
	}
	until(t, "the descriptors to be closed", func() bool { return countFDs(t) <= fds })
	until(t, "the goroutines to end", func() bool {
		return runtime.NumGoroutine() <= routines+len(loops.all)-loopsBefore
	})
}

func newTalk(t testing.TB, rnd *rand.Rand, words []byte) *talk {
	part := func() []byte {
		n := rnd.IntN(1 << (4 + rnd.IntN(18))) // up to 2 MiB, mostly little
		at := rnd.IntN(len(words) - n)
		return words[at : at+n]
	}
	var r *rig
	if rnd.IntN(2) == 0 {
		r = newRig(t)
	} else {
		r, _ = bareRig(t)
	}
	k := &talk{r: r, up: part(), down: part(), slowUp: rnd.IntN(4) == 0, slowDown: rnd.IntN(4) == 0}
	limit := time.Now().Add(3 * deadline)
	k.r.client.SetDeadline(limit)
	k.r.origin.SetDeadline(limit)
	k.ending = []string{"order", "order", "order", "reset by client", "reset by origin", "early answer", "max bytes", "cut"}[rnd.IntN(8)]
	if rnd.IntN(3) == 0 {
		k.r.tunnel.Check = func(Hello, error) error { return nil }
		k.r.tunnel.ClientFirst = rnd.IntN(2) == 0 && len(k.up) > 0 && k.ending != "early answer"
	}
	if k.ending == "max bytes" {
		k.r.tunnel.MaxBytes = 1 + rnd.Int64N(int64(len(k.up)+len(k.down)+1))
	}
	return k
}

func (k *talk) run(intn func(int) int) error {
	r := k.r
	running := r.begin()
	var wrote, read sync.WaitGroup
	tell := func(c *net.TCPConn, b []byte, end func(), failed *error) {
		size := 1 + intn(200<<10)
		wrote.Go(func() {
			for len(b) > 0 {
				n, err := c.Write(b[:min(len(b), size)])
				if b = b[n:]; err != nil {
					*failed = err
					return
				}
			}
			end()
		})
	}
	var gotUp, gotDown []byte
	var upErr, downErr error
	hear := func(c *net.TCPConn, slow bool, got *[]byte, err *error) {
		read.Go(func() { *got, *err = gulp(c, slow) })
	}
	finish := func(c *net.TCPConn) func() { return func() { c.CloseWrite() } }
	abort := func(c *net.TCPConn) func() {
		return func() {
			c.SetLinger(0)
			c.Close()
		}
	}
	endUp, endDown := finish(r.client), finish(r.origin)
	switch k.ending {
	case "reset by client":
		endUp = abort(r.client)
		endDown = func() {}
	case "reset by origin":
		endDown = abort(r.origin)
		endUp = func() {}
	case "cut":
		endUp = func() { running.Cut(errCut) }
	case "early answer":
		endUp = func() {}
		endDown = func() {
			r.origin.CloseWrite()
			for !delivered(r.t, r.origin) {
				runtime.Gosched()
			}
			r.origin.Close() // with the upload unread: a reset
		}
	}
	tell(r.client, k.up, endUp, &k.clientWrote)
	tell(r.origin, k.down, endDown, &k.originWrote)
	if k.ending != "early answer" {
		hear(r.origin, k.slowUp, &gotUp, &upErr)
	}
	hear(r.client, k.slowDown, &gotDown, &downErr)
	read.Wait()
	if k.ending == "early answer" {
		r.client.Close()
	}
	wrote.Wait()
	res, err := r.wait()
	r.client.Close()
	r.origin.Close()
	return k.judge(gotUp, gotDown, upErr, downErr, res, err)
}

// gulp reads to the end.
func gulp(c *net.TCPConn, slow bool) ([]byte, error) {
	if !slow {
		return io.ReadAll(c)
	}
	var got []byte
	buf := make([]byte, 3<<10)
	for {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if err == io.EOF {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		runtime.Gosched()
	}
}

// judge is the oracle.
func (k *talk) judge(gotUp, gotDown []byte, upErr, downErr error, res Result, err error) error {
	sent, received := int64(len(gotUp)), int64(len(gotDown))
	if !bytes.HasPrefix(k.up, gotUp) || !bytes.HasPrefix(k.down, gotDown) {
		return errors.New("other bytes arrived than were sent")
	}
	if res.Sent > int64(len(k.up)) || res.Received > int64(len(k.down)) || res.Sent < sent || res.Received < received {
		return fmt.Errorf("counted %d and %d, %d and %d arrived", res.Sent, res.Received, sent, received)
	}
	whole := len(gotUp) == len(k.up) && len(gotDown) == len(k.down)
	switch k.ending {
	case "order":
		if !whole || upErr != nil || downErr != nil || err != nil || res.Reason != ReasonEnd {
			return fmt.Errorf("%d up, %v, %d down, %v: %q, %w", sent, upErr, received, downErr, res.Reason, err)
		}
	case "reset by client", "reset by origin":
		// A socket tells of a reset once: to whoever reads or to whoever writes.
		seen, by := errors.Join(upErr, k.originWrote), ReasonClient
		if k.ending == "reset by origin" {
			seen, by = errors.Join(downErr, k.clientWrote), ReasonOrigin
		}
		if seen == nil || !errors.Is(err, syscall.ECONNRESET) || res.Reason != by {
			return fmt.Errorf("the other side saw %v: %q, %w", seen, res.Reason, err)
		}
	case "early answer":
		if downErr != nil || len(gotDown) != len(k.down) || res.Received != received {
			return fmt.Errorf("%d down, %v: %q, %w", received, downErr, res.Reason, err)
		}
		if err != nil && res.Reason != ReasonOrigin && res.Reason != ReasonClient {
			return fmt.Errorf("%q, %w", res.Reason, err)
		}
	case "max bytes":
		total := int64(len(k.up) + len(k.down))
		if total <= k.r.tunnel.MaxBytes {
			if err != nil || !whole {
				return fmt.Errorf("%q, %w", res.Reason, err)
			}
		} else if !errors.Is(err, ErrMaxBytes) || res.Sent+res.Received > k.r.tunnel.MaxBytes {
			return fmt.Errorf("%d of %d, %v, %v: %q, %w", res.Sent+res.Received, k.r.tunnel.MaxBytes, upErr, downErr, res.Reason, err)
		}
	case "cut":
		if err != nil && !errors.Is(err, errCut) || err == nil && !whole {
			return fmt.Errorf("%q, %w", res.Reason, err)
		}
	}
	return nil
}
