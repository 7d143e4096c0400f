// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Law 1, no downgrade: whatever a policy says, what was asked for as https is
// never relayed.
func TestLaw1HTTPSIsNeverRelayed(t *testing.T) {
	q, err := ParseRequest("GET https://example.com/")
	if err != nil {
		t.Fatal(err)
	}
	q.Client.Addr = netip.MustParseAddr("10.1.1.1")
	relayed := 0
	for _, modes := range []string{"relay", "[relay, tunnel]", "[relay, intercept]", "originate", "[originate, tunnel]", "tunnel", "deny"} {
		p := mustParse(t, "version: 1\nrules: [{name: a, from: any, to: any, ports: any, mode: "+modes+"}]\n")
		for _, kind := range []Kind{Plain, Connect, Inner} {
			for _, port := range []uint16{80, 443, 8080} {
				q := q
				q.Kind, q.Port = kind, port
				if d := p.Decide(q); d.Mode == Relay {
					t.Errorf("mode %s, %s to port %d: relayed", modes, kind, port)
				}
				q.Scheme = "http"
				if p.Decide(q).Mode == Relay {
					relayed++
				}
			}
		}
	}
	if relayed != 9 {
		t.Errorf("%d of the http requests were relayed, want 9: the test asks nothing", relayed)
	}
}

// Law 2, credentials only over verified TLS: such a rule does not load.
func TestLaw2NoCredentialsInTheClear(t *testing.T) {
	for _, rule := range []string{
		`{name: a, from: any, to: any, mode: [relay, intercept], origin: {client_cert: {secret: s}}}`,
		`{name: a, from: any, to: any, mode: [relay, intercept], origin: {client_cert: {cert: c, key: k}}}`,
		`{name: a, from: any, to: any, mode: [relay, intercept], origin: {client_cert: both}}`,
		`{name: a, from: any, to: any, mode: [relay, intercept], origin: {client_cert: {mint: {ttl: 5m}}}}`,
		`{name: a, from: any, to: any, mode: [relay, intercept], origin: named}`,
		`{name: a, from: any, to: any, mode: relay, request: {headers: {set: {authorization: "Bearer {secret:s}"}}}}`,
	} {
		src := "version: 1\norigins: {named: {client_cert: {secret: s}}}\nrules: [" + rule + "]\n"
		_, err := Parse("p.yaml", []byte(src), t.TempDir())
		if err == nil || !strings.Contains(err.Error(), "error[P073]") {
			t.Errorf("%s\n%v", rule, err)
		}
		safe := strings.NewReplacer("relay, intercept", "originate, intercept", "relay", "originate").Replace(src)
		if _, err := Parse("p.yaml", []byte(safe), t.TempDir()); err != nil {
			t.Errorf("over TLS: %v", err)
		}
	}
}

func TestLaw3DenyIsTheZeroValue(t *testing.T) {
	public := netip.MustParseAddr("1.1.1.1")
	q := Query{Kind: Plain, Scheme: "http", Method: "GET", Host: Host{Name: "example.com"}, Port: 80, Path: "/"}
	q.Client.Addr = netip.MustParseAddr("127.0.0.1")

	if m := Mode(0); m != Deny {
		t.Errorf("the zero mode is %s", m)
	}
	if err := (Decision{}).Permit(public); err == nil {
		t.Error("the zero decision permits an address")
	}
	if err := (Decision{Mode: Tunnel}).Permit(public); err == nil {
		t.Error("a decision without rule permits an address")
	}
	if err := (Decision{Rule: &Rule{AllowPrivate: true}}).Permit(public); err == nil {
		t.Error("a denial permits an address")
	}
	for name, p := range map[string]*Policy{
		"nil policy":                  nil,
		"zero policy":                 {},
		"rule without anything":       {Rules: []*Rule{{}}},
		"rule with modes only":        {Rules: []*Rule{{Modes: []Mode{Originate, Tunnel}}}},
		"rule without modes":          {Rules: []*Rule{{from: clientSet{any: true}, to: hostSet{any: true}, ports: anyPort}}},
		"rule with an unknown mode":   {Rules: []*Rule{{Modes: []Mode{77}, from: clientSet{any: true}, to: hostSet{any: true}, ports: anyPort}}},
		"rule without ports":          {Rules: []*Rule{{Modes: []Mode{Originate}, from: clientSet{any: true}, to: hostSet{any: true}}}},
		"rule with an empty schedule": {Rules: []*Rule{{Modes: []Mode{Originate}, from: clientSet{any: true}, to: hostSet{any: true}, ports: anyPort, schedule: &schedule{}}}},
		"rule with no paths at all":   {Rules: []*Rule{{Modes: []Mode{Originate}, from: clientSet{any: true}, to: hostSet{any: true}, ports: anyPort, paths: pathSet{}}}},
	} {
		d := p.Decide(q)
		if d.Mode != Deny || d.Port != 0 || d.Permit(public) == nil {
			t.Errorf("%s: %+v", name, d)
		}
		if name == "rule without modes" && d.Reason != ByRule {
			t.Errorf("%s: %s, but such a rule is a deny", name, d.Reason)
		}
		if e := p.Explain(q); e.Decision() != d {
			t.Errorf("%s: explained as %+v", name, e.Decision())
		}
	}
	everything := mustParse(t, "version: 1\nrules: [{name: a, from: any, to: any, ports: any, mode: [originate, tunnel], allow_private: true}]\n")
	for name, q := range map[string]Query{
		"zero query":   {},
		"no host":      {Kind: Connect, Port: 443},
		"no port":      {Kind: Connect, Host: q.Host},
		"unknown kind": {Kind: 9, Host: q.Host, Port: 443},
	} {
		if d := everything.Decide(q); d.Mode != Deny {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if d := everything.Decide(q); d.Mode != Originate {
		t.Errorf("a whole query is denied too: %+v", d)
	}
	if _, err := Load(filepath.Join(t.TempDir(), "missing.yaml")); err == nil {
		t.Error("a missing file loads")
	}
}

// Law 5: explain, test and run ask one function. The tables in TestDecide
// compare them on every row; here, that an explanation tells of each rule up to
// the one that decided and of none after it.
func TestLaw5ExplanationIsTheWalk(t *testing.T) {
	p := mustLoad(t, "testdata/good/corporate.yaml")
	for _, c := range p.tests {
		for _, s := range p.Explain(c.q).Steps {
			var want []string
			for _, r := range p.Rules {
				want = append(want, r.Name)
				if r.Name == s.Rule && s.Reason == ByRule {
					break
				}
			}
			var got []string
			for _, r := range s.Rules {
				got = append(got, r.Rule)
				if (r.Verdict == "no") != (len(r.Failed) > 0) || (r.Verdict == "open") != (len(r.Failed) == 0 && len(r.Open) > 0) {
					t.Errorf("%s: rule %s is %s with failed %q, open %q", s.Request, r.Rule, r.Verdict, r.Failed, r.Open)
				}
			}
			if s.Reason == ByRule && !slices.Equal(got, want) {
				t.Errorf("%s decided by %q considered %q", s.Request, s.Rule, got)
			}
		}
	}
}
