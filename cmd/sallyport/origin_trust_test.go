// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ocsp"
)

// originTrust is what an origin's certificate says of how to find out about it,
// and what the origin says of it.
type originTrust struct {
	staple, crl, ocsp, aia *string
	must, middle, noChain  *bool
	life                   *time.Duration
}

func trustFlags(f *flag.FlagSet) *originTrust {
	return &originTrust{
		staple:  f.String("staple", "", "staple an OCSP response: good, revoked, unknown, old, by-leaf"),
		must:    f.Bool("must-staple", false, "the certificate demands a staple"),
		crl:     f.String("crl", "", "the URL of a CRL in the certificate"),
		ocsp:    f.String("ocsp", "", "the URL of an OCSP responder in the certificate"),
		aia:     f.String("aia", "", "the URL of the issuer's certificate in the certificate"),
		middle:  f.Bool("middle", false, "issued by an intermediate, which is sent"),
		noChain: f.Bool("no-chain", false, "issued by an intermediate, which is not sent"),
		life:    f.Duration("life", long, "how long the certificate is valid"),
	}
}

func (o *originTrust) wanted() bool {
	return *o.staple != "" || *o.must || *o.crl != "" || *o.ocsp != "" || *o.aia != "" || *o.middle || *o.noChain
}

func (o *originTrust) issue(w *world, ca *testCA, from, to time.Duration, names []string) (tls.Certificate, error) {
	if *o.middle || *o.noChain {
		var err error
		if ca, err = w.intermediate(); err != nil {
			return tls.Certificate{}, err
		}
	}
	c, err := ca.issueWith(func(t *x509.Certificate) {
		for _, x := range []struct {
			to  *[]string
			url string
		}{{&t.CRLDistributionPoints, *o.crl}, {&t.OCSPServer, *o.ocsp}, {&t.IssuingCertificateURL, *o.aia}} {
			if x.url != "" {
				*x.to = []string{x.url}
			}
		}
		if *o.must {
			t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}})
		}
	}, x509.ExtKeyUsageServerAuth, "test origin", from, to, names...)
	if err != nil {
		return c, err
	}
	if *o.middle {
		c.Certificate = append(c.Certificate, ca.cert.Raw)
	}
	if *o.staple != "" {
		c.OCSPStaple, err = ca.ocsp(*o.staple, c.Leaf)
	}
	return c, err
}

// intermediate is a CA below the test's. It is left in middle.der.
func (w *world) intermediate() (*testCA, error) {
	if w.middle != nil {
		return w.middle, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "test intermediate"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(long),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, w.ca.cert, key.Public(), w.ca.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	w.middle = &testCA{cert, key}
	return w.middle, os.WriteFile(filepath.Join(w.dir, "middle.der"), der, 0o644)
}

// ocsp makes an OCSP response about leaf.
func (ca *testCA) ocsp(kind string, leaf *x509.Certificate) ([]byte, error) {
	r := ocsp.Response{
		SerialNumber: leaf.SerialNumber, ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
		RevokedAt: time.Now().Add(-2 * time.Hour), RevocationReason: ocsp.KeyCompromise,
	}
	by := *ca
	switch kind {
	case "good":
	case "revoked":
		r.Status = ocsp.Revoked
	case "unknown":
		r.Status = ocsp.Unknown
	case "old":
		r.ThisUpdate, r.NextUpdate = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	case "by-leaf": // whom the CA certified, for something else
		c, err := ca.issue(x509.ExtKeyUsageServerAuth, "test origin", -time.Hour, time.Hour)
		if err != nil {
			return nil, err
		}
		by = testCA{c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey)}
		r.Certificate = c.Leaf
	default:
		return nil, fmt.Errorf("no staple %q", kind)
	}
	return ocsp.CreateResponse(ca.cert, by.cert, r, by.key)
}

// cmdCRL writes a CRL of the test's CA: crl FILE [flags] [ORIGIN…], with the
// certificates of those origins on it.
func cmdCRL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: crl file [flags] [origin...]")
	}
	w := worldOf(ts)
	f := flag.NewFlagSet("crl", flag.ContinueOnError)
	number := f.Int64("number", 1, "of the CRL")
	left := f.Duration("left", time.Hour, "until when it holds")
	ts.Check(f.Parse(args[1:]))
	l := &x509.RevocationList{Number: big.NewInt(*number), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(*left)}
	for _, name := range f.Args() {
		c := w.certs[name]
		if c == nil {
			ts.Fatalf("no origin %s with a certificate", name)
		}
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: c.SerialNumber, RevocationTime: time.Now().Add(-2 * time.Hour), ReasonCode: 1,
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, w.ca.cert, w.ca.key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), der, 0o644))
}

// cmdOCSP writes what /ocsp of the origins answers: ocsp ORIGIN KIND.
func cmdOCSP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ocsp origin kind")
	}
	w := worldOf(ts)
	c := w.certs[args[0]]
	if c == nil {
		ts.Fatalf("no origin %s with a certificate", args[0])
	}
	der, err := w.ca.ocsp(args[1], c)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(w.dir, "ocsp.der"), der, 0o644))
}
