// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sallyport/gateway"
	"sallyport/policy"
)

func rulesNamed(t *testing.T, names ...string) *policy.Policy {
	t.Helper()
	var b strings.Builder
	b.WriteString("version: 1\nrules:\n")
	for _, n := range names {
		name, audit := strings.CutSuffix(n, "+")
		fmt.Fprintf(&b, "  - {name: %s, from: any, to: any, mode: tunnel, audit: %v}\n", name, audit)
	}
	p, err := policy.Parse("test.yaml", []byte(b.String()), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// decidedBy is the record of what the i-th rule of p decided; -1: no rule.
func decidedBy(p *policy.Policy, i int, at time.Time) *gateway.Record {
	r := &gateway.Record{Revision: p.Revision, Time: at, Total: time.Second}
	if i >= 0 {
		r.Decision.Rule = p.Rules[i]
	}
	return r
}

func TestHitsAddUp(t *testing.T) {
	state := t.TempDir()
	if _, err := readHits(state); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("hits of nobody: %v", err)
	}
	start := time.Date(2026, time.January, 5, 12, 0, 0, 0, time.UTC)
	p := rulesNamed(t, "shadow+", "web", "rest")
	first, second := &hits{state: state}, &hits{state: state} // two gateways with one state directory
	write := func(h *hits, p *policy.Policy, after time.Duration) {
		t.Helper()
		if err := h.write(p, start.Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			r := decidedBy(p, 1, start.Add(time.Duration(i)*time.Minute))
			r.Decision.Audited = p.Rules[0]
			first.Observe(r)
			second.Observe(decidedBy(p, 1, start))
			second.Observe(decidedBy(p, -1, start))
			second.Observe(&gateway.Record{Time: start}) // malformed: no policy was asked
		})
	}
	all.Wait()
	write(first, p, time.Hour)
	write(second, p, 2*time.Hour)
	write(second, p, 3*time.Hour) // nothing new

	f, err := readHitsFile(hitsPath(state))
	if err != nil {
		t.Fatal(err)
	}
	last := start.Add(19*time.Minute + time.Second)
	for name, want := range map[string]ruleHits{
		"shadow": {Count: 20, Audited: 20, Last: last, First: start.Add(time.Hour)},
		"web":    {Count: 40, Last: last, First: start.Add(time.Hour)},
		"rest":   {First: start.Add(time.Hour)},
	} {
		if f.Rules[name] != want {
			t.Errorf("%s: %+v, want %+v", name, f.Rules[name], want)
		}
	}
	if want := (ruleHits{Count: 20, Last: start.Add(time.Second), First: start.Add(time.Hour)}); f.NoRule != want || len(f.Rules) != 3 {
		t.Errorf("no rule: %+v of %d rules, want %+v", f.NoRule, len(f.Rules), want)
	}

	// A rule that is no more is remembered, and goes on when it comes back.
	write(first, rulesNamed(t, "rest", "new"), 4*time.Hour)
	rules, err := readHits(state)
	if err != nil || rules["web"].Count != 40 || !rules["web"].Gone.Equal(start.Add(4*time.Hour)) || !rules["rest"].Gone.IsZero() || !rules["new"].First.Equal(start.Add(4*time.Hour)) {
		t.Errorf("%v: %+v", err, rules)
	}
	write(&hits{state: state}, p, 5*time.Hour)
	if rules, err = readHits(state); err != nil || !rules["web"].Gone.IsZero() || !rules["web"].First.Equal(start.Add(time.Hour)) || rules["new"].Gone.IsZero() {
		t.Errorf("%v: %+v", err, rules)
	}
}

func TestHitsOfRulesThatAreGoneAreBounded(t *testing.T) {
	h := &hits{state: t.TempDir()}
	now := time.Now()
	var names []string
	for i := range maxGone + 50 {
		names = append(names, fmt.Sprintf("old-%d", i))
	}
	for i, p := range []*policy.Policy{rulesNamed(t, names[:60]...), rulesNamed(t, names[60:]...), rulesNamed(t, "web")} {
		if err := h.write(p, now.Add(time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	rules, err := readHitsFile(hitsPath(h.state))
	if err != nil || len(rules.Rules) != maxGone+1 || rules.Rules["web"].First.IsZero() || rules.Rules["old-70"].First.IsZero() {
		t.Errorf("%v: %d rules remembered", err, len(rules.Rules))
	}
}

// What could not be written is not lost, and told once.
func TestHitsThatCannotBeKept(t *testing.T) {
	state := t.TempDir()
	if err := os.WriteFile(filepath.Join(state, "policy"), nil, 0o600); err != nil { // a file where the directory should be
		t.Fatal(err)
	}
	p := rulesNamed(t, "web")
	var out bytes.Buffer
	logger := zerolog.New(&out)
	h := &hits{state: state}
	for range 3 {
		h.Observe(decidedBy(p, 0, time.Now()))
		h.tell(h.write(p, time.Now()), &logger)
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "the gateway serves on") {
		t.Errorf("told: %s", got)
	}
	if err := os.Remove(filepath.Join(state, "policy")); err != nil {
		t.Fatal(err)
	}
	if err := h.write(p, time.Now()); err != nil {
		t.Fatal(err)
	}
	if rules, err := readHits(state); err != nil || rules["web"].Count != 3 {
		t.Errorf("%v: %+v", err, rules)
	}
	out.Reset()
	(&hits{}).keep(func() *policy.Policy { return p }, &logger)()
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "there is no state directory; give one with --state") {
		t.Errorf("told: %s", got)
	}
}

// A damaged file is put aside, not lost and not in the way.
func TestHitsFileDamaged(t *testing.T) {
	state := t.TempDir()
	h := &hits{state: state}
	if err := os.MkdirAll(filepath.Dir(hitsPath(state)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hitsPath(state), []byte(`{"rules":{"web":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readHits(state); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Error(err)
	}
	if err := h.write(rulesNamed(t, "web"), time.Now()); err != nil {
		t.Fatal(err)
	}
	if rules, err := readHits(state); err != nil || len(rules) != 1 {
		t.Errorf("%v: %+v", err, rules)
	}
	if kept, _ := filepath.Glob(hitsPath(state) + ".damaged-*"); len(kept) != 1 {
		t.Errorf("put aside: %q", kept)
	}
}

func TestHitsUsage(t *testing.T) {
	now := time.Date(2026, time.November, 24, 12, 0, 0, 0, time.UTC)
	p := rulesNamed(t, "shadow+", "web", "old", "young", "unseen")
	f := hitsFile{NoRule: ruleHits{Count: 100, Last: now, First: now.Add(-100 * day)}, Rules: map[string]ruleHits{
		"shadow": {Count: 7, Audited: 7, Last: now, First: now.Add(-100 * day)},
		"web":    {Count: 298, Last: now.Add(-time.Hour), First: now.Add(-100 * day)},
		"old":    {Count: 2, Last: now.Add(-95 * day), First: now.Add(-100 * day)},
		"young":  {First: now.Add(-12*day - time.Hour)},
		"gone":   {Count: 0, First: now.Add(-100 * day), Gone: now.Add(-3 * day)},
	}}
	tz := time.Local
	time.Local = time.UTC
	defer func() { time.Local = tz }()
	for limit, want := range map[time.Duration]string{
		0: `400 decisions counted since 2026-08-16 12:00:00
  rule                           hits  share  last
  web                             298  74.5%  2026-11-24 11:00:00
  old                               2   0.5%  2026-08-21 12:00:00
  (no rule matched)               100  25.0%  2026-11-24 12:00:00
never hit:
  young                    line 6    known for 12 days
  unseen                   line 7    not known to a gateway yet
audit rules, which would have decided:
  shadow                            7         2026-11-24 12:00:00
no longer in the policy:
  gone                              0   0.0%  never hit, gone since 2026-11-21 12:00:00
`,
		90 * day: `3 of 5 rules without a hit for 90 days
  old                      line 5    last hit 2026-08-21 12:00:00
  young                    line 6    never hit, known for 12 days only
  unseen                   line 7    never hit, not known to a gateway yet
`,
	} {
		u := usageOf(p, f, limit, now)
		var b strings.Builder
		if u.print(&b); b.String() != want {
			t.Errorf("%v:\n%s\nwant\n%s", limit, b.String(), want)
		}
	}
	if u := usageOf(p, hitsFile{}, 90*day, now); len(u.Rules) != 5 || !u.Rules[0].TooEarly {
		t.Errorf("before anything was counted: %+v", u)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"a é 中\nb": "a é 中\nb", "\x1b[2J\r": `\x1b[2J\r`, "\u009b1m\u202e": `\u009b1m\u202e`, "\x9b\xff": "�",
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
