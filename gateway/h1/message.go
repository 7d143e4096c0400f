// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h1

import "bytes"

// An Error says which rule of the grammar a message breaks, and which status
// answers it. The connection it came on cannot be used further.
type Error struct {
	Status int
	Msg    string
}

func (e *Error) Error() string { return e.Msg }

func bad(msg string) *Error { return &Error{Status: 400, Msg: msg} }

// maxFields bounds the field lines of one head: what is kept of each takes more
// memory than the four bytes of the shortest.
const maxFields = 1000

// A message is what requests and responses have in common.
type message struct {
	Minor  int    // 0 or 1, of HTTP/1.x
	Fields Fields // in their order; reused by the next Parse

	// Length is that of the body in bytes: 0 when there is none, -1 when its end
	// is found otherwise: by its chunks or, of a response, by the connection's end.
	Length  int64
	Chunked bool

	// KeepAlive reports whether the sender can take another message on the
	// connection (RFC 9112 §9.3).
	KeepAlive bool

	seen     uint32 // 1<<ID of the fields
	length   int64  // Content-Length; -1: none
	encoding bool   // a Transfer-Encoding was seen
	hosts    int
	keep     bool // Connection says keep-alive
	close    bool // Connection says close
}

// fields reads the field lines of a head, from b[n:] on, to the empty line. It
// returns where that ends, or 0 when it has not come yet.
func (m *message) fields(b []byte, n int) (int, error) {
	for {
		line, l, err := nextLine(b[n:])
		if l == 0 || err != nil {
			return 0, err
		}
		n += l
		if len(line) == 0 {
			return n, nil
		}
		at := len(m.Fields)
		if at >= maxFields {
			return 0, &Error{Status: 431, Msg: "the head has too many fields"}
		}
		if at < cap(m.Fields) {
			m.Fields = m.Fields[:at+1]
		} else {
			m.Fields = append(m.Fields, Field{})
		}
		f := &m.Fields[at]
		if err := f.read(line); err != nil {
			m.Fields = m.Fields[:at]
			return 0, err
		}
		if f.ID != Other {
			m.seen |= 1 << f.ID
			if err := m.heed(f); err != nil {
				return 0, err
			}
		}
	}
}

// Adopt makes m the head of a message that somebody else has read.
func (m *message) Adopt(fields Fields) {
	m.Fields, m.seen = fields, 0
	for i := range fields {
		m.seen |= 1 << fields[i].ID
	}
}

// Has reports whether a field of that ID stands in the message.
func (m *message) Has(id ID) bool { return m.seen&(1<<id) != 0 }

// reset makes m ready for the next head.
func (m *message) reset() {
	*m = message{Fields: m.Fields[:0], length: -1} // what Fields held before is written over
}

// heed takes in what f says about the message it stands in.
func (m *message) heed(f *Field) error {
	switch f.ID {
	case Host:
		m.hosts++
		return checkHost(f.Value)
	case ContentLength:
		return m.contentLength(f)
	case TransferEncoding:
		return m.transferEncoding(f.Value)
	case Connection:
		m.close = m.close || hasToken(f.Value, "close")
		m.keep = m.keep || m.Minor == 0 && hasToken(f.Value, "keep-alive")
	}
	return nil
}

// contentLength: RFC 9110 §8.6 lets a recipient merge equal repeats. Nobody
// honest sends them, and the next hop may merge differently: one is the limit.
// Zeros in front are octal to some: the field goes on without.
func (m *message) contentLength(f *Field) error {
	value := f.Value
	if m.length >= 0 {
		return bad("more than one Content-Length")
	}
	if len(value) == 0 || len(value) > 18 {
		return bad("Content-Length is not a number of reasonable size")
	}
	m.length = 0
	for _, c := range value { // 18 digits fit
		if !isDigit(c) {
			return bad("Content-Length is not a number of reasonable size")
		}
		m.length = m.length*10 + int64(c-'0')
	}
	for len(f.Value) > 1 && f.Value[0] == '0' {
		f.Value = f.Value[1:]
	}
	return nil
}

// transferEncoding takes chunked and nothing else, once (RFC 9112 §6.1).
func (m *message) transferEncoding(value []byte) error {
	if m.encoding {
		return bad("more than one Transfer-Encoding")
	}
	m.encoding = true
	if !EqualFold(value, "chunked") {
		return &Error{Status: 501, Msg: "a transfer coding other than chunked"}
	}
	m.Chunked = true
	return nil
}

// keepAlive applies RFC 9112 §9.3.
func (m *message) keepAlive() bool {
	return !m.close && (m.Minor == 1 || m.keep)
}

// nextLine returns the line at the start of b without its CRLF, and its whole
// length; 0 when it is not complete. RFC 9112 §2.2 allows a recipient to take
// a bare LF as the end of a line; two recipients that differ in that see two
// messages, so it is refused, as a bare CR is: here in an unfinished line, and
// in a whole one where its bytes are looked at.
func nextLine(b []byte) (line []byte, n int, err error) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		if j := bytes.IndexByte(b, '\r'); j >= 0 && j < len(b)-1 {
			return nil, 0, bad("bare CR in the message head")
		}
		return nil, 0, nil
	}
	if i == 0 || b[i-1] != '\r' {
		return nil, 0, bad("line ends in LF without CR")
	}
	return b[:i-1], i + 1, nil
}

// badByte is what is wrong with a line that holds a byte it must not.
func badByte(c byte, otherwise string) *Error {
	if c == '\r' {
		otherwise = "bare CR in the message head"
	}
	return bad(otherwise)
}

// version reads HTTP-version (RFC 9112 §2.3), which is case-sensitive.
func version(b []byte) (minor int, err error) {
	switch string(b) {
	case "HTTP/1.1":
		return 1, nil
	case "HTTP/1.0":
		return 0, nil
	}
	if len(b) == 8 && string(b[:5]) == "HTTP/" && isDigit(b[5]) && b[6] == '.' && isDigit(b[7]) {
		return 0, &Error{Status: 505, Msg: "HTTP version is neither 1.1 nor 1.0"}
	}
	return 0, errVersion
}

// checkHost allows what uri-host [":" port] can hold (RFC 3986 §3.2.2); which
// host it names is for the caller to read.
func checkHost(value []byte) error {
	for _, c := range value {
		if class[c]&isHost == 0 {
			return bad("Host has a character no host can have")
		}
	}
	return nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
