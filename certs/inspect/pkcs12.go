// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"
)

// looksPKCS12: a PFX begins with its version, 3, and is of no other kind that
// is read here.
func looksPKCS12(der []byte) bool {
	var pfx struct {
		Version int
		Content asn1.RawValue
		Mac     asn1.RawValue `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(der, &pfx)
	return err == nil && pfx.Version == 3
}

// readPKCS12 opens der. The file itself says how often its password is to be
// hashed, so it is done beside a clock; what has not ended by then is left to
// itself.
func readPKCS12(ctx context.Context, der, password []byte) (*Contents, error) {
	type opened struct {
		c   *Contents
		err error
	}
	done := make(chan opened, 1)
	go func() {
		c, err := openPKCS12(der, string(password))
		done <- opened{c, err}
	}()
	select {
	case o := <-done:
		return o.c, o.err
	case <-ctx.Done():
		return nil, errors.New("opening it takes too long: it wants its password hashed too often")
	}
}

func openPKCS12(der []byte, password string) (c *Contents, err error) {
	defer func() {
		// It parses what comes from anywhere, and is not ours.
		if recover() != nil {
			c, err = nil, errors.New("it looks like PKCS #12 and is damaged")
		}
	}()
	c = &Contents{Form: "PKCS #12"}
	key, leaf, others, err := pkcs12.DecodeChain(der, password)
	if err == nil {
		c.Certificates = append([]*x509.Certificate{leaf}, others...)
		k := Key{Kind: "of an unknown kind"}
		if s, ok := key.(crypto.Signer); ok {
			k = Key{KeyKind(s.Public()), s}
		}
		c.Keys = append(c.Keys, k)
		return c, nil
	}
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return nil, ErrPassword
	}
	if certs, other := pkcs12.DecodeTrustStore(der, password); other == nil {
		c.Certificates = certs
		return c, nil
	}
	return nil, fmt.Errorf("it is PKCS #12 of a kind that is not read, or damaged (%w): openssl pkcs12 -in FILE -nokeys may read it", err)
}
