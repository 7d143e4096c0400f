// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// A Running is a tunnel that has been started.
type Running interface {
	// Cut resets both connections, unless the tunnel has ended. The error that
	// is told then wraps cause; nil stands for context.Canceled.
	Cut(cause error)
}

// Start moves bytes until both directions have ended. It returns at once, and
// calls done once, from a goroutine of its own, when both connections are
// closed and nothing is left running.
//
// The error is nil when both sides ended in order: each sent its FIN (or
// close_notify), and it was passed on. In any other case both connections are
// reset (RFC 9293 §3.5.2), so that neither side can take a cut stream for a
// whole one.
//
// On Linux a tunnel between two *net.TCPConn holds no goroutine, no buffer and
// no pipe while nothing moves. Any other takes two goroutines.
func (t *Tunnel) Start(done func(Result, error)) Running {
	if t.Client == nil || t.Origin == nil {
		for _, c := range []net.Conn{t.Client, t.Origin} {
			if c != nil {
				c.Close()
			}
		}
		go done(Result{Reason: ReasonRefused}, errors.New("tunnel: an end is missing"))
		return ended{}
	}
	if r := startPair(t, done); r != nil {
		return r
	}
	p := newPassage(t)
	unwatch := p.watch()
	go func() {
		p.outward()
		p.inward.Wait()
		unwatch()
		done(p.close())
	}()
	return p
}

// ended is a tunnel that never began.
type ended struct{}

func (ended) Cut(error) {}

// Cut implements Running.
func (p *passage) Cut(cause error) {
	if cause == nil {
		cause = context.Canceled
	}
	p.fail(ReasonContext, fmt.Errorf("tunnel: %w", cause))
}
