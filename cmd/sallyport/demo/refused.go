// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
)

// Who kept a request from an origin.
const (
	byNobody  = "nobody"
	byClient  = "client"
	byGateway = "gateway"
	byPolicy  = "policy" // the gateway, whoever the origin is
	byOrigin  = "origin"
)

// refusedBy tells who kept the exchange's requests from its origin: nobody, if one
// arrived. Else it is seen from how the client was told.
func (x *exchange) refusedBy() string {
	if len(x.visits) > 0 {
		return byNobody
	}
	for _, a := range x.answers {
		switch {
		case a.byProxy && (a.status == http.StatusBadGateway || x.peer && a.status == http.StatusServiceUnavailable):
			return byGateway
		case a.byProxy:
			return byPolicy
		case verificationError(a.err) != "":
			return byClient
		}
	}
	for _, r := range x.records {
		if originEvents[r.Event] != "" { // the client was told by an alert, which says little
			return byGateway
		}
	}
	return byOrigin
}

// verificationError is what the client found wrong with a certificate; "" when it
// was not that.
func verificationError(err error) string {
	var failed *tls.CertificateVerificationError
	if !errors.As(err, &failed) {
		return ""
	}
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "expired"
	case errors.As(err, &name):
		return "not for this name"
	case errors.As(err, &unknown):
		return "unknown authority"
	}
	return "bad certificate"
}

// originEvents are the gateway's words for what it found wrong with a certificate.
var originEvents = map[string]string{
	"origin_certificate_expired":   "expired",
	"origin_name_mismatch":         "not for this name",
	"origin_self_signed":           "self-signed",
	"origin_authority_unknown":     "unknown authority",
	"origin_missing_intermediate":  "unknown authority",
	"origin_certificate_invalid":   "bad certificate",
	"origin_speaks_no_tls":         "no TLS",
	"origin_certificate_not_valid": "not valid",
}

// why is what was found wrong, in the words of who found it.
func (x *exchange) why() string {
	for _, a := range x.answers {
		if w := verificationError(a.err); w != "" {
			return w
		}
	}
	for _, r := range x.records {
		if w := originEvents[r.Event]; w != "" {
			return w
		}
	}
	return ""
}
