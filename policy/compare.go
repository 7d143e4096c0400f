// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A Comparison is how two policies differ, by rule and by what becomes of
// requests.
type Comparison struct {
	Rules   Changes  // by name
	Classes int      // of requests that both policies were asked about
	Changes []Change // the gravest consequence first, then by the number of classes
	// Unsure says where the classes may not be all there are; empty when
	// every request that is decided differently is among Changes.
	Unsure []string
	Mints  InterceptChange // what certificates can be made for, also where no request is decided differently

	timed bool // samples depend on their time
}

// A Change is one kind of difference: requests that were decided in one way
// by the old policy and are decided in another by the new one.
type Change struct {
	Consequence Consequence
	Before      Outcome
	After       Outcome
	Classes     int   // of requests
	Sample      Query // one request of them
}

// An Outcome is a decision as far as a Change tells decisions apart.
type Outcome struct {
	Mode   Mode   `json:"mode"`
	Reason Reason `json:"reason"`
	Rule   string `json:"rule,omitempty"` // "" when no rule decided
	Line   int    `json:"line,omitempty"` // of Rule in its own policy
}

func outcomeOf(d Decision) Outcome {
	o := Outcome{Mode: d.Mode, Reason: d.Reason, Rule: d.RuleName()}
	if d.Rule != nil {
		o.Line = d.Rule.Line
	}
	return o
}

// String is the mode with the rule and what kept it from deciding by itself,
// as in "deny (uploads)", "deny (web, wrong-kind)" and "deny (default)".
func (o Outcome) String() string {
	switch {
	case o.Rule == "":
		return o.Mode.String() + " (default)"
	case o.Reason == ByRule:
		return fmt.Sprintf("%s (%s)", o.Mode, o.Rule)
	}
	return fmt.Sprintf("%s (%s, %s)", o.Mode, o.Rule, o.Reason)
}

// Same reports whether no request is decided differently, as far as the
// comparison could tell, and none is mapped differently.
func (c Comparison) Same() bool { return len(c.Changes)+len(c.Rules.Mappings) == 0 }

// Compare asks both policies about one request of each class that their
// rules can tell apart, at moments from at on. A nil policy denies
// everything. It asks nothing about requests that no changed rule is about:
// the others stand in the same order in both and say the same.
func Compare(before, after *Policy, at time.Time) Comparison {
	c := Comparison{Rules: Diff(before, after)}
	if c.Rules.None() {
		return c
	}
	c.Mints = CompareInterceptable(before, after)
	type key struct {
		consequence   Consequence
		before, after Outcome
	}
	found := make(map[key]int) // index in c.Changes
	cut := classesOfChanges(before, after, c.Rules, at, func(q Query) {
		b, a, asked := decideBoth(before, after, q)
		if !asked {
			return
		}
		c.Classes++
		k := key{ConsequenceOf(b, a), outcomeOf(b), outcomeOf(a)}
		if k.consequence == 0 {
			return
		}
		i, ok := found[k]
		if !ok {
			i = len(c.Changes)
			found[k] = i
			c.Changes = append(c.Changes, Change{Consequence: k.consequence, Before: k.before, After: k.after, Sample: q})
		}
		c.Changes[i].Classes++
	})
	c.Unsure, c.timed = cut.unsure, cut.timed
	slices.SortStableFunc(c.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Consequence.Gravest(), b.Consequence.Gravest()), cmp.Compare(b.Classes, a.Classes))
	})
	return c
}

// decideBoth asks both policies what becomes of q. A request inside a
// connection is asked about where at least one of them opens it; where
// neither does, its CONNECT has said everything.
func decideBoth(before, after *Policy, q Query) (b, a Decision, asked bool) {
	if q.Kind != Inner {
		return before.Decide(q), after.Decide(q), true
	}
	b, opened := before.Decide(q.connect()).forTLS()
	a, open := after.Decide(q.connect()).forTLS()
	if opened {
		b = before.Decide(q)
	}
	if open {
		a = after.Decide(q)
	}
	return b, a, opened || open
}

// Text writes c as people read it: what happens to requests by consequence,
// the gravest first, then the rules that changed.
func (c Comparison) Text(w io.Writer) error {
	_, err := io.WriteString(w, c.String())
	return err
}

func (c Comparison) String() string {
	var b strings.Builder
	before, after := 0, 0
	for _, ch := range c.Changes {
		before, after = max(before, len(ch.Before.String())), max(after, len(ch.After.String()))
	}
	heading := Consequence(0)
	for _, ch := range c.Changes {
		if ch.Consequence != heading {
			heading = ch.Consequence
			for _, text := range heading.Texts() {
				fmt.Fprintf(&b, "%s\n", text)
			}
		}
		fmt.Fprintf(&b, "  %-*s -> %-*s  %s\n", before, ch.Before, after, ch.After, classes(ch.Classes))
		fmt.Fprintf(&b, "      e.g. %s\n", ch.Sample.describe(c.timed))
	}
	for _, u := range c.Unsure {
		fmt.Fprintf(&b, "not sure: %s\n", u)
	}
	b.WriteString(c.Mints.String())
	if len(c.Rules.Mappings) > 0 {
		b.WriteString("mappings, by which clients that know no proxy find origins:\n" + indented(c.Rules.Mappings))
	}
	if text := c.Rules.String(); text != "" {
		fmt.Fprintf(&b, "rules: %s\n", text)
	}
	fmt.Fprintf(&b, "%s compared, %s\n", classes(c.Classes), kinds(len(c.Changes)))
	return b.String()
}

func classes(n int) string {
	if n == 1 {
		return "1 class of requests"
	}
	return fmt.Sprintf("%d classes of requests", n)
}

// describe is a query in one line: the request, how it arrives, who asks and,
// where that matters, when.
func (q Query) describe(timed bool) string {
	s := q.String()
	switch {
	case q.Kind == Inner:
		s += " (inside intercept)"
	case q.Kind == Plain && q.Scheme == "https":
		s += " (in plaintext to the gateway)"
	}
	s += " from " + q.Client.String()
	if q.ClientTLS {
		s += " over TLS"
	}
	if timed {
		s += " at " + q.At.Format(time.RFC3339)
	}
	return s
}

// String lists the names, "" when there are none.
func (c Changes) String() string {
	var parts []string
	for _, x := range []struct {
		names []string
		what  string
	}{{c.Added, "added"}, {c.Removed, "removed"}, {c.Changed, "changed or moved"}} {
		if len(x.names) > 0 {
			parts = append(parts, fmt.Sprintf("%d %s (%s)", len(x.names), x.what, listedSome(x.names)))
		}
	}
	return strings.Join(parts, ", ")
}

// listedSome are some names and the number of the rest.
func listedSome(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func kinds(n int) string {
	if n == 1 {
		return "1 kind of change"
	}
	return fmt.Sprintf("%d kinds of change", n)
}
