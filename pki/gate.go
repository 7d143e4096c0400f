// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"net/netip"
	"slices"
	"time"
)

// sign makes a certificate. Nothing else does with an issuer's key, whoever
// asked: an order by ACME, the CLI, a minter. It looks at what is wanted as if
// nobody had looked before, refuses what the issuer is not for, and writes a
// template of its own, into which nothing is copied but names and times.
//
// It judges by the issuer it signs with. smallstep judges by the one that it
// was built with, which may have been rotated since.
func (i *issuer) sign(s Settings, want *x509.Certificate, pub crypto.PublicKey, now time.Time) (*x509.Certificate, []byte, error) {
	if err := i.judge(s, want, pub); err != nil {
		return nil, nil, err
	}
	from, until, err := i.life(want, now)
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               s.subject(want.Subject.CommonName),
		NotBefore:             from,
		NotAfter:              until,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{i.role.usage()},
		DNSNames:              want.DNSNames,
		IPAddresses:           want.IPAddresses,
		EmailAddresses:        want.EmailAddresses,
		URIs:                  want.URIs,
	}
	if _, ok := pub.(*rsa.PublicKey); ok && i.role.Domain() == Edge {
		t.KeyUsage |= x509.KeyUsageKeyEncipherment // TLS 1.2 without forward secrecy still asks for it
	}
	if i.role == Delegated {
		t.Subject.OrganizationalUnit = want.Subject.OrganizationalUnit
	}
	if s.URL != "" && i.role != Delegated {
		t.CRLDistributionPoints = []string{s.URL + "/crl/" + i.skid + ".crl"}
		t.OCSPServer = []string{s.URL + "/ocsp"}
		t.IssuingCertificateURL = []string{s.URL + "/ca/" + i.skid + ".crt"}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, i.cert(), pub, i.key)
	return t, der, err
}

// life clamps what was asked for to what there is: no certificate is good for
// longer than its issuer, or from before it.
func (i *issuer) life(want *x509.Certificate, now time.Time) (from, until time.Time, err error) {
	from, until = want.NotBefore, want.NotAfter
	if from.IsZero() || until.IsZero() || !until.After(from) {
		return from, until, refuse("a certificate from %v to %v is good for no time at all", from, until)
	}
	if most := i.role.MaxLife(); until.Sub(now) > most || until.Sub(from) > most+early {
		return from, until, refuse("a life of %v: the %s issuer signs for %v at most", until.Sub(from), i.role, most)
	}
	if from.Before(i.cert().NotBefore) {
		from = i.cert().NotBefore
	}
	if until.After(i.until) {
		until = i.until
	}
	if !until.After(from) || !until.After(now) {
		return from, until, refuse("the %s issuer, generation %d, expires at %v: rotate it", i.role, i.generation, i.until)
	}
	return from, until, nil
}

// judge refuses what an issuer must not sign.
func (i *issuer) judge(s Settings, want *x509.Certificate, pub crypto.PublicKey) error {
	switch {
	case want.IsCA || want.MaxPathLen > 0 || want.MaxPathLenZero || want.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return refuse("a certificate that could sign others")
	case !slices.Equal(want.ExtKeyUsage, []x509.ExtKeyUsage{i.role.usage()}) || len(want.UnknownExtKeyUsage) > 0:
		return refuse("extended key usages %v: the %s issuer signs for %v alone", want.ExtKeyUsage, i.role, i.role.usage())
	case len(want.RawSubject) > 0 || len(want.Subject.ExtraNames) > 0:
		return refuse("a subject that was encoded elsewhere")
	case len(want.DNSNames)+len(want.IPAddresses)+len(want.EmailAddresses)+len(want.URIs) > 100:
		return refuse("more than 100 names")
	}
	if len(want.ExtraExtensions) > 0 {
		// 2.5.29.17 among them: a raw one would pass every look at the names.
		return refuse("extension %v was encoded elsewhere", want.ExtraExtensions[0].Id)
	}
	if err := strong(pub); err != nil {
		return err
	}
	names := i.judgeServer
	if i.role.Domain() == Identity {
		names = i.judgeClient
	}
	if err := names(s, want); err != nil {
		return err
	}
	chain := i.chain
	if i.held != nil {
		chain = append([]*x509.Certificate{i.held}, chain...)
	}
	if n := outside(want, chain); n != "" {
		return refuse("%s is outside the names that the %s issuer, generation %d, is constrained to", n, i.role, i.generation)
	}
	return nil
}

func (i *issuer) judgeServer(_ Settings, want *x509.Certificate) error {
	cn := want.Subject.CommonName
	if len(want.DNSNames)+len(want.IPAddresses) == 0 || len(want.EmailAddresses)+len(want.URIs) > 0 {
		return refuse("a server's certificate has DNS names and addresses, one at least, and nothing else")
	}
	for _, n := range want.DNSNames {
		if err := validDNS(n); err != nil {
			return refuse("%w", err)
		}
	}
	known := slices.Contains(want.DNSNames, cn)
	for _, b := range want.IPAddresses {
		ip, _ := netip.AddrFromSlice(b)
		if err := validIP(ip); err != nil {
			return refuse("%w", err)
		}
		known = known || ip.Unmap().String() == cn
	}
	if cn != "" && !known {
		return refuse("common name %q, which is none of its names", cn)
	}
	return nil
}

func (i *issuer) judgeClient(s Settings, want *x509.Certificate) error {
	if len(want.URIs) != 1 || len(want.DNSNames)+len(want.IPAddresses) > 0 || len(want.EmailAddresses) > 1 {
		return refuse("a client's certificate has one SPIFFE ID, an email address at most, and no other names")
	}
	read, units := spiffeName, 0
	if i.role == Delegated {
		read, units = delegatedName, 1 // several would be one name of several values, which programs write in ways of their own
	}
	if n := len(want.Subject.OrganizationalUnit); n > units {
		return refuse("%d organizational units: the %s issuer signs for %d at most", n, i.role, units)
	}
	for _, u := range want.Subject.OrganizationalUnit {
		if err := validUnit(u); err != nil {
			return refuse("%w", err)
		}
	}
	name, err := read(s.TrustDomain, want.URIs[0])
	if err != nil {
		return refuse("SPIFFE ID %s: %w", want.URIs[0], err)
	}
	if want.Subject.CommonName != name {
		return refuse("common name %q beside the SPIFFE ID of %q", want.Subject.CommonName, name)
	}
	for _, m := range want.EmailAddresses {
		if err := validEmail(m); err != nil {
			return refuse("%w", err)
		}
	}
	return nil
}

// strong refuses keys that others would refuse, or take ages to verify.
func strong(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521() {
			return nil
		}
	case ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n >= 2048 && n <= 8192 && k.E >= 65537 {
			return nil
		}
	}
	return refuse("its key: want P-256, P-384, P-521, Ed25519 or RSA of 2048 to 8192 bits")
}
