// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"slices"
	"testing"
	"time"
)

// A company is a CA that is none of ours.
type company struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// sub makes a CA below a company; nil makes a root.
func sub(t testing.TB, above *company, name string, edit func(*x509.Certificate)) *company {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, MaxPathLen: -1,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	if edit != nil {
		edit(c)
	}
	key := mustKey(t)
	if above == nil {
		above = &company{c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, above.cert, key.Public(), above.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &company{c, key}
}

// A company's issuer signs in place of our own, its root is published beside
// ours, and everything holds after a restart and a rotation of our root.
func TestImport(t *testing.T) {
	ca, dir := diskCA(t, Settings{})
	ctx := t.Context()
	root := sub(t, nil, "corp root", nil)
	policy := sub(t, root, "corp policy", nil)
	issuing := sub(t, policy, "corp interception", func(c *x509.Certificate) {
		c.MaxPathLen, c.MaxPathLenZero = 0, true
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.PermittedDNSDomains = []string{"test"}
	})
	own := ca.Roots(Edge)[0]
	if err := ca.Import(ctx, Intercept, []*x509.Certificate{issuing.cert, policy.cert, root.cert}, issuing.key); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		switch n {
		case 1:
			ca.Close()
			ca = reopen(t, dir)
		case 2:
			if err := errors.Join(ca.RotateRoot(ctx, Edge, Prepare), ca.RotateRoot(ctx, Edge, Switch), ca.RotateRoot(ctx, Edge, Retire)); err != nil {
				t.Fatal(err)
			}
			own = ca.Roots(Edge)[0]
		}
		if got := ca.Roots(Edge); !slices.EqualFunc(got, []*x509.Certificate{own, root.cert}, (*x509.Certificate).Equal) {
			t.Fatalf("%d: %d roots", n, len(got))
		}
		if got := ca.Anchors(Edge); !slices.EqualFunc(got, []*x509.Certificate{own, issuing.cert}, (*x509.Certificate).Equal) {
			t.Fatalf("%d: %d anchors", n, len(got))
		}
		mint, err := ca.Minter(Intercept).Host("www.example.test", 0)
		chain := parsed(t, mint, err)
		if len(chain) != 3 {
			t.Errorf("%d: a chain of %d", n, len(chain))
		}
		check(t, "imported", chain, x509.ExtKeyUsageServerAuth, true, root.cert)
		check(t, "imported, our root", chain, x509.ExtKeyUsageServerAuth, false, own)
		if err := verify(chain[:1], x509.ExtKeyUsageServerAuth, time.Now(), ca.Anchors(Edge)...); err != nil {
			t.Error(err)
		}
		if _, err := ca.Minter(Intercept).Host("www.example.org", 0); !errors.Is(err, ErrRefused) {
			t.Errorf("outside what the company permits: %v", err)
		}
	}
	if err := ca.RotateIssuer(ctx, Intercept); err == nil || err.Error() != "rotating the intercept issuer: refused: it was imported: import its successor" {
		t.Errorf("rotated: %v", err)
	}
	if err := ca.Import(ctx, Intercept, []*x509.Certificate{issuing.cert, policy.cert, root.cert}, issuing.key); err == nil || err.Error() != "importing an issuer for the role intercept: refused: its key is that of an issuer already" {
		t.Errorf("imported twice: %v", err)
	}
	// Its successor is imported, and the company's root is still trusted for what the first has signed.
	next := sub(t, root, "corp interception 2", nil)
	if err := ca.Import(ctx, Intercept, []*x509.Certificate{next.cert, root.cert}, next.key); err != nil {
		t.Error(err)
	}
	if got := ca.Roots(Edge); len(got) != 2 {
		t.Errorf("%d roots", len(got))
	}
}

func TestImportRefuses(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	root := sub(t, nil, "root", nil)
	good := sub(t, root, "sub", nil)
	other := sub(t, nil, "other root", nil)
	made := func(edit func(*x509.Certificate)) *company { return sub(t, root, "sub", edit) }
	chain := func(list ...*company) (out []*x509.Certificate) {
		for _, c := range list {
			out = append(out, c.cert)
		}
		return out
	}
	leaf := made(func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	signs := made(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign })
	noCRL := made(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
	clients := made(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	past := made(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	future := made(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })
	short := made(func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true })
	below := sub(t, good, "below", nil)
	belowShort := sub(t, short, "below", nil)
	critical := made(func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
	})
	for _, c := range []struct {
		name  string
		chain []*x509.Certificate
		key   crypto.Signer
		want  string
	}{
		{"nothing", nil, good.key, "want the issuer's certificate, those above it in order, and the root at the end"},
		{"no root", chain(good), good.key, "want the issuer's certificate, those above it in order, and the root at the end"},
		{"no key", chain(good, root), nil, "the key is not that of CN=sub"},
		{"another key", chain(good, root), root.key, "the key is not that of CN=sub"},
		{"a leaf", chain(leaf, root), leaf.key, "CN=sub is no CA (CA:TRUE is missing)"},
		{"may not sign", chain(signs, root), signs.key, "CN=sub may not sign certificates (key usage keyCertSign is missing)"},
		{"may sign no CRL", chain(noCRL, root), noCRL.key, "CN=sub may not sign its CRL (key usage cRLSign is missing)"},
		{"for the other use", chain(clients, root), clients.key, "CN=sub cannot sign for this role: x509: certificate specifies an incompatible key usage"},
		{"a pathlen too short", chain(belowShort, short, root), belowShort.key, "CN=sub lets only 0 issuers stand below it (pathlen)"},
		{"not in order", chain(belowShort, root, short), belowShort.key, "CN=below is not signed by CN=root, which has to come next: x509: ECDSA verification failure"},
		{"another root", chain(good, other), good.key, "CN=sub is not signed by CN=other root, which has to come next: x509: ECDSA verification failure"},
		{"the root is missing", chain(below, good), below.key, "CN=sub is no root, with which the chain has to end: it is not signed by itself"},
		{"an unknown critical extension", chain(critical, root), critical.key, "CN=sub has a critical extension that is not known here: 1.2.3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := ca.Import(t.Context(), Server, c.chain, c.key)
			if want := "importing an issuer for the role server: refused: " + c.want; err == nil || err.Error() != want || !errors.Is(err, ErrRefused) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	for name, c := range map[string]*company{"past": past, "future": future} {
		var invalid x509.CertificateInvalidError
		if err := ca.Import(t.Context(), Server, chain(c, root), c.key); !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(ca.Issuers()) != 4 || len(ca.Roots(Edge)) != 1 {
		t.Error("what was refused has left something")
	}
}
