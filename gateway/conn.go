// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/gateway/h1"
	"sallyport/gateway/wire"
)

// A conn is a client's connection as the engine serves it: one goroutine that
// reads a request's head, lets the passage act, and goes on. Between requests it
// holds no buffer.
type conn struct {
	s      *Server
	wire   *wire.Conn
	in     input     // what the client says
	to     io.Writer // what it is told
	from   netip.AddrPort
	tls    *tls.Conn            // nil: plain
	state  *tls.ConnectionState // as the handshake left it; nil: plain
	clear2 bool                 // it has begun as HTTP/2 without TLS does
	inside *inside              // what a CONNECT has opened; nil: the client's own connection
	inner  decrypted            // with tls: in

	head *[]byte // of the present request; lent
	out  *[]byte // of the answer, not sent yet; lent
	req  h1.Request
	body h1.Body
	p    passage

	// Deadlines that are set, so that they are not for every request anew, and
	// what the next wait for the client may take.
	readBy, writeBy time.Time
	patience        time.Duration

	// Of the present answer.
	chunked bool
	last    bool // nothing follows on this connection

	asked   sync.Mutex // held while a 100 may be written, or a head
	wanting bool       // the client waits for a 100
	begun   bool       // the final answer

	midway bool // there is something unread that will not be
	reset  bool // the end has to be seen to be none
	taken  bool // somebody else's now
	doomed bool // the connection was cut before the request was served

	turn    atomic.Uint32 // odd: a request is being served, and each has another
	leaving atomic.Bool   // a client that sends no more has gone
	watched uint32        // the turn that the patrol has seen

	mu     sync.Mutex
	cause  error // why it was cut
	tied   io.Closer
	half   bool // the client sends no more, and waits for its answer
	halted bool // nothing more is read of the present body
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// accept makes c the connection that has arrived.
func (c *conn) accept(a arrival) {
	c.mu.Lock() // the patrol may still look at what was served before
	defer c.mu.Unlock()
	from := a.conn
	c.wire = wire.New(from)
	if !c.wire.Preload(a.early) { // nobody reads so far ahead; and what is left out would be a gap
		from.Close()
	}
	c.inside = a.in
	c.wire.BeforeRead, c.wire.BeforeWrite = c.allowRead, c.allowWrite
	c.in, c.to, c.tls, c.state = c.wire, c.wire, nil, nil
	c.from = netip.AddrPort{}
	if a, ok := from.RemoteAddr().(*net.TCPAddr); ok {
		from := a.AddrPort()
		c.from = netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())
	}
	c.readBy, c.writeBy = time.Time{}, time.Time{}
	c.midway, c.reset, c.taken = false, false, false
	c.half, c.halted = false, false
	c.turn.Store(0)
	c.cause, c.tied, c.ctx, c.cancel = nil, nil, nil, nil
}

// serve serves requests until the connection ends. It closes it.
func (c *conn) serve() {
	if !c.greet() {
		return
	}
	for {
		fault, ok := c.next()
		if !ok {
			break
		}
		c.pass(fault)
		if c.taken {
			return
		}
		if c.last {
			break
		}
	}
	c.close()
}

// pass serves a request, or refuses what is none.
func (c *conn) pass(fault *h1.Error) {
	c.busy()
	c.p.open(c.s, c, &c.req, Request{From: c.from, TLS: c.state, inside: c.inside})
	c.p.pass(fault)
	c.turn.Add(1)
	c.req.Reset() // its bytes will be somebody else's
	c.giveBack(&c.head)
	c.giveBack(&c.out)
}

// busy begins a turn. A drain that took the connection for an idle one has left
// a deadline behind.
func (c *conn) busy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn.Add(1)
	c.half, c.halted = false, false
	c.doomed = c.cause != nil // its request had come before
	if c.s.draining.Load() && c.cause == nil {
		c.readBy = time.Time{}
		_ = c.wire.SetReadDeadline(c.readBy)
	}
}

// idle ends the wait for the next request, if there is none yet.
func (c *conn) idle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn.Load()%2 == 0 && !c.taken && c.cause == nil {
		c.halted = true
		_ = c.wire.SetReadDeadline(past)
	}
}

func (c *conn) giveBack(buf **[]byte) {
	if *buf != nil {
		messages.Put(*buf)
		*buf = nil
	}
}

// next reads the head of the next request. ok is false when there is none.
func (c *conn) next() (fault *h1.Error, ok bool) {
	c.chunked, c.last, c.wanting, c.begun = false, false, false, false
	c.leaving.Store(false)
	limit := c.s.Limits.head()
	c.patience = c.s.Limits.idle()
	for seen, empty := 0, 0; ; {
		b := c.in.Buffered()
		// RFC 9112 §2.2: an empty line ahead of a request line is skipped; old
		// clients send one behind a POST. Endless ones would be a way to stay.
		for ; len(b) >= 2 && b[0] == '\r' && b[1] == '\n' && empty < maxEmpty; empty++ {
			c.in.Discard(2)
			b = c.in.Buffered()
		}
		if len(b) > 0 && (len(b) > 1 || b[0] != '\r') {
			n, err := c.parse(b, seen, limit)
			if err != nil {
				c.midway = true
				return asFault(err), true
			}
			if n > 0 {
				c.in.Discard(n)
				c.body = h1.NewBody(c.req.Length, c.req.Chunked)
				c.wanting = c.req.Expect
				c.leaving.Store(c.req.Connect() && len(c.in.Buffered()) == 0)
				return nil, true
			}
			if seen == 0 && c.patience > 0 { // the rest of a head has its own time
				c.hurry()
			}
			seen = len(b)
		}
		if c.s.draining.Load() && len(b) == 0 {
			return nil, false
		}
		if len(b) == 0 && c.patience > 0 && c.tls != nil {
			// A record has its own time, too, which begins with its first byte.
			if c.inner.rest() && c.wire.Fill() != nil {
				return nil, false
			}
			c.hurry()
			continue
		}
		switch err := c.in.Fill(); {
		case err == io.ErrShortBuffer:
			c.midway = true
			return errLargeHead, true
		case err != nil:
			c.inside.alerted(err)
			return nil, false
		}
	}
}

// hurry gives the client its time for a head.
func (c *conn) hurry() {
	c.patience = 0
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.readBy = time.Now().Add(c.s.Limits.headTime())
		_ = c.wire.SetReadDeadline(c.readBy)
	}
}

// maxEmpty bounds the empty lines ahead of a request.
const maxEmpty = 4

// parse reads a head from b, of which seen bytes are known to be no whole one.
// Its bytes are kept apart: what follows is read while they are needed.
func (c *conn) parse(b []byte, seen, limit int) (n int, err error) {
	end := bytes.Index(b[max(seen-3, 0):], endOfHead)
	if end >= 0 {
		n = max(seen-3, 0) + end + len(endOfHead)
	}
	if n > limit || n == 0 && len(b) > limit {
		// A fault within the limit comes first, in whatever pieces the head came.
		if _, err := c.req.Parse(b[:limit]); err != nil {
			return 0, err
		}
		return 0, errLargeHead
	}
	if n == 0 {
		// A head that comes a byte at a time must not be parsed a byte at a time.
		if bytes.IndexByte(b[seen:], '\n') < 0 && seen > 0 {
			return 0, nil
		}
		n, err = c.req.Parse(b)
		if n > 0 {
			err = errNoHead
		}
		return 0, err
	}
	c.head = messages.Get().(*[]byte)
	*c.head = append((*c.head)[:0], b[:n]...)
	m, err := c.req.Parse(*c.head)
	if err == nil && m != n {
		err = errNoHead
	}
	return n, err
}

var (
	errLargeHead = &h1.Error{Status: 431, Msg: "the request's head is too large"}

	endOfHead = []byte("\r\n\r\n")
	errNoHead = &h1.Error{Status: 400, Msg: "the request's head does not end where it seems to"}
)

func asFault(err error) *h1.Error {
	var f *h1.Error
	if errors.As(err, &f) {
		return f
	}
	return &h1.Error{Status: 400, Msg: err.Error()}
}
