// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"strings"
	"testing"
)

const mappedPolicy = `
version: 1
mappings:
  - {at: /bank/, to: "https://api.bank.example/v1/"}
  - {at: /shop/deep/, to: "https://shop.example:8443/"}
  - {host: shop.corp.test, to: "https://shop.example:8443/"}
  - {host: "[2001:db8::1]", at: /x/, to: "https://api.bank.example/"}
rules:
  - {name: secret, from: any, to: api.bank.example, paths: /v1/admin/**, mode: deny}
  - {name: bank, from: any, to: api.bank.example, mode: originate}
  - {name: shop, from: any, to: shop.example, ports: 8443, mode: [originate, tunnel]}
  - {name: wide, from: any, to: any, mode: relay}
tests:
  - as: {ip: 10.0.0.1}
    originate: [GET /bank/x, POST /bank/, "http://shop.corp.test/", "http://shop.corp.test:3128/a?b=c"]
    deny: [GET /bank/admin/x, GET /bank/a/../admin/x, GET /bank, GET /, GET /other/]
    relay: [http://elsewhere.test/bank/]
`

// What has a mapping, and the path it becomes: nothing leaves the paths it was given.
func TestMapping(t *testing.T) {
	p := mustParse(t, mappedPolicy)
	for _, c := range []struct{ host, path, want string }{
		{"", "/bank/", "/bank/ /v1/"},
		{"", "/bank/a%7Eb", "/bank/ /v1/a~b"},
		{"", "/bank/a//b", "/bank/ /v1/a//b"},
		{"", "/bank//evil.test/", "/bank/ /v1//evil.test/"},
		{"", "/bank", "/bank/ "},
		{"", "/b%61nk/x", "/bank/ /v1/x"},
		{"", "/x/../bank/y", "/bank/ /v1/y"},
		{"", "/bank/../bank/y", "/bank/ /v1/y"},
		{"", "/bank/../../v2/", ""},
		{"", "/bank/%2e%2e/v2/", ""},
		{"", "/bank/.", "/bank/ /v1/"},
		{"", "/bank/..", ""},
		{"", "/bankx/", ""},
		{"", "/Bank/", ""},
		{"", "//bank/x", ""},
		{"", "/", ""},
		{"", "*", ""},
		{"", "/shop/", ""},
		{"", "/shop/deep/a", "/shop/deep/ /a"},
		{"", "/bank/..%2fx", "path has the escape %2f"},
		{"", "/bank/%5c..%5cx", "path has the escape %5c"},
		{"", "/bank/..;/x", `path has the segment "..;"`},
		{"", "/bank/%252e%252e/x", "path is escaped twice: %252e"},
		{"", "/bank/%c0%ae%c0%ae/x", "path has the overlong escape %c0%ae"},
		{"", "/bank/%00", "path has the escape %00"},
		{"shop.corp.test", "/a/b", "shop.corp.test/ /a/b"},
		{"shop.corp.test", "/bank/x", "shop.corp.test/ /bank/x"},
		{"shop.corp.test", "/../../x", "shop.corp.test/ /x"},
		{"2001:db8::1", "/x/y", "2001:db8::1/x/ /y"},
		{"2001:db8::1", "/bank/y", ""},
		{"api.bank.example", "/bank/x", ""},
		{"a.shop.corp.test", "/", ""},
		{"a.test", "/%2f", ""}, // nobody's: whoever it is for will judge it
	} {
		h, _ := ParseHost(c.host)
		m, rest, err := p.Mapping(h, c.path)
		got := ""
		switch {
		case err != nil:
			got = err.Error()
		case m != nil:
			got = m.String() + " " + rest
		}
		if got != c.want {
			t.Errorf("%s %s: %q, want %q", c.host, c.path, got, c.want)
		}
	}
	if m, _, _ := (*Policy)(nil).Mapping(Host{}, "/bank/x"); m != nil {
		t.Error("nothing maps something")
	}
}

// A mapped request is explained as what it is asked of the origin, and decided by the
// rules for that: never relayed.
func TestMappedRequestsAreExplained(t *testing.T) {
	p := mustParse(t, mappedPolicy)
	for request, want := range map[string]string{
		"GET /bank/x":                      `originate by rule "bank" (line 10)`,
		"GET /bank/admin/x":                `deny by rule "secret" (line 9)`,
		"http://shop.corp.test/":           `originate by rule "shop" (line 11)`,
		"http://api.bank.example/v1/x":     `originate by rule "bank" (line 10)`,
		"GET /elsewhere":                   "deny: no rule matched",
		"CONNECT shop.corp.test:443":       "deny: no rule matched",
		"http://not.shop.corp.test/":       `relay by rule "wide" (line 12)`,
		"GET http://[2001:db8::1]/x/admin": `originate by rule "bank" (line 10)`,
	} {
		q, err := ParseRequest(request)
		if err != nil {
			t.Fatal(err)
		}
		q.Client.Addr, q.At = netip.MustParseAddr("10.0.0.1"), testTime
		e := p.Explain(q)
		if got := e.Steps[len(e.Steps)-1].verdict(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", request, got, want)
		}
		if e.Decision().Mode != p.outcome(q).Mode {
			t.Errorf("%s: explained as %s, tested as %s", request, e.Decision().Mode, p.outcome(q).Mode)
		}
	}
	q, _ := ParseRequest("POST /bank/x?y")
	q.Client.Addr, q.At = netip.MustParseAddr("10.0.0.1"), testTime
	if got := p.Explain(q).String(); !strings.HasPrefix(got, "step 1    POST https://api.bank.example/v1/x\nmapped    from POST /bank/x\n") {
		t.Error(got)
	}
}

// A mapping that leads to nothing but refusals is named, and no other.
func TestLintMappings(t *testing.T) {
	for rule, named := range map[string]bool{
		"to: api.bank.example, mode: originate":                        false,
		"to: any, mode: [tunnel, originate]":                           false,
		"to: .bank.example, ports: any, mode: originate":               false,
		"to: u, mode: originate":                                       false,
		"to: any, methods: POST, paths: /v1/x, mode: originate":        false,
		"to: any, ports: 8443, mode: originate":                        true,
		"to: any, to_except: api.bank.example, mode: originate":        true,
		"to: shop.example, mode: originate":                            true,
		"to: any, mode: relay":                                         true,
		"to: any, mode: tunnel":                                        true,
		"to: any, mode: originate, audit: true":                        true,
		"to: [10.0.0.0/8, .corp.example], ports: any, mode: originate": true,
	} {
		p := mustParse(t, `version: 1
destinations: {u: {url: "https://api.bank.example/v1/deep/"}}
mappings:
  - {at: /bank/, to: "https://api.bank.example/v1/"}
rules:
  - {name: a, from: any, `+rule+`}
`)
		got := ""
		for _, d := range (Linter{At: testTime}).Lint(p) {
			if d.Code == "L025" {
				got = d.Error()
			}
		}
		want := "test.yaml:4:5: warning[L025]: no rule originates requests to api.bank.example:443: what is asked for by the mapping /bank/ is refused"
		if strings.HasPrefix(got, want) != named || !named && got != "" {
			t.Errorf("%s: %q", rule, got)
		}
	}
}

// Whatever the path: what is mapped is below the mapping's path at the origin, in its
// canonical form, so that nobody behind the gateway reads it as another.
func FuzzMapping(f *testing.F) {
	p := mustParse(f, mappedPolicy)
	for _, s := range []string{"/bank/x", "/bank/..%2fx", "/bank/%2e%2e/%2e%2e", "/bank//../x", "/bank/%2525", "/bank/;a=../x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		m, rest, err := p.Mapping(Host{}, path)
		if err != nil || m == nil || rest == "" {
			return
		}
		clean, err := CleanPath(rest)
		if err != nil || clean != rest || !strings.HasPrefix(rest, m.Path) {
			t.Errorf("%q is %q at the origin: %v", path, rest, err)
		}
	})
}
