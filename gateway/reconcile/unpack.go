// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// An Unpacker reads what is packed by a Coding, as it comes: what the origin has
// flushed is read before more is waited for (by gzip's sync or full flush). It ends with io.EOF where the packed bytes
// end whole, and nothing but them has come; no byte at all is an empty body, which some
// call packed. It holds a window of what it has read, up to 32 KiB for gzip, 16 MiB for
// Brotli and 8 MiB for Zstd, however much comes out of it. It is used by one goroutine,
// and starts none.
type Unpacker struct {
	coding Coding
	from   source
	in     *bufio.Reader
	r      io.Reader // nil: not begun
	wbits  int       // of Brotli; 0: not known
}

// NewUnpacker reads from packed, which may return less than it is asked for and is not
// asked before it is needed.
func NewUnpacker(c Coding, packed io.Reader) *Unpacker {
	u := &Unpacker{coding: c, from: source{Reader: packed}}
	u.in = bufio.NewReader(&u.from)
	return u
}

// largestZstd is the window that RFC 9659 allows, in bytes.
const largestZstd = 8 << 20

// Read implements io.Reader. An error of the packed bytes' reader is passed on as it is.
func (u *Unpacker) Read(p []byte) (n int, err error) {
	// SECURITY: these are others' decoders, fed with what origins send. What they stumble
	// over is a broken body, and not the end of the gateway.
	defer func() {
		if v := recover(); v != nil {
			n, err = 0, fmt.Errorf("unpacking it (%s): %v", u.coding, v)
		}
	}()
	if u.r == nil {
		first, err := u.in.Peek(1)
		if err != nil {
			return 0, err
		}
		if u.coding == Brotli {
			u.wbits = windowBits(first[0])
		}
		if u.r, err = u.begin(); err != nil {
			return 0, fmt.Errorf("unpacking it (%s): %w", u.coding, err)
		}
	}
	for n == 0 && err == nil { // at a flush without text, and behind the end
		n, err = u.r.Read(p)
	}
	switch {
	case err == nil, err == io.EOF && u.from.err == io.EOF:
		return n, err
	case u.from.err != nil && u.from.err != io.EOF: // which zstd takes for an end between two frames
		return n, u.from.err
	}
	return n, fmt.Errorf("unpacking it (%s): %w", u.coding, err)
}

func (u *Unpacker) begin() (io.Reader, error) {
	switch u.coding {
	case Gzip:
		return &members{in: u.in, over: true}, nil
	case Brotli:
		return brotli.NewReader(u.in), nil
	case Zstd:
		return zstd.NewReader(u.in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(largestZstd), zstd.WithDecoderMaxMemory(largestZstd))
	}
	return nil, errors.New("there is nothing that could do that")
}

// Window is how much of what went by c may have an Unpacker hold, in bytes.
func (c Coding) Window() int64 {
	switch c {
	case Gzip:
		return 32 << 10
	case Brotli:
		return 16 << 20
	case Zstd:
		return largestZstd
	}
	return 0
}

// Window is what it is for this body, as far as what has been read says so. Of zstd that
// is nothing, because each frame may have another.
func (u *Unpacker) Window() int64 {
	if u.wbits > 0 {
		return 1 << u.wbits
	}
	return u.coding.Window()
}

// windowBits reads WBITS (RFC 7932 §9.1); 0 where there are none.
func windowBits(first byte) int {
	switch n, m := first>>1&7, first>>4&7; {
	case first&1 == 0:
		return 16
	case n != 0:
		return 17 + int(n)
	case m == 0:
		return 17
	case m > 1:
		return 8 + int(m)
	}
	return 0
}

// Close lets go of what u holds.
func (u *Unpacker) Close() {
	if z, ok := u.r.(*zstd.Decoder); ok {
		z.Close()
	}
	u.r = nil
}

// A source is what is read from, and remembers how that ended.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(p []byte) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	n, s.err = s.Reader.Read(p)
	return n, s.err
}

// members are those of a gzip file, one behind the other. gzip.Reader has them, too,
// but withholds the end of one until it has seen the next, or that there is none.
type members struct {
	in   *bufio.Reader
	z    gzip.Reader
	over bool // the last one is
}

func (m *members) Read(p []byte) (int, error) {
	for {
		if m.over {
			if _, err := m.in.Peek(1); err != nil {
				return 0, err
			}
			if err := m.z.Reset(m.in); err != nil {
				return 0, err
			}
			m.z.Multistream(false)
			m.over = false
		}
		n, err := m.z.Read(p)
		if err == io.EOF {
			m.over, err = true, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}
