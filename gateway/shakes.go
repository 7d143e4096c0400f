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

// unshaken says what a handshake's failure means: fault is nil when we ended it by
// stopping, and spoke tells whether the client was told.
func (c *conn) unshaken(err error) (fault *Error, spoke bool) {
	c.mu.Lock()
	cause := c.cause
	c.mu.Unlock()
	switch {
	case cause == errCrowded:
		return &Error{Outcome: Closed, Cause: "connection_limit_reached", Event: "client_timeout", EventText: cause.Error(), Err: cause}, false
	case cause != nil, c.s.draining.Load():
		return nil, false
	}
	var op *net.OpError
	spoke = !errors.As(err, &op) && !isTimeout(err) && !errors.Is(err, io.EOF) || op != nil && op.Op == localError
	fault = clientFault(err)
	fault.EventText = remedies[fault.Event]
	fault.Err = fmt.Errorf("TLS handshake with client %s: %s: %w", c.from, fault.EventText, err)
	return fault, spoke
}

// remedies say what the faults of clients mean that want TLS with the gateway
// itself, and what to do.
var remedies = map[string]string{
	"client_distrusts_gateway": "it does not trust the gateway's certificate: it needs its root (sallyport ca root), or was given another name for the gateway than the certificate holds",
	"client_alpn_refusal":      "it speaks neither HTTP/2 nor HTTP/1.1 (ALPN)",
	"client_tls_version":       "its TLS is older than 1.2: update it",
	"client_insists_on_ech":    "its ClientHello was encrypted for somebody else: the gateway has no ECH keys, so its name should have none in DNS (HTTPS records)",
	"client_closed":            "it left in the middle; one that does not trust the gateway's certificate may do so",
	"client_timeout":           "it was not completed in time",
	"client_alert":             "it ended the handshake",
	"client_speaks_no_tls":     "what it says is not TLS",
	"client_handshake_failed":  "it failed",
}

// localError is what crypto/tls calls an error that it has told the peer by an alert.
const localError = "local error"

// echRequired is the alert of a client whose ECH was not taken (RFC 9849 §6.1.6),
// as crypto/tls calls it.
const echRequired = "encrypted client hello required"

// clientFault is a failed handshake with a client as an event, an outcome and a
// cause. What to do about it depends on whom the client wanted.
func clientFault(err error) *Error {
	var (
		head tls.RecordHeaderError
		why  = err.Error()
	)
	as := func(event, cause string) *Error { return &Error{Outcome: Failed, Event: event, Cause: cause} }
	switch {
	case errors.As(err, &head):
		return as("client_speaks_no_tls", "tls_protocol_error")
	case isTimeout(err):
		return as("client_timeout", "connection_timeout")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Outcome: Gone, Event: "client_closed", Cause: "connection_terminated"}
	case strings.Contains(why, "unsupported application protocols"):
		return as("client_alpn_refusal", "tls_protocol_error")
	case strings.Contains(why, "unsupported versions"):
		return as("client_tls_version", "tls_protocol_error")
	case tlsAlert(err) && strings.Contains(why, echRequired):
		return as("client_insists_on_ech", "tls_alert_received")
	case tlsAlert(err) && strings.Contains(why, "certificate"), strings.HasPrefix(why, localError) && strings.Contains(why, "bad record MAC"):
		// OpenSSL's clients of TLS 1.3 refuse a certificate by an alert in the clear,
		// where one that is encrypted has to come.
		return as("client_distrusts_gateway", "tls_alert_received")
	case tlsAlert(err):
		return as("client_alert", "tls_alert_received")
	}
	return as("client_handshake_failed", "tls_protocol_error")
}
