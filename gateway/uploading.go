// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/gateway/h1"
)

// continueTime is how long an origin that was asked whether it wants a body may
// say nothing before it is sent the body all the same (RFC 9110 §10.1.1).
const continueTime = time.Second

// lastPiece is how long an origin that has answered may take to take what is
// left of a body that has come to its end.
const lastPiece = 20 * time.Millisecond

// An uploading is the goroutine that sends a request's body to the origin while
// the passage waits for the answer, which may come first.
type uploading struct {
	body    *upload
	chunked bool
	wanted  chan struct{} // closed when the origin wants the body; nil: it was not asked
	quit    chan struct{} // closed when nobody wants it any more
	done    chan struct{} // closed when the goroutine has ended
	whole   bool          // all was sent; to be read after done
	last    atomic.Int64  // when something was last sent, Unix time in ns

	once, leave sync.Once
}

func newUploading(body *upload, h *hop, stall time.Duration, chunked, ask bool) *uploading {
	u := &uploading{body: body, chunked: chunked, quit: make(chan struct{}), done: make(chan struct{})}
	u.last.Store(time.Now().UnixNano())
	if ask {
		u.wanted = make(chan struct{})
	}
	go u.run(h, stall)
	return u
}

// proceed says that the origin wants the body.
func (u *uploading) proceed() {
	if u.wanted != nil {
		u.once.Do(func() { close(u.wanted) })
	}
}

// refuse ends the wait for an origin that answers without having asked for the body.
func (u *uploading) refuse() {
	if u.wanted != nil {
		u.once.Do(func() { u.leave.Do(func() { close(u.quit) }) })
	}
}

// since is when the last piece went out, or now while there are more.
func (u *uploading) since() time.Time {
	select {
	case <-u.done:
		return time.Unix(0, u.last.Load())
	default:
		return time.Now()
	}
}

// stop ends the goroutine and reports whether the whole body was sent.
func (u *uploading) stop(h *hop) bool {
	select {
	case <-u.done:
		return u.whole
	default:
	}
	if u.body.complete() {
		// The answer may have come before the goroutine has noticed that its last
		// piece is out, and that is worth the connection. An origin that does not
		// take that piece is not waited for.
		last := time.NewTimer(lastPiece)
		defer last.Stop()
		select {
		case <-u.done:
			return u.whole
		case <-last.C:
		}
	}
	u.leave.Do(func() { close(u.quit) })
	h.drop() // it may be waiting for the origin to take something
	u.body.stop()
	<-u.done
	return false
}

func (u *uploading) run(h *hop, stall time.Duration) {
	defer close(u.done)
	defer func() {
		if v := recover(); v != nil { // it would end the program; the passage tells
			err := fmt.Errorf("%w: %v\n%s", errCrashed, v, debug.Stack())
			u.body.err.CompareAndSwap(nil, &err)
			h.drop()
		}
	}()
	if u.wanted != nil {
		patience := time.NewTimer(continueTime)
		defer patience.Stop()
		select {
		case <-u.wanted:
		case <-patience.C:
		case <-u.quit:
			return
		}
	}
	if err := u.move(h, stall); err != nil {
		if u.body.failed() != nil {
			h.drop() // the origin has to see that the body does not end
		}
		return
	}
	u.whole = true
}

// move sends the body as it comes. Its error is of either side.
func (u *uploading) move(h *hop, stall time.Duration) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	const front, back = 8, 2 // room for a chunk's size line and its end
	for {
		b := (*buf)[:]
		n, err := u.body.Read(b[front : len(b)-back])
		if err != nil && err != io.EOF {
			return err
		}
		piece := b[front : front+n]
		if u.chunked && n > 0 {
			head := h1.AppendChunkHead(make([]byte, 0, front), n)
			copy(b[front-len(head):], head)
			piece = append(b[front-len(head):front+n], "\r\n"...)
		}
		if u.chunked && err == io.EOF {
			piece = append(piece, "0\r\n"...)
			if u.body.trailers != nil {
				piece = h1.AppendFields(piece, passOn(nil, u.body.trailers()))
			}
			piece = append(piece, "\r\n"...)
		}
		now := time.Now()
		h.allowWrite(now, stall)
		if len(piece) > 0 {
			if _, err := h.w.Write(piece); err != nil {
				return err
			}
		}
		u.last.Store(now.UnixNano())
		if err == io.EOF || !u.chunked && u.body.complete() {
			return nil
		}
	}
}
