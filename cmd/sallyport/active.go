// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sallyport/certs"
	"sallyport/gateway"
	"sallyport/policy"
)

// active is the policy that is enforced now, with the trust it needs. It is
// replaced whole or not at all (law 8).
type active struct {
	path    string // as it was given; "" for the built-in policy
	full    string // absolute
	state   string
	archive *archive                               // nil: nothing is remembered
	origins origins                                // what their certificates refer to
	missing func(policy.Fact) string               // what it takes to have what a policy depends on; "": nothing; nil: it cannot be had
	minting func(*policy.Policy) (*minting, error) // what mints under a policy; nil: nothing does
	now     atomic.Pointer[loaded]
}

// loaded is one generation and the files it was read from.
type loaded struct {
	gen    gateway.Generation
	trusts map[*policy.Origin]*certs.Trust // nil key: no profile
	files  []string
	read   *reading  // nil: from no files
	mints  *minting  // nil: the policy intercepts nothing
	stale  error     // why the policy file was not loaded; nil when this is what it says
	kept   time.Time // of a stale one: when it was put into force last
}

// load reads policy and trust anew and publishes nothing. What it has read is
// returned with an error as well.
func (a *active) load(number uint64) (*loaded, *reading, error) {
	r := &reading{}
	if a.path == "" {
		l, err := a.complete(policy.Starter(), number)
		return l, r, err
	}
	p, err := policy.Loader{Read: r.read, ListCache: longLists(a.state)}.Load(a.path)
	if err == nil {
		err = a.confirmed(r)
	}
	if err != nil {
		return nil, r, err
	}
	l, err := a.complete(p, number)
	if err != nil {
		return nil, r, err
	}
	l.read = r
	return l, r, nil
}

// complete makes a generation of p.
func (a *active) complete(p *policy.Policy, number uint64) (*loaded, error) {
	if diags := p.Unsupported(); len(diags) > 0 {
		return nil, notYetSupported(a.path, diags)
	}
	if err := a.findable(p); err != nil {
		return nil, err
	}
	p.Generation = number
	l := &loaded{trusts: make(map[*policy.Origin]*certs.Trust), files: p.Files()}
	for _, o := range append([]*policy.Origin{nil}, p.Origins...) {
		profile, err := a.profile(o)
		if err != nil {
			return nil, err
		}
		t, err := profile.Load()
		if err != nil {
			return nil, fmt.Errorf("origin profile %q: %w", profile.Name, err)
		}
		l.trusts[o] = t
		l.files = append(l.files, t.Files()...)
	}
	secrets, files, err := a.secrets(p)
	if err != nil {
		return nil, err
	}
	l.files = append(l.files, files...)
	slices.Sort(l.files)
	l.files = slices.Compact(l.files)
	l.gen = gateway.Generation{Policy: p, Trust: l.trust, Secrets: secrets}
	if a.minting != nil {
		if l.mints, err = a.minting(p); err != nil {
			return nil, fmt.Errorf("what the policy intercepts needs certificates: %w", err)
		}
	}
	if l.mints != nil {
		l.gen.Mint = l.mints.mint
	}
	return l, nil
}

// Generation implements gateway.Server's field of that name.
func (a *active) Generation() *gateway.Generation { return &a.now.Load().gen }

func (a *active) policy() *policy.Policy { return a.now.Load().gen.Policy }

func (l *loaded) trust(o *policy.Origin) (gateway.Trust, error) {
	t := l.trusts[o]
	if t == nil {
		return gateway.Trust{}, fmt.Errorf("no trust was loaded for origin profile %q", o.Name)
	}
	g := gateway.Trust{Key: t.Key(), Config: t.Config, ClientCert: t.ClientCertName(), Provider: t.VerifyProvider}
	if o != nil {
		g.HTTP2, g.HTTP3 = slices.Contains(o.ALPN, "h2"), slices.Contains(o.ALPN, "h3")
		g.OnlyHTTP3 = g.HTTP3 && len(o.ALPN) == 1
		g.ECH = o.ECH
	}
	if o != nil && o.ClientCert != nil && o.ClientCert.Minted {
		g.Delegated = &o.ClientCert.Mint
	}
	return g, nil
}

// profile turns what the policy file says of an origin into what certs loads.
func (a *active) profile(o *policy.Origin) (certs.Profile, error) {
	if o == nil {
		return certs.Profile{Name: "default"}, nil
	}
	p := certs.Profile{
		Name: o.Name, Roots: o.Roots, Pins: o.Pins, MinTLS: o.MinTLS, MaxTLS: o.MaxTLS, ALPN: o.ALPN, SNI: o.SNI, VerifyName: o.VerifyName,
		Revocation: revocations[o.Revocation], AIA: o.AIA, Sources: a.origins.sources, Dial: a.origins.dial(o), Reach: o.FetchKey(),
	}
	c := o.ClientCert
	if c == nil || c.Minted { // that is made for each request
		return p, nil
	}
	for _, name := range []string{c.Secret, c.Password} {
		switch {
		case name == "":
		case a.state == "":
			return p, fmt.Errorf("origin profile %q: secret %q: no state directory to find it in; give one with --state", o.Name, name)
		case strings.ContainsAny(name, `/\`) || strings.HasPrefix(name, "."):
			return p, fmt.Errorf("origin profile %q: secret %q: a secret is named without slashes and leading dots", o.Name, name)
		}
	}
	p.Cert, p.Key, p.PKCS12, p.Password = clientFiles(a.state, c)
	return p, nil
}

// clientFiles are the files of a client certificate that is not minted.
func clientFiles(state string, c *policy.ClientCert) (cert, key, p12, password string) {
	if c.Password != "" {
		password = filepath.Join(state, "secrets", c.Password)
	}
	switch {
	case c.PKCS12 != "":
		return "", "", c.PKCS12, password
	case c.Secret != "" && c.Password != "":
		return "", "", filepath.Join(state, "secrets", c.Secret+".p12"), password
	case c.Secret != "":
		file := filepath.Join(state, "secrets", c.Secret+".pem")
		return file, file, "", ""
	}
	return c.Cert, c.Key, "", ""
}

// notYetSupported refuses what the policy says and this gateway does not do:
// a rule that is not enforced must not look as if it were.
func notYetSupported(path string, diags []policy.Diagnostic) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s uses what this gateway does not enforce yet, so it is not started with it:", path)
	for _, d := range diags {
		fmt.Fprintf(&b, "\n  %s:%d:%d: %s", d.File, d.Line, d.Col, d.Msg)
	}
	return errors.New(b.String())
}

// same reports whether nothing that was loaded differs: neither the policy's
// text and lists nor a certificate, key or secret beside it.
func same(a, b *loaded) bool {
	if a.gen.Policy.Revision != b.gen.Policy.Revision || len(a.trusts) != len(b.trusts) {
		return false
	}
	if !a.trusts[nil].Same(b.trusts[nil]) || !maps.Equal(a.gen.Secrets, b.gen.Secrets) {
		return false
	}
	for i, o := range a.gen.Policy.Origins { // equal text: same profiles, same order
		if !a.trusts[o].Same(b.trusts[b.gen.Policy.Origins[i]]) {
			return false
		}
	}
	return true
}
