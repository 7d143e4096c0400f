// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// lingering is how long a client that has been told the end may go on sending
// before the connection is closed under it. Closing at once, with bytes
// unread, makes the kernel send a reset, which can destroy the last words on
// their way to the client (RFC 9112 §9.6 tells the story for HTTP).
const lingering = 2 * time.Second

// A passage is a Tunnel in use.
type passage struct {
	t       *Tunnel
	out, in half // client to origin, origin to client
	inward  sync.WaitGroup

	start time.Time
	last  atomic.Int64 // when a byte moved last, in nanoseconds after start
	total atomic.Int64 // bytes taken off MaxBytes
	held  atomic.Int32 // directions that wait for their pace
	paced atomic.Int64 // how long they have, in nanoseconds

	hello *Hello // written before Check, read after both directions

	over chan struct{} // with a Pace: closed when both directions have been told to end

	mu      sync.Mutex
	timer   *time.Timer
	helloBy time.Duration // after start; 0: not waiting for a hello
	err     error         // the first
	reason  Reason
	stopped bool // both directions have been told to end
	cut     bool // not in order: close with a reset
	ended   bool // Run is about to return
}

func newPassage(t *Tunnel) *passage {
	p := &passage{t: t, start: time.Now()}
	if t.Pace != nil {
		p.over = make(chan struct{})
	}
	p.out = half{p: p, other: &p.in, src: t.Client, dst: t.Origin, from: ReasonClient, to: ReasonOrigin}
	p.in = half{p: p, other: &p.out, src: t.Origin, dst: t.Client, from: ReasonOrigin, to: ReasonClient}
	p.out.open()
	p.in.open()
	return p
}

// watch sets the limits of time. The function it returns takes them away again.
func (p *passage) watch() (unwatch func()) {
	p.mu.Lock()
	if p.t.Check != nil && p.t.ClientFirst {
		if p.helloBy = p.t.HelloTimeout; p.helloBy <= 0 {
			p.helloBy = defaultHelloTimeout
		}
	}
	left, _, _ := p.due()
	p.timer = time.AfterFunc(left, p.tick)
	p.mu.Unlock()
	return func() { p.timer.Stop() }
}

// touch notes that bytes moved. A deadline per read would be a system call's
// worth of locking each time; the timer looks here instead.
func (p *passage) touch() { p.last.Store(int64(time.Since(p.start))) }

// sleep waits for d, unless the passage is told to end. Meanwhile it is not idle.
func (p *passage) sleep(d time.Duration) error {
	p.held.Add(1)
	defer p.held.Add(-1)
	defer p.touch()
	defer func(began time.Time) { p.paced.Add(int64(time.Since(began))) }(time.Now())
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-p.over:
		return errOver
	}
}

// errOver says that a passage has been told to end.
var errOver = errors.New("tunnel: told to end")

// tick is the timer's only function: it ends the passage, waits for the next
// limit, or sees to it that an end takes place.
func (p *passage) tick() {
	p.mu.Lock()
	if p.stopped || p.ended {
		stuck := !p.ended
		p.mu.Unlock()
		if stuck { // a connection whose deadlines are for show
			p.t.Client.Close()
			p.t.Origin.Close()
		}
		return
	}
	left, reason, err := p.due()
	if left > 0 {
		p.timer.Reset(left)
	}
	p.mu.Unlock()
	if left <= 0 {
		p.fail(reason, err)
	}
}

// due returns how long it is to the next limit and what reaching it means.
// p.mu is held.
func (p *passage) due() (left time.Duration, reason Reason, err error) {
	now := time.Since(p.start)
	idle := p.t.Idle
	if idle <= 0 {
		idle = defaultIdle
	}
	last := time.Duration(p.last.Load())
	if p.held.Load() > 0 {
		last = now
	}
	left, reason, err = last+idle-now, ReasonIdle, ErrIdle
	if d := p.helloBy - now; p.helloBy > 0 && d < left {
		left, reason, err = d, ReasonHelloTimeout, ErrHelloTimeout
	}
	if d := p.t.MaxDuration - now; p.t.MaxDuration > 0 && d < left {
		left, reason, err = d, ReasonMaxDuration, ErrMaxDuration
	}
	return left, reason, err
}

// helloDone says that the first message is no longer waited for.
func (p *passage) helloDone() {
	p.mu.Lock()
	p.helloBy = 0
	p.mu.Unlock()
}

// take returns how many of n bytes may pass.
func (p *passage) take(n int) int {
	if p.t.MaxBytes <= 0 {
		return n
	}
	over := p.total.Add(int64(n)) - p.t.MaxBytes
	return n - int(min(max(over, 0), int64(n)))
}

// fail ends both directions out of order. The first reason given stays.
func (p *passage) fail(reason Reason, err error) { p.stop(reason, err, true) }

// stop makes both directions end soon. Deadlines in the past do that without
// closing anything: a Close would wait for the other direction, which may be
// in the middle of a write to the connection that is closed next.
func (p *passage) stop(reason Reason, err error, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.ended {
		return
	}
	p.stopped, p.cut = true, cut
	if p.over != nil {
		close(p.over)
	}
	if err != nil || p.err == nil { // an ordinary end does not undo what note kept
		p.reason, p.err = reason, err
	}
	for _, c := range []net.Conn{p.t.Client, p.t.Origin} {
		if c.SetDeadline(past) != nil {
			c.Close()
		}
	}
	p.timer.Reset(lingering)
}

// past is a deadline that has passed under any clock, synctest's included.
var past = time.Unix(1, 0)

// note keeps err as the passage's error without ending anything.
func (p *passage) note(reason Reason, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.reason, p.err = reason, err
	}
}

// halfOver notes the end of one direction, or that it only discards. Once one is
// over, the other may not discard for ever.
func (p *passage) halfOver(h *half, discarding bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.discarding = discarding
	h.over = !discarding
	for _, h := range []*half{&p.out, &p.in} {
		if h.discarding && (h.other.over || h.other.discarding) && !p.stopped {
			_ = h.src.SetReadDeadline(time.Now().Add(lingering)) // an unsupported deadline leaves the idle limit
		}
	}
}

// failed tells whether the passage has ended out of order.
func (p *passage) failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut
}
