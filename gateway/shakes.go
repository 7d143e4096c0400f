// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"container/list"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

// maxShakes is how many handshakes with clients may be going on. Whoever fills
// them up with connections that say half a ClientHello makes room for the next:
// the one that has taken longest gives way, and an honest one takes milliseconds.
const maxShakes = 4096

// shakes are the handshakes with clients that are going on. The zero value is ready.
type shakes struct {
	mu    sync.Mutex
	going list.List // of *conn, the oldest first
}

// enter gives c a place, which leave gives back.
func (s *shakes) enter(c *conn) *list.Element {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.going.Len() >= maxShakes {
		oldest := s.going.Remove(s.going.Front()).(*conn)
		oldest.cut(errCrowded)
	}
	return s.going.PushBack(c)
}

func (s *shakes) leave(place *list.Element) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.going.Remove(place) // does nothing to one that had to give way
}

var errCrowded = fmt.Errorf("%d other TLS handshakes are going on, and this one took longest", maxShakes)

// unshaken says what a handshake's failure means: told is whether anybody should
// hear of it, which is not so when we ended it, and spoke whether we told the
// client why.
func (c *conn) unshaken(err error) (told, spoke bool) {
	c.mu.Lock()
	told = c.cause == nil || c.cause == errCrowded
	told = told && !c.s.draining.Load()
	c.mu.Unlock()
	var op *net.OpError
	return told, !errors.As(err, &op) && !isTimeout(err) && !errors.Is(err, io.EOF)
}

// shakeReason explains a failed handshake to whoever reads the log.
func shakeReason(err error) string {
	var (
		head tls.RecordHeaderError
		why  = err.Error()
	)
	switch {
	case errors.As(err, &head):
		return "what it says is not TLS: " + head.Msg
	case isTimeout(err):
		return "it was not completed in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the client closed the connection in the middle of it"
	case tlsAlert(err) && (strings.Contains(why, "unknown certificate") || strings.Contains(why, "bad certificate")):
		return why + ": the client does not trust the gateway's certificate; it needs its root (sallyport ca root), or was given another name for the gateway than the certificate holds"
	}
	return why
}
