// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// A Revocation says how much is done to find out whether certificates were
// revoked. Whatever it is, an origin whose stapled OCSP response says that its
// certificate is revoked is refused, and so is one that staples none although
// its certificate demands it (RFC 7633).
type Revocation uint8

const (
	// RevocationOff looks at what the origin staples and nowhere else.
	RevocationOff Revocation = iota

	// RevocationPrefer also looks at CRLs and OCSP responses that are there,
	// and has them fetched for the next time. It never waits.
	RevocationPrefer

	// RevocationRequire accepts only origins all of whose certificates are
	// known not to be revoked, and waits a moment to find out.
	RevocationRequire
)

// A RevokedError means that a certificate of a verified chain was revoked.
type RevokedError struct {
	Subject, Issuer string
	Serial          string // hexadecimal
	At              time.Time
	Reason          int    // RFC 5280 §5.3.1
	Source          string // what says so: "the stapled OCSP response" or the URL of a CRL or a responder
}

func (e *RevokedError) Error() string {
	return fmt.Sprintf("certs: the certificate of %s (serial %s of %s) was revoked on %s%s: %s says so",
		e.Subject, e.Serial, e.Issuer, date(e.At), e.reason(), e.Source)
}

// Cause is the error's type in RFC 9209 §2.3.
func (e *RevokedError) Cause() string { return "tls_certificate_error" }

func (e *RevokedError) reason() string {
	if e.Reason == 0 {
		return ""
	}
	return " (" + ReasonName(e.Reason) + ")"
}

func revoked(c *x509.Certificate, a *answer, source string) *RevokedError {
	return &RevokedError{
		Subject: quote(c.Subject.String()), Issuer: quote(c.Issuer.String()), Serial: fmt.Sprintf("%x", c.SerialNumber),
		At: a.at, Reason: a.reason, Source: source,
	}
}

// A StatusError means that it is not known whether a certificate was revoked
// and that it has to be.
type StatusError struct {
	Subject string
	Staple  bool  // the certificate demands a stapled answer
	Resumed bool  // the session that was resumed remembers none that holds
	Err     error // why there is none; nil: nothing came
}

// Again reports whether another handshake, with no session, may well do.
func (e *StatusError) Again() bool { return e.Resumed }

func (e *StatusError) Error() string {
	what := "must be known not to be revoked, and is not"
	if e.Staple {
		what = "demands a stapled OCSP response (must-staple)"
	}
	why := "there is none"
	if e.Err != nil {
		why = e.Err.Error()
	}
	return fmt.Sprintf("certs: the certificate of %s %s: %s", e.Subject, what, why)
}

func (e *StatusError) Unwrap() error { return e.Err }

// Cause is the error's type in RFC 9209 §2.3.
func (e *StatusError) Cause() string { return "tls_certificate_error" }

const stapled = "the stapled OCSP response"

// checkStaple judges what an origin stapled for the first certificate of a
// verified chain. good means that it says that all is well.
// why is what is wrong with it; nil: nothing, or there is none.
func checkStaple(chain []*x509.Certificate, staple []byte, now time.Time) (good bool, why, err error) {
	if len(chain) < 2 { // trusted for itself: nobody could revoke it
		return false, nil, nil
	}
	if len(staple) > 0 {
		a, err := readOCSP(staple, chain[0], chain[1], now)
		switch {
		case err != nil:
			why = err
		case a.revoked:
			return false, nil, revoked(chain[0], a, stapled)
		default:
			return true, nil, nil
		}
	}
	if mustStaple(chain) {
		err = &StatusError{Subject: quote(chain[0].Subject.String()), Staple: true, Err: why}
	}
	return false, why, err
}

// checkRevocation looks for a chain nothing of which was revoked, among those
// that were verified.
func (t *Trust) checkRevocation(chains [][]*x509.Certificate, staple []byte) error {
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if t.revocation == RevocationRequire {
		ctx, cancel = t.sources.wait() // for all of them
	}
	defer cancel()
	err := errNoChain
	for _, chain := range chains {
		e := t.checkChain(ctx, chain, staple)
		if e == nil {
			return nil
		}
		if err == errNoChain {
			err = e
		}
	}
	return err
}

var errNoChain = errors.New("certs: there is no verified chain")

func (t *Trust) checkChain(ctx context.Context, chain []*x509.Certificate, staple []byte) error {
	good, why, err := checkStaple(chain, staple, time.Now())
	if err != nil || t.revocation == RevocationOff {
		return err
	}
	for i, c := range chain[:len(chain)-1] {
		known := good && i == 0
		// What a CRL has come to know since a staple was made counts.
		a, source, err := t.status(ctx, c, chain[i+1], known)
		switch {
		case err == nil && a.revoked:
			return revoked(c, a, source)
		case err != nil && !known && t.revocation == RevocationRequire:
			if why != nil && i == 0 {
				err = fmt.Errorf("it staples an answer, but %w; %w", why, err)
			}
			return &StatusError{Subject: quote(c.Subject.String()), Err: err}
		}
	}
	return nil
}
