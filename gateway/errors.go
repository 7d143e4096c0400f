// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"sallyport/gateway/h1"
	"sallyport/policy"
	"sallyport/tunnel"
)

// An Error is a refusal: what the client is told and what the log is told,
// which are not the same.
type Error struct {
	Status   int
	Cause    string // RFC 9209 §2.3
	Msg      string // for the client: what was refused and what to do
	Err      error  // for the log; nil: Msg says it all
	Outcome  Outcome
	Rule     string // that decided; "" none
	Location string // of a redirect; "" none
	NoReuse  bool   // the client's connection cannot carry another request

	// Challenges are the values of Proxy-Authenticate, without which there is no
	// status 407 (RFC 9110 §15.5.8).
	Challenges []string

	Event, EventText string // see Record

	HSTS bool // refused because the host has asked for https only, or may have

	Limit      string        // which of the rule's limits was reached; "" none
	RetryAfter time.Duration // when it may be let in; 0: nothing is said of that
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return e.Msg
}

func (e *Error) Unwrap() error { return e.Err }

var (
	errSelf    = errors.New("the origin is this gateway itself")
	errDrained = errors.New("the gateway is stopping")
	errRecheck = errors.New("the policy no longer allows it")
	errNoTrust = errors.New("no trust is loaded for the rule's origin profile")

	errNoURL    = fmt.Errorf("the request target is neither a URL nor a path; %w", errNotProxy)
	errNotProxy = errors.New("this is a proxy and serves no pages: give its address as http_proxy and ask for the whole URL, as in curl -x http://GATEWAY http://example.com/")
)

// denied is the policy's refusal. The answer tells which rule and, for a wrong
// kind of request, how to ask instead (policy.md §4.4).
func denied(d policy.Decision, t target, method string) *Error {
	e := &Error{Status: http.StatusForbidden, Cause: "http_request_denied", Msg: d.Detail(), Outcome: Denied}
	if d.Rule != nil {
		e.Rule = d.Rule.Name
	}
	switch d.Reason {
	case policy.ByRule:
		if d.Rule.Deny.Status != 0 {
			e.Status = d.Rule.Deny.Status
		}
	case policy.WrongKind:
		if t.scheme == "http" && d.Rule.RedirectPlain && (method == http.MethodGet || method == http.MethodHead) {
			e.Status = http.StatusPermanentRedirect
			e.Location = "https://" + t.authority("http", t.port) + t.path + t.query
		}
	case policy.PrivateAddress:
		e.Cause = "destination_ip_prohibited"
	case policy.BadPath:
		e.Status, e.Cause, e.Outcome = http.StatusBadRequest, "http_request_error", Invalid
	}
	return e
}

func malformed(f *h1.Error) *Error {
	if f == nil {
		f = &h1.Error{Status: http.StatusBadRequest, Msg: "the request cannot be read"}
	}
	status := f.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	return &Error{Status: status, Cause: "http_request_error", Msg: "malformed request: " + f.Msg, Outcome: Invalid, NoReuse: true}
}

func badTarget(err error) *Error {
	e := &Error{Status: http.StatusBadRequest, Cause: "http_request_error", Msg: err.Error(), Outcome: Invalid}
	if err != errNotProxy { // whoever wrote that may have meant another message, too
		e.Msg, e.NoReuse = "malformed request: "+e.Msg, true
	}
	return e
}

// A stage is the part of reaching an origin that an error stopped.
type stage uint8

const (
	stageDial stage = iota
	stageTLS
	stageExchange
)

// A legError is a failure on the origin leg.
type legError struct {
	stage stage
	addr  string
	err   error
	quic  bool // by HTTP/3
}

func (e *legError) Error() string {
	by := ""
	if e.quic {
		by = " by HTTP/3"
	}
	switch e.stage {
	case stageDial:
		return fmt.Sprintf("connecting to %s%s: %v", e.addr, by, e.err)
	case stageTLS:
		return fmt.Sprintf("TLS handshake with %s%s: %v", e.addr, by, e.err)
	}
	return fmt.Sprintf("exchange with %s%s: %v", e.addr, by, e.err)
}

func (e *legError) Unwrap() error { return e.err }

// asError finds the status and the cause of whatever went wrong: the one place
// where errors become answers. host is the origin's, for its explanation.
func (s *Server) asError(err error, host string) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	e = &Error{Status: http.StatusBadGateway, Outcome: Failed, Err: err}
	var (
		leg        *legError
		prohibited *tunnel.ProhibitedError
		dns        *net.DNSError
		timeout    net.Error
		ech        *echError
	)
	at := stageExchange
	if errors.As(err, &leg) {
		at = leg.stage
	}
	switch {
	case errors.Is(err, errMalformedBody):
		e.Status, e.Cause, e.Outcome, e.NoReuse = 400, "http_request_error", Invalid, true
		e.Msg = err.Error()
	case errors.Is(err, errSelf):
		e.Cause, e.Msg, e.Outcome = "proxy_loop_detected", "the address of "+host+" is this gateway itself", Denied
	case errors.As(err, &prohibited):
		e.Status, e.Cause, e.Outcome = http.StatusForbidden, "destination_ip_prohibited", Denied
		e.Msg = fmt.Sprintf("%s has a private or special address (%s), which the policy does not open (allow_private, or the range in the rule's to)", host, prohibited.Addr.Addr())
		// Not err itself: the rule it names is the one that made the pool.
		e.Err = fmt.Errorf("the address %s of %s is prohibited", prohibited.Addr, host)
	case errors.Is(err, errDrained):
		e.Status, e.Cause, e.Outcome, e.Msg = http.StatusServiceUnavailable, "proxy_internal_response", Closed, errDrained.Error()
	case errors.Is(err, context.Canceled):
		e.Cause, e.Outcome, e.Msg = "connection_terminated", Gone, "the client left"
	case errors.As(err, &ech):
		ech.explain(e, host)
	case errors.As(err, &dns) && dns.IsTimeout:
		e.Status, e.Cause, e.Msg = http.StatusGatewayTimeout, "dns_timeout", "the name "+host+" was not resolved in time"
	case errors.As(err, &dns) && dns.IsNotFound:
		e.Cause, e.Msg = "dns_error", "the name "+host+" does not exist in the DNS"
	case errors.As(err, &dns):
		e.Cause, e.Msg = "dns_error", "the name "+host+" cannot be resolved"
	case errors.Is(err, errNoTrust):
		e.Status, e.Cause, e.Msg = http.StatusInternalServerError, "proxy_configuration_error", err.Error()
	case at == stageTLS, tlsAlert(err): // TLS 1.3 origins refuse a client certificate, or its absence, after the handshake
		e.Cause = tlsCause(err)
		e.EventText, e.Event = s.describe(err, host)
		e.Msg = "TLS failed: " + e.EventText
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		e.Status, e.Cause, e.Msg = http.StatusGatewayTimeout, "connection_timeout", host+" did not accept a connection in time"
		if at == stageExchange {
			e.Cause, e.Msg = "http_response_timeout", host+" did not answer in time"
		}
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Cause, e.Msg = "connection_refused", host+" refuses connections on this port"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		e.Cause, e.Msg = "destination_ip_unroutable", "there is no route to "+host
	case at == stageDial:
		e.Status, e.Cause, e.Msg = http.StatusServiceUnavailable, "destination_unavailable", "no connection to "+host+" could be made"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		strings.Contains(err.Error(), "server closed idle connection"): // net/http gives it no other name
		e.Cause, e.Msg = "connection_terminated", host+" closed the connection before it answered"
	default:
		e.Cause, e.Msg = "http_protocol_error", "the answer of "+host+" cannot be understood"
	}
	if leg != nil && leg.quic && at == stageDial {
		e.Msg += " by HTTP/3 (over UDP), and the trust profile allows nothing else"
	}
	return e
}

func (s *Server) describe(err error, host string) (text, event string) {
	if s.Describe != nil {
		return s.Describe(err, host)
	}
	var leg *legError
	if errors.As(err, &leg) {
		err = leg.err
	}
	return err.Error(), "origin_handshake_failed"
}

// tlsAlert reports whether err is an alert that the origin sent.
func tlsAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// tlsCause tells a certificate that was not accepted from an alert the origin
// sent and from everything else.
func tlsCause(err error) string {
	var (
		verify *tls.CertificateVerificationError
		caused interface{ Cause() string } // a trust function's own checks, as pins
	)
	switch {
	case errors.As(err, &verify):
		return "tls_certificate_error"
	case errors.As(err, &caused):
		return caused.Cause()
	case tlsAlert(err):
		return "tls_alert_received"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "connection_timeout"
	}
	return "tls_protocol_error"
}
