// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h1

import "strings"

// maxLine bounds a chunk's size line and a trailer's field line, in bytes.
// maxTrailer bounds all trailer lines of one message together.
const (
	maxLine    = 4 << 10
	maxTrailer = 3 << 10 // net/http takes a trailer section of one 4 KiB buffer
)

// A Chunked follows one chunked body (RFC 9112 §7.1) as its bytes go by. The
// zero value stands before the first byte.
type Chunked struct {
	state   chunkState
	size    uint64 // bytes of the current chunk still to come
	line    []byte // of the line being read, when it must be looked at whole
	trailer int    // bytes of trailer lines so far
}

type chunkState uint8

const (
	chunkSize chunkState = iota // in a size line
	chunkData
	chunkEnd // in the CRLF behind a chunk's data
	chunkTrailer
	chunkDone
)

// Scan goes on with b and returns how many of its bytes belong to the body,
// framing included. done means that the body ended there. After an error the
// bytes before n were still right.
func (c *Chunked) Scan(b []byte) (n int, done bool, err error) {
	for n < len(b) && c.state != chunkDone {
		if c.state == chunkData {
			take := min(uint64(len(b)-n), c.size)
			n += int(take)
			if c.size -= take; c.size == 0 {
				c.state = chunkEnd
			}
			continue
		}
		c.line = append(c.line, b[n])
		n++
		if err := c.lineByte(); err != nil {
			return n - 1, false, err
		}
	}
	return n, c.state == chunkDone, nil
}

// lineByte looks at the line after its newest byte.
func (c *Chunked) lineByte() error {
	l := len(c.line)
	last := c.line[l-1]
	if l >= 2 && c.line[l-2] == '\r' && last != '\n' {
		return bad("bare CR in chunked framing")
	}
	if last != '\n' {
		if l > maxLine {
			return bad("line too long in chunked framing")
		}
		if c.state == chunkEnd && (l > 1 || last != '\r') {
			return bad("chunk data longer than its size")
		}
		return nil
	}
	if l < 2 || c.line[l-2] != '\r' {
		return bad("bare LF in chunked framing")
	}
	line := c.line[:l-2]
	c.line = c.line[:0]
	switch c.state {
	case chunkSize:
		return c.sizeLine(line)
	case chunkEnd:
		c.state = chunkSize
		return nil
	default:
		return c.trailerLine(line)
	}
}

// sizeLine reads chunk-size [ chunk-ext ]. Extensions mean nothing to anybody
// here; their characters are checked, and a quoted string may not hide a line.
func (c *Chunked) sizeLine(line []byte) error {
	c.size = 0
	i := 0
	for ; i < len(line); i++ {
		d := strings.IndexByte("0123456789abcdef", line[i]|0x20)
		if d < 0 || line[i] < '0' {
			break
		}
		if i == 15 {
			return bad("chunk size is too large")
		}
		c.size = c.size<<4 | uint64(d)
	}
	if i == 0 {
		return bad("chunk size is not a number")
	}
	ext := strings.TrimLeft(string(line[i:]), " \t") // BWS, RFC 9112 §7.1.1
	if ext != "" && ext[0] != ';' || ext == "" && i < len(line) {
		return bad("chunk size is followed by something else")
	}
	for _, b := range []byte(ext) {
		if b < ' ' && b != '\t' || b == 0x7f {
			return bad("chunk extension has a control character")
		}
	}
	if c.size == 0 {
		c.state = chunkTrailer
	} else {
		c.state = chunkData
	}
	return nil
}

// trailerLine reads one trailer field or the empty line that ends the body. A
// trailer must not change what the head said (RFC 9110 §6.5.1).
func (c *Chunked) trailerLine(line []byte) error {
	if len(line) == 0 {
		c.state = chunkDone
		return nil
	}
	if c.trailer += len(line); c.trailer > maxTrailer {
		return bad("trailers are too long")
	}
	name, _, err := splitField(line)
	if err != nil {
		return err
	}
	return trailerName(string(name))
}

// trailerName refuses what must not stand in a trailer section.
func trailerName(name string) error {
	switch strings.ToLower(name) {
	case "content-length", "transfer-encoding", "host", "trailer", "connection", "upgrade", "te":
		return bad("a trailer that would change the message's framing or routing")
	}
	return nil
}
