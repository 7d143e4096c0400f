// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// Contents is what a file holds. What can be read is there, in the order of the
// file, even when something else in it cannot.
type Contents struct {
	Form         string // "PEM", "DER" or "PKCS #12"
	Certificates []*x509.Certificate
	Requests     []*x509.CertificateRequest
	Lists        []*x509.RevocationList
	Keys         []Key
	Damaged      []string // what could not be read, a line each
}

// A Key is a private key that lies in a file.
type Key struct {
	Kind    string        // "ECDSA P-256", or what its PEM block says when it cannot be read
	Private crypto.Signer // nil: encrypted, or of a kind that is not known
}

// Public returns the public half, nil when that is not known.
func (k Key) Public() crypto.PublicKey {
	if k.Private == nil {
		return nil
	}
	return k.Private.Public()
}

// MaxCertificates bounds what is read of one file.
const MaxCertificates = 20000

// ErrPassword means that a PKCS #12 file does not open with the password given.
var ErrPassword = errors.New("the password is not right")

// Read reads PEM, DER and PKCS #12 (RFC 7292); password is for the last, and nil
// means none. An error means that there is nothing in data that can be looked
// at, or that ctx ended: a PKCS #12 file says itself how long opening it takes.
func Read(ctx context.Context, data, password []byte) (*Contents, error) {
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return nil, errors.New("it is empty")
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return readPEM(data)
	case data[0] == 0x30: // an ASN.1 SEQUENCE
		return readDER(ctx, data, password)
	}
	return nil, errors.New("it is neither PEM (-----BEGIN CERTIFICATE-----) nor DER nor PKCS #12")
}

// readPEM reads every block of text. pem.Decode passes over what it cannot
// read in silence: that is counted here.
func readPEM(text []byte) (*Contents, error) {
	c := &Contents{Form: "PEM"}
	begins, n := bytes.Count(text, []byte("-----BEGIN ")), 0
	for {
		b, rest := pem.Decode(text)
		if b == nil {
			break
		}
		if n++; n > MaxCertificates {
			return nil, fmt.Errorf("it has more than %d PEM blocks: split it", MaxCertificates)
		}
		text = rest
		c.block(n, b)
	}
	if n < begins {
		c.Damaged = append(c.Damaged, fmt.Sprintf("%d of %d PEM blocks are damaged or cut off: export the file again", begins-n, begins))
	}
	if c.empty() {
		if len(c.Damaged) > 0 {
			return nil, errors.New(c.Damaged[0])
		}
		return nil, errors.New("there is no certificate in it")
	}
	return c, nil
}

func (c *Contents) block(n int, b *pem.Block) {
	var err error
	switch {
	case b.Type == "CERTIFICATE" || b.Type == "X509 CERTIFICATE":
		err = c.certificate(b.Bytes)
	case b.Type == "TRUSTED CERTIFICATE": // OpenSSL's, with its own words behind
		var first asn1.RawValue
		if _, err = asn1.Unmarshal(b.Bytes, &first); err == nil {
			err = c.certificate(first.FullBytes)
		}
	case b.Type == "CERTIFICATE REQUEST" || b.Type == "NEW CERTIFICATE REQUEST":
		var r *x509.CertificateRequest
		if r, err = x509.ParseCertificateRequest(b.Bytes); err == nil {
			c.Requests = append(c.Requests, r)
		}
	case b.Type == "X509 CRL":
		var l *x509.RevocationList
		if l, err = x509.ParseRevocationList(b.Bytes); err == nil {
			c.Lists = append(c.Lists, l)
		}
	case strings.HasSuffix(b.Type, "PRIVATE KEY"):
		c.Keys = append(c.Keys, readKey(b))
	case b.Type == "PKCS7" || b.Type == "CMS":
		err = errors.New("it is PKCS #7: take the certificates out with openssl pkcs7 -print_certs")
	case b.Type == "EC PARAMETERS" || b.Type == "DH PARAMETERS" || b.Type == "PUBLIC KEY":
	default:
		err = fmt.Errorf("nothing is known about a %q", b.Type)
	}
	if err != nil {
		c.Damaged = append(c.Damaged, fmt.Sprintf("PEM block %d cannot be read: %v", n, err))
	}
}

func (c *Contents) certificate(der []byte) error {
	x, err := x509.ParseCertificate(der)
	if err == nil {
		c.Certificates = append(c.Certificates, x)
	}
	return err
}

func (c *Contents) empty() bool {
	return len(c.Certificates)+len(c.Requests)+len(c.Lists)+len(c.Keys) == 0
}

// readKey reads what OpenSSL writes. The parsers' own errors are dropped: no
// text that was made while looking at a key leaves this function.
func readKey(b *pem.Block) Key {
	switch {
	case b.Type == "ENCRYPTED PRIVATE KEY" || b.Headers["DEK-Info"] != "":
		return Key{Kind: "encrypted"}
	case b.Type == "OPENSSH PRIVATE KEY":
		return Key{Kind: "OpenSSH's form"}
	}
	if k := parseKey(b.Bytes); k != nil {
		return Key{Kind: KeyKind(k.Public()), Private: k}
	}
	return Key{Kind: "damaged, or of an unknown kind"}
}

func parseKey(der []byte) crypto.Signer {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		s, _ := k.(crypto.Signer)
		return s
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k
	}
	return nil
}

// readDER tries what it could be; one after the other would be as good as all
// at once, for none of them can be taken for another.
func readDER(ctx context.Context, der, password []byte) (*Contents, error) {
	c := &Contents{Form: "DER"}
	var outer asn1.RawValue
	rest, err := asn1.Unmarshal(der, &outer)
	switch {
	case err != nil:
		return nil, errors.New("it begins like DER and is damaged or cut off: export it again")
	case len(rest) > 0:
		return readDERs(c, der)
	}
	if c.certificate(der) == nil {
		return c, nil
	}
	if r, err := x509.ParseCertificateRequest(der); err == nil {
		c.Requests = append(c.Requests, r)
		return c, nil
	}
	if l, err := x509.ParseRevocationList(der); err == nil {
		c.Lists = append(c.Lists, l)
		return c, nil
	}
	if k := parseKey(der); k != nil {
		c.Keys = append(c.Keys, Key{KeyKind(k.Public()), k})
		return c, nil
	}
	if looksPKCS12(der) {
		return readPKCS12(ctx, der, password)
	}
	_, err = x509.ParseCertificate(der)
	return nil, fmt.Errorf("it is DER, and neither a certificate, a request, a CRL nor PKCS #12 (as a certificate: %w)", err)
}

// readDERs reads certificates that stand one behind the other.
func readDERs(c *Contents, der []byte) (*Contents, error) {
	for len(der) > 0 {
		var one asn1.RawValue
		rest, err := asn1.Unmarshal(der, &one)
		if err == nil {
			err = c.certificate(one.FullBytes)
		}
		if err != nil {
			c.Damaged = append(c.Damaged, fmt.Sprintf("%d bytes behind certificate %d cannot be read", len(der), len(c.Certificates)))
			break
		}
		if len(c.Certificates) > MaxCertificates {
			return nil, fmt.Errorf("it has more than %d certificates: split it", MaxCertificates)
		}
		der = rest
	}
	if c.empty() {
		return nil, errors.New("it begins like DER and there is no certificate in it")
	}
	return c, nil
}

// Belongs returns which of certs k is the key of; -1: none, or k is not known.
func (k Key) Belongs(certs []*x509.Certificate) int {
	for i, c := range certs {
		if pub, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); ok && k.Private != nil && pub.Equal(k.Public()) {
			return i
		}
	}
	return -1
}
