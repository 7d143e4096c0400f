// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h1

import "bytes"

// A Request is the head of a request. What it holds points into the bytes that
// were parsed. It is made to be used again for the next one.
type Request struct {
	Method, Target []byte
	message
	WebSocket bool // asks to change to WebSocket (RFC 6455 §4.1), so that what follows may be opaque
	Expect    bool // waits to be told to go on before it sends its body (RFC 9110 §10.1.1)

	websocket bool // Upgrade names it, and nothing else does
	upgrades  int
	upgrade   bool // Connection names Upgrade
}

// Connect reports whether what follows the head is opaque once accepted.
func (r *Request) Connect() bool { return string(r.Method) == "CONNECT" }

// Parse reads one request head from the start of b.
//
// It returns the number of bytes the head takes, up to and including the
// empty line, or 0 when b does not hold all of it yet. b must not begin with
// empty lines (RFC 9112 §2.2 lets a server skip them; the caller does). What
// is already wrong in an unfinished head is reported as soon as its line is
// there. After an error r is not to be used.
func (r *Request) Parse(b []byte) (n int, err error) {
	r.Reset()
	if len(b) > 0 && class[b[0]]&isToken == 0 {
		return 0, bad("the request does not begin with a method") // TLS, for one, which would never end its line
	}
	line, n, err := nextLine(b)
	if n == 0 || err != nil {
		return 0, err
	}
	if err := r.line(line); err != nil {
		return 0, err
	}
	if n, err = r.fields(b, n); n == 0 || err != nil {
		return 0, err
	}
	const own = 1<<Expect | 1<<Trailer | 1<<Upgrade | 1<<Connection
	for i := range r.Fields {
		if r.seen&own == 0 {
			break
		}
		if err := r.heed(&r.Fields[i]); err != nil {
			return 0, err
		}
	}
	if err := r.frame(); err != nil {
		return 0, err
	}
	return n, nil
}

// Reset forgets the request. Its bytes are not pointed to any more.
func (r *Request) Reset() {
	clear(r.Fields)
	*r = Request{message: r.message}
	r.reset()
}

// line reads method SP request-target SP HTTP-version (RFC 9112 §3), with
// exactly one space each.
func (r *Request) line(line []byte) (err error) {
	sp1 := bytes.IndexByte(line, ' ')
	sp2 := bytes.LastIndexByte(line, ' ')
	if sp1 <= 0 || sp2 == sp1 {
		if bytes.IndexByte(line, '\r') >= 0 {
			return badByte('\r', "")
		}
		return bad("request line is not method, target and version")
	}
	r.Method, r.Target = line[:sp1], line[sp1+1:sp2]
	for _, c := range r.Method {
		if class[c]&isToken == 0 {
			return badByte(c, "method has a character that is not a token's")
		}
	}
	if len(r.Target) == 0 {
		return bad("request target is empty")
	}
	for _, c := range r.Target {
		if c <= ' ' || c == 0x7f {
			return badByte(c, "request target has a space or control character")
		}
	}
	if r.Minor, err = version(line[sp2+1:]); err != nil && bytes.IndexByte(line, '\r') >= 0 {
		return badByte('\r', "")
	}
	return err
}

var errVersion error = bad("request line does not end in an HTTP version")

// heed takes in what means something in requests only.
func (r *Request) heed(f *Field) error {
	switch f.ID {
	case Expect:
		if !EqualFold(f.Value, "100-continue") {
			return &Error{Status: 417, Msg: "only the expectation 100-continue is understood"}
		}
		r.Expect = true
	case Trailer:
		return Announced(f.Value)
	case Upgrade:
		r.websocket = r.upgrades == 0 && EqualFold(f.Value, "websocket") // of several, each hop goes by another
		r.upgrades++
	case Connection:
		r.upgrade = r.upgrade || hasToken(f.Value, "upgrade")
	}
	return nil
}

// frame decides how long the body is (RFC 9112 §6.3), once.
func (r *Request) frame() error {
	switch {
	case r.hosts > 1:
		return bad("more than one Host")
	case r.hosts == 0 && r.Minor == 1:
		return bad("no Host in an HTTP/1.1 request (RFC 9112 §3.2)")
	case r.Chunked && r.Minor == 0:
		return bad("Transfer-Encoding in an HTTP/1.0 request (RFC 9112 §6.1)")
	case r.Chunked && r.length >= 0:
		return bad("both Transfer-Encoding and Content-Length (RFC 9112 §6.1)")
	case r.Connect() && (r.Chunked || r.length > 0):
		return bad("a body on CONNECT, which has none (RFC 9110 §9.3.6)")
	case r.Chunked:
		r.Length = -1
	case r.length > 0:
		r.Length = r.length
	}
	none := r.Length == 0
	r.Expect = r.Expect && !none && r.Minor == 1 // HTTP/1.0 does not know it (RFC 9110 §10.1.1)
	r.WebSocket = none && r.websocket && r.upgrade && r.Minor == 1 && string(r.Method) == "GET"
	r.KeepAlive = r.keepAlive()
	return nil
}

// Announced reads a Trailer field (RFC 9110 §6.6.2). The error says that it holds
// something else than names of fields that may stand in a trailer section.
func Announced(value []byte) error {
	for len(value) > 0 {
		name, rest, _ := bytes.Cut(value, comma)
		name = trim(name)
		for _, c := range name {
			if class[c]&isToken == 0 {
				return bad("Trailer holds what is no field name")
			}
		}
		if forbidden(Identify(name)) {
			return errTrailer
		}
		value = rest
	}
	return nil
}
