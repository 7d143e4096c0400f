// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"fmt"
)

// The ends of a pair: what brings them about and what they do. See passage.go
// for the same with a goroutine.

// halfOver notes that a direction has ended, or only discards.
func (p *pair) halfOver(f *flow, s state) {
	f.state = s
	p.linger()
}

// Cut implements Running.
func (p *pair) Cut(cause error) {
	if cause == nil {
		cause = context.Canceled
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail(ReasonContext, fmt.Errorf("tunnel: %w", cause))
}

// due returns when the next limit is reached and what that means.
func (p *pair) due() (at int64, reason Reason, err error) {
	if p.refused {
		return p.lingerBy, "", nil
	}
	at, reason, err = p.last+p.idle, ReasonIdle, ErrIdle
	if p.gate != nil && p.gate.by > 0 && p.gate.by < at {
		at, reason, err = p.gate.by, ReasonHelloTimeout, ErrHelloTimeout
	}
	if p.most > 0 && p.most < at {
		at, reason, err = p.most, ReasonMaxDuration, ErrMaxDuration
	}
	if p.lingerBy > 0 && p.lingerBy < at {
		at, reason, err = p.lingerBy, "", nil
	}
	return at, reason, err
}

// expire is called when a limit may have been reached.
func (p *pair) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	at, reason, err := p.due()
	switch {
	case at > clock():
		p.loop.arm(p, at)
	case reason != "":
		p.fail(reason, err)
	default:
		p.lingered()
	}
}

// fail ends the pair out of order. The first reason given stays.
func (p *pair) fail(reason Reason, err error) {
	if p.closed || p.refused {
		return
	}
	p.reason, p.err = reason, err
	p.close(true)
}

// close ends both connections, with a reset when cut, and tells the result.
func (p *pair) close(cut bool) {
	p.closed = true
	p.loop.leave(p)
	for i := range p.flow {
		p.flow[i].release()
	}
	for side := range p.fd {
		p.closeSide(side, cut)
	}
	if !p.judging {
		go p.tell()
	}
}

func (p *pair) closeSide(side int, cut bool) {
	if p.fd[side] < 0 {
		return
	}
	if cut { // see reset
		_ = linger(int(p.fd[side]), 0)
	}
	closeSocket(p.fd[side])
	p.fd[side] = -1
}

// tell hands over the result of a pair that is closed.
func (p *pair) tell() {
	p.mu.Lock()
	r := Result{Sent: p.flow[clientSide].n, Received: p.flow[originSide].n, Hello: p.hello, Reason: p.reason}
	err := p.err
	p.mu.Unlock()
	if r.Reason == "" {
		r.Reason = ReasonEnd
	}
	p.done(r, err)
}

// linger has what only discards end in time, when the rest is over.
func (p *pair) linger() {
	out, in := p.flow[clientSide].state, p.flow[originSide].state
	if out == discards && (in == over || in == discards) || in == discards && out == over {
		p.lingerBy = clock() + int64(lingering)
		at, _, _ := p.due()
		p.loop.arm(p, at)
	}
}

// lingered ends what only discards.
func (p *pair) lingered() {
	p.lingerBy = 0
	for i := range p.flow {
		if p.flow[i].state == discards {
			p.flow[i].state = over
		}
	}
	p.close(false)
}
