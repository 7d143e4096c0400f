// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"
)

// crl makes a list of what a has revoked.
func (a *authority) crl(number int64, gone []*authority, change ...func(*x509.RevocationList)) []byte {
	l := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, g := range gone {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: g.cert.SerialNumber, RevocationTime: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC), ReasonCode: 1,
		})
	}
	for _, c := range change {
		c(l)
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// A point is RFC 5280's IssuingDistributionPoint.
type point struct {
	Point    pointName      `asn1:"optional,tag:0"`
	User     bool           `asn1:"optional,tag:1"`
	CA       bool           `asn1:"optional,tag:2"`
	Some     asn1.BitString `asn1:"optional,tag:3"`
	Indirect bool           `asn1:"optional,tag:4"`
	Attr     bool           `asn1:"optional,tag:5"`
}

type pointName struct {
	Full []asn1.RawValue `asn1:"optional,tag:0"`
}

func at(p point, urls ...string) func(*x509.RevocationList) {
	for _, u := range urls {
		p.Point.Full = append(p.Point.Full, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(u)})
	}
	der, err := asn1.Marshal(p)
	return func(l *x509.RevocationList) {
		if err != nil {
			panic(err)
		}
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: oidIssuingPoint, Critical: true, Value: der})
	}
}

func TestCRL(t *testing.T) {
	root, twin, other := newRoot(t, "Root"), newRoot(t, "Root"), newRoot(t, "Other")
	signer := issue(t, nil, x509.Certificate{Subject: subject("Root"), IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign})
	template := serverTemplate(host)
	template.CRLDistributionPoints = []string{"http://a.example/1.crl"}
	gone, well := issue(t, root, template), issue(t, root, template)
	middle := issue(t, root, x509.Certificate{Subject: subject("Middle"), IsCA: true})
	extension := func(id asn1.ObjectIdentifier, critical bool) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: []byte{2, 1, 1}})
		}
	}
	entry := func(id asn1.ObjectIdentifier, critical bool) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{{Id: id, Critical: critical, Value: []byte{0x30, 0}}}
		}
	}
	g := []*authority{gone, middle}
	for name, tt := range map[string]struct {
		der  []byte
		cert *authority
		want string // "revoked", "good", or why it says nothing
	}{
		"revoked":                  {root.crl(1, g), gone, "revoked"},
		"not":                      {root.crl(1, g), well, "good"},
		"empty":                    {root.crl(1, nil), gone, "good"},
		"a CA":                     {root.crl(1, g), middle, "revoked"},
		"this part":                {root.crl(1, g, at(point{}, "http://b.example/", "http://a.example/1.crl")), gone, "revoked"},
		"another part":             {root.crl(1, nil, at(point{}, "http://a.example/2.crl")), gone, "the CRL is another part of what its issuer revoked"},
		"users":                    {root.crl(1, g, at(point{User: true}, "http://a.example/1.crl")), gone, "revoked"},
		"users, of a CA":           {root.crl(1, nil, at(point{User: true})), middle, "the CRL is not about certificates of this kind"},
		"CAs":                      {root.crl(1, g, at(point{CA: true})), middle, "revoked"},
		"CAs, of a user":           {root.crl(1, nil, at(point{CA: true})), gone, "the CRL is not about certificates of this kind"},
		"some reasons":             {root.crl(1, nil, at(point{Some: asn1.BitString{Bytes: []byte{0x40}, BitLength: 2}})), gone, "the CRL holds certificates revoked for some reasons only, which is not supported"},
		"indirect":                 {root.crl(1, nil, at(point{Indirect: true})), gone, errIndirect.Error()},
		"indirect, without a word": {root.crl(1, g, entry(asn1.ObjectIdentifier{2, 5, 29, 29}, true)), gone, errIndirect.Error()},
		"an entry's extra":         {root.crl(1, g, entry(asn1.ObjectIdentifier{2, 5, 29, 24}, false)), gone, "revoked"},
		"attributes":               {root.crl(1, nil, at(point{Attr: true})), gone, "the CRL is about attribute certificates"},
		"delta":                    {root.crl(1, nil, extension(oidDelta, true)), gone, "the CRL holds only what changed (a delta CRL), which is not supported"},
		"unknown":                  {root.crl(1, nil, extension(asn1.ObjectIdentifier{1, 2, 3}, true)), gone, "the CRL has an unknown critical extension (1.2.3)"},
		"unknown, not critical":    {root.crl(1, g, extension(asn1.ObjectIdentifier{1, 2, 3}, false)), gone, "revoked"},
		"another issuer":           {other.crl(1, nil), gone, `the CRL is of "CN=Other", not of the certificate's issuer`},
		"an issuer of its name":    {twin.crl(1, nil), gone, "the CRL is not signed by the certificate's issuer"},
		"and its usage":            {signer.crl(1, nil), gone, "the CRL is not signed by the certificate's issuer"},
		"damaged":                  {damaged(root.crl(1, nil)), gone, "the CRL is not signed by the certificate's issuer"},
		"garbage":                  {[]byte("<html>"), gone, "the CRL cannot be read"},
		"nothing":                  {nil, gone, "the CRL cannot be read"},
		"cut":                      {root.crl(1, g)[:100], gone, "the CRL cannot be read"},
	} {
		l, err := readCRL(tt.der, root.cert)
		var a *answer
		if err == nil {
			a, err = l.find(tt.cert.cert)
		}
		got := "good"
		switch {
		case err != nil:
			got = err.Error()
		case a.revoked:
			got = "revoked"
			if a.reason != 1 && !strings.Contains(name, "extra") || !a.at.Equal(time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)) {
				t.Errorf("%s: %+v", name, a)
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// TestCRLSigner: a CA that may not sign CRLs, RFC 5280 §4.2.1.3.
func TestCRLSigner(t *testing.T) {
	root := newRoot(t, "Root")
	der := root.crl(1, nil)
	root.cert.KeyUsage = x509.KeyUsageCertSign
	if _, err := readCRL(der, root.cert); err == nil || err.Error() != `the CRL is signed by "CN=Root", which may not sign CRLs` {
		t.Error(err)
	}
}

// TestCRLFindsAll compares with crypto/x509, on serial numbers of every length.
func TestCRLFindsAll(t *testing.T) {
	root := newRoot(t, "Root")
	der := root.crl(7, nil, func(l *x509.RevocationList) {
		for i := range 2000 {
			n := new(big.Int).Lsh(big.NewInt(int64(i%250+1)), uint(i)%150)
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: time.Now()})
		}
	})
	std, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	l, err := readCRL(der, root.cert)
	if err != nil || len(l.revoked) != len(std.RevokedCertificateEntries) || l.number.Int64() != 7 || l.size != len(der) ||
		!l.from.Equal(std.ThisUpdate) || !l.until.Equal(std.NextUpdate) {
		t.Fatalf("%v, %+v", err, l)
	}
	on := make(map[string]bool)
	for _, e := range std.RevokedCertificateEntries {
		on[e.SerialNumber.String()] = true
		if a, err := l.find(&x509.Certificate{SerialNumber: e.SerialNumber}); err != nil || !a.revoked {
			t.Errorf("%x is not found: %v", e.SerialNumber, err)
		}
	}
	for n := range int64(3000) {
		s := big.NewInt(n + 1)
		if a, err := l.find(&x509.Certificate{SerialNumber: s}); err != nil || a.revoked != on[s.String()] {
			t.Errorf("%x: %v %v", s, a, err)
		}
	}
}

func TestCRLOfLongSerial(t *testing.T) {
	root := newRoot(t, "Root")
	long := new(big.Int).Lsh(big.NewInt(1), 170)
	der := root.crl(1, nil, func(l *x509.RevocationList) {
		l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: long, RevocationTime: time.Now()}}
	})
	if _, err := readCRL(der, root.cert); err == nil || err.Error() != "the CRL has a serial number of more than 20 bytes" {
		t.Error(err)
	}
}

func FuzzCRL(f *testing.F) {
	root := newRoot(f, "Root")
	gone := root.server(host)
	for _, seed := range [][]byte{
		root.crl(1, nil), root.crl(2, []*authority{gone}), root.crl(3, []*authority{gone}, at(point{User: true}, "http://a.example/")),
	} {
		f.Add(seed, 0, byte(0))
		f.Add(seed, len(seed)/2, byte(1))
	}
	f.Fuzz(func(t *testing.T, der []byte, at int, flip byte) {
		if len(der) > 0 {
			der[uint(at)%uint(len(der))] ^= flip
		}
		tbs, without, _, err := splitCRL(der)
		if err == nil {
			// What crypto/x509 reads and the list it reads from are parts of one text.
			if std, err := x509.ParseRevocationList(der); err == nil && string(std.RawTBSRevocationList) != string(tbs) {
				t.Error("the signed part is another")
			}
			if len(without) > len(der) {
				t.Error("it grew")
			}
		}
		if l, err := readCRL(der, root.cert); err == nil {
			std, err := x509.ParseRevocationList(der)
			if err != nil || len(std.RevokedCertificateEntries) != len(l.revoked) {
				t.Errorf("crypto/x509 reads it otherwise: %v", err)
			}
		}
		// The walk itself, without the signature in front of it.
		_ = (&parsedCRL{}).entries(der)
		_ = (&parsedCRL{}).issuingPoint(der)
	})
}
