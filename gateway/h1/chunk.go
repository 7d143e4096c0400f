// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h1

import "bytes"

// Bounds, in bytes. maxLine is that of a chunk's size line and of a trailer's
// field line, maxTrailer that of all trailer lines of one message together.
const (
	maxLine    = 4 << 10
	maxTrailer = 3 << 10 // net/http takes a trailer section of one 4 KiB buffer
	maxAround  = 16 << 10
)

// A Chunked follows one chunked body (RFC 9112 §7.1) as its bytes go by. The
// zero value stands before the first byte.
type Chunked struct {
	// Lenient leaves out the trailers that a message must not have, instead of
	// refusing it: for answers, whose sender cannot mend them.
	Lenient bool

	state   chunkState
	size    uint64 // bytes of the current chunk still to come
	line    []byte // the line being read, when it came in pieces
	around  int64  // bytes that were no data, less what is usual
	trailer []byte // the trailer section
	lines   int    // bytes of it, with what was left out
	fields  Fields
}

type chunkState uint8

const (
	chunkSize chunkState = iota // in a size line
	chunkData
	chunkEnd // in the CRLF behind a chunk's data
	chunkTrailer
	chunkDone
)

// Next goes on with b. It returns the first run of data in it and how many
// bytes of b were used up, framing and data. done means that the body has ended
// there. After an error the bytes before n were still right.
func (c *Chunked) Next(b []byte) (data []byte, n int, done bool, err error) {
	for n < len(b) && c.state != chunkDone {
		if c.state == chunkData {
			take := min(uint64(len(b)-n), c.size)
			data = b[n : n+int(take)]
			n += int(take)
			if c.size -= take; c.size == 0 {
				c.state = chunkEnd
			}
			return data, n, false, nil
		}
		m, err := c.lineIn(b[n:])
		n += m
		if err != nil {
			return nil, n, false, err
		}
	}
	return nil, n, c.state == chunkDone, nil
}

// Scan is Next for a caller that passes body and framing on as they are.
func (c *Chunked) Scan(b []byte) (n int, done bool, err error) {
	for n < len(b) && !done && err == nil {
		var m int
		_, m, done, err = c.Next(b[n:])
		n += m
	}
	return n, done, err
}

// Trailers are the fields behind the last chunk.
func (c *Chunked) Trailers() Fields { return c.fields }

// lineIn takes b up to the end of its first line, which it acts on when that
// is there, and returns how many bytes were taken.
func (c *Chunked) lineIn(b []byte) (n int, err error) {
	end := bytes.IndexByte(b, '\n')
	whole := end >= 0
	if !whole {
		end = len(b) - 1
	}
	piece := b[:end+1]
	// Byte by byte where it matters: what is wrong is told apart, and told where.
	from := len(c.line)
	if from+len(piece) > maxLine+1 && (!whole || from+len(piece) > maxLine+2) {
		return max(maxLine-from, 0), bad("line too long in chunked framing")
	}
	if c.state == chunkEnd && from == 0 && piece[0] != '\r' && piece[0] != '\n' {
		return 0, bad("chunk data longer than its size")
	}
	held := from > 0 && c.line[from-1] == '\r'
	if i := bytes.IndexByte(piece, '\r'); held && piece[0] != '\n' {
		return 0, bad("bare CR in chunked framing")
	} else if i >= 0 && i < len(piece)-1 && piece[i+1] != '\n' {
		return i + 1, bad("bare CR in chunked framing")
	}
	if !whole {
		c.line = append(c.line, piece...)
		return len(piece), nil
	}
	line := piece
	if from > 0 {
		c.line = append(c.line, piece...)
		line, c.line = c.line, c.line[:0]
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return end, bad("bare LF in chunked framing")
	}
	if err := c.act(line[:len(line)-2]); err != nil {
		return end, err
	}
	return end + 1, nil
}

// act does what a whole line says.
func (c *Chunked) act(line []byte) error {
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
		d, ok := hex(line[i])
		if !ok {
			break
		}
		if i == 15 {
			return bad("chunk size is too large")
		}
		c.size = c.size<<4 | d
	}
	if i == 0 {
		return bad("chunk size is not a number")
	}
	ext := line[i:]
	if len(ext) > 0 && ext[0] != ';' { // BWS may stand here (RFC 9112 §7.1.1), and is where parsers differ
		return bad("chunk size is followed by something else")
	}
	for _, b := range ext {
		if class[b]&isControl != 0 {
			return bad("chunk extension has a control character")
		}
	}
	// "ought to limit the total length of chunk extensions" (RFC 9112 §7.1.1): a
	// chunk may bring 16 bytes around it and as many again as its data.
	c.around = max(c.around+int64(len(line))+2-16-2*int64(min(c.size, maxAround)), 0)
	if c.around > maxAround {
		return bad("more chunk framing than data")
	}
	if c.state = chunkData; c.size == 0 {
		c.state = chunkTrailer
	}
	return nil
}

func hex(c byte) (uint64, bool) {
	switch {
	case isDigit(c):
		return uint64(c - '0'), true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return uint64(c|0x20-'a') + 10, true
	}
	return 0, false
}

// trailerLine reads one trailer field or the empty line that ends the body. A
// trailer must not change what the head said (RFC 9110 §6.5.1).
func (c *Chunked) trailerLine(line []byte) error {
	if len(line) == 0 {
		c.state = chunkDone
		return nil
	}
	if c.lines += len(line) + 2; c.lines > maxTrailer { // also of those left out
		return bad("trailers are too long")
	}
	var f Field
	if err := f.read(line); err != nil {
		return err
	}
	if forbidden(f.ID) {
		if c.Lenient {
			return nil
		}
		return errTrailer
	}
	if c.trailer == nil {
		c.trailer = make([]byte, 0, maxTrailer) // fields point into it
	}
	at := len(c.trailer)
	c.trailer = append(append(c.trailer, f.Name...), f.Value...)
	f.Name, f.Value = c.trailer[at:at+len(f.Name)], c.trailer[at+len(f.Name):]
	c.fields = append(c.fields, f)
	return nil
}

var errTrailer = bad("a trailer that would change the message's framing or routing")

// forbidden are the fields that must not stand in a trailer section.
func forbidden(id ID) bool {
	switch id {
	case ContentLength, TransferEncoding, Host, Trailer, Connection, Upgrade, TE:
		return true
	}
	return false
}
