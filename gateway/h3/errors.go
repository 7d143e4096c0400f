// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h3

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// An Error is why there is no answer.
type Error struct {
	Err error

	// Repeat says that the request may be sent again, by whatever way: the origin
	// has not acted on it, because it never had it or says so, or that does no harm
	// (RFC 9110 §9.2.2, RFC 9114 §4.1.1).
	Repeat bool

	// Lost says that there is no connection, rather than no answer on one.
	Lost bool
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap implements errors.
func (e *Error) Unwrap() []error {
	var network net.Error
	if !e.Lost || errors.As(e.Err, &network) {
		return []error{e.Err}
	}
	return []error{e.Err, io.ErrUnexpectedEOF} // what a lost connection of TCP reads as
}

var (
	// errSilent is a connection on which nothing has come for too long: the origin is
	// gone, or was started anew and does not know it.
	errSilent = errors.New("the connection is no more")

	// errFull is one on which the origin allows no further request now.
	errFull = errors.New("the origin takes no further request on the connection")

	// errLate is an answer that was waited for long enough.
	errLate = &lateError{}
)

type lateError struct{}

func (*lateError) Error() string   { return "no answer came in time" }
func (*lateError) Timeout() bool   { return true }
func (*lateError) Temporary() bool { return false }

// unasked is how quic-go's http3 begins its error for a request that it found no
// stream for; it has no other name.
const unasked = "http3: conn unusable"

// judge finds out what err means for the request of x that c was asked.
func (x *exchange) judge(c *Conn, err error) *Error {
	if cause := context.Cause(x.ctx); cause != nil && (cause == errFull || cause == errLate || cause == errSilent) {
		err = cause
	}
	if idle := (*quic.IdleTimeoutError)(nil); errors.As(err, &idle) {
		err = errSilent // no timeout: the answer is not late, there is nobody left to give it
	}
	e := &Error{Err: err, Lost: err == errSilent || ended(err) || !c.alive()}
	var h *http3.Error
	errors.As(err, &h)
	switch {
	case x.touched(): // a body is read once
	case err == errFull, strings.HasPrefix(err.Error(), unasked):
		e.Repeat = true
	case h != nil && h.Remote && (h.ErrorCode == http3.ErrCodeRequestRejected || h.ErrorCode == http3.ErrCodeVersionFallback):
		e.Repeat = true
	case e.Lost:
		e.Repeat = x.harmless()
	}
	if h != nil && h.ErrorCode == http3.ErrCodeVersionFallback {
		e.Lost = true // it wants to be asked by another version of HTTP
	}
	return e
}

// ended reports whether err is the end of a connection, which quic-go tells its streams
// before all others.
func ended(err error) bool {
	var (
		application *quic.ApplicationError
		transport   *quic.TransportError
		reset       *quic.StatelessResetError
	)
	return errors.As(err, &application) || errors.As(err, &transport) || errors.As(err, &reset)
}
