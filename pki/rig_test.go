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
	"os"
	"path/filepath"
	"testing"
	"time"
)

// secret is the passphrase of every test; deriving a key from it costs little
// here.
var secret = []byte("correct horse battery staple")

func TestMain(m *testing.M) {
	usualCost.N = 1 << 10
	if what := os.Getenv(childVariable); what != "" {
		child(what)
	}
	os.Exit(m.Run())
}

// A clock is the time of a test.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// memoryCA returns an authority that has no disk.
func memoryCA(t testing.TB, s Settings, o Options) *CA {
	t.Helper()
	now := time.Now
	if o.Now != nil {
		now = o.Now
	}
	s, err := s.complete()
	if err != nil {
		t.Fatal(err)
	}
	db := newMemory()
	if err := populate(db, secret, s, now()); err != nil {
		t.Fatal(err)
	}
	ca, err := openStore(db, secret, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ca.Close() })
	return ca
}

// diskCA returns an authority in a directory of its own.
func diskCA(t testing.TB, s Settings) (*CA, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	if err := Init(dir, secret, s); err != nil {
		t.Fatal(err)
	}
	return reopen(t, dir), dir
}

func reopen(t testing.TB, dir string) *CA {
	t.Helper()
	ca, err := Open(dir, secret, Options{Wait: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ca.Close() })
	return ca
}

// csr returns a signing request that asks for nothing, unless it is told what.
func csr(t testing.TB, template x509.CertificateRequest) (*x509.CertificateRequest, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

// hostile is a signing request that asks for everything it should not get.
func hostile(t testing.TB) *x509.CertificateRequest {
	t.Helper()
	c, _ := csr(t, x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "root", Organization: []string{"evil"}},
		DNSNames: []string{"evil.example"},
		ExtraExtensions: []pkix.Extension{
			{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}},        // CA:TRUE
			{Id: []int{2, 5, 29, 15}, Critical: true, Value: []byte{0x03, 0x02, 0x01, 0x06}},              // keyCertSign, cRLSign
			{Id: []int{2, 5, 29, 37}, Value: []byte{0x30, 0x06, 0x06, 0x04, 0x55, 0x1d, 0x25, 0x00}},      // any
			{Id: []int{2, 5, 29, 17}, Value: append([]byte{0x30, 14, 0x82, 12}, "evil2.example"[:12]...)}, // raw names
		},
	})
	return c
}

func mustKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// pool has certificates for verification.
func pool(certs ...*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}
