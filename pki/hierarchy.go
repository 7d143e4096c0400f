// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"
)

// early is how far back certificates of the authority itself begin, and leaves
// for those whose clocks are behind.
const (
	early     = time.Hour
	earlyLeaf = time.Minute
)

// newKey makes a key of P-256: P-384 costs whoever verifies five times as
// much, RSA more, and browsers know no Ed25519.
func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// newSerial returns 128 random bits, which are never zero (RFC 5280 §4.1.2.2).
func newSerial() *big.Int {
	var b [16]byte
	for {
		rand.Read(b[:])
		if n := new(big.Int).SetBytes(b[:]); n.Sign() > 0 {
			return n
		}
	}
}

// rootTemplate says what a root is. It has no pathLen: a root that is
// certified by the one before it is an issuer's issuer (see rotate_root.go).
func (s Settings) rootTemplate(d Domain, generation int, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               s.subject(fmt.Sprintf("%s %s root %d", s.Name, d, generation)),
		NotBefore:             now.Add(-early),
		NotAfter:              now.Add(s.RootLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLen:            -1,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// issuerTemplate says what an issuer is: held to one use, and no issuer of
// issuers. It signs OCSP answers itself, hence the digital signature.
func (s Settings) issuerTemplate(r Role, generation int, now time.Time) *x509.Certificate {
	t := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               s.subject(fmt.Sprintf("%s %s issuer %d", s.Name, r, generation)),
		NotBefore:             now.Add(-early),
		NotAfter:              now.Add(s.IssuerLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{r.usage()},
	}
	switch r {
	case Server:
		t.PermittedDNSDomains = s.Permit
	case Intercept:
		t.ExcludedDNSDomains = s.Exclude
	}
	t.PermittedDNSDomainsCritical = len(t.PermittedDNSDomains)+len(t.ExcludedDNSDomains) > 0
	return t
}

func (s Settings) subject(cn string) pkix.Name {
	return pkix.Name{Organization: []string{s.Name}, CommonName: cn}
}

// certify signs a certificate of the authority itself. Its life ends with that
// of its parent at the latest.
func certify(t, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	if t.NotAfter.After(parent.NotAfter) {
		t.NotAfter = parent.NotAfter
	}
	if t.NotBefore.Before(parent.NotBefore) {
		t.NotBefore = parent.NotBefore
	}
	if !t.NotAfter.After(t.NotBefore) {
		return nil, fmt.Errorf("%s expires at %v", parent.Subject.CommonName, parent.NotAfter)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// makeRoot makes a root and its key.
func (s Settings) makeRoot(d Domain, generation int, now time.Time) (*root, crypto.Signer, error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	t := s.rootTemplate(d, generation, now)
	c, err := certify(t, t, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("making the %s root: %w", d, err)
	}
	return &root{domain: d, generation: generation, stage: stageCurrent, cert: c}, key, nil
}

// makeIssuer makes an issuer and its key, certified by a root.
func (s Settings) makeIssuer(r Role, generation int, by *root, byKey crypto.Signer, now time.Time) (*issuer, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	c, err := certify(s.issuerTemplate(r, generation, now), by.cert, key.Public(), byKey)
	if err != nil {
		return nil, fmt.Errorf("making the %s issuer: %w", r, err)
	}
	return newIssuer(r, generation, []*x509.Certificate{c}, key), nil
}
