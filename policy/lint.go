// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Linter finds what is allowed in a policy and hardly meant. The zero value
// is ready to use.
type Linter struct {
	At time.Time // the present; zero: time.Now()

	// Unused, when positive, reports rules that have had no hit for so long.
	// Hits says when the rule of a name was first known to a gateway that
	// counts, and when it last decided; zero: never.
	Unused time.Duration
	Hits   func(rule string) (known, last time.Time)
}

// Lint is what there is to say about p beside its Warnings, by file and place.
// Errors among it are promises of the policy that it breaks: it is safe to
// run, and refuses requests that it seems to allow.
//
// It asks p about requests of every class that rules can tell apart, as far as
// bounds on its work go. Where a bound was reached, it says that nothing was
// found, never that there is nothing.
func (l Linter) Lint(p *Policy) []Diagnostic {
	if p == nil {
		return nil
	}
	if l.At.IsZero() {
		l.At = time.Now()
	}
	r := newLintRun(p, l.At)
	r.shadows()
	r.tunnels()
	r.never()
	r.mappings()
	r.tests()
	r.times()
	r.hits(l)
	return byFile(r.source("").file, append(r.found, p.remarks...))
}

// Load loads the policy at path as Loader does, and gives everything there is
// to say about it: what keeps it from loading, its warnings, and what Lint
// finds, also when nothing but its tests fails.
func (l Linter) Load(loader Loader, path string) (found []Diagnostic, loads bool) {
	var untested *Policy
	loader.untested = func(p *Policy) { untested = p }
	p, err := loader.Load(path)
	if err == nil {
		return byFile(path, append(p.Warnings(), l.Lint(p)...)), true
	}
	var e *Error
	if !errors.As(err, &e) {
		return []Diagnostic{{File: path, Line: 1, Col: 1, Len: 1, Code: "P005", Msg: err.Error()}}, false
	}
	return byFile(path, append(slices.Clone(e.Diagnostics), l.Lint(untested)...)), false
}

// A lintRun looks at one policy.
type lintRun struct {
	p     *Policy
	at    time.Time
	place map[*Rule]int // in p.Rules
	dead  map[*Rule]bool
	found []Diagnostic
}

func newLintRun(p *Policy, at time.Time) *lintRun {
	l := &lintRun{p: p, at: at, place: make(map[*Rule]int), dead: make(map[*Rule]bool)}
	for i, r := range p.Rules {
		l.place[r] = i
	}
	return l
}

// say reports something about a rule, at its name.
func (l *lintRun) say(r *Rule, code string, severity Severity, hint, format string, args ...any) {
	d := l.source(r.File).diagnostic(r.Line, max(r.col, 1), max(len(r.Name), 1), code, hint, fmt.Sprintf(format, args...))
	d.Severity = severity
	l.found = append(l.found, d)
}

// source is the file of rules, by Rule.File.
func (l *lintRun) source(file string) *reporter {
	if s := l.p.sources[file]; s != nil {
		return s
	}
	return &reporter{file: l.p.Path}
}

// byFile sorts by file, the policy itself first, and by place.
func byFile(policy string, ds []Diagnostic) []Diagnostic {
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(-cmp.Compare(bit(a.File == policy), bit(b.File == policy)), cmp.Compare(a.File, b.File))
	})
	for i := 0; i < len(ds); {
		n := i
		for n < len(ds) && ds[n].File == ds[i].File {
			n++
		}
		byPlace(ds[i:n])
		i = n
	}
	return ds
}

// where is a rule as messages name it.
func where(r *Rule) string { return fmt.Sprintf("%q (%s)", r.Name, r.place()) }

// walkOf walks q through some rules. hear is told what each said as far as the
// walk went; the last one ended it, if it did not merely come last.
func walkOf(rules []*Rule, q Query, hear func(*Rule, verdict)) {
	(&Policy{Rules: rules}).walk(q, hear)
}
