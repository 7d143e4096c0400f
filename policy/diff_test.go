// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDiff(t *testing.T) {
	const base = `
version: 1
clients: {lan: 10.0.0.0/8, wide: [lan, 192.168.0.0/16]}
destinations: {saas: [.saas.example, more], more: .more.example}
origins: {bank: {min_tls: "1.2"}}
schedules: {office: {days: mon-fri, hours: "07:00-19:00"}}
rules:
  - {name: a, from: wide, to: saas, mode: tunnel}
  - {name: b, from: lan, to: bank.example, mode: originate, origin: bank, schedule: office}
  - {name: c, from: any, to: c.example, mode: deny}
  - {name: d, from: any, to: d.example, mode: deny}
`
	edit := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(base) }
	for _, c := range []struct {
		what, after             string
		added, removed, changed []string
	}{
		{what: "nothing", after: base},
		{what: "layout and comments", after: edit("lan: 10.0.0.0/8", "lan: '10.0.0.0/8'", "rules:", "# rules\nrules:\n")},
		{what: "a rule itself", after: edit("c.example", "cc.example"), changed: []string{"c"}},
		{what: "a group", after: edit("lan: 10.0.0.0/8", "lan: 10.0.0.0/9"), changed: []string{"a", "b"}},
		{what: "a list in a list", after: edit(".more.example", "more.example"), changed: []string{"a"}},
		{what: "an origin", after: edit(`"1.2"`, `"1.3"`), changed: []string{"b"}},
		{what: "a schedule", after: edit("mon-fri", "mon-sat"), changed: []string{"b"}},
		{what: "a new name", after: edit("name: c", "name: e"), added: []string{"e"}, removed: []string{"c"}},
		{what: "the last moved to the front", after: edit("  - {name: a", "  - {name: d, from: any, to: d.example, mode: deny}\n  - {name: a", "\n  - {name: d, from: any, to: d.example, mode: deny}\n", "\n"), changed: []string{"d"}},
	} {
		got := Diff(mustParse(t, base), mustParse(t, c.after))
		if !slices.Equal(got.Added, c.added) || !slices.Equal(got.Removed, c.removed) || !slices.Equal(got.Changed, c.changed) {
			t.Errorf("%s: %+v", c.what, got)
		}
		if got.None() != (len(c.added)+len(c.removed)+len(c.changed) == 0) {
			t.Errorf("%s: None is %v", c.what, got.None())
		}
	}
	p := mustParse(t, base)
	if got := Diff(nil, p); len(got.Added) != 4 || got.Removed != nil || got.Changed != nil {
		t.Errorf("from nothing: %+v", got)
	}
	if got := Diff(p, nil); len(got.Removed) != 4 || got.Added != nil || got.Changed != nil {
		t.Errorf("to nothing: %+v", got)
	}
}

func TestDiffSeesAListFile(t *testing.T) {
	dir := t.TempDir()
	load := func(list string) *Policy {
		if err := os.WriteFile(filepath.Join(dir, "l.txt"), []byte(list), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := Parse("p.yaml", []byte(`
version: 1
destinations: {blocked: {file: l.txt}}
rules:
  - {name: a, from: any, to: blocked, mode: deny}
  - {name: b, from: any, to: any, mode: tunnel}
`), dir)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if got := Diff(load("one.example\n"), load("two.example\n")); !slices.Equal(got.Changed, []string{"a"}) {
		t.Errorf("%+v", got)
	}
}

// TestMappingsThatChange: they are no rule's, and what clients that know no proxy find
// is another thing all the same.
func TestMappingsThatChange(t *testing.T) {
	const rules = "rules:\n  - {name: web, from: any, to: any, mode: originate}\n"
	parse := func(mappings string) *Policy { return mustParse(t, "version: 1\nmappings: ["+mappings+"]\n"+rules) }
	before := parse(`{at: /bank/, to: "https://api.bank.example/v1/"}, {host: shop.test, to: "https://shop.example/"}`)
	after := parse(`{host: shop.test, to: "https://shop.example/"}, {at: /bank/, to: "https://[2001:db8::1]:8443/"}`)
	want := []string{"- /bank/ to https://api.bank.example/v1/", "+ /bank/ to https://[2001:db8::1]:8443/"}
	if c := Diff(before, after); c.None() || !slices.Equal(c.Mappings, want) {
		t.Errorf("%q", c.Mappings)
	}
	if c := Diff(before, before); !c.None() {
		t.Errorf("%+v", c)
	}
	c := Compare(before, after, time.Now())
	if c.Same() || !strings.Contains(c.String(), "find origins:\n      "+want[0]+"\n      "+want[1]+"\n") {
		t.Errorf("%t\n%s", c.Same(), c)
	}
	if b, err := json.Marshal(c); err != nil || !strings.Contains(string(b), `"same":false`) || !strings.Contains(string(b), `"mappings":["- /bank/ to`) {
		t.Errorf("%s, %v", b, err)
	}
	if c := Diff(nil, after); len(c.Mappings) != 2 || !strings.HasPrefix(c.Mappings[0], "+ shop.test/ to ") {
		t.Errorf("%q", c.Mappings)
	}
}
