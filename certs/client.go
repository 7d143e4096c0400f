// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"cmp"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A clientCert is a certificate that the gateway shows origins.
type clientCert struct {
	file string
	cert tls.Certificate
}

// expiresSoon is when a client certificate is worth a warning.
const expiresSoon = 14 * 24 * time.Hour

// client reads the client certificate of p; it returns nil when none is named.
func (p *Profile) client() (*clientCert, error) {
	switch {
	case p.PKCS12 == "" && p.Password == "":
		return loadClient(p.Cert, p.Key)
	case p.PKCS12 == "":
		return nil, fmt.Errorf("password %s: there is no PKCS #12 file for it: name that as well", p.Password)
	case p.Cert != "" || p.Key != "":
		return nil, fmt.Errorf("client certificate %s: there is another in %s: name one of them", p.PKCS12, cmp.Or(p.Cert, p.Key))
	}
	return loadPKCS12(p.PKCS12, p.Password)
}

// loadClient reads a client certificate and its key; it returns nil when none
// is named. No error contains anything of a key.
func loadClient(certFile, keyFile string) (*clientCert, error) {
	switch {
	case certFile == "" && keyFile == "":
		return nil, nil
	case certFile == "":
		return nil, fmt.Errorf("key %s: there is no certificate for it: name its file as well", keyFile)
	case keyFile == "":
		keyFile = certFile
	}
	cert, err := loadPair("client certificate", certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return &clientCert{file: certFile, cert: *cert}, nil
}

// loadPair reads a certificate that is valid now and its key; both names may
// be the same. kind is what messages call it.
func loadPair(kind, certFile, keyFile string) (*tls.Certificate, error) {
	chain, err := readCerts(certFile, keyFile == certFile)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, certFile, err)
	}
	if err := checkDates(chain[0]); err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, certFile, err)
	}
	key, err := readKey(keyFile)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", keyFile, err)
	}
	if err := checkPair(chain, key); err != nil {
		return nil, fmt.Errorf("key %s: %w", keyFile, err)
	}
	c := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, x := range chain {
		c.Certificate = append(c.Certificate, x.Raw)
	}
	return c, nil
}

func checkDates(c *x509.Certificate) error {
	switch now := time.Now(); {
	case now.After(c.NotAfter):
		return fmt.Errorf("%s expired on %s: renew it", quote(c.Subject.String()), date(c.NotAfter))
	case now.Before(c.NotBefore):
		return fmt.Errorf("%s is not valid before %s: wait, or set the clock right (it is %s)",
			quote(c.Subject.String()), date(c.NotBefore), date(now))
	}
	return nil
}

// readKey reads the one private key of a file that nobody else can read.
func readKey(file string) (crypto.Signer, error) {
	text, mode, err := readFile(file)
	if err != nil {
		return nil, err
	}
	if err := private(file, mode); err != nil {
		return nil, err
	}
	blocks, err := decodePEM(text)
	if err != nil {
		return nil, err
	}
	var keys []*pem.Block
	for _, b := range blocks {
		if strings.HasSuffix(b.Type, "PRIVATE KEY") {
			keys = append(keys, b)
		}
	}
	switch {
	case len(keys) == 0:
		return nil, errors.New("no private key in it: PEM is expected (-----BEGIN PRIVATE KEY-----)")
	case len(keys) > 1:
		return nil, fmt.Errorf("%d private keys in it: leave the one that belongs to the certificate", len(keys))
	case keys[0].Type == "ENCRYPTED PRIVATE KEY" || keys[0].Headers["DEK-Info"] != "":
		return nil, fmt.Errorf("the private key is encrypted: decrypt it with openssl pkey -in %s -out NEW and chmod 600 NEW", shell(file))
	}
	return parseKey(keys[0].Bytes)
}

// parseKey reads what openssl writes. The parsers' own errors are dropped: no
// text that was made while looking at a key leaves this function.
func parseKey(der []byte) (crypto.Signer, error) {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if s, ok := k.(crypto.Signer); ok {
			return s, nil
		}
		return nil, errors.New("its private key cannot sign: an RSA, ECDSA or Ed25519 key is needed")
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	return nil, errors.New("its private key cannot be read: export it again as PKCS #8")
}

func checkPair(chain []*x509.Certificate, key crypto.Signer) error {
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return errors.New("its private key is of an unknown kind: an RSA, ECDSA or Ed25519 key is needed")
	}
	i := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return pub.Equal(c.PublicKey) })
	switch {
	case i > 0:
		return fmt.Errorf("it belongs to certificate %d of the file: move that one to the top", i+1)
	case i < 0:
		return fmt.Errorf("it is not the key of %s: name the file that was made with that certificate",
			quote(chain[0].Subject.String()))
	}
	return nil
}

func (c *clientCert) warnings() (lines []string) {
	if c == nil {
		return nil
	}
	leaf := c.cert.Leaf
	if left := time.Until(leaf.NotAfter); left < expiresSoon {
		lines = append(lines, fmt.Sprintf("client certificate %s: %s expires on %s: renew it",
			c.file, quote(leaf.Subject.String()), date(leaf.NotAfter)))
	}
	// RFC 5280 §4.2.1.12. Not an error: some origins look only at the key.
	usages := slices.Concat([]x509.ExtKeyUsage{}, leaf.ExtKeyUsage)
	restricted := len(usages)+len(leaf.UnknownExtKeyUsage) > 0
	if restricted && !slices.Contains(usages, x509.ExtKeyUsageClientAuth) && !slices.Contains(usages, x509.ExtKeyUsageAny) {
		lines = append(lines, fmt.Sprintf("client certificate %s: %s is not for client authentication: most origins will refuse it, ask its issuer for one with clientAuth",
			c.file, quote(leaf.Subject.String())))
	}
	return lines
}

// shell returns name as it can be typed.
func shell(name string) string {
	for _, c := range name {
		if !strings.ContainsRune("/._-+=:@%", c) && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
		}
	}
	return name
}
