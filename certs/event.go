// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// EventName says why TLS to an origin did not come about, in one word for logs and
// for programs: what Describe says to people. It begins with whose fault it is,
// which is the origin's, or the gateway's where that has no roots. err is what
// Describe is given; "" for nil.
func EventName(err error) string {
	var (
		pin     *PinError
		revoked *RevokedError
		status  *StatusError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
		noRoots x509.SystemRootsError
		verify  *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		op      *net.OpError
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &pin):
		return "origin_pin_failure"
	case errors.As(err, &revoked):
		return "origin_certificate_revoked"
	case errors.As(err, &status):
		return "origin_revocation_unknown"
	case errors.As(err, &name):
		return "origin_name_mismatch"
	case errors.As(err, &invalid):
		return invalidEvent(invalid)
	case errors.As(err, &unknown):
		sent := []*x509.Certificate{unknown.Cert}
		if errors.As(err, &verify) && len(verify.UnverifiedCertificates) > 0 {
			sent = verify.UnverifiedCertificates
		}
		return unknownEvent(sent)
	case errors.As(err, &noRoots):
		return "gateway_has_no_roots"
	case errors.As(err, &record):
		return "origin_speaks_no_tls"
	case errors.As(err, &op) && op.Op == "remote error":
		if code, ok := alertCode(op.Err); ok {
			return alertEvent(code)
		}
	}
	return textEvent(err)
}

func invalidEvent(e x509.CertificateInvalidError) string {
	switch {
	case e.Reason != x509.Expired:
		return "origin_certificate_invalid"
	case e.Cert != nil && time.Now().Before(e.Cert.NotBefore):
		return "origin_certificate_not_yet_valid"
	}
	return "origin_certificate_expired"
}

// unknownEvent: see explainUnknown.
func unknownEvent(sent []*x509.Certificate) string {
	switch top := chainTop(sent); {
	case selfSigned(sent[0]):
		return "origin_self_signed"
	case top == sent[0]:
		return "origin_missing_intermediate"
	}
	return "origin_authority_unknown"
}

// alertEvent: see explainAlert.
func alertEvent(code uint8) string {
	switch code {
	case 42, 43, 44, 45, 46, 48:
		return "origin_refused_client_certificate"
	case 70, 86:
		return "origin_tls_version"
	case 112:
		return "origin_name_unknown"
	case 116:
		return "origin_wants_client_certificate"
	case 120:
		return "origin_alpn_refusal"
	}
	return "origin_alert"
}

// textEvent: see explainText.
func textEvent(err error) string {
	text := err.Error()
	var timeout net.Error
	switch {
	case strings.Contains(text, "unsupported protocol version"):
		return "origin_tls_version"
	case strings.Contains(text, "unadvertised ALPN protocol"):
		return "origin_alpn_refusal"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "origin_timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "origin_closed"
	}
	return "origin_handshake_failed"
}
