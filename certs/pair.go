// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
)

const sourceFile = "file"

// A Pair is a certificate that somebody else renews, in PEM files.
type Pair struct {
	Cert string // leaf first, then what lies between it and its root
	Key  string // its private key, readable by its owner only; "": it is in Cert
}

// load reads both files now.
func (p Pair) load() (*tls.Certificate, error) {
	if p.Cert == "" {
		return nil, fmt.Errorf("key %s: there is no certificate for it: name its file as well", p.Key)
	}
	key := p.Key
	if key == "" {
		key = p.Cert
	}
	cert, err := loadPair("certificate", p.Cert, key)
	if err != nil {
		return nil, err
	}
	leaf := cert.Leaf
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 { // RFC 9525 §2: the common name is not looked at
		return nil, fmt.Errorf("certificate %s: it names no host, and no client would accept it: get one with a subject alternative name", p.Cert)
	}
	// RFC 5280 §4.2.1.12
	usages := leaf.ExtKeyUsage
	if len(usages)+len(leaf.UnknownExtKeyUsage) > 0 && !slices.Contains(usages, x509.ExtKeyUsageServerAuth) && !slices.Contains(usages, x509.ExtKeyUsageAny) {
		return nil, fmt.Errorf("certificate %s: it is not for servers, and no client would accept it: get one with the extended key usage serverAuth", p.Cert)
	}
	return cert, nil
}
