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
	"time"
)

// maxShakes is how many handshakes with clients may be going on before those that
// take long give way. An honest one takes milliseconds, and when very many come at
// once as long as the processor has work with the others: for that it has shakeGrace.
const (
	maxShakes  = 1024
	shakeGrace = 2 * time.Second
)

// shakes are the handshakes with clients that are going on. Whoever fills them up
// with connections that say half a ClientHello makes room for the next. The zero
// value is ready.
type shakes struct {
	mu    sync.Mutex
	going list.List // of shaking, the oldest first
}

type shaking struct {
	c     *conn
	since time.Time
}

// enter gives c a place, which leave gives back.
func (s *shakes) enter(c *conn) *list.Element {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.going.Len() >= maxShakes {
		if oldest := s.going.Front(); now.Sub(oldest.Value.(shaking).since) >= shakeGrace {
			s.going.Remove(oldest).(shaking).c.cut(errCrowded)
		}
	}
	return s.going.PushBack(shaking{c, now})
}

func (s *shakes) leave(place *list.Element) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.going.Remove(place) // does nothing to one that had to give way
}

var errCrowded = fmt.Errorf("more than %d TLS handshakes are going on, and this one took longest", maxShakes)

// unshaken says what a handshake's failure means: why is what should be told of
// it, "" when we ended it by stopping, and spoke whether we told the client.
func (c *conn) unshaken(err error) (why string, spoke bool) {
	c.mu.Lock()
	cause := c.cause
	c.mu.Unlock()
	switch {
	case cause == errCrowded:
		return cause.Error(), false
	case cause != nil, c.s.draining.Load():
		return "", false
	}
	var op *net.OpError
	spoke = !errors.As(err, &op) && !isTimeout(err) && !errors.Is(err, io.EOF) || op != nil && op.Op == localError
	return shakeReason(err), spoke
}

// localError is what crypto/tls calls an error that it has told the peer by an alert.
const localError = "local error"

const distrust = "the client does not trust the gateway's certificate: it needs its root (sallyport ca root), or was given another name for the gateway than the certificate holds"

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
		return why + ": " + distrust
	case strings.HasPrefix(why, localError) && strings.Contains(why, "bad record MAC"):
		// OpenSSL's clients of TLS 1.3 refuse a certificate by an alert in the clear,
		// where one that is encrypted has to come.
		return why + ", as from OpenSSL when " + distrust
	}
	return why
}
