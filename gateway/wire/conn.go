// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Package wire holds the connections under the HTTP/1.1 engine: TCP sockets
// that hold a buffer only while there is something in it, and are read and
// written, on Linux, without the runtime's accounting for system calls that
// may block, which costs a seventh of what a proxied request takes.
package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A Conn is a connection with what was read from it ahead. One goroutine may
// read while another writes.
type Conn struct {
	conn net.Conn // not embedded: a TCPConn's ReadFrom and WriteTo know nothing of buf
	sock socket

	buf  *Buffer // nil: nothing was read ahead
	r, w int     // what of buf has been read and not taken

	// tls makes Read hand out one TLS record at a time, which crypto/tls takes
	// whole, so that it is known here what it has not seen yet.
	tls    bool
	left   int  // of the record that Read is in
	nowait bool // Read takes only what is there

	shut atomic.Bool // we send no more

	// BeforeRead and BeforeWrite are called when a Read or Fill, or a Write, has
	// to wait: the moment to set a deadline, which costs as much as reading a head
	// does, and is rarely needed. nil: nothing.
	BeforeRead, BeforeWrite func()
}

// Bufsize is how many bytes are read at once: so much that a page comes in one
// piece (64 KiB of it cost 108 us of CPU, and 117 by half of that).
const Bufsize = 128 << 10

// A Buffer is lent from Buffers.
type Buffer [Bufsize]byte

// Buffers is the pool that connections borrow from.
var Buffers = sync.Pool{New: func() any { return new(Buffer) }}

// A socket makes the system calls.
type socket interface {
	read(p []byte) (int, error)
	fill() (int, error)                            // reads into what borrow gives
	ask(say func() error, quiet bool) (int, error) // says first
	write(a, b []byte) (int, error)
	state() State
}

// New takes c over. A TCP socket is what the package is for: a *net.TCPConn, or
// another net.Conn that is a syscall.Conn, which must not itself keep any bytes.
// With what is neither it only buffers.
func New(c net.Conn) *Conn {
	w := &Conn{conn: c}
	w.sock = newSocket(w)
	return w
}

// NewTLS is New for a connection that is read by crypto/tls.
func NewTLS(c net.Conn) *Conn {
	w := New(c)
	w.tls = true
	return w
}

// Preload makes b what was read ahead of a new connection. False: there is no room
// for so much, which is more than Bufsize, and nothing was done.
func (c *Conn) Preload(b []byte) bool {
	if len(b) > Bufsize {
		return false
	}
	if len(b) > 0 {
		c.w = copy(c.borrow(), b)
	}
	return true
}

// Secure makes c one that is read by crypto/tls, from what is buffered on.
func (c *Conn) Secure() { c.tls = true }

// Buffered is what was read and not taken. It is valid until the next Fill or
// Discard.
func (c *Conn) Buffered() []byte {
	if c.buf == nil {
		return nil
	}
	return c.buf[c.r:c.w]
}

// Discard takes n bytes of what is buffered. An empty buffer is given back.
func (c *Conn) Discard(n int) {
	if c.r += n; c.r == c.w && c.buf != nil {
		c.release()
	}
}

// Fill waits until more has come than is buffered. Waiting with nothing
// buffered holds no buffer. io.ErrShortBuffer says that no more fits; the other
// errors are the connection's, io.EOF when the peer sends no more.
func (c *Conn) Fill() error {
	if c.buf != nil && c.w == len(c.buf) {
		if c.r == 0 {
			return io.ErrShortBuffer
		}
		c.w = copy(c.buf[:], c.buf[c.r:c.w])
		c.r = 0
	}
	n, err := c.sock.fill()
	c.w += n
	return err
}

// Ask is say, which writes a question, and then Fill. The answer to what was not
// asked yet cannot have come: on Linux the attempt to read it is saved. The error
// is that of say. Whatever Fill would have said, the next will; if that is that
// there is no reading from c, nothing was asked.
//
// Nor is anything asked, and the error is ErrSpoke, when quiet is true and the
// connection is not: see State. What came after a State and before a wait would
// wake nobody.
func (c *Conn) Ask(say func() error, quiet bool) error {
	if c.buf != nil && c.w == len(c.buf) { // there is no room for an answer; Fill makes some, or says so
		return say()
	}
	n, err := c.sock.ask(say, quiet)
	c.w += n
	return err
}

// ErrSpoke says that the peer has said something, or that it has ended.
var ErrSpoke = errors.New("wire: the peer spoke before it was asked")

func (c *Conn) borrow() []byte {
	if c.buf == nil {
		c.buf, c.r, c.w = Buffers.Get().(*Buffer), 0, 0
	}
	return c.buf[c.w:]
}

func (c *Conn) release() {
	Buffers.Put(c.buf)
	c.buf, c.r, c.w = nil, 0, 0
}

// Take gives up the connection beneath and what was read ahead. The Conn is not
// used afterwards.
func (c *Conn) Take() (net.Conn, []byte) {
	var ahead []byte
	if b := c.Buffered(); len(b) > 0 {
		ahead = append(ahead, b...)
		c.release()
	}
	return c.conn, ahead
}

// Read implements io.Reader. What is buffered comes first.
func (c *Conn) Read(p []byte) (int, error) {
	if c.tls {
		return c.readRecord(p)
	}
	if c.buf == nil {
		return c.sock.read(p)
	}
	n := copy(p, c.Buffered())
	c.Discard(n)
	return n, nil
}

// recordHead is type, version and length of a TLS record (RFC 8446 §5.1).
const recordHead = 5

func (c *Conn) readRecord(p []byte) (int, error) {
	for c.left == 0 {
		if b := c.Buffered(); len(b) >= recordHead {
			c.left = recordHead + int(b[3])<<8 + int(b[4])
			break
		}
		if err := c.more(); err != nil {
			return 0, err
		}
	}
	if c.buf == nil {
		if err := c.more(); err != nil {
			return 0, err
		}
	}
	n := copy(p[:min(len(p), c.left)], c.Buffered())
	c.left -= n
	c.Discard(n)
	return n, nil
}

func (c *Conn) more() error {
	if c.nowait {
		return errNothing
	}
	return c.Fill()
}

// NoWait makes Read of a TLS connection end in an error that Nothing knows
// instead of waiting, until it is told otherwise. crypto/tls can go on after it.
func (c *Conn) NoWait(on bool) { c.nowait = on }

// Nothing reports whether err says that a Read would have waited.
func Nothing(err error) bool {
	op, ok := err.(*net.OpError) // crypto/tls wraps it
	return err == errNothing || ok && op.Err == errNothing
}

// errNothing is temporary in the sense of net.Error: crypto/tls takes any other
// for the end of the connection.
var errNothing error = nothing{}

type nothing struct{}

func (nothing) Error() string   { return "wire: nothing to read yet" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }
func (nothing) Unwrap() error   { return os.ErrDeadlineExceeded }

// Write implements io.Writer.
func (c *Conn) Write(p []byte) (int, error) { return c.sock.write(p, nil) }

// Write2 writes a and then b, in one system call where there is room for them.
func (c *Conn) Write2(a, b []byte) (int, error) { return c.sock.write(a, b) }

// A State is what a look at a connection that nobody reads from finds.
type State uint8

// The states.
const (
	Quiet   State = iota // open, and nothing has come
	Talking              // something has come
	Ended                // the peer sends no more
	Broken               // reset, or closed on this side
)

// State looks at what nobody reads, and takes nothing. What is buffered does
// not count. One goroutine at a time may call it.
func (c *Conn) State() State { return c.sock.state() }

// goodbyeMost is the most that a lone close_notify takes: of TLS 1.2 with CBC and
// SHA-384, padded.
const goodbyeMost = recordHead + 16 + 64

// goodbye reports whether b, all that has come, can be a close_notify (RFC 8446
// §6.1) and nothing else: one record, of an alert, or one of TLS 1.3 so short that
// it is hardly data.
func goodbye(b []byte) bool {
	if len(b) < recordHead || len(b) > goodbyeMost || recordHead+int(b[3])<<8+int(b[4]) != len(b) {
		return false
	}
	const alert, data, sealedAlert = 21, 23, 2 + 1 + 16
	return b[0] == alert || b[0] == data && len(b) == recordHead+sealedAlert
}

// Between reports whether a TLS connection stands between two records, with
// nothing read ahead.
func (c *Conn) Between() bool { return c.buf == nil && c.left == 0 }

// NetConn is the connection beneath.
func (c *Conn) NetConn() net.Conn { return c.conn }

// CloseWrite says that nothing follows.
func (c *Conn) CloseWrite() error {
	c.shut.Store(true)
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SetLinger is net.TCPConn's; without TCP it does nothing.
func (c *Conn) SetLinger(sec int) error {
	if tcp, ok := c.conn.(interface{ SetLinger(int) error }); ok {
		return tcp.SetLinger(sec)
	}
	return nil
}

// The rest of net.Conn.

func (c *Conn) Close() error                       { return c.conn.Close() }
func (c *Conn) LocalAddr() net.Addr                { return c.conn.LocalAddr() }
func (c *Conn) RemoteAddr() net.Addr               { return c.conn.RemoteAddr() }
func (c *Conn) SetDeadline(t time.Time) error      { return c.conn.SetDeadline(t) }
func (c *Conn) SetReadDeadline(t time.Time) error  { return c.conn.SetReadDeadline(t) }
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.conn.SetWriteDeadline(t) }
