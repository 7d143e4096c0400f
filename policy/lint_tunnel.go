// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "slices"

// tunnels reports denies that a later tunnel would blind and tunnels whose
// promise is broken because an earlier rule must look inside. Both are
// refused when the request comes.
func (l *lintRun) tunnels() {
	blind, broken := make(map[*Rule]bool), make(map[*Rule]bool)
	near := newNeighbours(l.p.Rules)
	for _, looks := range l.p.Rules {
		if looks.Audit || !looks.mayLook() {
			continue
		}
		hosts := near.of(looks) // what gets a request to a host of looks is among these
		for _, t := range hosts {
			if l.place[t] < l.place[looks] || !t.has(Tunnel) || t.Audit || looks.denies() && blind[looks] || !looks.denies() && broken[t] {
				continue
			}
			q, hit, found := l.meet(looks, t, hosts)
			switch {
			case !found:
			case looks.denies():
				blind[looks] = true
				l.say(looks, "L022", SeverityError,
					"name the hosts that need inspection in a rule with mode: intercept before it, or give it visible_only: true to let them pass unseen, or drop the condition",
					"rule %q must see the request, and the tunnel of rule %s would hide it: such a request is refused, e.g. %s", looks.Name, where(hit), l.sample(q))
			case !broken[hit]:
				broken[hit] = true
				kept := "cannot always keep its promise of a tunnel"
				if l.neverTunnels(hit) {
					kept = "never keeps its promise of a tunnel"
				}
				l.say(hit, "L023", SeverityError,
					"put it before that rule, except its hosts there, or make it intercept",
					"rule %q %s: rule %s must look inside first, e.g. %s", hit.Name, kept, where(looks), l.sample(q))
			}
		}
	}
}

func (l *lintRun) sample(q Query) string {
	timed := slices.ContainsFunc(l.p.Rules, func(r *Rule) bool { return r.schedule != nil || !r.until.IsZero() })
	return q.describe(timed)
}

// mayLook reports whether the rule may have to see the request at a CONNECT.
func (r *Rule) mayLook() bool {
	return r.looks() && (r.methods != nil || r.paths != nil || r.urls || r.when != nil && r.when.readsRequest)
}

// meet looks for a CONNECT about which looks must see the request and that the
// tunnel of t then gets; when looks denies, any tunnel will do, for all blind
// it. Requests that other rules get first are put aside with these.
func (l *lintRun) meet(looks, t *Rule, hosts []*Rule) (q Query, tunnel *Rule, found bool) {
	sought := func(hit *Rule) bool { return hit == t || looks.denies() }
	var others []*Rule
	thorough := false
	for len(others) <= maxTakers {
		rules := append(slices.Clone(others), looks, t)
		slices.SortFunc(rules, func(a, b *Rule) int { return l.place[a] - l.place[b] })
		c := cutFor(rules, []*Rule{looks, t}, l.at, thorough, true)
		tried := 0
		var other *Rule
		newGrid(c, rules, []*Rule{looks, t}, true).each(func(ask Query) bool {
			if ask.Kind != Connect {
				return true
			}
			if tried++; tried > maxTried {
				return false
			}
			if hit, _ := l.hidden(rules, looks, ask); hit == nil || !sought(hit) {
				return true
			}
			q = ask
			if tunnel, other = l.decided(looks, hosts, ask); tunnel != nil && !sought(tunnel) {
				tunnel, other = nil, tunnel
			}
			return false
		})
		switch {
		case tunnel != nil:
			return q, tunnel, true
		case other != nil:
			others = append(others, other)
		case thorough || c.unsure == nil:
			return q, nil, false
		default:
			thorough = true
		}
	}
	return q, nil, false
}

// decided is what hidden says of all rules; hosts are those that may match.
func (l *lintRun) decided(looks *Rule, hosts []*Rule, q Query) (tunnel, other *Rule) {
	switch d := l.p.Decide(q); {
	case d.Reason == Blind && looks.denies():
		return d.Hidden, nil
	case d.Reason == ByRule, d.Reason == WrongKind, d.Reason == ToLookInside && looks.denies():
		return nil, d.Rule
	}
	return l.hidden(hosts, looks, q)
}

// hidden is the tunnel that would get the CONNECT q although looks must see
// the request; when there is none, the other rule that is the reason.
func (l *lintRun) hidden(rules []*Rule, looks *Rule, q Query) (tunnel, other *Rule) {
	var inside, last *Rule
	said, looked := no, false
	walkOf(rules, q, func(r *Rule, v verdict) {
		last, said = r, v
		looked = looked || r == looks && v == look
		if v == look && r.has(Intercept) && !r.Audit && inside == nil {
			inside = r
		}
	})
	switch {
	case !looked && last != looks: // the walk ended before, or an expression does not hold
		return nil, last
	case !looked || said != yes:
		return nil, nil
	case looks.denies() && inside != nil: // every request inside is judged
		return nil, inside
	case last.serves(&q) != Tunnel:
		return nil, last
	}
	return last, nil
}

// neverTunnels reports whether no request was found that gets the tunnel of t.
func (l *lintRun) neverTunnels(t *Rule) bool {
	var others []*Rule
	for len(others) <= maxTakers {
		rules := append(slices.Clone(others), t)
		slices.SortFunc(rules, func(a, b *Rule) int { return l.place[a] - l.place[b] })
		c := cutFor(rules, []*Rule{t}, l.at, true, true)
		sub := &Policy{Rules: rules}
		var other *Rule
		tried, kept := 0, false
		newGrid(c, rules, []*Rule{t}, true).each(func(q Query) bool {
			if q.Kind != Connect {
				return true
			}
			tried++
			if sub.Decide(q).Mode != Tunnel {
				return tried <= maxTried
			}
			d := l.p.Decide(q)
			other, kept = d.Rule, d.Mode == Tunnel && d.Rule == t
			return false
		})
		switch {
		case kept:
			return false
		case other == nil:
			return c.unsure == nil && tried <= maxTried
		}
		others = append(others, other)
	}
	return false
}
