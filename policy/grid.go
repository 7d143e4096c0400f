// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	mathbits "math/bits"
	"slices"
)

// A grid is a cut with what rules say of the values of each dimension. Of
// values that all rules speak of alike, it has one.
type grid struct {
	c     *cut
	axes  [axes][]slot
	least int // of the rules in question a combination must be about
}

// The dimensions of a query.
const (
	axisClient = iota
	axisHost
	axisForm
	axisMethod
	axisPath
	axisMoment
	axes
)

// A slot is a value of one dimension.
type slot struct {
	i     int  // of the value in the cut
	about bits // the rules in question that the value does not exclude
}

// newGrid keeps the values that the rules about, all of them or at least one,
// can be about, and of these the ones that rules tell apart.
func newGrid(c *cut, rules, about []*Rule, all bool) *grid {
	g := &grid{c: c, least: 1}
	if all {
		g.least = len(about)
	}
	for axis, n := range [axes]int{len(c.clients), len(c.hosts), len(c.forms), len(c.methods), len(c.paths), len(c.moments)} {
		for i := range n {
			s := slot{i: i, about: newBits(len(about))}
			n := 0
			for k, r := range about {
				if c.matters(axis, i, r) {
					s.about.set(k)
					n++
				}
			}
			if n >= g.least {
				g.axes[axis] = append(g.axes[axis], s)
			}
		}
	}
	if slices.ContainsFunc(g.axes[:], func(a []slot) bool { return len(a) == 0 }) {
		return g
	}
	// Of the rules, only those count that meet one of the values in each
	// dimension.
	meet := rules
	for axis := range g.axes {
		var next []*Rule
		for _, r := range meet {
			if slices.ContainsFunc(g.axes[axis], func(s slot) bool { return c.matters(axis, s.i, r) }) {
				next = append(next, r)
			}
		}
		meet = next
	}
	c.timed = slices.ContainsFunc(meet, func(r *Rule) bool { return r.schedule != nil || !r.until.IsZero() || r.when != nil })
	if slices.ContainsFunc(meet, func(r *Rule) bool { return r.when != nil }) {
		c.doubt("expressions (when:) were asked about these requests only, and may tell more apart")
	}
	for axis := range g.axes {
		seen := make(map[string]bool)
		var kept []slot
		for _, s := range g.axes[axis] {
			says := c.mark(axis, s.i)
			for _, r := range meet {
				says = append(says, c.judge(axis, s.i, r))
				if r.urls {
					says = c.markURLs(says, axis, s.i, r)
				}
			}
			if !seen[string(says)] {
				seen[string(says)] = true
				kept = append(kept, s)
			}
		}
		g.axes[axis] = kept
	}
	return g
}

// matters reports whether r may have a part in deciding requests with a value.
func (c *cut) matters(axis, i int, r *Rule) bool {
	switch axis {
	case axisMethod, axisPath, axisMoment:
		// A rule that must see the request decides about its CONNECT, and so
		// about requests that it then has nothing to say of; one that looks
		// at the path refuses those it cannot read, before it looks further.
		if r.looks() || r.has(Originate) && (r.methods != nil || r.when != nil) || r.paths != nil || r.urls {
			return true
		}
	}
	return c.judge(axis, i, r)>>1 != byte(no)
}

// judge is what r says of a value: its verdict in the upper bits, and in the
// lowest whatever else makes a difference to r.
func (c *cut) judge(axis, i int, r *Rule) byte {
	w, first, last, more, told := walk{}, condition(0), condition(0), false, false
	switch axis {
	case axisClient:
		w.q.Client, first, last = c.clients[i], condFrom, condFromExcept
		more = r.minted() && w.q.Client.User == ""
		if r.within != nil && r.within.from.has(&w.q.Client, false) == no {
			return byte(no) << 1
		}
	case axisHost:
		if r.within != nil && !r.within.to.has(c.hosts[i]) {
			return byte(no) << 1
		}
		w.q.Host, first, last = c.hosts[i], condTo, condToExcept
		more = r.reaches(c.hosts[i])
	case axisForm:
		f := c.forms[i]
		w.q.Kind, w.q.Scheme, w.q.Port, first, last = f.kind, f.scheme, f.port, condPorts, condPorts
		more = r.ClientTLS && !f.tls
		connect := Query{Kind: Connect, Port: f.port} // which comes before what is inside it
		told = f.kind != Plain && r.announced(&connect) && r.portHolds(&connect)
	case axisMethod:
		w.q.Kind, w.q.Method, first, last = Inner, c.methods[i], condMethods, condMethods
	case axisPath:
		if c.paths[i] == badPath { // refused by whoever looks at it
			return byte(yes) << 1
		}
		w.q.Kind, w.q.Path, first, last = Inner, c.paths[i], condPaths, condPaths
	case axisMoment:
		w.q.At, first, last = c.moments[i], condSchedule, condUntil
	}
	v := yes
	for cond := first; cond <= last && v != no; cond++ {
		v = min(v, r.holds(cond, &w))
	}
	b := byte(v) << 1
	if more {
		b |= 1
	}
	if told || axis == axisHost && v != no && r.never.has(c.hosts[i]) {
		b |= 1 << 7
	}
	return b
}

// mark is what tells values apart whatever the rules say.
func (c *cut) mark(axis, i int) []byte {
	switch {
	case axis == axisForm && c.forms[i].scheme == "http":
		return []byte{byte(c.forms[i].kind), 1}
	case axis == axisForm:
		return []byte{byte(c.forms[i].kind), 0}
	case axis == axisPath && c.paths[i] == badPath:
		return []byte{1}
	}
	return []byte{0}
}

// markURLs tells apart the values that the URLs of r may: they bind host, port
// and path together.
func (c *cut) markURLs(says []byte, axis, i int, r *Rule) []byte {
	switch axis {
	case axisHost:
		if h := c.hosts[i]; r.to.hasURLs(h) || r.toExcept.hasURLs(h) {
			says = append(append(says, h.String()...), 0)
		}
	case axisForm:
		f := c.forms[i]
		q := Query{Scheme: f.scheme, Port: f.port}
		for _, u := range c.urlPrefixes(r) {
			says = append(says, bit(u.port == f.port), bit(u.port == originPort(&q)))
		}
	case axisPath:
		for _, u := range c.urlPrefixes(r) {
			says = append(says, bit(u.path.holds(c.paths[i], true)), bit(u.path.holds(c.paths[i], false)))
		}
	}
	return says
}

// each calls ask with every combination that one of the rules in question may
// be about, until it returns false. A CONNECT has neither method nor path.
func (g *grid) each(ask func(Query) bool) {
	for _, c := range g.axes[axisClient] {
		for _, h := range g.axes[axisHost] {
			ch := c.about.and(h.about)
			if !g.enough(ch) {
				continue
			}
			for _, t := range g.axes[axisMoment] {
				cht := ch.and(t.about)
				if !g.enough(cht) {
					continue
				}
				for _, f := range g.axes[axisForm] {
					about := cht.and(f.about)
					if !g.enough(about) {
						continue
					}
					a := g.c.forms[f.i]
					q := Query{
						Client: g.c.clients[c.i], Host: g.c.hosts[h.i], At: g.c.moments[t.i],
						Kind: a.kind, Scheme: a.scheme, Port: a.port, ClientTLS: a.tls,
					}
					if !g.inside(q, about, ask) {
						return
					}
				}
			}
		}
	}
}

// inside completes q with methods and paths.
func (g *grid) inside(q Query, about bits, ask func(Query) bool) bool {
	if q.Kind == Connect {
		return ask(q)
	}
	for _, m := range g.axes[axisMethod] {
		seen := about.and(m.about)
		if !g.enough(seen) {
			continue
		}
		for _, p := range g.axes[axisPath] {
			if !g.enough(seen.and(p.about)) {
				continue
			}
			q.Method, q.Path = g.c.methods[m.i], g.c.paths[p.i]
			if !ask(q) {
				return false
			}
		}
	}
	return true
}

func (g *grid) enough(about bits) bool {
	n := 0
	for _, w := range about {
		n += mathbits.OnesCount64(w)
	}
	return n >= g.least
}

// bits is a set of small numbers.
type bits []uint64

func newBits(n int) bits { return make(bits, (n+63)/64) }

func (b bits) set(i int) { b[i/64] |= 1 << (i % 64) }

// and is what is in both sets; nil when that is nothing.
func (b bits) and(o bits) bits {
	var both bits
	for i := range b {
		if w := b[i] & o[i]; w != 0 {
			if both == nil {
				both = make(bits, len(b))
			}
			both[i] = w
		}
	}
	return both
}
