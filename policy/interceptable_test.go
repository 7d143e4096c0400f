// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInterceptable(t *testing.T) {
	const lists = `
destinations:
  banks: [.bank.example, .giro.example]
  mixed: [up.example, .files.example, {host: intranet}, {glob: "b-*.s3.cloud.example"}, {url: "https://www.page.example/a/"}, 192.0.2.0/24]
`
	for _, c := range []struct{ name, rules, want string }{
		{"none", "{name: a, from: any, to: any, mode: tunnel}", "nothing"},
		{"an audited rule decides nothing", "{name: a, from: any, to: any, mode: intercept, audit: true}", "nothing"},
		{"any", "{name: a, from: any, to: any, mode: intercept}", "any name, any address"},
		{"a name and a zone of it", "{name: a, from: any, to: [a.b.example, .b.example], mode: intercept}", "b.example"},
		{"of every kind", "{name: a, from: any, to: mixed, mode: [intercept, originate]}", "files.example, intranet, s3.cloud.example, up.example, www.page.example, 192.0.2.0/24"},
		{"of two rules", "{name: a, from: any, to: up.example, mode: intercept}\n- {name: b, from: any, to: 192.0.2.7, mode: intercept}\n- {name: c, from: any, to: other.example, mode: tunnel}", "up.example, 192.0.2.7/32"},
		{"what a rule excepts", "{name: a, from: any, to: any, to_except: [banks, 192.0.2.0/24], mode: intercept}", "any name, any address; not bank.example, giro.example, 192.0.2.0/24"},
		{"a name alone cannot be excepted", "{name: a, from: any, to: any, to_except: bank.example, mode: intercept}", "any name, any address"},
		{"what one of two rules excepts", "{name: a, from: any, to: any, to_except: banks, mode: intercept}\n- {name: b, from: any, to: www.bank.example, mode: intercept}", "any name, any address; not giro.example"},
		{"excepted by both", "{name: a, from: any, to: any, to_except: .bank.example, mode: intercept}\n- {name: b, from: any, to: .example, to_except: banks, mode: intercept}", "any name, any address; not bank.example"},
		{"excepted where nothing is", "{name: a, from: any, to: up.example, to_except: banks, mode: intercept}", "up.example"},
		{"excepted within a zone", "{name: a, from: any, to: .example, to_except: banks, mode: intercept}", "example; not bank.example, giro.example"},
		{"networks in networks", "{name: a, from: any, to: [10.0.0.0/8, 10.1.0.0/16, \"2001:db8::/32\"], mode: intercept}", "10.0.0.0/8, 2001:db8::/32"},
	} {
		p := mustParse(t, "version: 1\n"+lists+"rules:\n- "+c.rules+"\n")
		if got := p.Interceptable().String(); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
	if i := (*Policy)(nil).Interceptable(); !i.None() || i.Has(Host{Name: "a.example"}) || i.Any() {
		t.Error("no policy can intercept", i)
	}
}

// Rules of an included file reach no further than they were given.
func TestInterceptableWithin(t *testing.T) {
	dir := t.TempDir()
	rules := "version: 1\nrules:\n- {name: a, from: any, to: any, mode: intercept}\n- {name: b, from: any, to: [.a.x.example, .y.example, 10.1.0.0/16], mode: intercept}\n"
	if err := os.WriteFile(filepath.Join(dir, "in.yaml"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Parse("p.yaml", []byte("version: 1\ninclude: [{file: in.yaml, within: {from: any, to: [.x.example, b.y.example, 10.1.2.0/24]}}]\nrules: []\n"), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Interceptable().String(); got != "b.y.example, x.example, 10.1.2.0/24" {
		t.Error(got)
	}
}

// What no certificate should carry becomes more than the rules say, which is
// told.
func TestInterceptableOfManyNames(t *testing.T) {
	many := func(n int, format string) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(format, i))
		}
		return strings.Join(all, "\n") + "\n"
	}
	replace(t, &mostReached, 1000)
	for _, c := range []struct{ list, want, wide string }{
		{many(64, "h%d.one.test"), "h0.one.test", ""},
		{many(65, "h%d.one.test"), "one.test", "the rules name 65 zones, more than a certificate should carry: it has their 1 domains"},
		{many(65, "d%d.test"), "any name", "the rules name hosts in 65 domains, more than a certificate should carry"},
		{many(1001, "h%d.one.test"), "any name", `rule "a" (line 3) is for lists that have more than 1000 names with those of other rules`},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "list.txt"), []byte(c.list), 0o600); err != nil {
			t.Fatal(err)
		}
		src := "version: 1\ndestinations: {long: {file: list.txt, match: exact}}\nrules: [{name: a, from: any, to: long, mode: intercept}]\n"
		p, err := Parse("p.yaml", []byte(src), dir)
		if err != nil {
			t.Fatal(err)
		}
		i := p.Interceptable()
		if got := i.String(); !strings.HasPrefix(got, c.want) || strings.Join(i.Wide, ";") != c.wide || i.AnyAddr {
			t.Errorf("%s, because %q; want %s, because %q", got, i.Wide, c.want, c.wide)
		}
	}
	p := mustParse(t, "version: 1\nrules:\n- {name: a, from: any, to: ["+strings.ReplaceAll(strings.TrimSpace(many(65, "10.%d.0.1")), "\n", ", ")+"], mode: intercept}\n")
	if i := p.Interceptable(); !i.AnyAddr || i.AnyName || len(i.Wide) != 1 {
		t.Error(i)
	}
}

func TestInterceptableBeyond(t *testing.T) {
	of := func(to, except string) Interceptable {
		if except != "" {
			except = ", to_except: " + except
		}
		return mustParse(t, "version: 1\nrules: [{name: a, from: any, to: "+to+except+", mode: intercept}]\n").Interceptable()
	}
	for _, c := range []struct{ to, except, to2, except2, wider, narrower string }{
		{"a.example", "", "a.example", "", "", ""},
		{"a.example", "", "[a.example, b.example]", "", "b.example", ""},
		{".example", "", "[a.example, 10.0.0.0/8]", "", "10.0.0.0/8", "example"},
		{"a.example", "", "any", "", "any name; any address", ""},
		{"any", ".bank.example", "any", "", "bank.example, which was excluded", ""},
		{"any", ".bank.example", "any", ".a.bank.example", "bank.example, which was excluded", ""},
		{"any", ".bank.example", "other.example", "", "", "any name; any address"},
		{"10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "", "10.1.0.0/16, which was excluded", "10.0.0.0/8"},
	} {
		before, after := of(c.to, c.except), of(c.to2, c.except2)
		if got := strings.Join(after.Beyond(before), "; "); got != c.wider {
			t.Errorf("%v, then %v: wider by %q, want %q", before, after, got, c.wider)
		}
		if got := strings.Join(before.Beyond(after), "; "); got != c.narrower {
			t.Errorf("%v, then %v: narrower by %q, want %q", before, after, got, c.narrower)
		}
	}
}

// Whatever a policy says: what it decides to intercept is interceptable.
func TestWhatIsInterceptedIsInterceptable(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 1))
	intercepted, outside := 0, 0
	for range 60 {
		src := written(randomRules(r, 6))
		p := mustParse(t, src)
		i := p.Interceptable()
		universe(t, func(q Query) {
			if q.Kind != Connect {
				return
			}
			has := i.Has(q.Host)
			if p.Decide(q).Mode != Intercept {
				if !has {
					outside++
				}
				return
			}
			if intercepted++; !has {
				t.Fatalf("%s is intercepted and not among %v\n%s", q, i, src)
			}
		})
	}
	if intercepted < 1000 || outside < 1000 {
		t.Errorf("%d requests were intercepted, %d are outside: the test asks too little", intercepted, outside)
	}
}

// Thousands of rules about long lists are looked at once when a policy is loaded,
// not once with each other.
func TestInterceptableOfManyRules(t *testing.T) {
	dir := t.TempDir()
	var list strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&list, "h%d.d%d.test\n", i, i%40)
	}
	if err := os.WriteFile(filepath.Join(dir, "list.txt"), []byte(list.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var src strings.Builder
	src.WriteString("version: 1\ndestinations: {long: {file: list.txt, match: exact}}\nnever_intercept: [.d1.test, long]\nrules:\n")
	for i := range 2000 {
		fmt.Fprintf(&src, "- {name: r%d, from: any, to: long, mode: intercept}\n- {name: x%d, from: any, to: [.d%d.test, long], to_except: .a%d.d1.test, mode: intercept}\n", i, i, i%40, i)
	}
	p, err := Parse("p.yaml", []byte(src.String()), dir)
	if err != nil {
		t.Fatal(err)
	}
	i := p.Interceptable()
	if !i.AnyName || len(i.NotNames) != 0 || len(i.Wide) != 10 {
		t.Errorf("%v: %q", i, i.Wide)
	}
	for _, host := range []string{"h1.d1.test", "d2.test", "x.d2.test"} {
		if !i.Has(Host{Name: host}) {
			t.Errorf("it has no %s", host)
		}
	}
}
