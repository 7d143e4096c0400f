// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// saysNever has a policy say what is never intercepted.
func saysNever(src, what string) string {
	return strings.Replace(src, "\nrules:\n", "\nnever_intercept: "+what+"\nrules:\n", 1)
}

func randomNever(r *rand.Rand) string {
	return pick(r, "one", "two", "part", "wide", ".two.example", "[one.example, 192.0.2.1]", ".example")
}

const neverPolicy = `
version: 1
destinations:
  banks: [.bank.example, giro.example, {host: vault}, {glob: "pay-*.shop.example"}, 192.0.2.0/24]
  long: {file: long.txt, match: exact}
never_intercept: [banks, long]
rules:
  - {name: readers, from: 10.9.0.0/16, to: any, methods: GET, mode: [intercept, originate]}
  - {name: kept, from: 10.1.0.0/16, to: banks, mode: tunnel}
  - {name: web, from: any, to: any, ports: any, mode: intercept}
  - {name: rest, from: any, to: any, ports: any, mode: tunnel}
`

// What is never to be intercepted is not: neither when a connection is asked for,
// nor inside one that was opened before the policy said so.
func TestNeverIntercept(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "long.txt"), []byte("clinic.example\n198.51.100.7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Parse("p.yaml", []byte(neverPolicy), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ ip, request, want string }{
		{"10.0.0.1", "CONNECT bank.example:443", "deny (web, never-intercept)"},
		{"10.0.0.1", "CONNECT www.Bank.example.:443", "deny (web, never-intercept)"},
		{"10.0.0.1", "CONNECT giro.example:443", "deny (web, never-intercept)"},
		{"10.0.0.1", "CONNECT a.b.giro.example:443", "deny (web, never-intercept)"},
		{"10.0.0.1", "CONNECT vault:8443", "deny (web, never-intercept)"},
		{"10.0.0.1", "CONNECT pay-1.shop.example:443", "deny (web, never-intercept)"},
		{"10.0.0.1", "CONNECT x.pay-1.shop.example:443", "deny (web, never-intercept)"},
		{"10.0.0.1", "CONNECT 192.0.2.9:443", "deny (web, never-intercept)"},
		{"10.0.0.1", "CONNECT clinic.example:443", "deny (web, never-intercept)"},
		{"10.0.0.1", "CONNECT www.clinic.example:443", "deny (web, never-intercept)"},
		{"10.0.0.1", "GET https://www.bank.example/", "deny (web, never-intercept)"},
		{"10.0.0.1", "CONNECT notbank.example:443", "intercept (web)"},
		{"10.0.0.1", "CONNECT shop.example:443", "intercept (web)"},
		{"10.0.0.1", "CONNECT bank.example.org:443", "intercept (web)"},
		{"10.1.0.1", "CONNECT www.bank.example:443", "tunnel (kept)"},
		{"10.1.0.1", "CONNECT clinic.example:443", "deny (web, never-intercept)"},
		{"10.9.0.1", "CONNECT www.bank.example:443", "deny (readers, never-intercept)"},
		{"10.9.0.1", "GET http://www.bank.example/", "originate (readers)"}, // nothing is opened for it
	} {
		q, err := ParseRequest(c.request)
		if err != nil {
			t.Fatal(err)
		}
		q.Client.Addr, q.At = netip.MustParseAddr(c.ip), testTime
		if got := outcomeOf(p.Decide(q)).String(); got != c.want {
			t.Errorf("%s from %s: %s, want %s", c.request, c.ip, got, c.want)
		}
		if again := p.walk(q, nil); again != p.Decide(q) {
			t.Errorf("%s from %s: rule by rule %s", c.request, c.ip, answer(again))
		}
	}
	q, _ := ParseRequest("GET https://www.bank.example/")
	q.Client.Addr = netip.MustParseAddr("10.0.0.1")
	if got := p.Decide(q).Detail(); got != `rule "web" intercepts, and connections to this host are never to be opened (never_intercept): it needs a rule before that one which tunnels them` {
		t.Error(got)
	}
	if n := testing.AllocsPerRun(100, func() { p.Decide(q) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if got := p.Interceptable().String(); got != "any name, any address; not bank.example, clinic.example, giro.example, vault, 192.0.2.0/24, 198.51.100.7/32" {
		t.Error(got)
	}
}

// It holds for the rules of included files as well.
func TestNeverInterceptInIncludedFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "in.yaml"), []byte("version: 1\nrules: [{name: a, from: any, to: any, mode: intercept}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Parse("p.yaml", []byte("version: 1\nnever_intercept: bank.example\ninclude: [{file: in.yaml, within: {from: any, to: .example}}]\nrules: []\n"), dir)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]Reason{"a.example": ByRule, "bank.example": NeverIntercept, "www.bank.example": NeverIntercept} {
		if d := p.Decide(Query{Kind: Connect, Host: Host{Name: host}, Port: 443, Client: Client{Addr: netip.MustParseAddr("10.0.0.1")}}); d.Reason != want {
			t.Errorf("%s: %s", host, answer(d))
		}
	}
	if got := p.Interceptable().String(); got != "example; not bank.example" {
		t.Error(got)
	}
}

// Whatever the rules: nothing that never_intercept names is intercepted, it is
// outside of what a certificate can be minted for where a certificate can say so,
// and lint names every rule that would intercept it.
func TestNeverInterceptWhateverTheRules(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 2))
	refused, said, intercepted := 0, 0, 0
	for range 60 {
		src := saysNever(written(randomRules(r, 6)), randomNever(r))
		p := mustParse(t, src)
		i := p.Interceptable()
		rules := make(map[string]Query)
		universe(t, func(q Query) {
			d := p.Decide(q)
			switch {
			case d.Reason == NeverIntercept:
				refused++
				if q.Kind == Connect {
					rules[d.Rule.Name] = q
				}
			case d.Mode == Intercept:
				intercepted++
				if !i.Has(q.Host) || d.Rule.never.has(q.Host) {
					t.Fatalf("%s is intercepted; can be: %v\n%s", q, i, src)
				}
			}
		})
		l := newLintRun(p, testTime)
		for _, rule := range p.Rules {
			q, found := Query{}, false
			if rule.never != nil && !rule.Audit {
				q, found = l.refusedByNever(rule)
			}
			if d := p.Decide(q); found && (d.Reason != NeverIntercept || d.Rule != rule) {
				t.Errorf("lint names %s, e.g. %s, which is %s\n%s", rule.Name, q, answer(d), src)
			}
			if sample, ok := rules[rule.Name]; ok && !found {
				t.Errorf("lint does not name %s, e.g. %s\n%s", rule.Name, sample.describe(true), src)
			}
			if found {
				said++
			}
		}
		if t.Failed() {
			return
		}
	}
	if refused < 1000 || said < 20 || intercepted < 1000 {
		t.Errorf("%d requests refused, %d intercepted, %d rules named: the test asks too little", refused, intercepted, said)
	}
}
