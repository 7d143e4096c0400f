// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"time"
)

// Import puts a company's own subordinate CA in the place of a role's issuer:
// chain is its certificate, those above it in order, and at the end the root
// that those who are to trust it have. The root is from then on among Roots.
// What is not fit to be the issuer is ErrRefused. Whoever calls it should then
// destroy the key in clear.
func (ca *CA) Import(ctx context.Context, r Role, chain []*x509.Certificate, key crypto.Signer) error {
	err := ctx.Err()
	if err == nil {
		err = importable(r, chain, key, ca.now())
	}
	if err == nil {
		err = ca.alter(func(t tx, s *state) error {
			old := s.issuer(r)
			last := len(chain) - 1
			i := newIssuer(r, s.nextGeneration(r), chain[:last:last], key)
			if s.issuerBy(i.skid) != nil {
				return refuse("its key is that of an issuer already")
			}
			i.imported = chain[last]
			return ca.replaceIssuer(t, old, i)
		})
	}
	if err != nil {
		return fmt.Errorf("importing an issuer for the role %s: %w", r, err)
	}
	return nil
}

func importable(r Role, chain []*x509.Certificate, key crypto.Signer, now time.Time) error {
	if r.Domain() == 0 {
		return refuse("there is no such role")
	}
	if len(chain) < 2 {
		return refuse("want the issuer's certificate, those above it in order, and the root at the end")
	}
	issuer, root := chain[0], chain[len(chain)-1]
	if key == nil || !goesWith(key, issuer) {
		return refuse("the key is not that of %s", issuer.Subject)
	}
	if err := strong(key.Public()); err != nil {
		return err
	}
	for n, c := range chain {
		if err := link(c, chain[min(n+1, len(chain)-1)], n); err != nil {
			return err
		}
	}
	if len(issuer.SubjectKeyId) == 0 {
		return refuse("%s has no subject key identifier, by which its CRL is found", issuer.Subject)
	}
	above := x509.NewCertPool()
	for _, c := range chain[1 : len(chain)-1] {
		above.AddCert(c)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	_, err := issuer.Verify(x509.VerifyOptions{Roots: roots, Intermediates: above, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{r.usage()}})
	if err != nil {
		return refuse("%s cannot sign for this role: %w", issuer.Subject, err)
	}
	return nil
}

// link checks one certificate of a chain, with n below it. The root is above
// itself.
func link(c, above *x509.Certificate, n int) error {
	switch {
	case !c.IsCA || !c.BasicConstraintsValid:
		return refuse("%s is no CA (CA:TRUE is missing)", c.Subject)
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return refuse("%s may not sign certificates (key usage keyCertSign is missing)", c.Subject)
	case n == 0 && c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCRLSign == 0:
		return refuse("%s may not sign its CRL (key usage cRLSign is missing)", c.Subject)
	case (c.MaxPathLen > 0 || c.MaxPathLenZero) && n > c.MaxPathLen:
		return refuse("%s lets only %d issuers stand below it (pathlen)", c.Subject, c.MaxPathLen)
	case len(c.UnhandledCriticalExtensions) > 0:
		return refuse("%s has a critical extension that is not known here: %v", c.Subject, c.UnhandledCriticalExtensions[0])
	}
	err := c.CheckSignatureFrom(above)
	if err != nil && c == above {
		return refuse("%s is no root, with which the chain has to end: it is not signed by itself", c.Subject)
	}
	if err != nil {
		return refuse("%s is not signed by %s, which has to come next: %w", c.Subject, above.Subject, err)
	}
	return nil
}
