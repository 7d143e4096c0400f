// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Describe explains, in one line, why TLS to host did not come about and what
// to do next: for a log or a page shown to an operator. err is what a
// handshake, or the first use of a connection after it, returned; text that
// an origin could choose is quoted. event is the same in one word, for programs: it
// begins with whose fault it is, which is the origin's, or the gateway's where that
// has no roots. Both are "" for nil.
func Describe(err error, host string) (text, event string) {
	if err == nil {
		return "", ""
	}
	f := explain(err)
	text = printable(host) + ": " + f.what
	if f.next != "" {
		text += ": " + f.next
	}
	return text, f.event
}

// A fault is why TLS to an origin did not come about.
type fault struct {
	event string // one word
	what  string
	next  string // what to do; "": nothing
}

// explain goes from the certain to the vague.
func explain(err error) fault {
	var (
		pin     *PinError
		revoked *RevokedError
		status  *StatusError
		issuer  *IssuerError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
		noRoots x509.SystemRootsError
		verify  *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		op      *net.OpError
	)
	switch {
	case errors.As(err, &pin):
		return explainPin(pin)
	case errors.As(err, &revoked):
		return fault{"origin_certificate_revoked", fmt.Sprintf("the certificate of %s (serial %s of %s) was revoked on %s%s, says %s",
			revoked.Subject, revoked.Serial, revoked.Issuer, date(revoked.At), revoked.reason(), revoked.Source), "the origin must get another"}
	case errors.As(err, &status):
		return explainStatus(status)
	case errors.As(err, &name):
		return explainName(name)
	case errors.As(err, &invalid):
		return explainInvalid(invalid)
	case errors.As(err, &unknown):
		sent := []*x509.Certificate{unknown.Cert}
		if errors.As(err, &verify) && len(verify.UnverifiedCertificates) > 0 {
			sent = verify.UnverifiedCertificates
		}
		f := explainUnknown(sent)
		f.what += hint(unknown)
		if errors.As(err, &issuer) {
			f.what += "; it was looked for: " + issuer.Why.Error()
		}
		return f
	case errors.As(err, &noRoots):
		return fault{"gateway_has_no_roots", "this machine has no trusted roots", "install ca-certificates, or name `roots` in a trust profile"}
	case errors.As(err, &record):
		f := fault{"origin_speaks_no_tls", "the origin answered in cleartext", "TLS is not served on this port, check it"}
		if bytes.HasPrefix(record.RecordHeader[:], []byte("HTTP/")) {
			f.what += ", with HTTP"
		}
		return f
	case errors.As(err, &op) && op.Op == "remote error":
		if code, ok := alertCode(op.Err); ok {
			return explainAlert(code)
		}
	}
	return explainText(err)
}

func explainStatus(e *StatusError) fault {
	why := "it staples none"
	if e.Err != nil {
		why = e.Err.Error()
	}
	if e.Staple {
		return fault{
			"origin_revocation_unknown", fmt.Sprintf("the certificate of %s demands that the origin staples a good OCSP response (must-staple): %s", e.Subject, why),
			"the origin must turn OCSP stapling on, or get a certificate without that demand",
		}
	}
	return fault{
		"origin_revocation_unknown", fmt.Sprintf("it cannot be found out whether the certificate of %s was revoked: %s", e.Subject, why),
		"try again, or set `revocation: prefer` in its trust profile if that may happen",
	}
}

func explainPin(e *PinError) fault {
	if len(e.Got) == 0 {
		return fault{"origin_pin_failure", "there is no verified chain to find a pin in", "report this"}
	}
	return fault{
		"origin_pin_failure", "none of its keys is pinned, it has " + strings.Join(e.Got, " "),
		"if that is the right origin, put one of them into `pins` of its trust profile",
	}
}

// maxNames is how many names of a certificate are listed; some have hundreds.
const maxNames = 5

func explainName(e x509.HostnameError) fault {
	var names []string
	for _, n := range e.Certificate.DNSNames {
		names = append(names, printable(n))
	}
	for _, ip := range e.Certificate.IPAddresses {
		names = append(names, ip.String())
	}
	f := fault{"origin_name_mismatch", "", "check the address, or set `sni` in a trust profile if this origin goes by another name"}
	switch n := len(names); {
	case n == 0:
		f.what = "the certificate names no host " + legacyName(e.Certificate)
	case n > maxNames:
		f.what = fmt.Sprintf("the certificate is for %s and %d more, not for %s", strings.Join(names[:maxNames], ", "), n-maxNames, printable(e.Host))
	default:
		f.what = fmt.Sprintf("the certificate is for %s, not for %s", strings.Join(names, ", "), printable(e.Host))
	}
	return f
}

func legacyName(c *x509.Certificate) string {
	// RFC 9525 §2: the common name is not looked at.
	return fmt.Sprintf("(its subject, %s, does not count)", quote(c.Subject.String()))
}

func explainInvalid(e x509.CertificateInvalidError) fault {
	subject := "a certificate"
	if e.Cert != nil {
		subject = "the certificate of " + quote(e.Cert.Subject.String())
	}
	invalid := func(what, next string) fault { return fault{"origin_certificate_invalid", what, next} }
	switch e.Reason {
	case x509.Expired:
		return explainExpired(e.Cert, subject)
	case x509.NotAuthorizedToSign:
		return invalid(subject+" signed another without being an authority", "the origin must send the right chain")
	case x509.IncompatibleUsage:
		return invalid(subject+" is not for servers (extended key usage)", "the origin needs one with serverAuth")
	case x509.CANotAuthorizedForThisName, x509.CANotAuthorizedForExtKeyUsage, x509.NameConstraintsWithoutSANs,
		x509.UnconstrainedName, x509.TooManyConstraints, x509.NameMismatch:
		return invalid(subject+" breaks a constraint of its authority ("+printable(e.Error())+")", "the origin must get another")
	}
	return invalid(printable(e.Error()), "the origin must send another certificate")
}

func explainExpired(c *x509.Certificate, subject string) fault {
	switch now := time.Now(); {
	case c == nil:
		return fault{"origin_certificate_expired", subject + " has expired or is not yet valid", "the origin must renew it"}
	case now.Before(c.NotBefore):
		return fault{
			"origin_certificate_not_yet_valid", fmt.Sprintf("%s is not valid before %s, and it is %s", subject, date(c.NotBefore), date(now)),
			"check this machine's clock",
		}
	}
	return fault{"origin_certificate_expired", fmt.Sprintf("%s expired on %s", subject, date(c.NotAfter)), "the origin must renew it"}
}

// explainUnknown is about a chain that leads to no trusted root. sent is what
// the origin sent, its own certificate first.
func explainUnknown(sent []*x509.Certificate) fault {
	leaf := sent[0]
	if selfSigned(leaf) {
		return fault{
			"origin_self_signed", "the certificate is self-signed, by " + quote(leaf.Subject.String()),
			"if it is the right one, name its file under `roots` of a trust profile",
		}
	}
	top := chainTop(sent)
	issuer := quote(top.Issuer.String())
	switch {
	case top != leaf && !top.IsCA:
		return fault{
			"origin_authority_unknown", fmt.Sprintf("the certificate of %s signed another without being an authority", quote(top.Subject.String())),
			"the origin must send the right chain",
		}
	case selfSigned(top):
		return fault{
			"origin_authority_unknown", "the certificate was issued by an authority that is not trusted, " + issuer,
			"if it should be, name its certificate under `roots` of a trust profile",
		}
	case top == leaf:
		f := fault{
			"origin_missing_intermediate", fmt.Sprintf("the certificate was issued by %s, which is not trusted, and no certificate of that issuer came with it", issuer),
			"the origin has to send its intermediate certificate, or `aia: true` in its trust profile has it fetched; if that issuer is a root, name its certificate under `roots`",
		}
		if len(leaf.IssuingCertificateURL) > 0 {
			f.what += " (it can be had at " + quote(leaf.IssuingCertificateURL[0]) + ")"
		}
		return f
	}
	return fault{
		"origin_authority_unknown", "the certificates it sent end at the issuer " + issuer + ", which is not trusted",
		"if it should be, name its certificate under `roots` of a trust profile",
	}
}

// chainTop follows the issuers from the first certificate as far as sent
// goes, or to one that may not issue.
func chainTop(sent []*x509.Certificate) *x509.Certificate {
	top := sent[0]
	for range sent { // at most one step each: two may name each other
		if selfSigned(top) || top != sent[0] && !top.IsCA {
			break
		}
		for _, c := range sent[1:] {
			if bytes.Equal(c.RawSubject, top.RawIssuer) {
				top = c
				break
			}
		}
	}
	return top
}

// hint returns what crypto/x509 found when it tried a trusted certificate of
// the issuer's name: another key, after the root was renewed, or an algorithm
// of the past. It is only in the text.
func hint(err x509.UnknownAuthorityError) string {
	_, rest, ok := strings.Cut(err.Error(), "possibly because of ")
	if !ok || strings.Contains(rest, "cannot sign this kind of certificate") { // said already
		return ""
	}
	why, _, _ := strings.Cut(strings.TrimPrefix(rest, `"`), `" while trying`)
	return fmt.Sprintf(" (a certificate of that name was tried: %s)", printable(why))
}

func selfSigned(c *x509.Certificate) bool {
	// Not CheckSignatureFrom, which also wants a CA.
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// explainText is for errors that have neither type nor sentinel.
func explainText(err error) fault {
	text := err.Error()
	var timeout net.Error
	switch {
	case strings.Contains(text, "unsupported protocol version"): // crypto/tls has no type for it
		return fault{"origin_tls_version", "the origin speaks only an older TLS than allowed", "it must offer TLS 1.2 or 1.3, see `min_tls`"}
	case strings.Contains(text, "unadvertised ALPN protocol"):
		return fault{"origin_alpn_refusal", "the origin chose a protocol that was not offered", "see `alpn` of its trust profile"}
	case strings.Contains(text, "either ServerName or "):
		return fault{"origin_handshake_failed", "there is no name to verify", "name the origin by host or `sni`"}
	case errors.Is(err, context.Canceled):
		return fault{"origin_handshake_failed", "given up, the client is gone", ""}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return fault{"origin_timeout", "the TLS handshake took too long", "is it TLS that this port speaks?"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fault{"origin_closed", "the origin closed the connection during the TLS handshake", "is it TLS that this port speaks, and does it know this name?"}
	}
	return fault{"origin_handshake_failed", printable(text), ""}
}

// maxText bounds what is repeated of an origin's words.
const maxText = 200

// quote is for text that an origin or a file chose.
func quote(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return strconv.Quote(s)
}

// printable keeps a name as it is unless it could forge a log line.
func printable(s string) string {
	if q := quote(s); q != `"`+s+`"` {
		return q
	}
	return s
}
