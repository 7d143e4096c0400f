// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
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
	// An origin may answer before it has taken the whole body; net/http would
	// otherwise read the rest of it first. HTTP/2 needs no such call.
	_ = u.rc.EnableFullDuplex()
	return u
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
	switch {
	case failure == nil, errors.Is(*failure, errUploadOver), errors.Is(*failure, http.ErrBodyReadAfterClose):
		return nil
	case errors.Is(*failure, errMalformedBody):
		return malformed(u.conn.faulty())
	}
	return &Error{
		Status: http.StatusRequestTimeout, Cause: "http_request_error", Outcome: Gone, NoReuse: true,
		Msg: "the request's body did not come to its end", Err: *failure,
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
	u.mu.Unlock()
}

var (
	errUploadOver = errors.New("the answer is complete")
	past          = time.Unix(1, 0)
)
