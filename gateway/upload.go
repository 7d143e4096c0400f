// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/gateway/h1"
)

// An upload is the client's body on its way to the origin. net/http reads it
// from a goroutine of the origin's connection, which may outlive the answer;
// stop makes sure that it does not outlive the passage.
type upload struct {
	body   io.ReadCloser
	rc     *http.ResponseController
	conn   *strictConn
	length int64 // -1: unknown
	stall  time.Duration

	n     atomic.Int64
	ended atomic.Bool // read to its end
	quit  atomic.Bool

	err atomic.Pointer[error]

	from *http.Request // whose trailers follow the body; nil: none can
	to   http.Header

	mu sync.Mutex // held while reading
}

func (p *passage) upload() *upload {
	u := &upload{
		body: p.r.Body, length: p.r.ContentLength, conn: p.conn,
		rc: http.NewResponseController(p.w), stall: p.s.Limits.stall(),
	}
	if u.length == 0 {
		u.ended.Store(true)
		return u
	}
	p.mayTake() // net/http writes a 100 when the body is first read
	// An origin may answer before it has taken the whole body; net/http would
	// otherwise read the rest of it first. HTTP/2 needs no such call.
	_ = u.rc.EnableFullDuplex()
	return u
}

// trailers returns the trailers for the origin: now the names that were
// announced, with the body's end also their values and those of the others.
func (u *upload) trailers(r *http.Request) http.Header {
	u.from, u.to = r, make(http.Header)
	for name := range nextHop(r.Trailer) {
		u.to[name] = nil
	}
	return u.to
}

// Read implements io.Reader.
func (u *upload) Read(b []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.quit.Load() {
		return 0, errUploadOver
	}
	_ = u.rc.SetReadDeadline(time.Now().Add(u.stall))
	if u.quit.Load() { // stop came between: its deadline has to win
		_ = u.rc.SetReadDeadline(past)
	}
	n, err := u.body.Read(b)
	u.n.Add(int64(n))
	switch {
	case err == io.EOF:
		u.ended.Store(true)
		_ = u.rc.SetReadDeadline(time.Time{})
		if u.from != nil {
			maps.Copy(u.to, nextHop(u.from.Trailer))
		}
	case err != nil:
		u.err.CompareAndSwap(nil, &err)
	}
	return n, err
}

// Close implements io.Closer. The body belongs to net/http's server, which
// closes it.
func (u *upload) Close() error { return nil }

func (u *upload) sent() int64 { return u.n.Load() }

// complete reports whether the whole body was read.
func (u *upload) complete() bool {
	return u.ended.Load() || u.length > 0 && u.n.Load() >= u.length
}

// failed returns the error that reading from the client ended in, if any.
func (u *upload) failed() error {
	failure := u.err.Load()
	if failure == nil {
		return nil
	}
	var network net.Error
	switch err := *failure; {
	case errors.Is(err, errUploadOver), errors.Is(err, http.ErrBodyReadAfterClose):
		return nil
	case u.conn.spoilt() != nil: // whatever net/http made of it
		return malformed(u.conn.spoilt())
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
		return &Error{
			Status: http.StatusRequestTimeout, Cause: "http_request_error", Outcome: Gone, NoReuse: true,
			Msg: "the request's body did not come to its end", Err: err,
		}
	default: // net/http has limits of its own, as on what surrounds chunks
		return malformed(&h1.Error{Msg: strings.TrimPrefix(err.Error(), "http: ")})
	}
}

// stop ends an upload whose answer is complete. What is left of the body would
// be read as the next request, so the connection ends too.
func (u *upload) stop() {
	u.quit.Store(true)
	if u.complete() {
		return
	}
	if u.conn != nil {
		u.conn.stop()
	}
	_ = u.rc.SetReadDeadline(past)
	u.mu.Lock() // wait for a read that is under way
	defer u.mu.Unlock()
}

var (
	errUploadOver = errors.New("the answer is complete")
	past          = time.Unix(1, 0)
)
