// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	mathbits "math/bits"
	"runtime"
	"slices"
)

// An index finds, for a query, the rules that may have something to say about
// it, in file order, without asking each rule. It is made of the compiled
// rules and decides nothing: what it finds is judged by the rules' own
// conditions, and heard by the same walk that asks one rule after the other.
//
// For every class of destinations (host names and literals that are on the
// same lists) there is a row of the rules that name it, and for everything
// that a client can be (in a network, of a group, …) a row of the rules that
// are for such clients. A rule for to: any stands in the clients' rows alone.
type index struct {
	rules []*Rule
	needs []conditions16 // of each rule: what the rows have not settled
	rows  *ruleRows
	hostIndex
	clientIndex
	portIndex
}

// conditions16 is a set of conditions.
type conditions16 uint16

func (s conditions16) with(c condition) conditions16    { return s | 1<<c }
func (s conditions16) without(c condition) conditions16 { return s &^ (1 << c) }

const allConditions conditions16 = 1<<conditions - 1

// newIndex makes the index of p's rules; lists are the list files that were
// read, which answer through it from now on.
func newIndex(rules []*Rule, lists []*hostSet) *index {
	x := &index{rules: rules, rows: newRows(len(rules)), needs: make([]conditions16, len(rules))}
	for i, r := range rules {
		x.needs[i] = r.unsettled()
	}
	anyTo := x.addHosts(lists)
	x.addClients(anyTo)
	x.addPorts()
	x.rows.known = nil
	return x
}

// serves reports whether x is of these rules and can answer q. It understands
// addresses in the form that ParseHost gives them.
func (x *index) serves(rules []*Rule, q *Query) bool {
	return x != nil && len(rules) > 0 && len(rules) == len(x.rules) && &rules[0] == &x.rules[0] &&
		plainAddr(q.Host.Addr) && plainAddr(q.Client.Addr)
}

// unsettled are the conditions of r that must be asked of r itself. A
// condition that is not known here is one.
func (r *Rule) unsettled() conditions16 {
	s := allConditions.without(condFrom).without(condPorts)
	for _, c := range []struct {
		condition
		settled bool
	}{
		{condFromExcept, !r.fromExcept.any && len(r.fromExcept.alts) == 0},
		{condTo, r.to.any || !r.to.hasGlobs()},
		{condToExcept, r.toExcept.empty()},
		{condWithin, r.within == nil},
		{condURLs, !r.urls},
		{condPaths, r.paths == nil},
		{condMethods, r.methods == nil},
		{condSchedule, r.schedule == nil},
		{condUntil, r.until.IsZero()},
		{condWhen, r.when == nil},
	} {
		if c.settled {
			s = s.without(c.condition)
		}
	}
	return s
}

// A reading is a row being read.
type reading struct {
	at, end uint32 // in ruleRows
	word    uint32 // rows.index[at]
	what    uint8
}

const (
	byHost   = iota // of rules for the host, whoever asks
	forSure         // of rules for any host that are for this client
	possibly        // of rules for any host that may be for this client, by who it is
)

// enough rows for nearly every query; more are allocated.
const enough = 24

// An indexSearch is one query's way through the index: the rows to read, and
// those that say whether a rule is for this client.
type indexSearch struct {
	rows                 *ruleRows
	reads, sures, maybes int
	readings             [enough]reading
	sure, maybe          [enough]ruleRow
	moreReadings         []reading
	moreSure, moreMaybe  []ruleRow
}

// read begins to read x.
func (s *indexSearch) read(x *ruleRow, what uint8) {
	if x.from == x.to {
		return
	}
	r := reading{x.from, x.to, s.rows.index[x.from], what}
	if s.reads < enough {
		s.readings[s.reads] = r
		s.reads++
		return
	}
	s.moreReadings = append(s.moreReadings, r)
}

// client adds the rows for something that the client is.
func (s *indexSearch) client(c *clientRows) {
	if c.sure.from < c.sure.to {
		if s.sures < enough {
			s.sure[s.sures] = c.sure
			s.sures++
		} else {
			s.moreSure = append(s.moreSure, c.sure)
		}
		s.read(&c.sureAny, forSure)
	}
	if c.maybe.from < c.maybe.to {
		if s.maybes < enough {
			s.maybe[s.maybes] = c.maybe
			s.maybes++
		} else {
			s.moreMaybe = append(s.moreMaybe, c.maybe)
		}
		s.read(&c.maybeAny, possibly)
	}
}

// decide is the walk w over the rules that matter, in file order.
func (x *index) decide(w *walk) Decision {
	s := indexSearch{rows: x.rows}
	x.findHost(&s, w.q.Host)
	x.findClient(&s, &w.q)
	readings, sure, maybe := s.readings[:s.reads], s.sure[:s.sures], s.maybe[:s.maybes]
	if s.moreReadings != nil {
		readings = slices.Concat(readings, s.moreReadings)
	}
	if s.moreSure != nil {
		sure = slices.Concat(sure, s.moreSure)
	}
	if s.moreMaybe != nil {
		maybe = slices.Concat(maybe, s.moreMaybe)
	}
	x.ask(w, readings, sure, maybe)
	runtime.KeepAlive(x) // its lists may be mapped files
	return w.decision()
}

// ask hears the rules in the rows read, in order, until one ends the walk.
func (x *index) ask(w *walk, readings []reading, sure, maybe []ruleRow) {
	port := x.portRow(&w.q)
	for len(readings) > 0 {
		word := readings[0].word
		for i := 1; i < len(readings); i++ {
			word = min(word, readings[i].word)
		}
		var found [3]uint64
		for i := 0; i < len(readings); {
			c := &readings[i]
			if c.word != word {
				i++
				continue
			}
			found[c.what] |= x.rows.words[c.at]
			if c.at++; c.at < c.end {
				c.word = x.rows.index[c.at]
				i++
				continue
			}
			last := len(readings) - 1
			readings[i] = readings[last]
			readings = readings[:last]
		}
		open := ^uint64(0)
		if port.dense != 0 {
			open = x.rows.dense[port.dense-1+word]
		}
		certain, rest := found[forSure], found[possibly]
		if named := found[byHost] & open; named != 0 {
			for _, r := range sure {
				certain |= named & x.rows.at(r, word)
			}
			if named&^certain != 0 {
				for _, r := range maybe {
					rest |= named & x.rows.at(r, word)
				}
			}
		}
		for left := (certain | rest) & open; left != 0; left &= left - 1 {
			bit := mathbits.TrailingZeros64(left)
			n := word*64 + uint32(bit)
			r := x.rules[n]
			v := yes
			if certain>>bit&1 == 0 {
				if v = r.holds(condFrom, w); v == no {
					continue
				}
			}
			if needs := x.needs[n]; needs != 0 {
				v = r.judgeSome(needs, v, w)
			}
			if w.heard(r, v) {
				return
			}
		}
	}
}

// judgeSome is judge for some conditions, when the others come to v.
func (r *Rule) judgeSome(some conditions16, v verdict, w *walk) verdict {
	for ; some != 0; some &= some - 1 {
		c := condition(mathbits.TrailingZeros16(uint16(some)))
		if v = min(v, r.holds(c, w)); v == no {
			return no
		}
	}
	return v
}
