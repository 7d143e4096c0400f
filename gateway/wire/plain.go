// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import "net"

// A plain socket is read and written as any connection is.
type plain struct{ c *Conn }

func (s plain) read(p []byte) (int, error) {
	call(s.c.BeforeRead)
	return s.c.conn.Read(p)
}

func (s plain) fill() (int, error) {
	call(s.c.BeforeRead)
	n, err := s.c.conn.Read(s.c.borrow())
	if s.c.w+n == 0 {
		s.c.release()
	}
	return n, err
}

func (s plain) ask(say func() error, _ bool) (int, error) { return 0, say() }

func (s plain) write(a, b []byte) (int, error) {
	call(s.c.BeforeWrite)
	if len(a) == 0 || len(b) == 0 { // an empty Write is one, too: to a pipe, it waits for a reader
		if len(a) == 0 {
			a = b
		}
		return s.c.conn.Write(a)
	}
	bufs := net.Buffers{a, b}
	n, err := bufs.WriteTo(s.c.conn)
	return int(n), err
}

// state cannot look without taking.
func (s plain) state() State { return Quiet }

// call calls f: whether a plain connection will wait cannot be known before.
func call(f func()) {
	if f != nil {
		f()
	}
}
