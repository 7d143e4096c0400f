// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A Profile says what to trust and what to show when connecting to an
// origin. The zero Profile trusts the system's roots and shows nothing.
type Profile struct {
	Name   string     // for messages only
	Roots  []string   // PEM files, used instead of the system's roots; empty: those
	Pins   [][32]byte // SHA-256 of SubjectPublicKeyInfo, at least one of which some certificate of a verified chain must have; empty: none
	MinTLS uint16     // tls.VersionTLS12 or tls.VersionTLS13; 0: TLS 1.2
	ALPN   []string   // offered in this order; empty: http/1.1
	SNI    string     // DNS name or address sent and verified instead of the host; "": the host

	// Cert and Key are PEM files with a client certificate (leaf first, then
	// what lies between it and its root) and its private key. Key "" means that
	// Cert holds both. Both "": no client certificate.
	Cert, Key string
}

// A Trust is a Profile with its files read. It is immutable; any number of
// goroutines may use it at once. The zero Trust, and a nil one, trust nobody.
type Trust struct {
	base     *tls.Config // never handed out itself
	pins     [][32]byte
	sni      string
	key      string
	files    []string
	client   string // subject of the client certificate
	warnings []string
	http1    *Trust
}

// sessions bounds the TLS sessions that a Trust remembers, one an origin.
const sessions = 1024

// Load reads every file of p now, so that a mistake is found when the policy
// is loaded and not by the first request. All mistakes are reported together;
// each names the file, what is wrong and what to do.
func (p Profile) Load() (*Trust, error) {
	var errs []error
	note := func(err error) {
		if err != nil && p.Name != "" {
			err = fmt.Errorf("certs: trust profile %q: %w", p.Name, err)
		} else if err != nil {
			err = fmt.Errorf("certs: %w", err)
		}
		errs = append(errs, err)
	}
	alpn := p.ALPN
	if len(alpn) == 0 {
		alpn = []string{"http/1.1"}
	}
	note(checkALPN(alpn))
	minTLS, err := checkMinTLS(p.MinTLS)
	note(err)
	sni, err := checkSNI(p.SNI)
	note(err)
	roots, err := loadRoots(p.Roots)
	note(err)
	client, err := loadClient(p.Cert, p.Key)
	note(err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	t := &Trust{
		base: &tls.Config{
			RootCAs:    roots.pool(),
			MinVersion: minTLS,
			NextProtos: slices.Clone(alpn),
			// What this Trust has verified must not vouch for another's
			// connections, nor carry its client certificate there.
			ClientSessionCache: tls.NewLRUClientSessionCache(sessions),
			// Small first records would only help a browser render early.
			DynamicRecordSizingDisabled: true,
		},
		pins:     slices.Clone(p.Pins),
		sni:      sni,
		files:    p.files(),
		warnings: slices.Concat(roots.warnings(), client.warnings()),
	}
	if client != nil {
		t.client = client.cert.Leaf.Subject.String()
		// Not Certificates: crypto/tls would keep it back, without a word, when
		// the origin's list of acceptable issuers does not name the one that our
		// chain file happens to end with.
		t.base.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &client.cert, nil
		}
	}
	t.key = fingerprint(roots, p.Pins, minTLS, alpn, sni, client)
	t.http1 = t
	if !slices.Equal(alpn, []string{"http/1.1"}) {
		h := *t
		h.base = t.base.Clone()
		h.base.NextProtos = []string{"http/1.1"}
		h.base.ClientSessionCache = tls.NewLRUClientSessionCache(sessions)
		h.key = fingerprint(roots, p.Pins, minTLS, h.base.NextProtos, sni, client)
		h.http1 = &h
		t.http1 = &h
	}
	return t, nil
}

// Config returns a configuration for connections to host, a DNS name or an
// address (in brackets or not). It is the caller's own. An empty host makes a
// configuration with which every handshake fails.
func (t *Trust) Config(host string) *tls.Config {
	if t == nil || t.base == nil {
		return &tls.Config{ServerName: serverName(host), RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	}
	if t.sni != "" {
		host = t.sni
	}
	c := t.base.Clone()
	c.ServerName = serverName(host)
	c.VerifyConnection = func(cs tls.ConnectionState) error { // of resumed sessions as well
		if err := t.checkPins(host, cs.VerifiedChains); err != nil {
			return err
		}
		return t.checkRevocation(cs.VerifiedChains, cs.OCSPResponse)
	}
	return c
}

// HTTP1 returns the same trust offering http/1.1 only, for requests that need
// it (Upgrade, RFC 9110 §7.8). It shares no sessions with t.
func (t *Trust) HTTP1() *Trust {
	if t == nil {
		return nil
	}
	return t.http1
}

// Key returns a string that differs between any two Trusts over which two
// requests must not share a connection. It depends on what files hold, not on
// their names.
func (t *Trust) Key() string { return t.key }

// Files returns the files that t was read from, each once, for watching.
func (t *Trust) Files() []string { return slices.Clone(t.files) }

// ClientCertName returns the subject of the client certificate, for logs; ""
// when there is none.
func (t *Trust) ClientCertName() string { return t.client }

// Warnings returns what an operator should be told although t works: each is
// one line.
func (t *Trust) Warnings() []string { return slices.Clone(t.warnings) }

func (p Profile) files() (files []string) {
	for _, f := range append(slices.Clone(p.Roots), p.Cert, p.Key) {
		if f != "" && !slices.Contains(files, f) {
			files = append(files, f)
		}
	}
	return files
}

// serverName writes host the way crypto/tls compares it with certificates.
func serverName(host string) string {
	if s, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(s, "]")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func checkALPN(protos []string) error {
	for _, p := range protos {
		if len(p) == 0 || len(p) > 255 { // RFC 7301 §3.1
			return fmt.Errorf("alpn: %q has %d bytes: write 1 to 255, such as h2 or http/1.1", p, len(p))
		}
	}
	return nil
}

func checkMinTLS(v uint16) (uint16, error) {
	switch v {
	case 0:
		return tls.VersionTLS12, nil
	case tls.VersionTLS12, tls.VersionTLS13:
		return v, nil
	}
	return 0, fmt.Errorf("min_tls: %s is not possible: write 1.2 or 1.3 (RFC 8996)", tls.VersionName(v))
}

func checkSNI(s string) (string, error) {
	name := serverName(s)
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == ':':
		default:
			return "", fmt.Errorf("sni: %q is neither a name nor an address: write it in ASCII, without scheme and port", s)
		}
	}
	if _, err := netip.ParseAddr(name); err != nil && strings.Contains(name, ":") {
		return "", fmt.Errorf("sni: %q has a port: write the name alone", s)
	}
	return name, nil
}
