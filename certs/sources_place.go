// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/x509"
	"fmt"
	"math/big"
	"math/rand/v2"
	"time"
)

// A place is a URL that a certificate names, and what is known from there.
// What is not fixed is guarded by Sources.mu.
type place struct {
	kind   kind
	url    string
	key    string
	issuer *x509.Certificate // whose CRL or responder it is; nil: of issuerPlace
	cert   *x509.Certificate // of ocspPlace: whom it is asked about

	dial   dialFunc // of whoever asked last
	list   *parsedCRL
	said   *answer
	found  *x509.Certificate
	until  time.Time // what is known holds
	err    error     // of the last fetch; nil: it went well
	failed int       // fetches in a row
	due    time.Time // of the next
	used   time.Time
	flight chan struct{} // closed at the end of the fetch that is going on; nil: none is
	seen   map[string]bool
}

// answer is what p knows of cert. s.mu is held.
func (p *place) answer(cert *x509.Certificate, now time.Time) (*answer, error) {
	if p.kind == crlPlace {
		p.remember(cert.SerialNumber)
	}
	switch {
	case p.kind == crlPlace && p.list != nil:
		a, err := p.list.find(cert)
		if err != nil || a.holds(now) {
			return a, err
		}
	case p.kind == ocspPlace && p.said.holds(now):
		return p.said, nil
	}
	return nil, p.err
}

func (p *place) remember(serial *big.Int) {
	if p.seen == nil {
		p.seen = make(map[string]bool)
	}
	if len(p.seen) < maxSeen {
		p.seen[string(serial.Bytes())] = true
	}
}

// A fetched is what came from a place: one of the three.
type fetched struct {
	list *parsedCRL
	said *answer
	cert *x509.Certificate
	at   time.Time // when it was fetched
}

// accept judges what came by what is there. s.mu is held.
func (p *place) accept(got fetched, now time.Time) error {
	switch {
	case p.kind == issuerPlace:
		p.until = got.at.Add(forgetTime)
		return nil
	case p.kind == ocspPlace:
		if p.said.holds(now) && got.said.from.Before(p.said.from) {
			return fmt.Errorf("the OCSP response of %s is older than the one of %s that is known", date(got.said.from), date(p.said.from))
		}
		p.until = got.said.until
		return nil
	}
	l := got.list
	switch {
	// One that is over is no measure: a CA may have begun to count anew.
	case p.list != nil && now.Before(p.list.until) && l.older(p.list):
		return fmt.Errorf("the CRL of %s is older than the one of %s that is known", date(l.from), date(p.list.from))
	case now.Add(skew).Before(l.from):
		return fmt.Errorf("the CRL holds from %s on only", date(l.from))
	case !now.Before(l.until):
		return fmt.Errorf("the CRL held until %s", date(l.until))
	}
	p.until = l.until
	return nil
}

// revokedSince reports whether got revokes what was asked about before.
func (p *place) revokedSince(got fetched) bool {
	switch p.kind {
	case ocspPlace:
		return got.said.revoked && (p.said == nil || !p.said.revoked) // nobody waited for the first one either
	case crlPlace:
		for serial := range p.seen {
			n := new(big.Int).SetBytes([]byte(serial))
			if got.list.entry(n) != nil && (p.list == nil || p.list.entry(n) == nil) {
				return true
			}
		}
	}
	return false
}

// next is when something that was fetched at a time and holds until another is
// fetched again: long before, and not with everybody else.
func next(at, until time.Time) time.Time {
	return at.Add(jitter(max(min(until.Sub(at)/2, refresh), time.Minute)))
}

// jitter is d, or a fifth less.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/5+1) }
