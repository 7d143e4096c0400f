// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"crypto/tls"
	"io"
	"sync"

	"sallyport/gateway/wire"
)

// An input is what a connection has to say: see wire.Conn.
type input interface {
	Buffered() []byte
	Discard(n int)
	Fill() error
}

// decrypted is the input of a TLS connection. Its buffer is lent while there is
// something in it; what has come is decrypted at once, so that it goes on in
// one piece.
type decrypted struct {
	conn *tls.Conn
	wire *wire.Conn
	buf  *wire.Buffer
	r, w int
	err  error // came behind what is buffered
}

// maxRecord is the most that one TLS record holds (RFC 8446 §5.1). With so much
// room a Read leaves nothing behind in crypto/tls.
const maxRecord = 16 << 10

func (d *decrypted) Buffered() []byte {
	if d.buf == nil {
		return nil
	}
	return d.buf[d.r:d.w]
}

func (d *decrypted) Discard(n int) {
	if d.r += n; d.r == d.w && d.buf != nil {
		decryptedBuffers.Put(d.buf)
		d.buf, d.r, d.w = nil, 0, 0
	}
}

// rest reports whether nothing has come that was not taken, not even a part.
func (d *decrypted) rest() bool { return d.buf == nil && d.err == nil && d.wire.Between() }

var decryptedBuffers = sync.Pool{New: func() any { return new(wire.Buffer) }}

func (d *decrypted) Fill() error {
	if d.err != nil {
		return d.err
	}
	if d.buf == nil {
		if len(d.wire.Buffered()) == 0 { // wait without a buffer
			if err := d.wire.Fill(); err != nil && err != io.EOF { // crypto/tls knows whether that was the end
				return err
			}
		}
		d.buf = decryptedBuffers.Get().(*wire.Buffer)
	}
	if len(d.buf)-d.w < maxRecord {
		if d.r == 0 {
			return io.ErrShortBuffer
		}
		d.w = copy(d.buf[:], d.buf[d.r:d.w])
		d.r = 0
		if len(d.buf)-d.w < maxRecord {
			return io.ErrShortBuffer
		}
	}
	n, err := d.conn.Read(d.buf[d.w:])
	d.w += n
	d.wire.NoWait(true)
	for err == nil && len(d.buf)-d.w >= maxRecord {
		n, err = d.conn.Read(d.buf[d.w:])
		d.w += n
	}
	d.wire.NoWait(false)
	if wire.Nothing(err) {
		err = nil
	}
	if d.w > d.r {
		d.err = err
		return nil
	}
	d.Discard(0)
	return err
}
