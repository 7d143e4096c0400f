// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"io"
	"net"
	"time"
)

// resume goes back to reading requests after a CONNECT or a change of protocol
// that was refused. It reports false when bytes came behind it: whether they
// are a ClientHello or a request nobody can say, so the connection has to end.
func (c *strictConn) resume() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != stateOpaque {
		return true
	}
	if c.early > 0 || len(c.buf) > 0 {
		return false
	}
	c.state = stateHead
	return true
}

// Close implements net.Conn. Closing with bytes unread makes the kernel send a
// reset, which can overtake the answer that was just written; so a connection
// that is given up mid-message is closed one way first and drained for a
// moment (RFC 9112 §9.6).
func (c *strictConn) Close() error {
	c.mu.Lock()
	midway := c.state == stateFault && !c.closing
	c.closing = true
	c.mu.Unlock()
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if midway && ok && half.CloseWrite() == nil {
		_ = c.Conn.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = io.CopyN(io.Discard, c.Conn, 256<<10)
	}
	c.mu.Lock()
	reset := c.reset // also one that came while the client was still being heard
	c.mu.Unlock()
	if reset {
		return beneath(c.Conn).Close() // TLS would say that this was the end
	}
	return c.Conn.Close()
}

// beneath is the connection that c wraps, at the bottom.
func beneath(c net.Conn) net.Conn {
	for {
		inner, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = inner.NetConn()
	}
}

// abort makes Close a reset, which nobody takes for the end of an answer.
func (c *strictConn) abort() {
	c.mu.Lock()
	c.closing, c.reset = true, true
	c.mu.Unlock()
	if t, ok := beneath(c.Conn).(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0)
	}
}

// stop makes the connection end where it stands: nothing more is read.
func (c *strictConn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.buf, c.ready = stateFault, nil, 0
}

// surrender gives up the connection beneath and what was read from it and not
// handed on. The strictConn is not used afterwards.
func (c *strictConn) surrender() (net.Conn, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Conn, c.buf
}
