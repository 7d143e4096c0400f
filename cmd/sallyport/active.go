// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/rs/zerolog"

	"sallyport/certs"
	"sallyport/gateway"
	"sallyport/policy"
)

// active is the policy that is enforced now, with the trust it needs. It is
// replaced whole or not at all (law 8).
type active struct {
	path  string // "" for the built-in policy
	state string
	now   atomic.Pointer[loaded]
}

// loaded is one generation and the files it was read from.
type loaded struct {
	gen    gateway.Generation
	trusts map[*policy.Origin]*certs.Trust // nil key: no profile
	files  []string
}

// openActive loads the first generation.
func openActive(path, state string) (*active, error) {
	a := &active{path: path, state: state}
	l, err := a.load(1)
	if err != nil {
		var diags *policy.Error
		if errors.As(err, &diags) {
			fmt.Fprintln(os.Stderr, strings.TrimSuffix(diags.Error(), "\n"))
			err = fmt.Errorf("the policy %s is not loaded, nothing was started; sallyport policy check %s tells the same", path, path)
		}
		return nil, &exitError{code: exitPolicy, err: err}
	}
	a.now.Store(l)
	return a, nil
}

// Generation implements gateway.Server's field of that name.
func (a *active) Generation() *gateway.Generation { return &a.now.Load().gen }

func (a *active) policy() *policy.Policy { return a.now.Load().gen.Policy }

// Files returns what to watch: every file the present generation was read from.
func (a *active) Files() []string { return a.now.Load().files }

// load reads policy and trust anew and publishes nothing.
func (a *active) load(number uint64) (*loaded, error) {
	p := policy.Starter()
	if a.path != "" {
		var err error
		if p, err = policy.Load(a.path); err != nil {
			return nil, err
		}
	}
	if diags := p.Unsupported(); len(diags) > 0 {
		return nil, notYetSupported(a.path, diags)
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
	slices.Sort(l.files)
	l.files = slices.Compact(l.files)
	l.gen = gateway.Generation{Policy: p, Trust: l.trust}
	return l, nil
}

func (l *loaded) trust(o *policy.Origin) (gateway.Trust, error) {
	t := l.trusts[o]
	if t == nil {
		return gateway.Trust{}, fmt.Errorf("no trust was loaded for origin profile %q", o.Name)
	}
	return gateway.Trust{
		Key: t.Key(), Config: t.Config, ClientCert: t.ClientCertName(), HTTP2: o != nil && slices.Contains(o.ALPN, "h2"),
	}, nil
}

// profile turns what the policy file says of an origin into what certs loads.
func (a *active) profile(o *policy.Origin) (certs.Profile, error) {
	if o == nil {
		return certs.Profile{Name: "default"}, nil
	}
	p := certs.Profile{Name: o.Name, Roots: o.Roots, Pins: o.Pins, MinTLS: o.MinTLS, ALPN: o.ALPN, SNI: o.SNI}
	switch c := o.ClientCert; {
	case c == nil:
	case c.Secret == "":
		p.Cert, p.Key = c.Cert, c.Key
	case a.state == "":
		return p, fmt.Errorf("origin profile %q: secret %q: no state directory to find it in; give one with --state", o.Name, c.Secret)
	case strings.ContainsAny(c.Secret, `/\`) || strings.HasPrefix(c.Secret, "."):
		return p, fmt.Errorf("origin profile %q: secret %q: a secret is named without slashes and leading dots", o.Name, c.Secret)
	default:
		p.Cert = filepath.Join(a.state, "secrets", c.Secret+".pem")
		p.Key = p.Cert
	}
	return p, nil
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

// reload puts the files' present content into force, or keeps what there is.
func reload(a *active, server *gateway.Server, w *watcher, logger *zerolog.Logger, why string) {
	before := a.now.Load()
	old := before.gen.Policy
	after, err := a.load(old.Generation + 1)
	if err != nil {
		e := logger.Error().Str("trigger", why).Str("kept", old.Revision[:8])
		var diags *policy.Error
		if errors.As(err, &diags) {
			e = e.Int("errors", len(diags.Diagnostics))
		}
		e.Str("error", err.Error()).Msg("policy not loaded: the last good one stays in force")
		return
	}
	if same(before, after) {
		if why == "SIGHUP" {
			logger.Info().Str("trigger", why).Str("revision", old.Revision[:8]).Msg("policy unchanged")
		}
		return
	}
	a.now.Store(after)
	server.Recheck()
	changes := policy.Diff(old, after.gen.Policy)
	logger.Info().Str("trigger", why).
		Str("old", old.Revision[:8]).Str("new", after.gen.Policy.Revision[:8]).Uint64("generation", after.gen.Policy.Generation).
		Strs("added", changes.Added).Strs("removed", changes.Removed).Strs("changed", changes.Changed).
		Msg("policy loaded")
	if err := w.Watch(after.files); err != nil {
		logger.Warn().Str("error", err.Error()).Msg("the policy's files cannot be watched; send SIGHUP after changing them")
	}
}

// same reports whether nothing that was loaded differs: neither the policy's
// text and lists nor a certificate or key beside it.
func same(a, b *loaded) bool {
	if a.gen.Policy.Revision != b.gen.Policy.Revision || len(a.trusts) != len(b.trusts) {
		return false
	}
	if a.trusts[nil].Key() != b.trusts[nil].Key() {
		return false
	}
	for i, o := range a.gen.Policy.Origins { // equal text: same profiles, same order
		if a.trusts[o].Key() != b.trusts[b.gen.Policy.Origins[i]].Key() {
			return false
		}
	}
	return true
}
