// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

type party struct {
	cert *x509.Certificate
	key  crypto.Signer
}

var serial int64

func issue(t testing.TB, by *party, name string) *party {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		SubjectKeyId: []byte(name),
	}
	if by == nil {
		by = &party{c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &party{c, key}
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func (p *party) pem() string { return block("CERTIFICATE", p.cert.Raw) }

func (p *party) keyPEM(t testing.TB) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

// TestReadRefuses: what there is nothing to look at in, and what is left out.
func TestReadRefuses(t *testing.T) {
	root := issue(t, nil, "Root")
	text := root.pem()
	for _, c := range []struct{ name, in, err, damaged string }{
		{"nothing", " \n", "it is empty", ""},
		{"text", "hello", "it is neither PEM (-----BEGIN CERTIFICATE-----) nor DER nor PKCS #12", ""},
		{"a block cut off", text[:100], "1 of 1 PEM blocks are damaged or cut off: export the file again", ""},
		{"the second cut off", text + text[:100], "", "1 of 2 PEM blocks are damaged or cut off: export the file again"},
		{"no certificate in it", block("CERTIFICATE", []byte("x")), "PEM block 1 cannot be read: x509: malformed certificate", ""},
		{"only a public key", block("PUBLIC KEY", []byte("x")), "there is no certificate in it", ""},
		{"one of two", block("CERTIFICATE", []byte("x")) + text, "", "PEM block 1 cannot be read: x509: malformed certificate"},
		{"PKCS #7", block("PKCS7", []byte("x")), "PEM block 1 cannot be read: it is PKCS #7: take the certificates out with openssl pkcs7 -print_certs", ""},
		{"unknown", block("SOMETHING", []byte("x")), `PEM block 1 cannot be read: nothing is known about a "SOMETHING"`, ""},
		{"too many", strings.Repeat(text, MaxCertificates+1), "it has more than 20000 PEM blocks: split it", ""},
		{"DER cut off", string(root.cert.Raw[:50]), "it begins like DER and is damaged or cut off: export it again", ""},
		{"DER and more", string(root.cert.Raw) + "xyz", "", "3 bytes behind certificate 1 cannot be read"},
		{"DER of something", "\x30\x03\x02\x01\x01", "it is DER, and neither a certificate, a request, a CRL nor PKCS #12 (as a certificate: x509: malformed tbs certificate)", ""},
		{"DERs of something", "\x30\x03\x02\x01\x01\x30\x00", "it begins like DER and there is no certificate in it", ""},
		{"PKCS #12 of nothing", "\x30\x05\x02\x01\x03\x30\x00", "it is PKCS #12 of a kind that is not read, or damaged (pkcs12: error reading P12 data: asn1: syntax error: sequence truncated): openssl pkcs12 -in FILE -nokeys may read it", ""},
	} {
		got, err := Read(context.Background(), []byte(c.in), nil)
		switch {
		case c.err != "" && (err == nil || err.Error() != c.err):
			t.Errorf("%s: error %v, want %s", c.name, err, c.err)
		case c.err == "" && (err != nil || !slices.Equal(got.Damaged, []string{c.damaged})):
			t.Errorf("%s: %+v, %v; want %s", c.name, got, err, c.damaged)
		}
	}
}

// TestReadKeys: keys are told of, belong to their certificate, and do not show.
func TestReadKeys(t *testing.T) {
	root := issue(t, nil, "Root")
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edDER, err := x509.MarshalPKCS8PrivateKey(ed)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := x509.MarshalECPrivateKey(root.key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Read(context.Background(), []byte(root.pem()+root.keyPEM(t)+block("EC PARAMETERS", []byte("x"))+block("EC PRIVATE KEY", ec)+
		block("PRIVATE KEY", edDER)+block("ENCRYPTED PRIVATE KEY", []byte("x"))+block("OPENSSH PRIVATE KEY", []byte("x"))+block("RSA PRIVATE KEY", []byte("secret"))), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range c.Keys {
		got = append(got, k.Kind)
	}
	want := []string{"ECDSA P-256", "ECDSA P-256", "Ed25519", "encrypted", "OpenSSH's form", "damaged, or of an unknown kind"}
	if !slices.Equal(got, want) || len(c.Damaged) > 0 {
		t.Errorf("%q %q, want %q", got, c.Damaged, want)
	}
	if c.Keys[0].Belongs(c.Certificates) != 0 || c.Keys[2].Belongs(c.Certificates) != -1 || c.Keys[3].Belongs(c.Certificates) != -1 {
		t.Error("a key belongs to another certificate than its own")
	}
}

// TestPKCS12 reads what its writer writes, and gives up on what takes for ever.
func TestPKCS12(t *testing.T) {
	root := issue(t, nil, "Root")
	leaf := issue(t, root, "leaf")
	for _, e := range []*pkcs12.Encoder{pkcs12.Modern2026, pkcs12.Modern2023, pkcs12.LegacyDES, pkcs12.LegacyRC2} {
		der, err := e.Encode(leaf.key, leaf.cert, []*x509.Certificate{root.cert}, "sesame")
		if err != nil {
			t.Fatal(err)
		}
		c, err := Read(context.Background(), der, []byte("sesame"))
		if err != nil || len(c.Certificates) != 2 || c.Keys[0].Belongs(c.Certificates) != 0 {
			t.Errorf("%+v, %v", c, err)
		}
		if _, err := Read(context.Background(), der, nil); err != ErrPassword {
			t.Errorf("without the password: %v", err)
		}
	}
	store, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{root.cert}, "")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := Read(context.Background(), store, nil); err != nil || len(c.Certificates) != 1 {
		t.Errorf("a trust store: %+v, %v", c, err)
	}
	slow, err := pkcs12.LegacyDES.WithIterations(1<<16).Encode(leaf.key, leaf.cert, nil, "sesame")
	if err != nil {
		t.Fatal(err)
	}
	// How often the MAC's password is hashed stands last.
	i := bytes.LastIndex(slow, []byte{2, 3, 1, 0, 0})
	if i != len(slow)-5 {
		t.Fatal("the count does not stand last")
	}
	copy(slow[i:], []byte{2, 3, 0x7f, 0xff, 0xff})
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Read(ended, slow, []byte("sesame")); err == nil || err.Error() != "opening it takes too long: it wants its password hashed too often" {
		t.Errorf("%v", err)
	}
}

// TestIssuersInCircles: two that issued each other, and one with a great many
// namesakes.
func TestIssuersInCircles(t *testing.T) {
	a1, b1 := issue(t, nil, "A"), issue(t, nil, "B")
	a2 := reissue(t, a1, b1) // A by B
	b2 := reissue(t, b1, a1) // B by A
	up := Issuers([]*x509.Certificate{a2, b2})
	if !slices.Equal(up, []int{1, -1}) && !slices.Equal(up, []int{-1, 0}) {
		t.Errorf("%v", up)
	}
	leaf := issue(t, a1, "leaf")
	if up := Issuers([]*x509.Certificate{leaf.cert, b1.cert, a1.cert}); !slices.Equal(up, []int{2, -1, -1}) {
		t.Errorf("%v", up)
	}
	many := []*x509.Certificate{leaf.cert}
	for range 1000 {
		many = append(many, issue(t, nil, "A").cert)
	}
	if up := Issuers(many); up[0] != -1 {
		t.Errorf("%v", up[0])
	}
}

// reissue has by issue what p issued itself.
func reissue(t *testing.T, p, by *party) *x509.Certificate {
	t.Helper()
	serial++
	c := *p.cert
	c.SerialNumber = big.NewInt(serial)
	der, err := x509.CreateCertificate(rand.Reader, &c, by.cert, p.key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestSCTs counts what is there and no more.
func TestSCTs(t *testing.T) {
	for _, c := range []struct {
		list []byte
		want int
	}{
		{nil, 0},
		{[]byte{0}, 0},
		{[]byte{0, 4, 0, 2, 9, 9}, 1},
		{[]byte{0, 7, 0, 2, 9, 9, 0, 1, 9}, 2},
		{[]byte{0, 4, 0xff, 0xff, 9, 9}, 0},
	} {
		der, err := asn1.Marshal(c.list)
		if err != nil {
			t.Fatal(err)
		}
		x := &x509.Certificate{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: der}}}
		if got := countSCTs(x); got != c.want {
			t.Errorf("%x: %d, want %d", c.list, got, c.want)
		}
	}
}

// FuzzRead: whatever comes, it is read or refused, described, and no key shows.
func FuzzRead(f *testing.F) {
	root := issue(f, nil, "Root")
	leaf := issue(f, root, "leaf")
	f.Add([]byte(leaf.pem() + root.pem() + leaf.keyPEM(f)))
	f.Add(leaf.cert.Raw)
	f.Add(append(slices.Clone(leaf.cert.Raw), root.cert.Raw...))
	p12, err := pkcs12.LegacyDES.WithIterations(1).Encode(leaf.key, leaf.cert, nil, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p12)
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), NextUpdate: time.Now()}, root.cert, root.key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(block("X509 CRL", crl)))
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c, err := Read(ctx, data, nil)
		if err != nil {
			return
		}
		if c.empty() {
			t.Fatal("read, and nothing is there")
		}
		up := Issuers(c.Certificates)
		for i, x := range c.Certificates {
			d := Describe(x, time.Now())
			if _, err := json.Marshal(d); err != nil {
				t.Fatal(err)
			}
			if d.Name() == "" || up[i] == i {
				t.Fatalf("%+v %d", d, up[i])
			}
		}
		for _, r := range c.Requests {
			DescribeRequest(r)
		}
		for _, l := range c.Lists {
			DescribeList(l, time.Now())
		}
		for _, k := range c.Keys {
			if i := k.Belongs(c.Certificates); i >= len(c.Certificates) {
				t.Fatal(i)
			}
		}
	})
}
