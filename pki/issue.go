// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/smallstep/certificates/authority/provisioner"
)

// Issue signs what is asked for and returns the certificate with what leads to
// its root, which is not among them. It is on record, and on the disk, before
// Issue returns. What the issuer must not sign is ErrRefused, with the reason.
func (ca *CA) Issue(ctx context.Context, r Request) ([]*x509.Certificate, error) {
	chain, err := ca.issueRequest(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("issuing a %s certificate: %w", r.Role, plain(err))
	}
	return chain, nil
}

func (ca *CA) issueRequest(ctx context.Context, r Request) ([]*x509.Certificate, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.CSR == nil {
		return nil, refuse("no signing request")
	}
	if err := r.CSR.CheckSignature(); err != nil {
		return nil, refuse("the signing request does not prove that somebody has its key: %w", err)
	}
	s := ca.state.Load()
	t, err := r.template(s.settings, ca.now())
	if err != nil {
		return nil, err
	}
	// The gate says the same, but smallstep would see some of it before, in
	// words of its own.
	if err := s.issuer(r.Role).judge(s.settings, t, r.CSR.PublicKey); err != nil {
		return nil, err
	}
	a, err := ca.authority(r.Role)
	if err != nil {
		return nil, err
	}
	return a.SignWithContext(ctx, r.CSR, provisioner.SignOptions{}, caller{by: r.By}, replace{t})
}

// plain takes from an error what smallstep puts around it.
func plain(err error) error {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if many, ok := e.(interface{ Unwrap() []error }); ok && len(many.Unwrap()) > 0 && many.Unwrap()[0] == ErrRefused {
			return e
		}
	}
	return err
}

const callerID = "issue"

// A caller is who asked, as the provisioner that smallstep hands on to the
// gate. It is asked for nothing but its name.
type caller struct {
	provisioner.Interface
	by string
}

func (c caller) GetID() string             { return callerID }
func (c caller) GetName() string           { return c.by }
func (c caller) GetType() provisioner.Type { return 0 }

// replace puts our template in the place of what smallstep has copied from the
// signing request.
type replace struct{ t *x509.Certificate }

func (r replace) Modify(c *x509.Certificate, _ provisioner.SignOptions) error {
	*c = *r.t
	return nil
}

// issue makes a certificate and its record, in this order, and returns it when
// both are there.
func (ca *CA) issue(s *state, i *issuer, want *x509.Certificate, pub crypto.PublicKey, by string) (*x509.Certificate, error) {
	now := ca.now()
	_, der, err := i.sign(s.settings, want, pub, now)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	r := record(i, c, by, now)
	err = ca.store.Change(func(t tx) error {
		if b, err := t.Get(bucketIssued, r.Serial); err != nil || b != nil {
			return errors.Join(err, fmt.Errorf("serial number %s is in use", r.Serial))
		}
		return putJSON(t, bucketIssued, r.Serial, issuedRow{Record: r, Cert: c.Raw})
	})
	if err != nil {
		return nil, fmt.Errorf("recording the certificate: %w", err)
	}
	return c, nil
}

func record(i *issuer, c *x509.Certificate, by string, now time.Time) Record {
	return Record{
		Serial: SerialText(c.SerialNumber), Role: i.role, Generation: i.generation, Issuer: i.skid,
		Subject: c.Subject.CommonName, Names: namesOf(c),
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, Issued: now.UTC(), By: by,
	}
}
