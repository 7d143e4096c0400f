// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// A stream is a CONNECT by HTTP/2 that was accepted, as a connection (RFC 9113
// §8.5). The handler it belongs to waits for its Close.
//
// Its end is the stream's both ways: net/http can end what it sends only with
// the handler, so that CloseWrite is not supported, and a tunnel whose origin
// ends is over.
type stream struct {
	r  *http.Request
	w  http.ResponseWriter
	rc *http.ResponseController

	once  sync.Once
	done  chan struct{} // closed by Close
	mu    sync.Mutex
	busy  bool // in a Write
	late  bool // there is no more time for one
	reset bool // the end is to be none in order
}

func (s *stream) Read(b []byte) (int, error) {
	n, err := s.r.Body.Read(b)
	if err != nil {
		err = bodyError2(err)
	}
	return n, err
}

// Write sends b at once.
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	if s.late {
		s.mu.Unlock()
		return 0, os.ErrDeadlineExceeded
	}
	s.busy = true
	s.mu.Unlock()
	n, err := s.w.Write(b)
	if err == nil {
		err = s.rc.Flush()
	}
	s.mu.Lock()
	s.busy = false
	s.mu.Unlock()
	return n, err
}

// CloseWrite says that it cannot be done.
func (s *stream) CloseWrite() error { return errors.ErrUnsupported }

// SetLinger makes the stream's end a reset, which nobody takes for an end in order.
func (s *stream) SetLinger(int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reset = true
	return nil
}

// Close lets the handler go.
func (s *stream) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}

// wait waits for Close and reports whether the stream is to be reset.
func (s *stream) wait() (reset bool) {
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reset
}

func (s *stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

func (s *stream) SetReadDeadline(t time.Time) error { return s.rc.SetReadDeadline(t) }

// SetWriteDeadline with a time that has passed resets the stream only when a
// Write waits: net/http knows no other way to end one, and without one the
// stream can still end in order.
func (s *stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = !t.IsZero() && !t.After(time.Now())
	if s.late && !s.busy {
		return nil
	}
	return s.rc.SetWriteDeadline(t)
}

func (s *stream) LocalAddr() net.Addr {
	a, _ := s.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return a
}

func (s *stream) RemoteAddr() net.Addr {
	a, err := net.ResolveTCPAddr("tcp", s.r.RemoteAddr)
	if err != nil {
		return nil
	}
	return a
}
