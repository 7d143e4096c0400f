// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestHostSet(t *testing.T) {
	p := mustParse(t, `
version: 1
destinations:
  names: [example.com, .below.example, .bücher.example, more]
  more: [{host: intranet}, {glob: "bucket-*.s3.*.amazonaws.com"}, {glob: "*-x-*.y.example"}, 192.0.2.0/24, "2001:db8::1"]
rules: [{name: a, from: any, to: names, mode: tunnel}]
`)
	for _, c := range []struct {
		host string
		want bool
	}{
		{"example.com", true},
		{"www.example.com", false},
		{"xexample.com", false},
		{"below.example", true},
		{"a.b.c.below.example", true},
		{"notbelow.example", false},
		{"example", false},
		{"xn--bcher-kva.example", true},
		{"www.xn--bcher-kva.example", true},
		{"intranet", true},
		{"intranet.example", false},
		{"bucket-1.s3.eu-west-1.amazonaws.com", true},
		{"bucket-.s3.x.amazonaws.com", true},
		{"bucket-1.s3.a.b.amazonaws.com", false},
		{"x.bucket-1.s3.eu.amazonaws.com", false},
		{"bucket-1.s3.eu.amazonaws.com.evil.example", false},
		{"bucket.s3.eu.amazonaws.com", false},
		{"a-x-b.y.example", true},
		{"-x-.y.example", true},
		{"a-x.y.example", false},
		{"192.0.2.7", true},
		{"192.0.3.7", false},
		{"2001:db8::1", true},
		{"2001:db8::2", false},
	} {
		h, err := ParseHost(c.host)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Rules[0].to.has(h); got != c.want {
			t.Errorf("%s: %v", c.host, got)
		}
	}
}

func TestStarMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"a", "a", true},
		{"a", "ab", false},
		{"*", "", true},
		{"*", "abc", true},
		{"a*", "abc", true},
		{"*c", "abc", true},
		{"a*c", "abc", true},
		{"a*c", "ac", true},
		{"a*c", "a", false},
		{"ab*ba", "aba", false}, // the ends must not overlap
		{"a*b*c", "axbxbxc", true},
		{"a*b*c", "axc", false},
		{"*.png", "x.png.gif", false},
	} {
		if got := starMatch(c.pattern, c.s); got != c.want {
			t.Errorf("starMatch(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

func TestVerdictsAreOrderedByCertainty(t *testing.T) {
	if v := min(yes, look, ask); v != ask {
		t.Errorf("yes AND open AND ask is %s", v)
	}
	if v := max(no, ask, yes); v != yes {
		t.Errorf("no OR ask OR yes is %s", v)
	}
	for v, want := range map[verdict]verdict{no: yes, yes: no, ask: ask, look: look} {
		if got := v.not(); got != want {
			t.Errorf("not %s is %s", v, got)
		}
	}
}

func TestListenerMatchesNobodyYet(t *testing.T) {
	p := mustParse(t, "version: 1\nclients: {a: {listener: lan}}\nrules: [{name: a, from: a, to: any, mode: tunnel}]\n")
	d := p.Decide(Query{Client: Client{Addr: netip.MustParseAddr("10.0.0.1")}, Kind: Connect, Host: Host{Name: "a.example"}, Port: 443})
	if d.Mode != Deny || len(p.Unsupported()) != 1 {
		t.Errorf("%s, unsupported %v", answer(d), p.Unsupported())
	}
}

func TestExpressionThatCostsTooMuchFailsClosed(t *testing.T) {
	const never = `client.groups.exists(a, client.groups.exists(b, client.groups.exists(c, a + b + c == "x")))`
	p := mustParse(t, fmt.Sprintf(`
version: 1
rules:
  - {name: allow, from: any, to: a.example, when: '!%s', mode: tunnel}
  - {name: forbid, from: any, to: b.example, when: '%s', mode: deny}
  - {name: rest, from: any, to: [a.example, b.example], mode: tunnel}
`, never, never))
	for groups, want := range map[int][2]string{2: {"allow", "rest"}, 200: {"rest", "forbid"}} {
		c := Client{Addr: netip.MustParseAddr("10.0.0.1")}
		for i := range groups {
			c.Groups = append(c.Groups, strings.Repeat("g", i))
		}
		for i, host := range []string{"a.example", "b.example"} {
			d := p.Decide(Query{Client: c, Kind: Connect, Host: Host{Name: host}, Port: 443})
			if d.RuleName() != want[i] {
				t.Errorf("%d groups, %s: rule %q, want %q", groups, host, d.RuleName(), want[i])
			}
		}
	}
}
