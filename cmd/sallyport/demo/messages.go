// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"sallyport/tunnel"
)

// A message is what one end said to the other, as far as it can be told apart.
type message struct {
	at     time.Duration
	down   bool
	text   string
	size   int
	clear  bool
	number int // as in Step
	more   bool
}

// messages reads a flow.
func messages(f *Flow) []message {
	var r flowReader
	for _, c := range f.Chunks() {
		s := &r.side[direction(c.Down)]
		switch {
		case c.Data == nil && c.Lost == 0:
			r.end(c)
		case c.Lost > 0:
			r.add(message{at: c.At, down: c.Down, text: "more, not kept", size: len(s.rest) + len(c.Data) + c.Lost, more: true})
			s.kind, s.rest = streamLost, nil
		default:
			s.rest = append(s.rest, c.Data...)
			for r.take(s, c) {
			}
		}
	}
	return r.out
}

// What the stream of a direction is at the moment.
type streamKind int

const (
	streamBegins streamKind = iota
	streamBody              // of an HTTP message
	streamTLS
	streamOther
	streamLost // a part is missing, and nothing can be told from there on
)

type flowReader struct {
	side  [2]flowSide
	out   []message
	ended bool
	// connect is 1 once a CONNECT was seen, and 2 once it was granted.
	connect int
}

type flowSide struct {
	kind   streamKind
	rest   []byte
	secret bool // from here on TLS is encrypted
	opaque bool // behind a CONNECT, and something was seen there
	skip   int  // bytes of records that say nothing
}

// longestLine is how long the first line of a head may be.
const longestLine = 8 << 10

func (r *flowReader) end(c Chunk) {
	if s := &r.side[direction(c.Down)]; s.kind == streamBegins && len(s.rest) > 0 {
		s.kind = streamOther
		r.take(s, c)
	}
	if !r.ended {
		r.ended = true
		r.out = append(r.out, message{at: c.At, down: c.Down, text: "closes", clear: true})
	}
}

// add appends m, or makes the one before it longer when that is the same going on.
func (r *flowReader) add(m message) {
	s := &r.side[direction(m.down)]
	if r.connect == 2 && m.number == 0 && !s.opaque {
		s.opaque, m.number = true, 5
	}
	if n := len(r.out); n > 0 && m.more && r.out[n-1].more && r.out[n-1].down == m.down && r.out[n-1].text == m.text {
		r.out[n-1].size += m.size
		return
	}
	r.out = append(r.out, m)
}

// take reads the next message of a side, and reports whether there may be another.
func (r *flowReader) take(s *flowSide, c Chunk) bool {
	if len(s.rest) == 0 {
		return false
	}
	switch s.kind {
	case streamBegins:
		switch {
		case isRecord(s.rest):
			s.kind = streamTLS
			return true
		case isHead(s.rest, c.Down):
			return r.takeHead(s, c)
		case len(s.rest) < longestLine && !bytes.Contains(s.rest, []byte("\r\n")):
			return false // the rest of the line may make a head of it
		}
		s.kind = streamOther
		return true
	case streamBody:
		if isHead(s.rest, c.Down) {
			s.kind = streamBegins
			return true
		}
		r.add(message{at: c.At, down: c.Down, text: "body", size: len(s.rest), clear: true, more: true})
	case streamTLS:
		return r.takeRecord(s, c)
	case streamOther:
		r.add(message{at: c.At, down: c.Down, text: lineText(s.rest), size: len(s.rest), clear: true})
	case streamLost:
		r.add(message{at: c.At, down: c.Down, text: "more, not kept", size: len(s.rest), more: true})
	}
	s.rest = nil
	return false
}

// isRecord reports whether b begins like TLS: with a handshake or an alert.
func isRecord(b []byte) bool {
	return (b[0] == recordHandshake || b[0] == recordAlert) && (len(b) == 1 || b[1] == 3)
}

// lineText is the first line of what is neither TLS nor HTTP, if it is one.
func lineText(b []byte) string {
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	for _, c := range line {
		if len(line) > 80 || c < ' ' || c > '~' {
			return "bytes that are no text"
		}
	}
	return string(line)
}

// isHead reports whether b begins a request or, coming down, a response.
func isHead(b []byte, down bool) bool {
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	if down {
		return bytes.HasPrefix(line, []byte("HTTP/1."))
	}
	return bytes.HasSuffix(line, []byte(" HTTP/1.1"))
}

func (r *flowReader) takeHead(s *flowSide, c Chunk) bool {
	head, rest, whole := bytes.Cut(s.rest, []byte("\r\n\r\n"))
	if !whole {
		return false
	}
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	m := message{at: c.At, down: c.Down, text: strings.TrimSuffix(string(line), " HTTP/1.1"), size: len(head) + 4, clear: true}
	s.rest, s.kind = rest, streamBody
	switch {
	case !c.Down && r.connect == 0 && bytes.HasPrefix(line, []byte("CONNECT ")):
		r.connect, m.number, s.kind = 1, 1, streamBegins
	case c.Down && r.connect == 1 && bytes.HasPrefix(line, []byte("HTTP/1.1 200")):
		m.number, s.kind = 4, streamBegins
		r.add(m)
		r.connect = 2
		return true
	}
	r.add(m)
	return true
}

func (r *flowReader) takeRecord(s *flowSide, c Chunk) bool {
	rec, n := nextRecord(s.rest)
	if n == 0 {
		return false
	}
	m := message{at: c.At, down: c.Down, size: n + s.skip}
	switch {
	case rec.kind == recordChangeCipher: // RFC 8446 §D.4: it says nothing
		s.skip += n
		s.rest = s.rest[n:]
		return true
	case rec.kind == recordHandshake && !s.secret && len(rec.payload) > 0:
		m.text, m.clear = handshakeText(s.rest[:n], rec.payload[0]), true
	case rec.kind == recordAlert && !s.secret && len(rec.payload) == 2:
		m.text, m.clear = "TLS alert: "+alertText(rec.payload[1]), true
	default:
		s.secret = true
		m.text, m.more = "TLS, encrypted", true
	}
	s.skip, s.rest = 0, s.rest[n:]
	r.add(m)
	return true
}

func handshakeText(record []byte, kind byte) string {
	switch kind {
	case messageClientHello:
		text := "TLS ClientHello"
		if h, complete, err := tunnel.ParseHello(record); err == nil && complete && h.ServerName != "" {
			text += ", SNI " + h.ServerName
		}
		if offersEarlyData(record) {
			text += ", offers early data"
		}
		return text
	case messageServerHello:
		return "TLS ServerHello"
	}
	return "TLS handshake"
}

// alertText names the alerts one meets (RFC 8446 §6.2).
func alertText(code byte) string {
	switch code {
	case 0:
		return "close_notify"
	case 40:
		return "handshake_failure"
	case 42:
		return "bad_certificate"
	case 45:
		return "certificate_expired"
	case 48:
		return "unknown_ca"
	case 80:
		return "internal_error"
	case 110:
		return "unsupported_extension"
	case 112:
		return "unrecognized_name"
	case 116:
		return "certificate_required"
	}
	return fmt.Sprintf("number %d", code)
}
