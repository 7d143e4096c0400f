// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h3

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// An upload is the body of a request on its way, read by a goroutine of quic-go's.
type upload struct {
	io.ReadCloser
	touched atomic.Bool
	end     sync.Once
	ended   chan struct{} // closed when nobody reads it any more

	// Of a request that expects a 100 (RFC 9110 §10.1.1).
	wait    time.Duration // how long it is waited for; 0: not at all
	go100   sync.Once
	wanted  chan struct{} // closed when the body is wanted, or has to be sent anyway
	refused atomic.Bool   // an answer has come instead
}

func newUpload(body io.ReadCloser, wait time.Duration) *upload {
	return &upload{ReadCloser: body, ended: make(chan struct{}), wait: wait, wanted: make(chan struct{})}
}

var errUnwanted = errors.New("the origin has answered without the body")

// Read implements io.Reader.
func (u *upload) Read(b []byte) (int, error) {
	if u.wait > 0 {
		t := time.NewTimer(u.wait)
		select {
		case <-u.wanted:
		case <-t.C:
			u.proceed()
		}
		t.Stop()
		if u.refused.Load() && !u.touched.Load() {
			return 0, errUnwanted
		}
	}
	u.touched.Store(true)
	return u.ReadCloser.Read(b)
}

// proceed lets the body go.
func (u *upload) proceed() { u.go100.Do(func() { close(u.wanted) }) }

// refuse keeps a body back that waits for a 100.
func (u *upload) refuse() {
	if u.wait > 0 {
		u.refused.Store(true)
		u.proceed()
	}
}

// Close implements io.Closer. quic-go calls it when it has read enough.
func (u *upload) Close() error {
	u.end.Do(func() { close(u.ended) })
	return u.ReadCloser.Close()
}

func (u *upload) over() bool {
	select {
	case <-u.ended:
		return true
	default:
		return false
	}
}

// A download is the body of an answer. With its end the request is over.
type download struct {
	io.ReadCloser
	once sync.Once
	done func()
}

// Close implements io.Closer. It ends the stream where the body has not ended.
func (d *download) Close() error {
	err := d.ReadCloser.Close()
	d.once.Do(d.done)
	return err
}
