// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// What the table says of the modes a key goes with is what the compiler does,
// and what the schema says.
func TestKeysGoWithTheirModes(t *testing.T) {
	schema := compileSchema(t)
	values := map[string]string{
		"methods": "GET", "paths": "/x", "tunnel": "{idle: 5m}", "intercept": "{leaf_ttl: 1h}", "origin": `{min_tls: "1.3"}`,
		"request": "{headers: {remove: x}}", "response": "{headers: {remove: x}}", "plain_http": "redirect",
		"deny": "{status: 451}", "limits": "{rate: 5/s}", "visible_only": "true", "allow_private": "true", "client_leg": "tls",
	}
	modes := [][]Mode{
		{Deny},
		{Tunnel},
		{Intercept},
		{Originate},
		{Relay},
		{Tunnel, Originate},
		{Tunnel, Relay},
		{Intercept, Originate},
		{Intercept, Relay},
	}
	for i := range ruleSection.keys {
		k := &ruleSection.keys[i]
		if k.modes == nil {
			continue
		}
		value := values[k.name]
		if value == "" {
			t.Errorf("no value to try %s with", k.name)
			continue
		}
		for _, m := range modes {
			words := make([]string, len(m))
			for i := range m {
				words[i] = m[i].String()
			}
			mode := "[" + strings.Join(words, ", ") + "]"
			if len(words) == 1 && i%2 == 0 {
				mode = words[0] // as a text
			}
			src := fmt.Sprintf("version: 1\nrules:\n  - {name: a, from: 10.0.0.0/8, to: x.example, mode: %s, %s: %s}\n", mode, k.name, value)
			_, err := Parse("p.yaml", []byte(src), ".")
			var e *Error
			if err != nil && !errors.As(err, &e) {
				t.Fatal(err)
			}
			refused := err != nil && slices.ContainsFunc(e.Diagnostics, func(d Diagnostic) bool { return d.Code == "P071" || d.Code == "P072" })
			if refused == k.fits(m) || err != nil && !refused {
				t.Errorf("%s with mode %v: the table says it goes: %v; the compiler: %v", k.name, m, k.fits(m), err)
			}
			if err := schema.Validate(asJSON(t, []byte(src))); (err == nil) != k.fits(m) {
				t.Errorf("%s with mode %v: the table says it goes: %v; the schema: %v", k.name, m, k.fits(m), err)
			}
		}
	}
}

func TestAboutKeys(t *testing.T) {
	for name, want := range map[string]string{
		"paths":         "/exact, /dir/** with everything below, * inside one segment; needs to see the request; not with tunnel",
		"log":           "what the access log keeps: nothing, everything but the query string, or all; default meta",
		"origin":        "the trust profile: its name, or the profile itself; with mode originate or intercept",
		"plain_http":    "what an http:// request gets from a rule that serves only CONNECT; default explain; not with deny, originate or relay",
		"allow_private": "lets the rule reach private addresses; default false; with any mode but deny",
	} {
		if got := ruleSection.key(name).about(); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
