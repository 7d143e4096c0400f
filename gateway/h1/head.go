// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h1

import (
	"bytes"
	"strconv"
	"strings"
)

// An Error says which rule of the grammar a message breaks, and which status
// answers it. The connection it came on cannot be used further.
type Error struct {
	Status int
	Msg    string
}

func (e *Error) Error() string { return e.Msg }

func bad(msg string) *Error { return &Error{Status: 400, Msg: msg} }

// A Head is what the framing of a request depends on. Method and Target point
// into the bytes that were parsed.
type Head struct {
	Method, Target []byte
	Minor          int   // 0 or 1, of HTTP/1.x
	Length         int64 // of the body; 0 when none, -1 when Chunked
	Chunked        bool
	WebSocket      bool // asks to change to WebSocket (RFC 6455 §4.1), so that what follows may be opaque
}

// Connect reports whether what follows the head is opaque once accepted.
func (h *Head) Connect() bool { return string(h.Method) == "CONNECT" }

// ParseHead reads one request head from the start of b.
//
// It returns the number of bytes the head takes, up to and including the
// empty line, or 0 when b does not hold all of it yet. b must not begin with
// empty lines (RFC 9112 §2.2 lets a server skip them; the caller does). What
// is already wrong in an unfinished head is reported only once it is whole or
// its line is.
func ParseHead(b []byte) (h Head, n int, err error) {
	if len(b) > 0 && !isToken(b[0]) {
		return h, 0, bad("the request does not begin with a method") // TLS, for one, which would never end its line
	}
	line, n, err := nextLine(b)
	if n == 0 || err != nil {
		return h, 0, err
	}
	if err := h.requestLine(line); err != nil {
		return h, 0, err
	}
	f := fields{minor: h.Minor, length: -1}
	for {
		line, m, err := nextLine(b[n:])
		if m == 0 || err != nil {
			return h, 0, err
		}
		n += m
		if len(line) == 0 {
			break
		}
		if err := f.add(line); err != nil {
			return h, 0, err
		}
	}
	if err := f.frame(&h); err != nil {
		return h, 0, err
	}
	return h, n, nil
}

// nextLine returns the line at the start of b without its CRLF, and its whole
// length; 0 when it is not complete. RFC 9112 §2.2 allows a recipient to take
// a bare LF as the end of a line; two recipients that differ in that see two
// messages, so it is refused, as a bare CR is.
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
	line = b[:i-1]
	if bytes.IndexByte(line, '\r') >= 0 {
		return nil, 0, bad("bare CR in the message head")
	}
	return line, i + 1, nil
}

// requestLine reads method SP request-target SP HTTP-version (RFC 9112 §3),
// with exactly one space each.
func (h *Head) requestLine(line []byte) error {
	sp1 := bytes.IndexByte(line, ' ')
	sp2 := bytes.LastIndexByte(line, ' ')
	if sp1 <= 0 || sp2 == sp1 {
		return bad("request line is not method, target and version")
	}
	h.Method, h.Target = line[:sp1], line[sp1+1:sp2]
	for _, c := range h.Method {
		if !isToken(c) {
			return bad("method has a character that is not a token's")
		}
	}
	if len(h.Target) == 0 {
		return bad("request target is empty")
	}
	for _, c := range h.Target {
		if c <= ' ' || c == 0x7f {
			return bad("request target has a space or control character")
		}
	}
	switch version := line[sp2+1:]; string(version) {
	case "HTTP/1.1":
		h.Minor = 1
	case "HTTP/1.0":
		h.Minor = 0
	default:
		if len(version) == 8 && string(version[:5]) == "HTTP/" && isDigit(version[5]) && version[6] == '.' && isDigit(version[7]) {
			return &Error{Status: 505, Msg: "HTTP version is neither 1.1 nor 1.0"}
		}
		return bad("request line does not end in an HTTP version")
	}
	return nil
}

// fields gathers what the field lines of a head say about its framing.
type fields struct {
	minor    int
	hosts    int
	length   int64 // -1: none seen
	chunked  bool
	encoding bool // a Transfer-Encoding was seen
	upgrade  bool // to WebSocket
}

// add reads one field line: field-name ":" OWS field-value OWS (RFC 9112 §5).
func (f *fields) add(line []byte) error {
	name, value, err := splitField(line)
	if err != nil {
		return err
	}
	switch len(name) { // most fields are none of these: compare lengths first
	case len("Host"):
		if strings.EqualFold(string(name), "Host") {
			f.hosts++
			return checkHost(value)
		}
	case len("Expect"):
		if strings.EqualFold(string(name), "Expect") && !strings.EqualFold(string(value), "100-continue") {
			return &Error{Status: 417, Msg: "only the expectation 100-continue is understood"}
		}
	case len("Trailer"): // and of Upgrade
		switch {
		case strings.EqualFold(string(name), "Trailer"):
			return announced(value)
		case strings.EqualFold(string(name), "Upgrade"):
			f.upgrade = strings.EqualFold(string(value), "websocket")
		}
	case len("Content-Length"):
		if strings.EqualFold(string(name), "Content-Length") {
			return f.contentLength(value)
		}
	case len("Transfer-Encoding"):
		if strings.EqualFold(string(name), "Transfer-Encoding") {
			return f.transferEncoding(value)
		}
	}
	return nil
}

// contentLength: RFC 9110 §8.6 lets a recipient merge equal repeats. Nobody
// honest sends them, and the next hop may merge differently: one is the limit.
func (f *fields) contentLength(value []byte) error {
	if f.length >= 0 {
		return bad("more than one Content-Length")
	}
	if len(value) == 0 || len(value) > 18 {
		return bad("Content-Length is not a number of reasonable size")
	}
	for _, c := range value {
		if !isDigit(c) {
			return bad("Content-Length is not a number of reasonable size")
		}
	}
	f.length, _ = strconv.ParseInt(string(value), 10, 64) // 18 digits fit
	return nil
}

// transferEncoding takes chunked and nothing else, once (RFC 9112 §6.1).
func (f *fields) transferEncoding(value []byte) error {
	if f.encoding {
		return bad("more than one Transfer-Encoding")
	}
	f.encoding = true
	if !strings.EqualFold(string(value), "chunked") {
		return &Error{Status: 501, Msg: "a transfer coding other than chunked"}
	}
	f.chunked = true
	return nil
}

// frame decides how long the body is (RFC 9112 §6.3), once.
func (f *fields) frame(h *Head) error {
	switch {
	case f.hosts > 1:
		return bad("more than one Host")
	case f.hosts == 0 && f.minor == 1:
		return bad("no Host in an HTTP/1.1 request (RFC 9112 §3.2)")
	case f.chunked && f.minor == 0:
		return bad("Transfer-Encoding in an HTTP/1.0 request (RFC 9112 §6.1)")
	case f.chunked && f.length >= 0:
		return bad("both Transfer-Encoding and Content-Length (RFC 9112 §6.1)")
	case h.Connect() && (f.chunked || f.length > 0):
		return bad("a body on CONNECT, which has none (RFC 9110 §9.3.6)")
	case f.chunked:
		h.Chunked, h.Length = true, -1
	case f.length > 0:
		h.Length = f.length
	default:
		h.WebSocket = f.upgrade && f.minor == 1 && string(h.Method) == "GET"
	}
	return nil
}

// announced reads the Trailer field (RFC 9110 §6.6.2).
func announced(value []byte) error {
	for name := range strings.SplitSeq(string(value), ",") {
		if err := trailerName(strings.Trim(name, " \t")); err != nil {
			return err
		}
	}
	return nil
}

// splitField takes a field line apart. A line that begins with white space
// would be obsolete folding (RFC 9112 §5.2), white space before the colon is
// how CL.TE desyncs are hidden (§5.1): neither is a token, so both are refused.
func splitField(line []byte) (name, value []byte, err error) {
	colon := bytes.IndexByte(line, ':')
	if line[0] == ' ' || line[0] == '\t' {
		return nil, nil, bad("folded field line (obs-fold)")
	}
	if colon <= 0 {
		return nil, nil, bad("field line without a name and a colon")
	}
	name = line[:colon]
	for _, c := range name {
		if !isToken(c) {
			if c == ' ' || c == '\t' {
				return nil, nil, bad("white space before the colon of a field")
			}
			return nil, nil, bad("field name has a character that is not a token's")
		}
	}
	value = bytes.Trim(line[colon+1:], " \t")
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, nil, bad("field value has a control character")
		}
	}
	return name, value, nil
}

// checkHost allows what uri-host [":" port] can hold (RFC 3986 §3.2.2); which
// host it names is for the caller to read.
func checkHost(value []byte) error {
	for _, c := range value {
		if !isToken(c) && !strings.ContainsRune("[]:();,=", rune(c)) {
			return bad("Host has a character no host can have")
		}
		switch c {
		case '#', '^', '`', '|':
			return bad("Host has a character no host can have")
		}
	}
	return nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// token marks tchar of RFC 9110 §5.6.2.
var token = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()

func isToken(c byte) bool { return token[c] }
