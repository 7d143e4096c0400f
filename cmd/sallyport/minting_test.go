// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/pki"
	"sallyport/policy"
)

// A policy whose issuer cannot be made is not put into force: the last good one
// stays. One that intercepts nothing needs none.
func TestPolicyWithoutItsIssuerIsNotLoaded(t *testing.T) {
	state := t.TempDir()
	slot := &caSlot{state: state, log: func(string, ...any) {}}
	if err := slot.init(pki.Settings{}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(state, "policy.yaml")
	a := &active{path: file, full: file, state: state, missing: slot.missing, minting: func(p *policy.Policy) (*minting, error) { return slot.minting(p, nil) }}
	load := func(rule string) (*loaded, error) {
		t.Helper()
		if err := os.WriteFile(file, []byte("version: 1\nrules: [{name: a, from: any, to: "+rule+"}]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		l, _, err := a.load(1)
		return l, err
	}
	l, err := load("a.test, mode: intercept")
	if err != nil || l.gen.Mint == nil || slot.opened() != nil {
		t.Fatalf("%v: before the CA is open, nothing waits for it", err)
	}
	if _, err := l.gen.Mint("www.a.test", 0); err != nil {
		t.Error(err)
	}
	if _, err := l.gen.Mint("www.b.test", 0); err == nil || !strings.Contains(err.Error(), "is outside the names that the intercept issuer, generation 1, is constrained to") {
		t.Error(err)
	}
	ca := slot.opened()
	if l, err := load("b.test, mode: intercept"); err != nil || l.mints.now.Load() == nil {
		t.Errorf("%v: the issuer is made before the policy is in force", err)
	}
	if err := ca.Close(); err != nil { // nobody can read the root's key any more
		t.Fatal(err)
	}
	if _, err := load("c.test, mode: intercept"); err == nil || !strings.HasPrefix(err.Error(), "what the policy intercepts needs certificates: making an intercept issuer that is constrained: ") {
		t.Error(err)
	}
	if l, err := load("any, mode: tunnel"); err != nil || l.gen.Mint != nil {
		t.Error(err)
	}
	if _, err := l.gen.Mint("again.a.test", 0); err != nil {
		t.Errorf("what is in force: %v", err)
	}
}

// What of the constraint is not kept by a certificate is told.
func TestStatusOfWhatIsMinted(t *testing.T) {
	hosts := policy.Interceptable{Names: []string{"a.test"}}
	for want, m := range map[string]*caMints{
		"": nil,
		"under the policy in force, certificates can be minted for: a.test\n":                                                                                                        {Hosts: hosts, Constrained: true},
		"under the policy in force, certificates can be minted for: a.test; not gw.test, the gateway's own\n":                                                                        {Hosts: hosts, Own: []string{"gw.test"}, Constrained: true},
		"under the policy in force, certificates can be minted for: a.test\nthe gateway alone holds to that: the intercept issuer was imported, and its certificate is as it came\n": {Hosts: hosts},
		"under the policy in force, certificates can be minted for: a.test\nnone is, because there is no issuer for that: no key\n":                                                  {Hosts: hosts, Error: "no key"},
	} {
		var b bytes.Buffer
		if m.print(&b); b.String() != want {
			t.Errorf("%q, want %q", b.String(), want)
		}
	}
}
