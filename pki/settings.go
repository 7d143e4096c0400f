// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Settings are what a certification authority is made with. Zero fields mean
// the usual.
type Settings struct {
	Name        string   // organisation in every subject, up to 40 letters; "sallyport"
	TrustDomain string   // of SPIFFE URIs, a name in lower case; "sallyport.internal"
	URL         string   // http://host:port where CRLs, OCSP and issuers are fetched; "": certificates name none
	Permit      []string // DNS zones the server issuer is constrained to ("corp.test"); none: any name
	Exclude     []string // DNS zones the intercept issuer cannot sign for, such as the gateway's own names

	RootLife   time.Duration // ten years; at least a day
	IssuerLife time.Duration // two years, and no longer than the root's; at least an hour
}

func (s Settings) complete() (Settings, error) {
	const day = 24 * time.Hour
	if s.Name == "" {
		s.Name = "sallyport"
	}
	if s.TrustDomain == "" {
		s.TrustDomain = "sallyport.internal"
	}
	if s.RootLife == 0 {
		s.RootLife = 3650 * day
	}
	if s.IssuerLife == 0 {
		s.IssuerLife = min(730*day, s.RootLife)
	}
	if len(s.Name) > 40 || strings.TrimSpace(s.Name) != s.Name || !printable(s.Name) {
		return s, fmt.Errorf("name %q: want up to 40 printable letters without spaces around them", s.Name)
	}
	if err := validDNS(s.TrustDomain); err != nil || strings.HasPrefix(s.TrustDomain, "*") {
		return s, fmt.Errorf("trust domain %q: want a name in lower case such as corp.test", s.TrustDomain)
	}
	if s.RootLife < day || s.IssuerLife < time.Hour || s.IssuerLife > s.RootLife {
		return s, fmt.Errorf("lives of %v (root) and %v (issuer): want at least 24h and 1h, the root's the longer", s.RootLife, s.IssuerLife)
	}
	if err := validURL(s.URL); err != nil {
		return s, err
	}
	var err error
	if s.Permit, err = zones(s.Permit); err != nil {
		return s, err
	}
	s.Exclude, err = zones(s.Exclude)
	return s, err
}

// zones brings zones to the form RFC 5280 §4.2.1.10 has for DNS names, which
// is without a leading dot and means the name and all below it.
func zones(list []string) ([]string, error) {
	var out []string
	for _, z := range list {
		n := strings.TrimPrefix(strings.TrimPrefix(z, "*"), ".")
		if err := validDNS(n); err != nil {
			return nil, fmt.Errorf("zone %q: want a DNS name such as corp.test", z)
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// validURL holds the URL in certificates to plain http: who checks whether a
// certificate is revoked must not need a certificate for that (RFC 5280 §8).
func validURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || !printable(s) || len(s) > 200 {
		return fmt.Errorf("url %q: want http://host:port and nothing behind it", s)
	}
	return nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}
