// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h1

// A Response is the head of a response. What it holds points into the bytes
// that were parsed. It is made to be used again for the next one.
type Response struct {
	Status int
	Reason []byte // may be empty
	message

	// Odd reports what is no error, and still no reason to trust the
	// connection's framing any further.
	Odd bool
}

// Parse reads one response head from the start of b, the answer to a request
// with the given method, and returns how many bytes it takes, or 0 when b does
// not hold all of it yet. It is as strict as Request.Parse: a gateway that
// mends what it passes on speaks for an origin that it did not understand.
func (r *Response) Parse(b []byte, method string) (n int, err error) {
	r.reset()
	r.Odd = false
	line, n, err := nextLine(b)
	if n == 0 || err != nil {
		if err == nil && len(b) >= len(prefix) && string(b[:len(prefix)]) != prefix {
			err = errStatusLine // no need to wait for the end of that
		}
		return 0, err
	}
	if err := r.line(line); err != nil {
		return 0, err
	}
	if n, err = r.fields(b, n); n == 0 || err != nil {
		return 0, err
	}
	if err := r.frame(method); err != nil {
		return 0, err
	}
	return n, nil
}

const prefix = "HTTP/1."

var errStatusLine = bad("the answer does not begin with an HTTP/1 status line")

// line reads HTTP-version SP status-code SP [ reason-phrase ] (RFC 9112 §4).
// The space behind the code is missing often enough to be forgiven: there is
// one way only to read such a line.
func (r *Response) line(line []byte) (err error) {
	if len(line) < len("HTTP/1.1 200") || string(line[:len(prefix)]) != prefix || line[8] != ' ' {
		return errStatusLine
	}
	if r.Minor, err = version(line[:8]); err == errVersion {
		return errStatusLine
	} else if err != nil {
		return err
	}
	code, rest := line[9:12], line[12:]
	for _, c := range code {
		if !isDigit(c) {
			return errStatusLine
		}
	}
	r.Status = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	if r.Status < 100 { // RFC 9110 §15; above 599 there are some that mean nothing to us
		return bad("the answer's status code is none")
	}
	if len(rest) > 0 && rest[0] != ' ' {
		return errStatusLine
	}
	if len(rest) > 0 {
		rest = rest[1:]
	}
	if i := control(rest); i >= 0 {
		return badByte(rest[i], "the answer's reason phrase has a control character")
	}
	r.Reason = rest
	return nil
}

// frame decides how long the body is (RFC 9112 §6.3), once.
func (r *Response) frame(method string) error {
	if r.Chunked && r.Minor == 0 {
		return bad("Transfer-Encoding in an HTTP/1.0 answer (RFC 9112 §6.1)")
	}
	if r.Chunked && r.Has(Trailer) {
		for i := range r.Fields {
			if f := &r.Fields[i]; f.ID == Trailer {
				if err := Announced(f.Value); err != nil {
					return err
				}
			}
		}
	}
	r.KeepAlive = r.keepAlive()
	// "ought to be handled as an error" (RFC 9112 §6.3). Chunks win, the length is
	// not passed on, and the connection is not used again.
	r.Odd = r.Chunked && r.length >= 0
	switch {
	case method == "HEAD", r.Status < 200, r.Status == 204, r.Status == 304:
		r.Length = 0
		if r.Chunked || r.length < 0 {
			r.Chunked, r.length = false, -1
		}
	case r.Chunked:
		r.Length, r.length = -1, -1
	case r.length >= 0:
		r.Length = r.length
	default: // to the end of the connection
		r.Length, r.KeepAlive = -1, false
	}
	return nil
}

// Announced is the Content-Length that the head named, also where no body
// follows (RFC 9110 §8.6); -1 for none.
func (r *Response) Announced() int64 { return r.length }
