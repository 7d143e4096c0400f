// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// A testCA issues what the scripts' origins and clients show.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// long is how long certificates live of which nobody is to be warned.
const long = 999 * time.Hour

func newTestCA(name string) (*testCA, error) { return newTestCAFor(name, long) }

func newTestCAFor(name string, life time.Duration) (*testCA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &testCA{cert, key}, err
}

func serial() *big.Int {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	return n
}

// issue makes a leaf for names (and addresses) that is valid from now+from to now+to.
func (ca *testCA) issue(usage x509.ExtKeyUsage, cn string, from, to time.Duration, names ...string) (tls.Certificate, error) {
	return ca.issueWith(nil, usage, cn, from, to, names...)
}

// issueWith is issue; change has the last word on what the certificate says.
func (ca *testCA) issueWith(change func(*x509.Certificate), usage x509.ExtKeyUsage, cn string, from, to time.Duration, names ...string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: cn},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// writeFiles leaves ca.pem and a client certificate, client.crt and client.key, in dir.
func (ca *testCA) writeFiles(dir string) error {
	if err := writePEM(filepath.Join(dir, "ca.pem"), "CERTIFICATE", ca.cert.Raw, 0o644); err != nil {
		return err
	}
	c, err := ca.issue(x509.ExtKeyUsageClientAuth, "gateway-at-bank", -time.Hour, long)
	if err != nil {
		return err
	}
	return writePair(dir, "client", c)
}

// writePair leaves name.crt and name.key in dir.
func writePair(dir, name string, c tls.Certificate) error {
	if err := writePEM(filepath.Join(dir, name+".crt"), "CERTIFICATE", c.Certificate[0], 0o644); err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, name+".key"), "PRIVATE KEY", key, 0o600)
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

// pin is a certificate's SPKI as a policy file names it.
func pin(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return "sha256//" + base64.StdEncoding.EncodeToString(sum[:])
}
