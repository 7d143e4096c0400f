// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
)

// KeyKind is what kind of key it is, and how large: "RSA 2048", "ECDSA P-256".
func KeyKind(k crypto.PublicKey) string {
	switch k := k.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "unknown"
}

var keyUsages = []struct {
	bit  x509.KeyUsage
	name string
}{
	{x509.KeyUsageDigitalSignature, "digitalSignature"},
	{x509.KeyUsageContentCommitment, "nonRepudiation"},
	{x509.KeyUsageKeyEncipherment, "keyEncipherment"},
	{x509.KeyUsageDataEncipherment, "dataEncipherment"},
	{x509.KeyUsageKeyAgreement, "keyAgreement"},
	{x509.KeyUsageCertSign, "keyCertSign"},
	{x509.KeyUsageCRLSign, "cRLSign"},
	{x509.KeyUsageEncipherOnly, "encipherOnly"},
	{x509.KeyUsageDecipherOnly, "decipherOnly"},
}

func keyUsageNames(u x509.KeyUsage) (names []string) {
	for _, k := range keyUsages {
		if u&k.bit != 0 {
			names = append(names, k.name)
		}
	}
	return names
}

// countSCTs counts the signed certificate timestamps (RFC 6962 §3.3) that c has in it.
func countSCTs(c *x509.Certificate) (n int) {
	for _, e := range c.Extensions {
		if !e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}) {
			continue
		}
		var list []byte
		if rest, err := asn1.Unmarshal(e.Value, &list); err != nil || len(rest) > 0 || len(list) < 2 {
			return 0
		}
		for list = list[2:]; len(list) >= 2; n++ {
			size := int(list[0])<<8 | int(list[1])
			if size > len(list)-2 {
				return n
			}
			list = list[2+size:]
		}
	}
	return n
}

// distinguishedName reads an encoded name; what is none is shown as bytes.
func distinguishedName(der []byte) string {
	var seq pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &seq); err != nil || len(rest) > 0 {
		return fmt.Sprintf("%x", der[:min(len(der), 32)])
	}
	var n pkix.Name
	n.FillFromRDNSequence(&seq)
	return n.String()
}
