// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
)

var usageNames = map[x509.ExtKeyUsage]string{
	x509.ExtKeyUsageAny: "anything", x509.ExtKeyUsageServerAuth: "serverAuth", x509.ExtKeyUsageClientAuth: "clientAuth",
	x509.ExtKeyUsageCodeSigning: "codeSigning", x509.ExtKeyUsageEmailProtection: "emailProtection",
	x509.ExtKeyUsageTimeStamping: "timeStamping", x509.ExtKeyUsageOCSPSigning: "OCSPSigning",
	x509.ExtKeyUsageIPSECEndSystem: "ipsecEndSystem", x509.ExtKeyUsageIPSECTunnel: "ipsecTunnel", x509.ExtKeyUsageIPSECUser: "ipsecUser",
	x509.ExtKeyUsageMicrosoftServerGatedCrypto: "msSGC", x509.ExtKeyUsageNetscapeServerGatedCrypto: "nsSGC",
	x509.ExtKeyUsageMicrosoftCommercialCodeSigning: "msCodeCom", x509.ExtKeyUsageMicrosoftKernelCodeSigning: "msKernelCode",
}

// UsageName is an extended key usage as RFC 5280 and OpenSSL write it.
func UsageName(u x509.ExtKeyUsage) string {
	if n, ok := usageNames[u]; ok {
		return n
	}
	return fmt.Sprintf("usage %d", u)
}

// Usages are the extended key usages of c, unknown ones as dotted numbers; nil
// when it has none, and is good for all.
func Usages(c *x509.Certificate) (all []string) {
	for _, u := range c.ExtKeyUsage {
		all = append(all, UsageName(u))
	}
	for _, id := range c.UnknownExtKeyUsage {
		all = append(all, id.String())
	}
	return all
}

// Pin is the key of c as policy files and curl name it: sha256// and the Base64
// of the SHA-256 of its SubjectPublicKeyInfo.
func Pin(c *x509.Certificate) string { return pinText(sha256.Sum256(c.RawSubjectPublicKeyInfo)) }

// ReasonName is the name of a reason for a revocation (RFC 5280 §5.3.1).
func ReasonName(reason int) string {
	names := map[int]string{
		0: "unspecified", 1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged", 4: "superseded", 5: "cessationOfOperation",
		6: "certificateHold", 8: "removeFromCRL", 9: "privilegeWithdrawn", 10: "aACompromise",
	}
	if n, ok := names[reason]; ok {
		return n
	}
	return fmt.Sprintf("reason %d", reason)
}
