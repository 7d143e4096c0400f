// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sync"
	"time"
)

// A habit is what a client does again and again.
type habit struct {
	name  string
	way   way
	turns int           // exchanges over one connection; 0: no end of them
	leave bool          // in the middle of the answer
	step  time.Duration // from one exchange to the next; 0: as soon as it can
	limit time.Duration // of one exchange; 0: only of all
}

func (h *habit) dial() (*client, error) {
	return h.way.dial(*warm + *window + 30*time.Second)
}

// open makes that many clients with one exchange each, few at a time: all at
// once would overflow the proxy's queue, and have it open as many connections
// to the origin as it never needs again. A client that failed is nil.
func (n *counts) open(h *habit, many int) []*client {
	all := make([]*client, many)
	slots := make(chan struct{}, 64)
	var wg sync.WaitGroup
	for i := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c, err := h.dial()
			if err == nil {
				if _, err = c.exchange(nil); err != nil {
					c.close()
				}
			}
			if err != nil {
				n.fail(err)
				return
			}
			all[i] = c
		})
	}
	wg.Wait()
	return all
}

// live is one client, nil if it is still to connect: exchange after exchange
// until all is over, the first of them after wait. It returns how long each took.
func (n *counts) live(h *habit, c *client, wait time.Duration) (times []time.Duration) {
	turn := 0
	due := time.Now().Add(wait)
	for !n.over.Load() {
		begin := time.Now()
		if h.step > 0 { // late requests count from when they were due
			time.Sleep(due.Sub(begin))
			begin, due = due, due.Add(h.step)
		}
		var err error
		if c == nil {
			if c, err = h.dial(); err != nil {
				c = nil
				n.fail(err)
				continue
			}
			turn = 0
		}
		if h.limit > 0 {
			_ = c.tcp.SetDeadline(time.Now().Add(h.limit))
		}
		var last bool
		if h.leave {
			last, err = true, c.leave()
		} else {
			last, err = c.exchange(&n.bytes)
		}
		turn++
		switch {
		case err == nil:
			n.ops.Add(1)
			if n.recording.Load() {
				times = append(times, time.Since(begin))
			}
		case !n.over.Load():
			n.fail(err)
		}
		if err != nil || last || turn == h.turns {
			c.close()
			c = nil
		}
	}
	if c != nil {
		c.close()
	}
	return times
}
