// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Bounds on the search for a request that a rule gets.
const (
	maxTakers = 64     // earlier rules
	maxTried  = 20_000 // requests, each time another rule is taken in
)

const hintShadow = "put it first, let the earlier rules say less, or remove it"

// shadows reports rules that match nothing and rules that get nothing because
// earlier ones take all their requests.
func (l *lintRun) shadows() {
	for _, r := range l.p.Rules {
		if !r.until.IsZero() && !r.until.After(l.at) {
			continue // it has expired, which is told
		}
		s := l.search(r)
		switch {
		case s.alive || s.doubt || !s.nothing && s.takers == nil:
		case s.nothing && s.unsure == nil:
			l.dead[r] = true
			l.say(r, "L020", SeverityWarning, "", "rule %q can match nothing: no request fulfils all its conditions", r.Name)
		case s.nothing:
			l.say(r, "L020", SeverityWarning, "", "no request was found that rule %q matches (%s)", r.Name, strings.Join(s.unsure, "; "))
		case s.unsure == nil:
			l.dead[r] = true
			l.say(r, "L021", SeverityWarning, hintShadow, "rule %q never decides anything: %s", r.Name, l.take(r, s.takers))
		default:
			l.say(r, "L021", SeverityWarning, hintShadow, "no request was found that rule %q decides: %s (%s)",
				r.Name, l.some(s.takers), strings.Join(s.unsure, "; "))
		}
	}
}

// A search is what was found out about who gets the requests of a rule.
type search struct {
	alive   bool    // the rule gets one
	nothing bool    // it matches none at all
	doubt   bool    // it depends on an expression
	takers  []*Rule // earlier rules that take them, in order
	unsure  []string
}

// meant reports whether a request is of a kind that r does something with.
// The others it only refuses, with a hint to come another way; and a CONNECT that
// announces requests is worth what they are.
func (r *Rule) meant(q *Query) bool { return r.denies() || r.serves(q) != Deny && !r.announced(q) }

// search looks for a request that r gets. It begins with requests that r
// matches and asks the policy; who gets such a request instead is taken in,
// and the next one looked for is not his. When all of r's requests belong to
// the rules taken in, r gets nothing.
func (l *lintRun) search(r *Rule) search {
	subject := *r
	subject.when = nil // what it asks for more is not known
	s := search{doubt: false}
	thorough := false
	for {
		rules := append(slices.Clone(s.takers), &subject)
		c := cutFor(rules, []*Rule{&subject}, l.at, thorough, true)
		var taker *Rule
		tried, matched := 0, false
		newGrid(c, rules, []*Rule{&subject}, true).each(func(q Query) bool {
			if tried++; tried > maxTried {
				c.doubt("%d requests were tried", maxTried)
				return false
			}
			var last *Rule
			said := no
			walkOf(rules, q, func(r *Rule, v verdict) { last, said = r, v })
			matched = matched || subject.judge(&walk{q: q}) == yes
			if !subject.meant(&q) || last != &subject || said != yes {
				return true
			}
			taker = l.first(q, r)
			return false
		})
		switch {
		case taker == r:
			s.alive = true
			return s
		case taker != nil && len(s.takers) == maxTakers:
			s.unsure = []string{fmt.Sprintf("%d earlier rules were looked at", maxTakers)}
			return s
		case taker != nil:
			s.doubt = s.doubt || taker.when != nil
			s.takers = append(s.takers, taker)
			slices.SortFunc(s.takers, func(a, b *Rule) int { return l.place[a] - l.place[b] })
		case c.unsure != nil && !thorough:
			thorough = true
		default:
			s.nothing = len(s.takers) == 0 && !matched
			s.unsure = c.unsure
			s.doubt = s.doubt || s.nothing && r.when != nil
			return s
		}
	}
}

// first is the rule that ends the walk of q, r when the walk comes to r.
func (l *lintRun) first(q Query, r *Rule) *Rule {
	d := l.p.Decide(q)
	if q.Kind == Connect && d.Reason != ByRule && d.Reason != WrongKind || r.Audit || d.Rule == nil {
		var last *Rule
		walkOf(l.p.Rules, q, func(heard *Rule, _ verdict) {
			if last != r {
				last = heard
			}
		})
		return last
	}
	if l.place[d.Rule] >= l.place[r] {
		return r
	}
	return d.Rule
}

// take says which rules take all the requests of r, as few as there are.
func (l *lintRun) take(r *Rule, takers []*Rule) string {
	for _, t := range takers {
		if l.covers(r, t) {
			return fmt.Sprintf("rule %s takes all its requests", where(t))
		}
	}
	return l.some(takers) + " between them"
}

func (l *lintRun) some(takers []*Rule) string {
	const most = 5
	var names []string
	for _, t := range takers[:min(len(takers), most)] {
		names = append(names, where(t))
	}
	more := ""
	if len(takers) > most {
		more = fmt.Sprintf(" and %d more", len(takers)-most)
	}
	return fmt.Sprintf("rules %s%s take all its requests", strings.Join(names, ", "), more)
}

// covers reports whether t alone takes all requests of r.
func (l *lintRun) covers(r, t *Rule) bool {
	subject := *r
	subject.when = nil
	rules := []*Rule{t, &subject}
	c := cutFor(rules, []*Rule{&subject}, l.at, true, true)
	covers, tried := true, 0
	newGrid(c, rules, []*Rule{&subject}, true).each(func(q Query) bool {
		var last *Rule
		said := no
		walkOf(rules, q, func(r *Rule, v verdict) { last, said = r, v })
		tried++
		covers = tried <= maxTried && (!subject.meant(&q) || last != &subject || said != yes)
		return covers
	})
	return covers && c.unsure == nil
}
