// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "slices"

// never reports rules that would intercept what is never to be intercepted: such
// a request is refused, which is safe and hardly meant.
func (l *lintRun) never() {
	for _, r := range l.p.Rules {
		if r.never == nil || r.Audit {
			continue
		}
		if q, found := l.refusedByNever(r); found {
			l.say(r, "L024", SeverityWarning,
				"put a rule before it that tunnels them, or except them",
				"rule %q would intercept hosts that never_intercept names: such a request is refused, e.g. %s", r.Name, l.sample(q))
		}
	}
}

// refusedByNever looks for a CONNECT that only never_intercept keeps r from
// intercepting. Requests that other rules get first are put aside with these.
func (l *lintRun) refusedByNever(r *Rule) (q Query, found bool) {
	var others []*Rule
	for len(others) <= maxTakers {
		rules := append(slices.Clone(others), r)
		slices.SortFunc(rules, func(a, b *Rule) int { return l.place[a] - l.place[b] })
		refused := func(p *Policy, q Query) (*Rule, bool) {
			d := p.Decide(q)
			return d.Rule, d.Reason == NeverIntercept && d.Rule == r
		}
		sub := &Policy{Rules: rules}
		var other *Rule
		tried := 0
		newGrid(cutFor(rules, []*Rule{r}, l.at, false, true), rules, []*Rule{r}, true).each(func(ask Query) bool {
			if ask.Kind != Connect {
				return true
			}
			if tried++; tried > maxTried {
				return false
			}
			if _, ok := refused(sub, ask); !ok {
				return true
			}
			if other, found = refused(l.p, ask); found {
				q = ask
			}
			return false
		})
		if found || other == nil || other == r || slices.Contains(others, other) {
			return q, found
		}
		others = append(others, other)
	}
	return Query{}, false
}
