// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// lintOf is what Lint says, by code and rule.
func lintOf(t *testing.T, p *Policy) map[string]Diagnostic {
	t.Helper()
	said := make(map[string]Diagnostic)
	for _, d := range (Linter{At: testTime}).Lint(p) {
		for _, r := range p.Rules {
			if r.Line == d.Line {
				said[d.Code+" "+r.Name] = d
			}
		}
	}
	return said
}

// What Lint says is never, never is, and no broken promise escapes it: held to
// every request of a small universe.
func TestLintIsBruteForce(t *testing.T) {
	count := make(map[string]int)
	for seed := range uint64(40) {
		rules := randomRules(rand.New(rand.NewPCG(seed, 2)), 9)
		p := mustParse(t, written(rules))
		said := lintOf(t, p)
		for _, d := range said {
			count[d.Code]++
		}
		wrong := make(map[string]Query)
		universe(t, func(q Query) {
			if q.At.Before(testTime) {
				return
			}
			var last, inside *Rule
			var blind []*Rule
			ended := no
			p.walk(q, func(r *Rule, v verdict) {
				last, ended = r, v
				if v == yes && r.meant(&q) {
					for _, code := range []string{"L020", "L021"} {
						if d, ok := said[code+" "+r.Name]; ok && !strings.HasPrefix(d.Msg, "no request was found") {
							wrong[code+" is wrong about "+r.Name] = q
						}
					}
				}
				switch {
				case r.Audit || v != look:
				case r.has(Intercept):
					inside = r
				default:
					blind = append(blind, r)
				}
			})
			if q.Kind != Connect || ended != yes || last.Audit || last.serves(&q) != Tunnel {
				return
			}
			if _, ok := said["L023 "+last.Name]; inside != nil && !ok {
				wrong["L023 is missing for "+last.Name] = q
			}
			for _, r := range blind {
				if _, ok := said["L022 "+r.Name]; inside == nil && !ok {
					wrong["L022 is missing for "+r.Name] = q
				}
			}
		})
		for what, q := range wrong {
			t.Errorf("seed %d: %s: %s", seed, what, q.describe(true))
		}
		for key, d := range said {
			if d.Code != "L022" && d.Code != "L023" {
				continue
			}
			q := sampleIn(t, d)
			got := p.Decide(q)
			if ok := d.Code == "L022" && got.Reason == Blind || d.Code == "L023" && (got.Reason == ToLookInside || got.Reason == NoUser); !ok && got.Reason != PrivateAddress {
				t.Errorf("seed %d: %s: the sample is %s", seed, key, got.Detail())
			}
		}
		if t.Failed() {
			t.Fatalf("%s", written(rules)[len(randomHead):])
		}
	}
	for _, code := range []string{"L020", "L021", "L022", "L023"} {
		if count[code] < 2 {
			t.Errorf("%s was said %d times only: the test asks little", code, count[code])
		}
	}
}

// sampleIn reads the request at the end of a message.
func sampleIn(t *testing.T, d Diagnostic) Query {
	t.Helper()
	_, text, _ := strings.Cut(d.Msg, "e.g. ")
	request, rest, _ := strings.Cut(text, " from ")
	q, err := ParseRequest(request)
	if err != nil {
		t.Fatalf("%s: %v", d.Msg, err)
	}
	words := strings.Fields(rest)
	q.Client.Addr = netip.MustParseAddr(words[0])
	q.At = testTime
	for i, w := range words {
		kind, value, _ := strings.Cut(w, ":")
		switch kind {
		case "user":
			q.Client.User = value
		case "group":
			q.Client.Groups = append(q.Client.Groups, value)
		case "cert":
			q.Client.Certs = append(q.Client.Certs, value)
		case "at":
			if q.At, err = time.Parse(time.RFC3339, words[i+1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	return q
}

// A shadowed rule is found wherever it is put and however it is covered.
func TestLintFindsSeededShadows(t *testing.T) {
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 3))
		rules := randomRules(r, 8)
		var shadow ruleSpec
		var covers []ruleSpec
		switch r.IntN(5) {
		case 0: // a copy of a rule that says less
			i := r.IntN(len(rules))
			rules[i].audit = ""
			shadow = narrower(r, rules[i])
			covers = []ruleSpec{rules[i]}
			rules = slices.Delete(rules, i, i+1)
		case 1: // two networks that are one
			shadow = narrower(r, ruleSpec{mode: "tunnel", from: "lan", to: "any", ports: "any"})
			a, b := shadow, shadow
			a.from, b.from = "10.0.0.0/9", "10.128.0.0/9"
			covers = []ruleSpec{a, b}
		case 2: // two lists
			shadow = narrower(r, ruleSpec{mode: "intercept", from: "any", to: "wide"})
			a, b, c := shadow, shadow, shadow
			a.to, b.to, c.to = "one", "two", ".three.example"
			covers = []ruleSpec{c, a, b}
		case 3: // what one rule excepts, another takes
			shadow = narrower(r, ruleSpec{mode: "deny", from: "lan", to: "any"})
			a, b := shadow, shadow
			a.toExcept, b.to = "wide", "wide"
			a.from, b.from = "any", "any"
			covers = []ruleSpec{a, b}
		case 4: // who is excepted, another rule takes
			shadow = narrower(r, ruleSpec{mode: "originate", from: "lan", to: "any"})
			a, b := shadow, shadow
			a.fromExcept, b.fromExcept, b.from = "staff", "", "staff"
			covers = []ruleSpec{b, a}
		}
		shadow.name = "shadow"
		rules = slices.Insert(rules, r.IntN(len(rules)+1), shadow)
		for i, c := range covers {
			c.name = fmt.Sprintf("cover%d", i)
			at := slices.IndexFunc(rules, func(s ruleSpec) bool { return s.name == "shadow" })
			rules = slices.Insert(rules, r.IntN(at+1), c)
		}
		p := mustParse(t, written(rules))
		said := lintOf(t, p)
		_, nothing := said["L020 shadow"]
		if d, ok := said["L021 shadow"]; !nothing && (!ok || !strings.Contains(d.Msg, "never decides anything")) {
			t.Errorf("seed %d: nothing said of the shadow: %s\n%s", seed, d.Msg, written(rules)[len(randomHead):])
		}
	}
}

// A deny or an interception that must see what a later tunnel hides is found
// among whatever else.
func TestLintFindsSeededBrokenPromises(t *testing.T) {
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 4))
		rules := randomRules(r, 8)
		mode, code := "deny", "L022 looks"
		if r.IntN(2) == 0 {
			mode, code = "intercept", "L023 tunnel"
		}
		looks := ruleSpec{name: "looks", mode: mode, from: pick(r, "any", "lan", "sales", "both"), to: pick(r, ".seed.example", "deep.seed.example", "any")}
		if r.IntN(2) == 0 {
			looks.methods = "PUT"
		} else {
			looks.paths = "/a/**"
		}
		tunnel := ruleSpec{
			name: "tunnel", mode: "tunnel", from: pick(r, "any", "lan", "sales", "both"), to: pick(r, ".seed.example", ".deep.seed.example", "any"),
			toExcept: pick(r, "", "one"), schedule: pick(r, "", "office"),
		}
		for i := range rules { // whatever else there is, it is about other hosts or comes later
			if rules[i].to == "any" || rules[i].to == "page" {
				rules[i].to = "wide"
			}
		}
		at := r.IntN(len(rules) + 1)
		rules = slices.Insert(rules, at, looks)
		rules = slices.Insert(rules, at+1+r.IntN(len(rules)-at), tunnel)
		if _, ok := lintOf(t, mustParse(t, written(rules)))[code]; !ok {
			t.Errorf("seed %d: no %s\n%s", seed, code, written(rules)[len(randomHead):])
		}
	}
}

// Where lists are long, what matters may be a single name of them; and where too
// many rules share the requests of one, nothing is called never.
func TestLintReadsLists(t *testing.T) {
	dir := t.TempDir()
	var a, b strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&a, "a%d.example\n", i)
		fmt.Fprintf(&b, "b%d.example\n", i)
	}
	for name, text := range map[string]string{"a.txt": a.String() + "both.example\n", "b.txt": b.String() + "both.example\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Parse("p.yaml", []byte(`
version: 1
destinations: {a: {file: a.txt}, b: {file: b.txt}}
rules:
  - {name: looks, from: any, to: a, methods: PUT, mode: deny}
  - {name: tunnel, from: any, to: b, mode: tunnel}
  - {name: all, from: 10.0.0.0/8, to: b, mode: tunnel}
  - {name: rest, from: any, to: [a, b], ports: any, mode: originate}
`), dir)
	if err != nil {
		t.Fatal(err)
	}
	said := lintOf(t, p)
	if d := said["L022 looks"]; !strings.Contains(d.Msg, "CONNECT both.example:443") && !strings.Contains(d.Msg, "CONNECT www.both.example:443") {
		t.Errorf("looks: %q", d.Msg)
	}
	if d := said["L021 all"]; !strings.Contains(d.Msg, "never decides anything") {
		t.Errorf("all: %q", d.Msg)
	}
	if d, ok := said["L021 rest"]; ok {
		t.Errorf("rest: %q", d.Msg)
	}

	var many []ruleSpec
	for i := range 256 {
		many = append(many, ruleSpec{name: fmt.Sprintf("r%d", i), mode: "tunnel", from: fmt.Sprintf("10.%d.0.0/16", i), to: "one"})
	}
	many = append(many, ruleSpec{name: "dead", mode: "tunnel", from: "lan", to: "one"})
	d := lintOf(t, mustParse(t, written(many)))["L021 dead"]
	if !strings.HasPrefix(d.Msg, `no request was found that rule "dead" decides: rules "r0" `) || strings.Contains(d.Msg, "never") || !strings.HasSuffix(d.Msg, "(64 earlier rules were looked at)") {
		t.Errorf("dead: %q", d.Msg)
	}
}

// narrower is a rule about fewer requests.
func narrower(r *rand.Rand, s ruleSpec) ruleSpec {
	n := s
	switch r.IntN(4) {
	case 0:
		if s.from == "any" || s.from == "lan" {
			n.from = "sales"
		}
	case 1:
		if n.to == "any" && s.paths == "" {
			n.to = "[two, 203.0.113.0/24]"
		}
	case 2:
		if n.methods == "" && !strings.Contains(n.mode, "tunnel") {
			n.methods = "PUT"
		}
	}
	if n.ports == "any" {
		n.ports = "[443, 8000-8100]"
	}
	if n.schedule == "" && r.IntN(3) == 0 {
		n.schedule = "office"
	}
	return n
}
