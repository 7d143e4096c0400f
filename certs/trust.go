// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
)

// A Profile says what to trust and what to show when connecting to an
// origin. The zero Profile trusts the system's roots and shows nothing.
type Profile struct {
	Name   string     // for messages only
	Roots  []string   // PEM files, used instead of the system's roots; empty: those
	Pins   [][32]byte // SHA-256 of SubjectPublicKeyInfo, at least one of which some certificate of a verified chain must have; empty: none
	MinTLS uint16     // tls.VersionTLS12 or tls.VersionTLS13; 0: TLS 1.2
	MaxTLS uint16     // the same, and no less than MinTLS; 0: whatever is newest
	ALPN   []string   // offered in this order; empty: http/1.1. "h3" is for QUIC, and not offered by TCP where there is another
	SNI    string     // DNS name or address sent and verified instead of the host; "": the host

	// VerifyName is what the certificate has to be for, whatever name is sent;
	// "": the name that is sent.
	VerifyName string

	// Cert and Key are PEM files with a client certificate (leaf first, then
	// what lies between it and its root) and its private key. Key "" means that
	// Cert holds both. Both "": no client certificate.
	Cert, Key string

	// PKCS12 is a PKCS #12 file with all of that, instead; "": none. Password is
	// the file with its password in one line; "": it has an empty one.
	PKCS12, Password string

	Revocation Revocation
	AIA        bool // fetch intermediate certificates that the origin does not send

	// Sources is where fetched things are; nil: this Trust has its own, which
	// lasts as long. Dial connects to places that certificates name, in plain
	// HTTP, and guards where (law 4); nil: nothing is fetched. Reach names what
	// Dial permits: what one that permits less could not fetch, another can.
	Sources *Sources
	Dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	Reach   string
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
	warnings func() []string
	http1    *Trust

	verifyName string
	revocation Revocation
	aia        bool
	sources    *Sources
	dial       dialFunc
	reach      string
	keyed      *atomic.Pointer[keyed]
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
	note(checkMaxTLS(p.MaxTLS, minTLS))
	if slices.Contains(alpn, "h3") && p.MaxTLS == tls.VersionTLS12 {
		note(errors.New("alpn: h3 is by TLS 1.3 (RFC 9001), and max_tls is 1.2"))
	}
	sni, err := checkName("sni", p.SNI)
	note(err)
	verifyName, err := checkName("verify_name", p.VerifyName)
	note(err)
	roots, err := loadRoots(p.Roots)
	note(err)
	client, err := p.client()
	note(err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	t := &Trust{
		base: &tls.Config{
			RootCAs:    roots.pool(),
			MinVersion: minTLS,
			MaxVersion: p.MaxTLS,
			NextProtos: byTCP(alpn),
			// What this Trust has verified must not vouch for another's
			// connections, nor carry its client certificate there.
			ClientSessionCache: tls.NewLRUClientSessionCache(sessions),
			// Small first records would only help a browser render early.
			DynamicRecordSizingDisabled: true,
		},
		pins:     slices.Clone(p.Pins),
		sni:      sni,
		files:    p.files(),
		warnings: func() []string { return slices.Concat(roots.warnings(), client.warnings()) },

		verifyName: verifyName, revocation: p.Revocation, aia: p.AIA,
		sources: cmp.Or(p.Sources, &Sources{}), dial: p.Dial, reach: p.Reach, keyed: new(atomic.Pointer[keyed]),
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
	t.key = p.fingerprint(roots, minTLS, alpn, sni, verifyName, client)
	t.http1 = t
	if !slices.Equal(alpn, []string{"http/1.1"}) { // HTTP/3 has no Upgrade either
		h := *t
		h.base = t.base.Clone()
		h.base.NextProtos = []string{"http/1.1"}
		h.base.ClientSessionCache = tls.NewLRUClientSessionCache(sessions)
		h.key = p.fingerprint(roots, minTLS, h.base.NextProtos, sni, verifyName, client)
		h.http1, h.keyed = &h, new(atomic.Pointer[keyed])
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
	name := cmp.Or(t.verifyName, c.ServerName)
	if t.own() {
		// SECURITY: crypto/tls is to verify nothing because VerifyConnection
		// does it, by the same means. gateway refuses a configuration that has
		// the one without the other.
		c.InsecureSkipVerify = true
	}
	c.VerifyConnection = func(cs tls.ConnectionState) error { // of resumed sessions as well
		chains := cs.VerifiedChains
		if t.own() {
			var err error
			if chains, err = t.verify(cs.PeerCertificates, name); err != nil {
				return err
			}
		}
		if err := t.checkPins(host, chains); err != nil {
			return err
		}
		err := t.checkRevocation(chains, cs.OCSPResponse)
		var status *StatusError
		if errors.As(err, &status) {
			status.Resumed = cs.DidResume
		}
		return err
	}
	return c
}

// VerifyProvider judges who refuses Encrypted Client Hello in an origin's place,
// by the state of that handshake: crypto/tls has verified its certificate for the
// public name (RFC 9849 §6.1.7), and has not asked whether it was revoked. That is
// looked at as for origins. Pins are about origins alone.
func (t *Trust) VerifyProvider(cs tls.ConnectionState) error {
	if t == nil || t.base == nil {
		return errNoChain
	}
	return t.checkRevocation(cs.VerifiedChains, cs.OCSPResponse)
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
// their names. When Revocation is not off it changes now and then: when a
// certificate in use was revoked, and twice a day, so that connections under the
// old key are made anew and judged.
func (t *Trust) Key() string {
	if t.revocation == RevocationOff {
		return t.key
	}
	epoch := t.sources.epoch.Load()
	k := t.keyed.Load()
	if k == nil || k.epoch != epoch {
		k = &keyed{epoch, fmt.Sprintf("%s-%d", t.key, epoch)}
		t.keyed.Store(k)
	}
	return k.key
}

// A keyed is the key of a Trust as long as an epoch lasts.
type keyed struct {
	epoch uint64
	key   string
}

// Same reports whether t and u trust and show the same, so that one can stand
// for the other.
func (t *Trust) Same(u *Trust) bool { return t.key == u.key }

// Files returns the files that t was read from, each once, for watching.
func (t *Trust) Files() []string { return slices.Clone(t.files) }

// ClientCertName returns the subject of the client certificate, for logs; ""
// when there is none.
func (t *Trust) ClientCertName() string { return t.client }

// Warnings returns what an operator should be told now although t works: each
// is one line. With time there is more to tell.
func (t *Trust) Warnings() []string { return t.warnings() }

func (p Profile) files() (files []string) {
	for _, f := range append(slices.Clone(p.Roots), p.Cert, p.Key, p.PKCS12, p.Password) {
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

// byTCP are those of protocols that are offered by TCP. HTTP/3 is not, because TLS does
// not tell what carries it (RFC 9114 §3.1); nobody connects by TCP who has it alone, and
// if somebody did, no origin would agree.
func byTCP(protocols []string) []string {
	others := slices.DeleteFunc(slices.Clone(protocols), func(p string) bool { return p == "h3" })
	if len(others) == 0 {
		return slices.Clone(protocols)
	}
	return others
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

func checkMaxTLS(v, oldest uint16) error {
	switch {
	case v == 0:
	case v != tls.VersionTLS12 && v != tls.VersionTLS13:
		return fmt.Errorf("max_tls: %s is not possible: write 1.2 or 1.3 (RFC 8996)", tls.VersionName(v))
	case v < oldest:
		return fmt.Errorf("max_tls: %s is older than min_tls, %s: nothing is left between them", tls.VersionName(v), tls.VersionName(oldest))
	}
	return nil
}

func checkName(what, s string) (string, error) {
	name := serverName(s)
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == ':':
		default:
			return "", fmt.Errorf("%s: %q is neither a name nor an address: write it in ASCII, without scheme and port", what, s)
		}
	}
	if _, err := netip.ParseAddr(name); err != nil && strings.Contains(name, ":") {
		return "", fmt.Errorf("%s: %q has a port: write the name alone", what, s)
	}
	return name, nil
}
