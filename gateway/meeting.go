// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"

	"sallyport/policy"
	"sallyport/tunnel"
)

// What OriginLeg.ECH says.
const (
	ECHAccepted = "accepted" // whoever listens sees the name of the provider, and not the origin's
	ECHRefused  = "refused"  // by who proved to be that provider; the name was shown
	ECHUnusable = "unusable" // what the HTTPS record has for it is none; the name was shown
)

// A meeting makes one connection to an origin and its verified handshake, with
// Encrypted Client Hello (RFC 9849) where the origin's HTTPS record has keys.
//
// SECURITY: a name is shown in the clear only when nothing says that it need
// not be: the record has no keys that can be used, or was not to be had in
// time, or who has the certificate of its public name says so inside TLS. No
// other failure with keys is followed by an attempt without, whoever is the
// cause of it.
type meeting struct {
	s        *Server
	decision policy.Decision
	host     string
	port     uint16
	ech      policy.ECH
	trust    Trust
	config   func() *tls.Config    // asked when there is a connection; it is not changed
	over     func(l *leg) net.Conn // what TLS runs over, by which l is closed as well

	keys    []byte // nil: it is met without
	fresh   bool   // they came from the origin itself
	outcome string // OriginLeg.ECH
	note    string // OriginLeg.ECHNote
}

// meet returns the connection and its TLS, or an error that is a *legError.
func (m *meeting) meet(ctx context.Context) (*leg, *tls.Conn, error) {
	l, err := m.first(ctx)
	for {
		if err != nil {
			return nil, nil, err
		}
		c := m.over(l)
		t, err := m.s.shake(ctx, l, c, m.withKeys(m.config()), m.trust)
		if err == nil {
			if l.tls.ECHAccepted {
				m.outcome = ECHAccepted
			}
			l.ech, l.echNote = m.outcome, m.note
			return l, t, nil
		}
		c.Close()
		if err = m.refused(err, t); err != nil {
			return nil, nil, m.failed(err)
		}
		l, err = m.s.dial(ctx, m.decision, m.host, m.port)
		if err != nil {
			return nil, nil, err
		}
	}
}

func (m *meeting) failed(err error) error {
	return &legError{stage: stageTLS, addr: hostPort(m.host, m.port), err: err}
}

// first connects and finds the keys.
func (m *meeting) first(ctx context.Context) (*leg, error) {
	if m.ech == policy.ECHOff {
		return m.s.dial(ctx, m.decision, m.host, m.port)
	}
	must := m.ech == policy.ECHRequire
	l, record, err := m.s.dialAsking(ctx, m.decision, m.host, m.port, must)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	service, err := record.Service(ctx, must)
	l.dns += time.Since(start)
	if err = m.found(ctx, service, err); err != nil {
		l.Close()
		return nil, m.failed(err)
	}
	return l, nil
}

// found takes the keys from what the inquiry after them ended in. An error says that they
// have to be there, and are not.
func (m *meeting) found(ctx context.Context, service tunnel.Service, err error) error {
	m.keys = service.ECH
	if bad := service.BadECH; bad != nil {
		m.outcome, m.note = ECHUnusable, "its HTTPS record: "+bad.Error()
	}
	switch {
	case m.keys != nil, m.ech != policy.ECHRequire:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return &echError{event: "origin_ech_unknown", cause: "dns_error", why: "no name server said whether it has an HTTPS record", err: err}
	case m.outcome == ECHUnusable:
		return &echError{event: "origin_ech_missing", why: m.note}
	}
	return &echError{event: "origin_ech_missing", why: "the DNS has no HTTPS record of it, or one without keys"}
}

// withKeys is cfg for an attempt with m.keys. A ticket is good where it was got:
// one that was got out of sight would otherwise be shown later, and tell that the
// two belong together.
func (m *meeting) withKeys(cfg *tls.Config) *tls.Config {
	if cfg == nil || m.keys == nil {
		return cfg
	}
	cfg = cfg.Clone()
	cfg.EncryptedClientHelloConfigList = m.keys
	cfg.MinVersion = tls.VersionTLS13
	if cfg.ClientSessionCache != nil {
		cfg.ClientSessionCache = originTickets{"ech", cfg.ClientSessionCache}
	}
	return cfg
}

// refused finds out what is next after a handshake failed: nil for another
// attempt, on another connection. t is nil by QUIC, which tells nothing of one that
// failed.
//
// SECURITY: crypto/tls returns an ECHRejectionError only behind the server's
// Finished, and has then verified its certificate for the public name, by the
// profile's roots and whatever InsecureSkipVerify says. VerifyConnection, and
// with it pins, is about the origin's own certificate and not asked. What else is
// to be known of the provider's is asked here: EncryptedClientHelloRejectionVerify
// would replace the verification, and be told no certificates. No client
// certificate has been shown.
func (m *meeting) refused(err error, t *tls.Conn) error {
	if m.keys == nil {
		return err
	}
	var rejected *tls.ECHRejectionError
	if !errors.As(err, &rejected) {
		return m.unproven(err, t)
	}
	if provider := m.trust.Provider; provider != nil {
		if t == nil { // by TCP it can
			return refusedECH("it refuses the keys in its HTTPS record by QUIC, where it cannot be looked whether its provider's certificate was revoked")
		}
		if err := provider(t.ConnectionState()); err != nil {
			return err
		}
	}
	keys := rejected.RetryConfigList
	if len(keys) > 0 && tunnel.CheckECH(keys) == nil {
		if m.fresh {
			return refusedECH("it takes neither the keys in its HTTPS record nor those that it gave instead: its servers differ")
		}
		// Good for this one attempt, RFC 9849 §6.1.6.
		m.keys, m.fresh, m.note = bytes.Clone(keys), true, "the keys in its HTTPS record were refused, and others used that it gave instead"
		return nil
	}
	if m.ech == policy.ECHRequire {
		return refusedECH("it has keys in its HTTPS record, and says that it takes none")
	}
	m.keys, m.outcome, m.note = nil, ECHRefused, "it has keys in its HTTPS record, and says that it takes none"
	return nil
}

// unproven is a failure of a handshake with keys that is no refusal: whoever it
// is has proven nothing.
func (m *meeting) unproven(err error, t *tls.Conn) error {
	var verify *tls.CertificateVerificationError
	switch {
	case errors.As(err, &verify) && t != nil && !t.ConnectionState().ECHAccepted:
		return &echError{event: "origin_ech_impostor", cause: "tls_certificate_error", why: "it was refused by somebody who cannot prove to be the one it is for", err: verify.Err}
	case strings.Contains(err.Error(), "unsupported protocol version"), tlsAlert(err) && strings.Contains(err.Error(), "protocol version"):
		// crypto/tls has no type for its own, nor for the alert of who would not even begin.
		return refusedECH("it has keys in its HTTPS record, and speaks nothing newer than TLS 1.2")
	}
	return err
}

// An echError says why Encrypted Client Hello, where it had to be, was not.
type echError struct {
	event string
	cause string // "": tls_protocol_error
	why   string
	err   error // for the log alone; nil: why says it all
}

func refusedECH(why string) error { return &echError{event: "origin_ech_refused", why: why} }

func (e *echError) Error() string {
	if e.err != nil {
		return "Encrypted Client Hello: " + e.why + ": " + e.err.Error()
	}
	return "Encrypted Client Hello: " + e.why
}

func (e *echError) Unwrap() error { return e.err }

// explain enters e in the answer to a request for host.
func (e *echError) explain(to *Error, host string) {
	next := "`ech: prefer` in its trust profile goes on without, and shows its name"
	switch e.event {
	case "origin_ech_refused":
		next = "the origin's DNS is to be put right; `ech: off` in its trust profile shows its name instead"
	case "origin_ech_impostor":
		next = "something in between ends TLS, or is after its name; it was not shown"
	}
	to.Cause, to.Event = cmp.Or(e.cause, "tls_protocol_error"), e.event
	to.EventText = host + " was not met by Encrypted Client Hello: " + e.why + ": " + next
	to.Msg = "TLS failed: " + to.EventText
}
