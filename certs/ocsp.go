// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// An answer is what an OCSP response or a CRL says of one certificate.
type answer struct {
	revoked     bool
	at          time.Time // since when it is revoked
	reason      int       // RFC 5280 §5.3.1
	from, until time.Time // the answer holds
}

// holds reports whether a has anything to say now.
func (a *answer) holds(now time.Time) bool {
	return a != nil && !now.Before(a.from.Add(-skew)) && now.Before(a.until)
}

const (
	maxOCSP = 64 << 10 // bytes; a response with a chain of RSA certificates has 10 KiB
	skew    = 5 * time.Minute
)

// readOCSP returns what the OCSP response der says of cert, which issuer
// issued (RFC 6960 §3.2). An error means that it says nothing: it is about
// another certificate, or not signed by who may, or its time is over.
func readOCSP(der []byte, cert, issuer *x509.Certificate, now time.Time) (*answer, error) {
	if len(der) > maxOCSP {
		return nil, fmt.Errorf("the OCSP response has more than %d KiB", maxOCSP>>10)
	}
	// Without an issuer: x/crypto/ocsp believes whatever the issuer signed.
	r, err := ocsp.ParseResponseForCert(der, cert, nil)
	var refused ocsp.ResponseError
	switch {
	case errors.As(err, &refused):
		return nil, fmt.Errorf("the OCSP responder answers %q", refused.Status)
	case err != nil:
		return nil, fmt.Errorf("the OCSP response cannot be used: %s", printable(err.Error()))
	}
	if err := checkCertID(r, cert, issuer); err != nil {
		return nil, err
	}
	if err := checkResponder(r, issuer, now); err != nil {
		return nil, err
	}
	switch {
	case now.Add(skew).Before(r.ThisUpdate):
		return nil, fmt.Errorf("the OCSP response holds from %s on only", date(r.ThisUpdate))
	case r.NextUpdate.IsZero(): // RFC 5019 §2.2.4: it must be there
		return nil, errors.New("the OCSP response does not say until when it holds")
	case !now.Before(r.NextUpdate):
		return nil, fmt.Errorf("the OCSP response held until %s", date(r.NextUpdate))
	case r.Status == ocsp.Unknown:
		return nil, errors.New("the OCSP responder does not know the certificate")
	}
	return &answer{r.Status != ocsp.Good, r.RevokedAt, r.RevocationReason, r.ThisUpdate, r.NextUpdate}, nil
}

// A singleResponse is what checkCertID wants of RFC 6960's.
type singleResponse struct {
	ID struct {
		Hash   pkix.AlgorithmIdentifier
		Name   []byte
		Key    []byte
		Serial asn1.RawValue
	}
}

// checkCertID: x/crypto/ocsp compares the serial number, which two issuers
// may both have given, and leaves the rest of the CertID to us.
func checkCertID(r *ocsp.Response, cert, issuer *x509.Certificate) error {
	var data struct {
		Raw       asn1.RawContent
		Version   int `asn1:"optional,default:0,explicit,tag:0"`
		Responder asn1.RawValue
		At        time.Time `asn1:"generalized"`
		Responses []singleResponse
	}
	if _, err := asn1.Unmarshal(r.TBSResponseData, &data); err != nil {
		return errors.New("the OCSP response cannot be read")
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &spki); err != nil {
		return errors.New("the issuer's key cannot be read")
	}
	serial, err := asn1.Marshal(cert.SerialNumber)
	if err != nil {
		return errors.New("the certificate's serial number cannot be written")
	}
	sum := func(b []byte) []byte {
		h := r.IssuerHash.New()
		h.Write(b)
		return h.Sum(nil)
	}
	name, key := sum(cert.RawIssuer), sum(spki.Key.RightAlign())
	for _, s := range data.Responses {
		if !bytes.Equal(s.ID.Serial.FullBytes, serial) {
			continue
		}
		// The first is the one that was read.
		if bytes.Equal(s.ID.Name, name) && bytes.Equal(s.ID.Key, key) {
			return nil
		}
		break
	}
	return errors.New("the OCSP response is about a certificate of another issuer")
}

// checkResponder: the issuer signs, or one whom it certified for that
// (RFC 6960 §4.2.2.2). Whether that one was revoked is not looked at; it lives
// for days, and most say so (id-pkix-ocsp-nocheck).
func checkResponder(r *ocsp.Response, issuer *x509.Certificate, now time.Time) error {
	switch r.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1: // CheckSignature lets it pass
		return errors.New("the OCSP response is signed with SHA-1")
	}
	d := r.Certificate
	if d == nil || bytes.Equal(d.Raw, issuer.Raw) {
		if err := r.CheckSignatureFrom(issuer); err != nil {
			return errors.New("the OCSP response is not signed by the certificate's issuer")
		}
		return nil
	}
	switch {
	case !bytes.Equal(d.RawIssuer, issuer.RawSubject) || d.CheckSignatureFrom(issuer) != nil:
		return errors.New("the OCSP response is signed by somebody the certificate's issuer did not certify")
	case !slices.Contains(d.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return errors.New("the OCSP response is signed by somebody who may not sign OCSP responses")
	case now.Before(d.NotBefore) || now.After(d.NotAfter):
		return errors.New("the OCSP response is signed with an expired certificate")
	}
	// Its signature by d was checked when it was read.
	return nil
}

// mustStaple reports whether some certificate of chain demands a staple: what
// an issuer's demands, those it issues do (RFC 7633 §4.2.2).
func mustStaple(chain []*x509.Certificate) bool { return slices.ContainsFunc(chain, MustStaple) }

// tlsFeature is id-pe-tlsfeature (RFC 7633 §6).
var tlsFeature = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}

// MustStaple reports whether c demands that its server staples an OCSP response
// (the TLS feature status_request, or its second version). A demand that cannot
// be read is one.
func MustStaple(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if !e.Id.Equal(tlsFeature) {
			continue
		}
		var features []int
		if rest, err := asn1.Unmarshal(e.Value, &features); err != nil || len(rest) > 0 ||
			slices.Contains(features, 5) || slices.Contains(features, 17) {
			return true
		}
	}
	return false
}
