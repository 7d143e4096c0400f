// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h3

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Pool keeps connections for requests that may share them. Within it they are told
// apart by host and port. Its fields are set before it is used; it may be used by many
// goroutines at once. Without Dial it has no connections.
type Pool struct {
	// Dial makes a connection to a host and port, or gives up in time. Its context ends
	// with the pool, not with the request that wants the connection: others may have
	// come to wait for it.
	Dial func(ctx context.Context, addr string) (*Conn, error)

	Idle time.Duration // how long a connection is kept that nobody uses
	Most int           // connections that are kept so; 0: none

	mu      sync.Mutex
	origins map[string]*origin
	idle    int
	closed  bool
	ctx     context.Context // until closed; nil: nobody has asked for anything yet
	end     context.CancelFunc
}

// An origin is what there is for one host and port.
type origin struct {
	conns   []*Conn
	dialing *dialing // nil: none is being made
}

// A dialing is a connection being made.
type dialing struct {
	done chan struct{}
	err  error
}

// ErrClosed is the answer of a Pool that was closed, also to who waits for a connection
// of it: another Pool is to be asked.
var ErrClosed = errors.New("the connections to origins are being closed")

// RoundTrip sends r and returns its answer, whose Body has to be closed. On a kept
// connection that has ended it is repeated once, where it may. An error is the cause of
// r's context or an *Error.
func (p *Pool) RoundTrip(r *Request) (*http.Response, error) {
	ctx := r.Context()
	for first := true; ; first = false {
		c, reused, err := p.take(ctx, r.URL.Host)
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, &Error{Err: err, Repeat: true, Lost: true}
		}
		r.Got(c, reused)
		res, err := c.ask(r, p)
		if err == nil {
			return res, nil
		}
		var e *Error
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case !errors.As(err, &e) || !e.Repeat || !first || !reused:
			return nil, err
		}
	}
}

// Meet has a connection to addr ready for the next who needs one, and returns it.
func (p *Pool) Meet(ctx context.Context, addr string) (c *Conn, reused bool, err error) {
	if c, reused, err = p.take(ctx, addr); err == nil {
		p.mu.Lock()
		c.asked-- // nothing was
		p.mu.Unlock()
		p.give(c, nil)
	}
	return c, reused, err
}

// take returns a connection to addr with a place for one more request.
func (p *Pool) take(ctx context.Context, addr string) (c *Conn, reused bool, err error) {
	for {
		c, reused, d := p.find(addr)
		switch {
		case c != nil:
			return c, reused, nil
		case d == nil:
			return nil, false, ErrClosed
		}
		select {
		case <-d.done:
			if d.err != nil {
				return nil, false, d.err
			}
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
}

// find returns a connection to addr, or else one that is being made; neither when the
// pool is closed.
func (p *Pool) find(addr string) (c *Conn, reused bool, d *dialing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.Dial == nil {
		return nil, false, nil
	}
	if p.origins == nil {
		p.origins = make(map[string]*origin)
		p.ctx, p.end = context.WithCancel(context.Background())
	}
	o := p.origins[addr]
	if o == nil {
		o = &origin{}
		p.origins[addr] = o
	}
	for _, c := range o.conns {
		if c.uses < c.most && c.alive() {
			c.uses++
			c.asked++
			p.wake(c)
			return c, c.asked > 1, nil
		}
	}
	if o.dialing == nil {
		o.dialing = &dialing{done: make(chan struct{})}
		go p.dial(o, o.dialing, addr)
	}
	return nil, false, o.dialing
}

func (p *Pool) dial(o *origin, d *dialing, addr string) {
	c, err := p.Dial(p.ctx, addr)
	p.mu.Lock()
	o.dialing = nil
	d.err = err
	if p.closed { // which may be why there is none
		d.err = ErrClosed
	}
	if err == nil {
		c.addr = addr
		o.conns = append(o.conns, c)
	}
	var gone *Conn
	switch {
	case err != nil:
		p.tidy(addr, o)
	case p.closed:
		gone = p.rest(c)
	default: // whoever waits for it will find it, however many wait for somebody
		p.doze(c)
		context.AfterFunc(c.quic.Context(), func() { p.remove(c) })
	}
	p.mu.Unlock()
	close(d.done)
	if gone != nil {
		gone.Close()
	}
}

// give returns c's place, behind a request that ended in err.
func (p *Pool) give(c *Conn, err *Error) {
	p.mu.Lock()
	c.uses--
	switch {
	case err == nil:
	case err.Lost:
		c.most = 0
	case err.Err == errFull && c.most > 0: // the origin allows no more than there are now
		c.most = max(1, c.uses)
	}
	gone := p.rest(c)
	p.mu.Unlock()
	if gone != nil {
		gone.Close()
	}
}

// leave has nothing more asked on c, which is closed when what is asked has ended.
func (p *Pool) leave(c *Conn) {
	p.mu.Lock()
	c.most = 0
	gone := p.rest(c)
	p.mu.Unlock()
	if gone != nil {
		gone.Close()
	}
}

// rest has c wait when nobody uses it, or returns it to be closed. p.mu is held.
func (p *Pool) rest(c *Conn) (gone *Conn) {
	if c.uses > 0 {
		return nil
	}
	if c.most == 0 || p.closed || p.idle >= p.Most {
		p.forget(c)
		return c
	}
	p.doze(c)
	return nil
}

// doze has c wait. p.mu is held.
func (p *Pool) doze(c *Conn) {
	if c.idle == nil {
		p.idle++
		c.idle = time.AfterFunc(p.Idle, func() { p.expire(c) })
	}
}

// wake is doze's contrary. p.mu is held.
func (p *Pool) wake(c *Conn) {
	if c.idle != nil {
		c.idle.Stop()
		c.idle = nil
		p.idle--
	}
}

// expire closes c when it has waited long enough.
func (p *Pool) expire(c *Conn) {
	p.mu.Lock()
	expired := c.idle != nil
	if expired {
		p.forget(c)
	}
	p.mu.Unlock()
	if expired {
		c.Close()
	}
}

// remove forgets c, which has ended.
func (p *Pool) remove(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(c)
}

// forget takes c out of the pool. p.mu is held.
func (p *Pool) forget(c *Conn) {
	p.wake(c)
	if o := p.origins[c.addr]; o != nil {
		o.conns = slices.DeleteFunc(o.conns, func(other *Conn) bool { return other == c })
		p.tidy(c.addr, o)
	}
}

func (p *Pool) tidy(addr string, o *origin) {
	if len(o.conns) == 0 && o.dialing == nil && p.origins[addr] == o {
		delete(p.origins, addr)
	}
}

// Close closes the connections that nobody uses, and the others when nobody does any
// more. The pool makes no new ones.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	if p.end != nil {
		p.end()
	}
	var all, gone []*Conn
	for _, o := range p.origins {
		all = append(all, o.conns...)
	}
	for _, c := range all {
		if c := p.rest(c); c != nil {
			gone = append(gone, c)
		}
	}
	p.mu.Unlock()
	for _, c := range gone {
		c.Close()
	}
}

// Conns returns how many connections there are, of those that more is asked on.
func (p *Pool) Conns() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.origins {
		n += len(o.conns)
	}
	return n
}
