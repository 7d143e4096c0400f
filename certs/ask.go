// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// shortLived is how long a certificate may live that nobody needs to revoke
// (CA/Browser Forum, Baseline Requirements §1.6.1): no longer than a CRL is
// believed.
const shortLived = 7 * 24 * time.Hour

var errNotAsked = errors.New("nothing is known yet")

// status asks the places that c names whether its issuer revoked it: CRLs
// first, for which most public CAs have given up OCSP, and which tell nobody who
// is visited. known means that it is known otherwise: then only what is there
// already counts.
func (t *Trust) status(ctx context.Context, c, issuer *x509.Certificate, known bool) (*answer, string, error) {
	var errs []string
	crls, ocsp := c.CRLDistributionPoints, c.OCSPServer
	crls, ocsp = crls[:min(len(crls), maxURLs)], ocsp[:min(len(ocsp), maxURLs)]
	for i, url := range slices.Concat(crls, ocsp) {
		k := crlPlace
		if i >= len(crls) {
			k = ocspPlace
		}
		a, err := t.ask(ctx, i+1 < len(crls)+len(ocsp), k, url, c, issuer, known)
		if err == nil {
			return a, k.at(url), nil
		}
		if err == errNotAsked && t.revocation == RevocationPrefer {
			return nil, "", err // one place at a time
		}
		errs = append(errs, k.at(url)+" "+err.Error())
	}
	switch {
	case len(errs) > 0:
		return nil, "", errors.New(strings.Join(errs, "; "))
	case c.IsCA, c.NotAfter.Sub(c.NotBefore) <= shortLived:
		// SECURITY: nobody is asked about a certificate that its issuer gave no
		// way to ask about. A short-lived one ends before an answer would. Many
		// companies' authorities name nothing, and go with their root: to refuse
		// them would be to refuse everything that they issue, for ever.
		return &answer{}, "", nil
	}
	return nil, "", errors.New("it names neither a CRL nor an OCSP responder to ask")
}

// maxURLs of a certificate are tried of each kind.
const maxURLs = 3

func (k kind) at(url string) string { return fmt.Sprintf("the %s at %s", k, printable(url)) }

// ask asks one place, and waits for it when the profile does: until ctx ends or,
// when there are more to ask, for half of the time.
func (t *Trust) ask(ctx context.Context, more bool, k kind, url string, c, issuer *x509.Certificate, known bool) (*answer, error) {
	s := t.sources
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.place(k, url, t.reach, c, issuer, t.dial, now)
	a, err := p.answer(c, now)
	if known {
		if a == nil {
			return nil, errNotAsked
		}
		return a, err
	}
	flight := s.ready(p, now) // also when it is known: it may be time for news
	if a != nil || err != nil && flight == nil {
		return a, err
	}
	if flight == nil || t.revocation != RevocationRequire {
		return nil, errNotAsked
	}
	s.mu.Unlock()
	if end, ok := ctx.Deadline(); more && ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	select {
	case <-flight:
	case <-ctx.Done():
	}
	s.mu.Lock()
	if a, err := p.answer(c, time.Now()); a != nil || err != nil {
		return a, err
	}
	return nil, errors.New("has not answered yet")
}

// found returns the certificate that is at url, and waits for it until ctx ends.
func (t *Trust) found(ctx context.Context, url string) (*x509.Certificate, error) {
	s := t.sources
	now := time.Now()
	s.mu.Lock()
	p := s.place(issuerPlace, url, t.reach, nil, nil, t.dial, now)
	flight := s.ready(p, now)
	if p.found == nil && flight != nil {
		s.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	switch {
	case p.found != nil:
		return p.found, nil
	case p.err != nil:
		return nil, p.err
	}
	return nil, errors.New("has not answered yet")
}
