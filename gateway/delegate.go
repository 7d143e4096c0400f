// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"sallyport/policy"
)

// delegate makes t one that shows origins a certificate in the name of the user
// who asks, and r a route for that certificate alone: neither a connection nor a
// session that was made with it serves anybody else (law 7), nor the same user
// once another was minted, which is before this one expires.
func (p *passage) delegate(r *route, t Trust) (Trust, error) {
	rule, user := p.decision.Rule, p.identity.Client.User
	if user == "" { // the policy has refused that already
		return t, noDelegate(rule, user, errors.New("nothing proves who it is"))
	}
	if p.s.Delegate == nil {
		return t, noDelegate(rule, user, errors.New("this gateway mints none"))
	}
	subject, err := t.Delegated.Subject(user, rule.Name)
	if err != nil {
		return t, noDelegate(rule, user, err)
	}
	cert, err := p.s.Delegate(subject)
	if err != nil {
		return t, noDelegate(rule, user, err)
	}
	leaf, err := leafOf(cert)
	if err != nil {
		return t, noDelegate(rule, user, err)
	}
	if now := time.Now(); now.After(leaf.NotAfter) {
		return t, noDelegate(rule, user, fmt.Errorf("the one that was minted has expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339)))
	}
	sum := sha256.Sum256(leaf.Raw)
	r.user, r.cert = user, string(sum[:])
	t.ClientCert, t.serial = leaf.Subject.String(), hex.EncodeToString(leaf.SerialNumber.Bytes())
	config := t.Config
	t.Config = func(host string) *tls.Config {
		cfg := config(host)
		if cfg == nil {
			return nil
		}
		cfg = cfg.Clone()
		cfg.ClientSessionCache = nil // whoever keeps sessions keeps them by route
		cfg.Certificates = nil
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
		return cfg
	}
	return t, nil
}

func leafOf(c *tls.Certificate) (*x509.Certificate, error) {
	switch {
	case c == nil || len(c.Certificate) == 0:
		return nil, errors.New("none was minted")
	case c.Leaf != nil:
		return c.Leaf, nil
	}
	return x509.ParseCertificate(c.Certificate[0])
}

func noDelegate(rule *policy.Rule, user string, err error) *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Cause: "proxy_configuration_error", Outcome: Failed, Rule: rule.Name,
		Msg: fmt.Sprintf("rule %q shows the origin a certificate in the user's name, and none can be made: ask whoever runs this gateway to look into its log", rule.Name),
		Err: fmt.Errorf("rule %q shows the origin a certificate minted for user %q, but %w", rule.Name, user, err),
	}
}
