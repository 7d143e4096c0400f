// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"software.sslmate.com/src/go-pkcs12"
)

// A maker makes the files that scripts about certificates look at.
type maker struct {
	ts   *testscript.TestScript
	dir  string
	root *made
	sub  *made
}

type made struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// cmdCertificates leaves certificates of every kind, good and bad, in the
// working directory: certificates. The script's comments say what they are.
func cmdCertificates(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: certificates")
	}
	m := &maker{ts: ts, dir: ts.MkAbs(".")}
	ts.Setenv("capin", pin(worldOf(ts).ca.cert))
	ca := func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign }
	m.root = m.issue(nil, "Root", ca)
	m.sub = m.issue(m.root, "Sub", func(c *x509.Certificate) { ca(c); c.MaxPathLenZero = true })
	m.write("root.pem", certBlock(m.root))
	m.write("sub.pem", certBlock(m.sub))
	leaf := func(name string, change func(*x509.Certificate)) *made {
		d := m.issue(m.sub, "www.corp.test", func(c *x509.Certificate) {
			c.DNSNames, c.ExtKeyUsage = []string{"www.corp.test", "*.api.corp.test"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			c.KeyUsage = x509.KeyUsageDigitalSignature
			if change != nil {
				change(c)
			}
		})
		m.write(name+".pem", certBlock(d), certBlock(m.sub))
		m.write(name+".key", m.keyBlock(d))
		return d
	}
	good := leaf("good", func(c *x509.Certificate) {
		c.IPAddresses, c.EmailAddresses = nil, []string{"ops@corp.test"}
		spiffe, _ := url.Parse("spiffe://corp.test/user/alice")
		c.URIs = []*url.URL{spiffe}
		c.CRLDistributionPoints, c.OCSPServer = []string{"http://ca.corp.test/sub.crl"}, []string{"http://ca.corp.test/ocsp"}
		c.IssuingCertificateURL = []string{"http://ca.corp.test/sub.crt"}
	})
	now := time.Now()
	leaf("expired", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-90*day), now.Add(-3*day-time.Hour) })
	leaf("early", func(c *x509.Certificate) { c.NotBefore = now.Add(5*day + time.Hour) })
	leaf("soon", func(c *x509.Certificate) { c.NotAfter = now.Add(5*day + time.Hour) })
	leaf("client", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	evil := leaf("evil", func(c *x509.Certificate) {
		c.Subject.CommonName = "\x1b[31mred\x1b[0m\r\nsubject: CN=trusted\u202egpj.exe"
		c.DNSNames = []string{"\x1b]0;owned\x07.test"}
	})
	m.write("evil.pem", certBlock(evil))
	m.write("alone.pem", certBlock(good))
	m.write("order.pem", certBlock(m.sub), certBlock(good))
	m.write("both.pem", certBlock(good), certBlock(m.sub), m.keyBlock(good))
	m.bytes("good.der", good.cert.Raw)
	m.formats(good)
	m.bad()
}

// formats leaves a request, a CRL and PKCS #12.
func (m *maker) formats(good *made) {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "new.corp.test"}, DNSNames: []string{"new.corp.test"},
	}, good.key)
	m.ts.Check(err)
	m.write("new.csr", &pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(7), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(day),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: good.cert.SerialNumber, RevocationTime: time.Now().Add(-time.Minute), ReasonCode: 1}},
	}, m.sub.cert, m.sub.key)
	m.ts.Check(err)
	m.write("sub.crl", &pem.Block{Type: "X509 CRL", Bytes: crl})
	p12, err := pkcs12.Modern.Encode(good.key, good.cert, []*x509.Certificate{m.sub.cert}, "sesame")
	m.ts.Check(err)
	m.bytes("good.p12", p12)
	m.bytes("password", []byte("sesame\n"))
	m.bytes("wrong", []byte("open\n"))
}

// bad leaves files that cannot be read, or not whole.
func (m *maker) bad() {
	text, err := os.ReadFile(filepath.Join(m.dir, "good.pem"))
	m.ts.Check(err)
	m.bytes("cut.pem", text[:len(text)-100])
	m.bytes("empty.pem", nil)
	m.bytes("text.pem", []byte("this is no certificate\n"))
	m.bytes("garbage.der", append([]byte{0x30, 0x82, 0x01, 0x00}, bytes.Repeat([]byte{0xaa}, 256)...))
	m.bytes("cut.der", []byte{0x30, 0x82, 0x10, 0x00, 0x30})
	m.bytes("many.pem", bytes.Repeat(pem.EncodeToMemory(certBlock(m.root)), 10000))
	m.ts.Check(os.Truncate(m.bytes("huge.pem", nil), 100<<20))
}

func (m *maker) issue(by *made, name string, change func(*x509.Certificate)) *made {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	m.ts.Check(err)
	c := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90*day + time.Hour),
	}
	change(c)
	if by == nil {
		by = &made{c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.cert, key.Public(), by.key)
	m.ts.Check(err)
	cert, err := x509.ParseCertificate(der)
	m.ts.Check(err)
	return &made{cert, key}
}

func (m *maker) write(name string, blocks ...*pem.Block) {
	var text []byte
	for _, b := range blocks {
		text = append(text, pem.EncodeToMemory(b)...)
	}
	m.bytes(name, text)
}

func (m *maker) bytes(name string, b []byte) string {
	path := filepath.Join(m.dir, name)
	m.ts.Check(os.WriteFile(path, b, 0o600))
	return path
}

func certBlock(d *made) *pem.Block { return &pem.Block{Type: "CERTIFICATE", Bytes: d.cert.Raw} }

func (m *maker) keyBlock(d *made) *pem.Block {
	der, err := x509.MarshalPKCS8PrivateKey(d.key)
	m.ts.Check(err)
	return &pem.Block{Type: "PRIVATE KEY", Bytes: der}
}

// cmdWatching starts cert watch, and waits until it does: watching NAME [FLAG...].
func cmdWatching(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: watching name [flag...]")
	}
	cmdDaemon(ts, false, append([]string{args[0], "^sallyport: watching ", "sallyport", "cert", "watch", "--state", ts.MkAbs("state")}, args[1:]...))
}
