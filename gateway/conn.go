// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"context"
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
	s    *Server
	wire *wire.Conn
	from netip.AddrPort

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

// accept makes c the connection from a client.
func (c *conn) accept(from net.Conn) {
	c.mu.Lock() // the patrol may still look at what was served before
	defer c.mu.Unlock()
	c.wire = wire.New(from)
	c.wire.BeforeRead, c.wire.BeforeWrite = c.allowRead, c.allowWrite
	c.from = netip.AddrPort{}
	if a, ok := from.RemoteAddr().(*net.TCPAddr); ok {
		from := a.AddrPort()
		c.from = netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())
	}
	c.readBy, c.writeBy = time.Time{}, time.Time{}
	c.midway, c.reset, c.taken = false, false, false
	c.turn.Store(0)
	c.cause, c.tied, c.ctx, c.cancel = nil, nil, nil, nil
}

// serve serves requests until the connection ends. It closes it.
func (c *conn) serve() {
	for {
		fault, ok := c.next()
		if !ok {
			break
		}
		c.busy()
		c.p.open(c.s, c, &c.req, Request{From: c.from})
		c.p.pass(fault)
		c.turn.Add(1)
		c.req.Reset() // its bytes will be somebody else's
		c.giveBack(&c.head)
		c.giveBack(&c.out)
		if c.taken {
			return
		}
		if c.last {
			break
		}
	}
	c.close()
}

// busy begins a turn. A drain that took the connection for an idle one has left
// a deadline behind.
func (c *conn) busy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn.Add(1)
	c.half, c.halted = false, false
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
		b := c.wire.Buffered()
		// RFC 9112 §2.2: an empty line ahead of a request line is skipped; old
		// clients send one behind a POST. Endless ones would be a way to stay.
		for ; len(b) >= 2 && b[0] == '\r' && b[1] == '\n' && empty < maxEmpty; empty++ {
			c.wire.Discard(2)
			b = c.wire.Buffered()
		}
		if len(b) > 0 && (len(b) > 1 || b[0] != '\r') {
			n, err := c.parse(b, seen, limit)
			if err != nil {
				c.midway = true
				return asFault(err), true
			}
			if n > 0 {
				c.wire.Discard(n)
				c.body = h1.NewBody(c.req.Length, c.req.Chunked)
				c.wanting = c.req.Expect
				c.leaving.Store(c.req.Connect() && len(c.wire.Buffered()) == 0)
				return nil, true
			}
			if seen == 0 { // the rest of a head has its own time
				c.patience = 0
				c.readBy = time.Now().Add(c.s.Limits.headTime())
				_ = c.wire.SetReadDeadline(c.readBy)
			}
			seen = len(b)
		}
		if c.s.draining.Load() && len(b) == 0 {
			return nil, false
		}
		switch err := c.wire.Fill(); {
		case err == io.ErrShortBuffer:
			c.midway = true
			return errLargeHead, true
		case err != nil:
			return nil, false
		}
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

// upload implements client.
func (c *conn) upload() *upload {
	if c.req.Length == 0 {
		return &nothing
	}
	u := &upload{body: (*bodyReader)(c), length: c.req.Length, arm: c.armBody, halt: c.haltBody}
	if c.req.Chunked {
		u.trailers = c.body.Trailers
	}
	return u
}

// nothing is the upload of every request without a body.
var nothing upload

func (c *conn) armBody() { c.patience = c.s.Limits.stall() }

func (c *conn) haltBody() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.midway, c.halted = true, true
	_ = c.wire.SetReadDeadline(past)
}

var past = time.Unix(1, 0)

// ready implements client.
func (c *conn) ready() int64 { return int64(len(c.wire.Buffered())) }

// A bodyReader reads the body of the present request.
type bodyReader conn

func (r *bodyReader) Read(p []byte) (int, error) {
	c := (*conn)(r)
	for {
		if c.body.Done() {
			return 0, io.EOF
		}
		in := c.wire.Buffered()
		if len(in) == 0 {
			if err := c.proceed(); err != nil {
				return 0, err
			}
			if err := c.wire.Fill(); err != nil {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return 0, err
			}
			continue
		}
		data, n, done, err := c.body.Next(in[:min(len(in), len(p))])
		m := copy(p, data)
		c.wire.Discard(n)
		switch {
		case err != nil:
			c.midway = true
			return m, err
		case done && m > 0 && c.body.Done():
			return m, nil
		case m > 0:
			return m, nil
		}
	}
}

// proceed asks a client for its body that waits to be asked (RFC 9110 §10.1.1).
func (c *conn) proceed() error {
	c.asked.Lock()
	defer c.asked.Unlock()
	if !c.wanting || c.begun {
		return nil
	}
	c.wanting = false
	_, err := c.wire.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	return err
}

// allowRead and allowWrite see to it that a wait can last for most of its limit
// at least; see hop. A connection that was cut gets no more time.
func (c *conn) allowRead() {
	now, limit := time.Now(), c.patience
	if d := c.readBy.Sub(now); limit == 0 || d >= limit-limit/8 && d <= limit {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil && !c.halted {
		c.readBy = now.Add(limit)
		_ = c.wire.SetReadDeadline(c.readBy)
	}
}

func (c *conn) allowWrite() {
	now, limit := time.Now(), c.s.Limits.stall()
	if c.writeBy.Sub(now) >= limit-limit/8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.writeBy = now.Add(limit)
		_ = c.wire.SetWriteDeadline(c.writeBy)
	}
}

// context implements client. Few passages need one.
func (c *conn) context() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithCancelCause(context.Background())
		if c.cause != nil {
			c.cancel(c.cause)
		}
	}
	return c.ctx
}

// tie implements client.
func (c *conn) tie(to io.Closer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tied = to
	if to != nil && c.cause != nil {
		to.Close()
	}
}

// cut ends what is going on, for a reason, with a moment to say so.
func (c *conn) cut(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(cause)
}

// end is cut. c.mu is held.
func (c *conn) end(cause error) {
	if c.cause != nil || c.taken {
		return
	}
	c.cause = cause
	if c.cancel != nil {
		c.cancel(cause)
	}
	if c.tied != nil {
		c.tied.Close()
	}
	_ = c.wire.SetReadDeadline(past)
	_ = c.wire.SetWriteDeadline(time.Now().Add(lastWords))
}

// lastWords is how long a client whose connection was cut may take to hear why.
const lastWords = time.Second

// look finds out whether the client of a request that takes long has gone. One
// that only sends no more may wait for its answer; one that does so while it is
// being answered has gone, and so has one that wants a tunnel and said nothing.
func (c *conn) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taken {
		return
	}
	state := c.wire.State()
	if state == wire.Broken || state == wire.Ended && !c.half && c.leaving.Load() {
		c.end(context.Canceled)
	}
}

// stream implements client.
func (c *conn) stream() {
	if c.leaving.Load() {
		return
	}
	c.mu.Lock()
	c.half = c.wire.State() == wire.Ended
	c.mu.Unlock()
	c.leaving.Store(true)
}

// reusable implements client. Behind a CONNECT or a WebSocket handshake that was
// refused, bytes may be a ClientHello or a request: nobody can say.
func (c *conn) reusable() bool {
	if c.req.Connect() || c.req.WebSocket {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.wire.Buffered()) == 0 && c.wire.State() != wire.Talking
	}
	return true
}

// takeOver implements client.
func (c *conn) takeOver(say []byte) (net.Conn, []byte, error) {
	if _, err := c.wire.Write(say); err != nil {
		return nil, nil, err
	}
	c.s.conns.remove(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken = true
	tcp, ahead := c.wire.Take()
	_ = tcp.SetDeadline(time.Time{})
	return tcp, ahead, nil
}

// abort implements client.
func (c *conn) abort() {
	c.last, c.reset = true, true
}

// close ends the connection. Closing with bytes unread makes the kernel send a
// reset, which can overtake the answer that was just written; so a connection
// that is given up mid-message is closed one way first and drained for a
// moment (RFC 9112 §9.6).
func (c *conn) close() {
	c.s.conns.remove(c)
	switch {
	case c.reset:
		_ = c.wire.SetLinger(0)
	case c.midway && c.wire.CloseWrite() == nil:
		_ = c.wire.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = io.CopyN(io.Discard, c.wire, 256<<10)
	}
	c.wire.Close()
	if c.tied != nil { // by a passage that crashed
		c.tied.Close()
	}
	if n := len(c.wire.Buffered()); n > 0 {
		c.wire.Discard(n)
	}
}
