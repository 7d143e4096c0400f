// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "testing"

func TestConsequences(t *testing.T) {
	const head = `
version: 1
origins:
  plain: {min_tls: "1.2"}
  strict: {min_tls: "1.3"}
  bank: {client_cert: {secret: at-bank}}
  other: {client_cert: {secret: other}}
rules:
`
	rule := func(s string) string {
		if s == "" {
			return "  - {name: never, from: any, to: nowhere.example, mode: deny}\n"
		}
		return "  - {from: any, to: a.example, " + s + "}\n"
	}
	for _, c := range []struct{ request, before, after, want string }{
		{"CONNECT a.example:443", "", "name: a, mode: tunnel", "opens"},
		{"CONNECT a.example:443", "name: a, mode: tunnel", "", "closes"},
		{"CONNECT a.example:443", "name: a, mode: tunnel", "name: a, mode: tunnel, log: full", "terms"},
		{"CONNECT a.example:443", "name: a, mode: tunnel", "name: a, mode: tunnel, tunnel: {sni: any}", "terms"},
		{"CONNECT a.example:443", "name: a, mode: tunnel", "name: a, mode: tunnel, allow_private: true", "terms"},
		{"CONNECT a.example:443", "name: a, mode: tunnel", "name: b, mode: tunnel", "another-rule"},
		{"CONNECT a.example:443", "name: a, mode: tunnel", "name: a, mode: tunnel, ports: [443, 22]", "none"},
		{"CONNECT a.example:443", "name: a, mode: tunnel", "name: a, mode: intercept", "reads, loses-client-authentication"},
		{"CONNECT a.example:443", "name: a, mode: tunnel", "name: a, mode: intercept, origin: bank", "reads, swaps-certificate"},
		{"CONNECT a.example:443", "name: a, mode: intercept", "name: a, mode: tunnel", "blinds"},
		{"CONNECT a.example:443", "name: a, mode: intercept, origin: bank", "name: a, mode: tunnel", "loses-certificate, blinds"},
		{"CONNECT a.example:443", "name: a, mode: intercept, methods: GET", "name: a, mode: intercept", "looks"},
		{"CONNECT a.example:443", "name: a, mode: deny", "name: b, mode: deny", "refuses"},
		{"CONNECT a.example:443", "name: a, mode: deny", "name: a, mode: originate", "refuses"},
		{"CONNECT a.example:443", "name: a, mode: deny", "name: a, mode: deny, deny: {message: no}", "refuses"},
		{"http://a.example/", "name: a, mode: relay", "name: a, mode: originate", "secures"},
		{"http://a.example/", "name: a, mode: originate", "name: a, mode: relay", "exposes"},
		{"http://a.example/", "name: a, mode: originate, origin: bank", "name: a, mode: relay", "exposes, loses-certificate"},
		{"http://a.example/", "name: a, mode: originate, origin: bank", "name: a, mode: originate", "loses-certificate"},
		{"http://a.example/", "name: a, mode: originate, origin: bank", "name: a, mode: originate, origin: other", "swaps-certificate"},
		{"http://a.example/", "name: a, mode: originate, origin: plain", "name: a, mode: originate, origin: strict", "trusts"},
		{"http://a.example/", "name: a, mode: originate, origin: strict", `name: a, mode: originate, origin: {min_tls: "1.3"}`, "none"},
		{"http://a.example/", "name: a, mode: originate", "name: a, mode: originate, origin: {port: 8443}", "trusts"},
	} {
		q, err := ParseRequest(c.request)
		if err != nil {
			t.Fatal(err)
		}
		q.At = testTime
		before, after := mustParse(t, head+rule(c.before)), mustParse(t, head+rule(c.after))
		if got := ConsequenceOf(before.Decide(q), after.Decide(q)).String(); got != c.want {
			t.Errorf("%s: %q -> %q: %s, want %s", c.request, c.before, c.after, got, c.want)
		}
	}
	if got := ConsequenceOf(Decision{}, Decision{}); got != 0 {
		t.Errorf("two zero decisions: %s", got)
	}
	for i, k := range consequences {
		if k.is != 1<<i || k.is.Gravest() != k.is {
			t.Errorf("%s is not in its place", k.word)
		}
	}
}
