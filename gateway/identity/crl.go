// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"
)

// CRLs are revocation lists (RFC 5280 §5) of the authorities of clients. They are
// immutable. A nil one knows nothing to be revoked.
type CRLs struct {
	lists []*crl
}

type crl struct {
	name    string
	list    *x509.RevocationList
	revoked map[string]bool // by serial number
}

// With are the lists of c and of d.
func (c *CRLs) With(d *CRLs) *CRLs {
	if c == nil {
		return d
	}
	if d == nil {
		return c
	}
	return &CRLs{slices.Concat(c.lists, d.lists)}
}

// ReadCRLs reads the lists of a file, in PEM or DER; name is what messages call
// it.
func ReadCRLs(name string, text []byte) (*CRLs, error) {
	all := &CRLs{}
	var ders [][]byte
	if bytes.Contains(text, []byte("-----BEGIN")) {
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "X509 CRL" {
				ders = append(ders, block.Bytes)
			}
		}
	} else {
		ders = append(ders, text)
	}
	for _, der := range ders {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, fmt.Errorf("%s is no revocation list: %w", name, err)
		}
		for _, e := range list.Extensions {
			if e.Critical && !e.Id.Equal(oidIssuingPoint) { // a delta, or what else is not the whole list
				return nil, fmt.Errorf("%s: the list has the critical extension %s, which is not understood: give the complete list", name, e.Id)
			}
		}
		c := &crl{name: name, list: list, revoked: make(map[string]bool, len(list.RevokedCertificateEntries))}
		for _, e := range list.RevokedCertificateEntries {
			if e.ReasonCode != 8 { // removeFromCRL
				c.revoked[e.SerialNumber.String()] = true
			}
		}
		all.lists = append(all.lists, c)
	}
	if len(ders) == 0 {
		return nil, fmt.Errorf("%s has no revocation list (X509 CRL)", name)
	}
	return all, nil
}

var oidIssuingPoint = []int{2, 5, 29, 28}

// of are the lists of an issuer: there may be several, for parts of what it issues.
func (c *CRLs) of(issuer *x509.Certificate) (lists []*crl) {
	if c == nil {
		return nil
	}
	for _, l := range c.lists {
		if bytes.Equal(l.list.RawIssuer, issuer.RawSubject) && l.list.CheckSignatureFrom(issuer) == nil {
			lists = append(lists, l)
		}
	}
	return lists
}

// judge refuses a certificate that one of the lists of its issuer has, and one
// whose issuer's lists are out of date: what has been revoked since is not known.
func judge(x *x509.Certificate, lists []*crl, now time.Time) error {
	var until time.Time // when the newest list was to be renewed
	for _, l := range lists {
		if l.revoked[x.SerialNumber.String()] {
			return errRevoked
		}
		if next := l.list.NextUpdate; next.After(until) {
			until = next
		}
	}
	if !until.IsZero() && now.After(until) {
		return &certError{fmt.Sprintf("whether the certificate has been revoked is not known: the list of its issuer was to be renewed by %s", until.UTC().Format(time.RFC3339))}
	}
	return nil
}

var errRevoked = &certError{"the certificate has been revoked"}

// Stale are the names of the lists that are out of date at a time: the
// certificates of their issuers are refused.
func (c *CRLs) Stale(now time.Time) (names []string) {
	if c == nil {
		return nil
	}
	for _, l := range c.lists {
		if !l.list.NextUpdate.IsZero() && now.After(l.list.NextUpdate) {
			names = append(names, l.name)
		}
	}
	return names
}
