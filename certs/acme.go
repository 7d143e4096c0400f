// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/net/idna"
)

// An ACME is an authority that issues by RFC 8555, and the account it knows
// us by. All fields but Contact, KID and Key are needed.
type ACME struct {
	Directory string            // its directory URL
	Transport http.RoundTripper // how it is reached
	Secrets   Secrets           // where the account's key and what was obtained are kept

	Contact string // e-mail address that the authority may write to; "": none
	KID     string // external account binding (RFC 8555 §7.3.4); "": none
	Key     []byte // its MAC key
}

// obtainable is name as it is ordered: the form that is sent in a ClientHello.
func obtainable(name string) (string, error) {
	host, err := idna.Lookup.ToASCII(strings.TrimSuffix(name, "."))
	switch _, notIP := netip.ParseAddr(host); {
	case err != nil:
		return "", fmt.Errorf("%s is not a host name: certificates are obtained for names as in gw.example.com", quote(name))
	case notIP == nil:
		return "", fmt.Errorf("%s is an address: certificates are obtained by ACME for names only", host)
	case strings.Contains(host, "*"):
		return "", fmt.Errorf("%s: a wildcard needs a proof by DNS, which is not made: name each host", quote(name))
	case !strings.Contains(host, "."):
		return "", fmt.Errorf("%s has no dot in it: authorities issue for full names only", quote(name))
	}
	return host, nil
}

// obtain orders a certificate for host, with a new key, by autocert. solving
// holds, for as long as this takes, who answers the authority's challenges.
// With a certificate and an error, the certificate is good and was not stored.
//
// autocert renews by itself, at times that cannot be chosen, and after a failure
// not for half an hour or more, which is longer than a short certificate lives. So
// every certificate is the first one of a new Manager, which ends with it.
func (a *ACME) obtain(ctx context.Context, host string, solving *atomic.Pointer[autocert.Manager]) (*tls.Certificate, error) {
	if a.Transport == nil || a.Secrets == nil {
		return nil, errors.New("there is no way to the authority") // a nil field refuses
	}
	o := &order{ctx: ctx, acme: a, host: host}
	m := &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: o, Email: a.Contact, HostPolicy: o.allow,
		Client: &acme.Client{
			DirectoryURL: a.Directory, HTTPClient: &http.Client{Transport: o},
			UserAgent: "sallyport", RetryBackoff: o.backoff,
		},
		// Its own renewal is put off until the certificate ends, and ends itself then: order.Get.
		RenewBefore: 100 * time.Nanosecond, // less panics
	}
	if a.KID != "" {
		m.ExternalAccountBinding = &acme.ExternalAccountBinding{KID: a.KID, Key: a.Key}
	}
	m.HTTPHandler(http.NotFoundHandler()) // turns http-01 on, for when tls-alpn-01 fails
	solving.Store(m)
	defer solving.Store(nil)
	defer o.close()

	// autocert gives up after five minutes and cannot be told to sooner. Its
	// requests and pauses end with ctx, so it is left alone for seconds at most.
	type result struct {
		cert *tls.Certificate
		err  error
	}
	done := make(chan result, 1)
	go func() {
		cert, err := m.GetCertificate(ecdsaHello(host))
		done <- result{cert, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, o.explain(r.err)
		}
		return r.cert, o.unstored()
	case <-ctx.Done():
		return nil, o.explain(ctx.Err())
	}
}

// ecdsaHello is what autocert has to see to order an ECDSA certificate. It
// looks for suites of TLS 1.2, and so orders an RSA one for clients that
// speak nothing but TLS 1.3 (golang.org/issue/50522): it is never shown a
// client's own hello, except that of a challenge.
func ecdsaHello(host string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{
		ServerName:       host,
		CipherSuites:     []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		SupportedCurves:  []tls.CurveID{tls.CurveP256},
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
	}
}

// stored is what an earlier run has obtained for host: nil, nil when there is
// nothing, or only what has expired.
func (a *ACME) stored(ctx context.Context, host string) (*tls.Certificate, error) {
	if a.Secrets == nil {
		return nil, nil
	}
	text, err := a.Secrets.Get(ctx, a.secret(host))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, errors.New("its certificate and key do not belong together") // not the parser's text, which looked at a key
	}
	if time.Now().After(cert.Leaf.NotAfter) {
		return nil, nil
	}
	if err := cert.Leaf.VerifyHostname(host); err != nil {
		return nil, err
	}
	return &cert, nil
}

// secret is the name under which something of this authority is stored: what
// another one has issued is never taken for its.
func (a *ACME) secret(name string) string { return "acme " + a.Directory + " " + name }
