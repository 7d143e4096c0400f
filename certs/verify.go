// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
)

// own reports whether chains are verified here and not by crypto/tls, which
// cannot verify another name than the one it sends, nor a chain with what did
// not come with it.
func (t *Trust) own() bool { return t.aia || t.verifyName != "" }

// verify does what crypto/tls does without InsecureSkipVerify, with the same
// function of crypto/x509. It runs on resumed sessions, too: crypto/tls
// remembers no verified chains of those that it did not verify.
func (t *Trust) verify(sent []*x509.Certificate, name string) ([][]*x509.Certificate, error) {
	if len(sent) == 0 || name == "" { // which would stand for any name
		return nil, errNoChain
	}
	opts := x509.VerifyOptions{Roots: t.base.RootCAs, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range sent[1:] {
		opts.Intermediates.AddCert(c)
	}
	have := sent
	chains, err := sent[0].Verify(opts)
	if t.aia && errors.As(err, new(x509.UnknownAuthorityError)) {
		have, chains, err = t.complete(sent, opts, err)
	}
	if err != nil {
		return nil, &tls.CertificateVerificationError{UnverifiedCertificates: have, Err: err}
	}
	return chains, nil
}

// maxIssuers of a chain are fetched.
const maxIssuers = 4

// An IssuerError means that a chain leads to nobody who is trusted, and that
// its next certificate could not be fetched either.
type IssuerError struct {
	Err error // what crypto/x509 says of the chain
	Why error // why it was not fetched
}

func (e *IssuerError) Error() string {
	return e.Err.Error() + "; its issuer's certificate was looked for: " + e.Why.Error()
}

func (e *IssuerError) Unwrap() error { return e.Err }

// complete fetches the certificates that an origin should have sent, one after
// the other. They lie between its own and the roots and vouch for nothing: it is
// crypto/x509 that is asked again. have is what it had to go by.
func (t *Trust) complete(sent []*x509.Certificate, opts x509.VerifyOptions, err error) (have []*x509.Certificate, chains [][]*x509.Certificate, _ error) {
	ctx, cancel := t.sources.wait()
	defer cancel()
	have = slices.Clone(sent)
	for range maxIssuers {
		top := highest(have)
		if selfSigned(top) {
			return have, nil, err // it goes on nowhere
		}
		next, why := t.issuerOf(ctx, top)
		if why != nil {
			return have, nil, &IssuerError{err, why}
		}
		if slices.ContainsFunc(have, next.Equal) {
			return have, nil, err
		}
		have = append(have, next)
		opts.Intermediates.AddCert(next)
		chains, e := sent[0].Verify(opts)
		if e == nil || !errors.As(e, new(x509.UnknownAuthorityError)) {
			return have, chains, e
		}
		err = e
	}
	return have, nil, &IssuerError{err, errors.New("more certificates are missing than are fetched")}
}

// highest is as far as the signatures of have lead from its first.
func highest(have []*x509.Certificate) *x509.Certificate {
	path := have[:1:1]
	for {
		top := path[len(path)-1]
		i := slices.IndexFunc(have, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, top.RawIssuer) && !slices.ContainsFunc(path, c.Equal) && top.CheckSignatureFrom(c) == nil
		})
		if i < 0 {
			return top
		}
		path = append(path, have[i])
	}
}

// issuerOf fetches the certificate of who issued c, from where c says.
func (t *Trust) issuerOf(ctx context.Context, c *x509.Certificate) (*x509.Certificate, error) {
	err := errors.New("the certificate of " + quote(c.Subject.String()) + " does not say where it can be had")
	for _, url := range c.IssuingCertificateURL[:min(len(c.IssuingCertificateURL), maxURLs)] {
		var found *x509.Certificate
		found, err = t.found(ctx, url)
		switch {
		case err != nil:
			err = errors.New(issuerPlace.at(url) + " " + err.Error())
		case !bytes.Equal(found.RawSubject, c.RawIssuer) || c.CheckSignatureFrom(found) != nil:
			err = errors.New(issuerPlace.at(url) + " is that of " + quote(found.Subject.String()) + ", who did not issue it")
		default:
			return found, nil
		}
	}
	return nil, err
}
