// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/gateway/h1"
)

// An upload is the client's body on its way to the origin. Another goroutine
// than the passage's reads it, and may outlive the answer; stop makes sure that
// it does not outlive the passage, nor read what the next one has to. The zero
// upload is that of a request without a body.
type upload struct {
	body     io.Reader
	length   int64            // -1: unknown
	arm      func()           // gives the client its time to send the next bytes
	halt     func()           // makes a Read of body return, and lets nobody read on
	trailers func() h1.Fields // once the body has been read; nil: none can follow

	most int64           // bytes that the client may send; 0: any number
	over *Error          // what it is told when it sends more
	hold *hold           // whose bandwidth they take; nil: nobody's
	cut  chan struct{}   // with hold: closed by stop
	gone <-chan struct{} // of net/http, which waits for a Read before it tells that the client has left; nil otherwise

	n     atomic.Int64
	ended atomic.Bool // read to its end
	quit  atomic.Bool
	err   atomic.Pointer[error]

	mu sync.Mutex // held while reading
}

// Read implements io.Reader.
func (u *upload) Read(b []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.complete() {
		return 0, io.EOF
	}
	if failure := u.err.Load(); failure != nil { // what is behind it is no body
		return 0, *failure
	}
	if u.quit.Load() {
		return 0, errUploadOver
	}
	u.arm()
	if u.quit.Load() { // stop came between: its deadline has to win
		u.halt()
	}
	if u.hold != nil {
		b = b[:min(len(b), u.hold.piece())]
	}
	n, err := u.body.Read(b)
	if u.most > 0 && u.n.Load()+int64(n) > u.most {
		n, err = 0, errLargeBody // the origin never sees the end
	}
	u.n.Add(int64(n))
	if u.hold != nil && n > 0 {
		u.wait(n)
	}
	switch {
	case err == io.EOF:
		u.ended.Store(true)
	case err != nil:
		u.err.CompareAndSwap(nil, &err)
	}
	return n, err
}

// wait returns when n bytes may be passed on, or nobody wants them any more.
func (u *upload) wait(n int) {
	_, wait := u.hold.pace(n)
	if wait == 0 {
		return
	}
	defer u.hold.waited(time.Now())
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-u.cut:
	case <-u.gone:
	}
}

// Close implements io.Closer, which net/http asks for. The body is the client's.
func (u *upload) Close() error { return nil }

func (u *upload) sent() int64 { return u.n.Load() }

// complete reports whether the whole body was read.
func (u *upload) complete() bool {
	return u.length == 0 || u.ended.Load() || u.length > 0 && u.n.Load() >= u.length
}

// failed returns the error that reading from the client ended in, if any.
func (u *upload) failed() error {
	failure := u.err.Load()
	if failure == nil {
		return nil
	}
	var network net.Error
	var fault *h1.Error
	switch err := *failure; {
	case errors.Is(err, errUploadOver), errors.Is(err, http.ErrBodyReadAfterClose):
		return nil
	case errors.Is(err, errLargeBody):
		return u.over
	case errors.As(err, &fault):
		return malformed(fault)
	case errors.Is(err, errCrashed):
		return &Error{
			Status: http.StatusInternalServerError, Cause: "proxy_internal_error", Outcome: Failed, NoReuse: true,
			Msg: "the gateway failed while it passed the request's body on", Err: err,
		}
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
	if u.length == 0 { // nothing is everybody's: leave its memory alone
		return
	}
	if !u.quit.Swap(true) && u.cut != nil {
		close(u.cut)
	}
	switch {
	case !u.complete():
		u.halt()
	case u.cut == nil:
		return
	}
	u.mu.Lock() // wait for a read that is under way, or for its turn
	defer u.mu.Unlock()
}

var errUploadOver = errors.New("the answer is complete")
