// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"context"
	"io"
	"net"
	"time"

	"sallyport/gateway/wire"
)

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

// answering finds out, before anything of an answer leaves that is not whole yet,
// whether its client sends no more. Once some of it has left, the client may have
// read that and gone, and nobody could tell the two apart.
func (c *conn) answering() {
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
		return len(c.in.Buffered()) == 0 && c.wire.Between() && c.wire.State() != wire.Talking
	}
	return true
}

// takeOver implements client.
func (c *conn) takeOver(say []byte) (net.Conn, []byte, error) {
	if _, err := c.to.Write(say); err != nil {
		return nil, nil, err
	}
	c.s.conns.remove(c)
	defer c.leave()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken = true
	if c.tls != nil {
		ahead := bytes.Clone(c.in.Buffered())
		c.in.Discard(len(ahead))
		c.wire.BeforeRead, c.wire.BeforeWrite = nil, nil
		_ = c.wire.SetDeadline(time.Time{})
		return c.tls, ahead, nil
	}
	tcp, ahead := c.wire.Take()
	_ = tcp.SetDeadline(time.Time{})
	if c.inside != nil { // which ends with it
		tcp = &innerConn{tcp, c.inside}
	}
	return tcp, ahead, nil
}

// leave is called when somebody else has the connection, with c.mu free: what was
// inside a CONNECT is cut at its wire from now on, for c will serve others.
func (c *conn) leave() {
	if c.inside != nil {
		c.s.tunnels.runs(c.inside.live, wireRun{c.wire, c.inside})
	}
}

// innerRun ends what is inside a CONNECT as any connection of the engine ends.
type innerRun struct{ c *conn }

func (r innerRun) Cut(cause error) { r.c.cut(cause) }

// wireRun ends it where somebody else serves it, who sets deadlines of his own.
type wireRun struct {
	c  *wire.Conn
	in *inside
}

func (r wireRun) Cut(error) {
	_ = r.c.SetDeadline(past)
	go func() { // tunnels.mu is held
		r.c.Close()
		r.in.ended()
	}()
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
	case c.midway && c.closeWrite() == nil:
		_ = c.wire.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = io.CopyN(io.Discard, c.wire, 256<<10)
	case c.tls != nil:
		_ = c.tls.Close() // says so: the end of an answer that ends with the connection is proven by it
	}
	c.wire.Close()
	if c.inside != nil {
		c.inside.ended()
		c.inside = nil
	}
	if c.tied != nil { // by a passage that crashed
		c.tied.Close()
	}
	c.in.Discard(len(c.in.Buffered()))
	if n := len(c.wire.Buffered()); n > 0 {
		c.wire.Discard(n)
	}
	c.in, c.to, c.tls, c.inner = c.wire, c.wire, nil, decrypted{} // TLS holds memory, and the next connection may be long in coming
}

// closeWrite says that nothing follows.
func (c *conn) closeWrite() error {
	if c.tls != nil {
		if err := c.tls.CloseWrite(); err != nil {
			return err
		}
	}
	return c.wire.CloseWrite()
}
