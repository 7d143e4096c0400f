// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

const host = "origin.example"

// TestVerification: every way in which a chain or a name can be wrong is
// refused, and said in words.
func TestVerification(t *testing.T) {
	root, stranger := newRoot(t, "Good Root"), newRoot(t, "Stranger")
	middle := issue(t, root, x509.Certificate{Subject: subject("Good Middle"), IsCA: true, KeyUsage: x509.KeyUsageCertSign})
	far := issue(t, stranger, x509.Certificate{Subject: subject("Far Middle"), IsCA: true, KeyUsage: x509.KeyUsageCertSign})
	self := issue(t, nil, serverTemplate(host))
	expired, early := serverTemplate(host), serverTemplate(host)
	expired.NotBefore, expired.NotAfter = time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	early.NotBefore, early.NotAfter = time.Date(2190, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2191, 1, 1, 0, 0, 0, 0, time.UTC)
	aia := serverTemplate(host)
	aia.IssuingCertificateURL = []string{"http://pki.example/middle.crt"}
	clientOnly := serverTemplate(host)
	clientOnly.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	noNames := serverTemplate()
	noNames.Subject = subject(host)
	doppelganger := newRoot(t, "Good Root")
	notCA := issue(t, root, serverTemplate("other.example"))

	tests := []struct {
		name string
		cert tls.Certificate
		want string // what Describe says; "" for success
	}{
		{"good", root.server(host).with(), ""},
		{"good with its root", root.server(host).with(root), ""},
		{"good with intermediate", middle.server(host).with(middle), ""},
		{"good wildcard", root.server("*.example").with(), ""},
		{
			"wrong name", root.server("a.example", "192.0.2.7").with(),
			`the certificate is for a.example, 192.0.2.7, not for origin.example: check the address, or set`,
		},
		{
			"wrong name, of many", root.server("a.a", "b.a", "c.a", "d.a", "e.a", "f.a", "g.a").with(),
			`the certificate is for a.a, b.a, c.a, d.a, e.a and 2 more, not for origin.example: `,
		},
		{
			"only a common name", issue(t, root, noNames).with(),
			`the certificate names no host (its subject, "CN=origin.example", does not count): `,
		},
		{
			"expired", issue(t, root, expired).with(),
			`the certificate of "CN=origin.example" expired on 2020-01-02 03:04 UTC: the origin must renew it`,
		},
		{
			"not yet valid", issue(t, root, early).with(),
			`the certificate of "CN=origin.example" is not valid before 2190-01-02 03:04 UTC, and it is `,
		},
		{
			"untrusted", stranger.server(host).with(stranger),
			`the certificate was issued by an authority that is not trusted, "CN=Stranger": if it should be, name`,
		},
		{
			"untrusted, root not sent", far.server(host).with(far),
			`the certificates it sent end at the issuer "CN=Stranger", which is not trusted: if it should be, name`,
		},
		{
			"self-signed", self.with(),
			`the certificate is self-signed, by "CN=origin.example": if it is the right one, name`,
		},
		{
			"missing intermediate", middle.server(host).with(),
			`the certificate was issued by "CN=Good Middle", which is not trusted, and no certificate of that issuer came with it: the origin has to send its intermediate certificate, or ` + "`aia: true` in its trust profile has it fetched; if that issuer is a root, name",
		},
		{
			"missing intermediate, on offer", issue(t, middle, aia).with(),
			`came with it (it can be had at "http://pki.example/middle.crt"): the origin has to send its intermediate certificate, or`,
		},
		{
			"root of the same name", doppelganger.server(host).with(),
			`and no certificate of that issuer came with it (a certificate of that name was tried: x509: ECDSA verification failure): `,
		},
		{
			"for clients", issue(t, root, clientOnly).with(),
			`the certificate of "CN=origin.example" is not for servers (extended key usage): the origin needs`,
		},
		{
			"signed by no authority", notCA.server(host).with(notCA),
			`the certificate of "CN=other.example" signed another without being an authority: the origin must send`,
		},
	}
	trust := load(t, Profile{Roots: []string{root.certFile()}})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := serve(t, &tls.Config{Certificates: []tls.Certificate{tt.cert}})
			_, err := o.connect(t, trust.Config(host))
			checkDescribed(t, err, tt.want)
		})
	}
}

// checkDescribed compares Describe(err, host) with a part of it. Any text must
// be one lower-case line that starts with the host.
func checkDescribed(t testing.TB, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			text, _ := Describe(err, host)
			t.Errorf("%v: %s", err, text)
		}
		return
	}
	if err == nil {
		t.Errorf("accepted, want %q", want)
		return
	}
	got, name := Describe(err, host)
	rest, ok := strings.CutPrefix(got, host+": ")
	if !ok || !strings.Contains(rest, want) || strings.ContainsAny(got, "\r\n\t") || strings.HasSuffix(got, ".") || rest == "" || rest[0] < 'a' {
		t.Errorf("%T %v\nis described as %s\nwant         %s", err, err, got, want)
	}
	for words, event := range eventsByWords {
		if strings.Contains(rest, words) != (name == event) {
			t.Errorf("%s\nis the event  %s, and %q means %s", got, name, words, event)
		}
	}
}

// eventsByWords are the names of events by what only their descriptions say.
var eventsByWords = map[string]string{
	" expired on ":        "origin_certificate_expired",
	"is not valid before": "origin_certificate_not_yet_valid",
	"is self-signed":      "origin_self_signed",
	"no certificate of that issuer came with it":       "origin_missing_intermediate",
	"none of its keys is pinned":                       "origin_pin_failure",
	" was revoked on ":                                 "origin_certificate_revoked",
	"answered in cleartext":                            "origin_speaks_no_tls",
	"closed the connection during the TLS handshake":   "origin_closed",
	"requires a client certificate":                    "origin_wants_client_certificate",
	"the origin did not accept the client certificate": "origin_refused_client_certificate",
	"the origin does not know this name":               "origin_name_unknown",
	"the TLS handshake took too long":                  "origin_timeout",
}

func TestHosts(t *testing.T) {
	root := newRoot(t, "Root")
	trust := load(t, Profile{Roots: []string{root.certFile()}})
	o := serve(t, &tls.Config{Certificates: []tls.Certificate{root.server(host, "192.0.2.1", "2001:db8::1").with()}})
	for name, ok := range map[string]bool{
		host:                  true,
		"ORIGIN.Example.":     true,
		"192.0.2.1":           true,
		"::ffff:192.0.2.1":    true,
		"2001:db8::1":         true,
		"[2001:DB8:0::1]":     true,
		"2001:db8::1%eth0":    true,
		"192.0.2.2":           false,
		"2001:db8::2":         false,
		"x.origin.example":    false,
		"":                    false,
		"origin.example\x00":  false,
		"192.0.2.1.":          true,
		"origin.example:8443": false,
	} {
		cs, err := o.connect(t, trust.Config(name))
		if (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
		// RFC 6066 §3: addresses are not sent.
		if ok && (cs.ServerName == host) != strings.HasPrefix(strings.ToLower(name), "origin") {
			t.Errorf("%q: sent the name %q", name, cs.ServerName)
		}
	}
}

// TestSNIOverride: the name is both sent and verified instead of the host.
func TestSNIOverride(t *testing.T) {
	root := newRoot(t, "Root")
	trust := load(t, Profile{Roots: []string{root.certFile()}, SNI: "Front.example."})
	front := serve(t, &tls.Config{Certificates: []tls.Certificate{root.server("front.example").with()}})
	if _, err := front.connect(t, trust.Config(host)); err != nil {
		t.Error(err)
	}
	if cs := <-front.seen; cs.ServerName != "front.example" {
		t.Errorf("sent %q", cs.ServerName)
	}
	named := serve(t, &tls.Config{Certificates: []tls.Certificate{root.server(host).with()}})
	if _, err := named.connect(t, trust.Config(host)); err == nil {
		t.Error("the host's own certificate was accepted although sni names another")
	}
}

// TestOtherFailures: what goes wrong beside the chain.
func TestOtherFailures(t *testing.T) {
	root := newRoot(t, "Root")
	roots := []string{root.certFile()}
	cert := []tls.Certificate{root.server(host).with()}
	tests := []struct {
		name    string
		profile Profile
		origin  *tls.Config
		want    string
	}{
		{
			"1.3 wanted, 1.2 offered",
			Profile{MinTLS: tls.VersionTLS13},
			&tls.Config{Certificates: cert, MaxVersion: tls.VersionTLS12},
			"the origin speaks none of the TLS versions allowed (alert protocol_version): it must offer TLS 1.2 or 1.3, see `min_tls`",
		},
		{
			"1.2 wanted, 1.1 offered",
			Profile{},
			&tls.Config{Certificates: cert, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
			"the origin speaks none of the TLS versions allowed (alert protocol_version): ",
		},
		{
			"client certificate required",
			Profile{},
			&tls.Config{Certificates: cert, ClientAuth: tls.RequireAnyClientCert},
			"the origin requires a client certificate (alert certificate_required): set `client_cert` on the rule",
		},
		{
			"client certificate required, 1.2",
			Profile{},
			&tls.Config{Certificates: cert, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12},
			"`client_cert` on the rule",
		},
		{
			"no protocol in common",
			Profile{ALPN: []string{"h2"}},
			&tls.Config{Certificates: cert, NextProtos: []string{"http/1.1"}},
			"the origin offers none of the protocols asked for (alert no_application_protocol): see `alpn`",
		},
		{
			"unknown name",
			Profile{},
			&tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }},
			"the origin does not know this name (alert unrecognized_name): check the host, or set `sni`",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.profile.Roots = roots
			o := serve(t, tt.origin)
			_, err := o.connect(t, load(t, tt.profile).Config(host))
			checkDescribed(t, err, tt.want)
		})
	}
}

// TestPinsHoldOnResumption: what was verified once is held against the pins
// again, with the session's own configuration changed in between.
// TestSessions: they are resumed within a Trust and never across two, not
// even equal ones, nor between a Trust and its HTTP1 (law 7).
// TestConfig: what a Trust promises of its configurations.
// TestZeroTrust: it trusts nobody (law 3).
// TestKey: a change of any field that matters changes the key. A field that
// is added to Profile must be added here.

// TestVerifyProviderWithoutChain: who shows nothing that was verified is nobody,
// and so is everybody where nobody is trusted.
func TestVerifyProviderWithoutChain(t *testing.T) {
	trust, err := Profile{}.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, trust := range []*Trust{trust, {}, nil} {
		if err := trust.VerifyProvider(tls.ConnectionState{}); err != errNoChain {
			t.Errorf("%v", err)
		}
	}
}
