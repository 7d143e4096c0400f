// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"
)

// A hostIndexer builds a hostIndex. Each hostSet has two numbers: the even one
// stands for what is on it, the odd one for what may be, by a glob or a URL.
type hostIndexer struct {
	x       *index
	numbers map[*hostSet]uint32
	sets    []*hostSet
	rules   [][]uint32 // that name a set, by half its number
	classes map[string]uint32
	pairs   []nameLists
	steps   map[listStep]uint32
	last    struct {
		listStep
		to uint32
	}
	prefixes []listedPrefix
	unions   int
}

// nameLists are those that a name is on, alone and with what is below it.
type nameLists struct{ whole, below []uint32 }

// A listStep is a name of one pair being put on one more list.
type listStep struct {
	from, list uint32
	below      bool
}

type listedPrefix struct {
	netip.Prefix
	list uint32
}

// addHosts indexes what rules name; it returns the rules that name everything.
func (x *index) addHosts(files []*hostSet) (anyTo []bool) {
	b := &hostIndexer{
		x: x, numbers: make(map[*hostSet]uint32), classes: make(map[string]uint32),
		pairs: []nameLists{{}}, steps: make(map[listStep]uint32),
	}
	x.classes = []hostClass{{}}
	b.classes[""] = 0
	anyTo = make([]bool, len(x.rules))
	for i, r := range x.rules {
		anyTo[i] = r.to.reachesAny()
		if !anyTo[i] {
			b.rule(uint32(i), &r.to, make(map[*hostSet]bool))
		}
	}
	for _, s := range files {
		b.number(s)
	}
	room := 0
	for _, s := range b.sets {
		room += len(s.exact) + len(s.below) + len(s.globs) + len(s.urls)
		if s.listed != nil && s.listed.table == nil {
			room += s.listed.count
		}
	}
	x.names = newTable(room)
	for _, s := range b.sets {
		if s.listed != nil && s.listed.table != nil { // one pass over a name for both
			x.names.seed = s.listed.table.seed
			break
		}
	}
	for _, s := range b.sets {
		b.set(s)
	}
	x.depth = x.names.depth
	for _, l := range x.long {
		x.depth |= l.table.depth
	}
	b.literals()
	for _, l := range b.pairs {
		x.pairs = append(x.pairs, classPair{
			whole: x.classes[b.class(slices.Concat(l.whole, l.below))],
			below: x.classes[b.class(l.below)],
		})
	}
	return anyTo
}

// rule notes that rule i names s and the lists in it.
func (b *hostIndexer) rule(i uint32, s *hostSet, seen map[*hostSet]bool) {
	if seen[s] {
		return
	}
	seen[s] = true
	n := b.number(s) / 2
	b.rules[n] = append(b.rules[n], i)
	for _, l := range s.lists {
		b.rule(i, l, seen)
	}
}

func (b *hostIndexer) number(s *hostSet) uint32 {
	n, ok := b.numbers[s]
	if !ok {
		n = uint32(2 * len(b.sets))
		b.numbers[s] = n
		b.sets, b.rules = append(b.sets, s), append(b.rules, nil)
	}
	return n
}

// set puts what is on s into the tables.
func (b *hostIndexer) set(s *hostSet) {
	n := b.numbers[s]
	for name := range s.exact {
		b.put(name, n, false)
	}
	for name := range s.below {
		b.put(name, n, true)
	}
	for _, g := range s.globs {
		b.put(g.suffix(), n+1, true)
	}
	for h := range s.urls {
		if h.IsAddr() {
			b.prefixes = append(b.prefixes, listedPrefix{netip.PrefixFrom(h.Addr, h.Addr.BitLen()), n + 1})
		} else {
			b.put(h.Name, n+1, false)
		}
	}
	for _, p := range s.nets {
		b.prefixes = append(b.prefixes, listedPrefix{p.Masked(), n})
	}
	if l := s.listed; l != nil {
		if l.table != nil {
			b.long(longList{l.table, b.x.rows.add(b.rules[n/2])})
		} else {
			for name, below := range l.names() {
				b.put(name, n, below)
			}
		}
		l.answerBy(b.x, n)
	}
}

// long takes a list that has a table of its own, when there is a rule for it.
func (b *hostIndexer) long(l longList) {
	switch x := b.x; {
	case l.row.from == l.row.to:
	case l.table.seed == x.names.seed:
		x.long = append(x.long, l)
	default:
		x.apart = append(x.apart, l)
	}
}

func (b *hostIndexer) put(name string, list uint32, below bool) {
	t := b.x.names
	at := t.place(name)
	t.setValue(at, b.step(listStep{t.value(at), list, below}))
}

func (b *hostIndexer) step(s listStep) uint32 {
	if s == b.last.listStep && b.last.to != 0 {
		return b.last.to
	}
	to, ok := b.steps[s]
	if !ok {
		l := b.pairs[s.from]
		on := &l.whole
		if s.below {
			on = &l.below
		}
		if to = s.from; !slices.Contains(*on, s.list) { // a list may have a name twice
			*on = append(slices.Clip(*on), s.list)
			to = uint32(len(b.pairs))
			b.pairs = append(b.pairs, l)
		}
		b.steps[s] = to
	}
	b.last.listStep, b.last.to = s, to
	return to
}

// literals indexes the networks. A network is on the lists of those around it
// too, so that the longest that has an address says it all.
func (b *hostIndexer) literals() {
	b.x.literals = new(bart.Fast[uint32])
	slices.SortFunc(b.prefixes, func(a, b listedPrefix) int {
		return cmp.Or(cmp.Compare(a.Bits(), b.Bits()), a.Prefix.Compare(b.Prefix), cmp.Compare(a.list, b.list))
	})
	for i := 0; i < len(b.prefixes); {
		p := b.prefixes[i].Prefix
		var on []uint32
		if around, ok := b.x.literals.LookupPrefix(p); ok {
			c := &b.x.classes[around]
			on = slices.Clone(b.x.members[c.from:c.to])
		}
		for ; i < len(b.prefixes) && b.prefixes[i].Prefix == p; i++ {
			on = append(on, b.prefixes[i].list)
		}
		b.x.literals.Insert(p, b.class(on))
	}
	b.prefixes = nil
}

// class makes the class of hosts that are on some lists.
func (b *hostIndexer) class(on []uint32) uint32 {
	on = slices.Clone(on) // whose they are needs them as they are
	slices.Sort(on)
	on = slices.Compact(on)
	key := make([]byte, 0, 4*len(on))
	for _, n := range on {
		key = binary.LittleEndian.AppendUint32(key, n)
	}
	if n, ok := b.classes[string(key)]; ok {
		return n
	}
	x := b.x
	c := hostClass{from: uint32(len(x.members))}
	x.members = append(x.members, on...)
	c.to = uint32(len(x.members))
	if len(x.rows.index)-b.unions < maxUnions {
		var rules []uint32
		for _, n := range on {
			rules = append(rules, b.rules[n/2]...)
		}
		c.row = x.rows.add(rules)
	} else {
		var each []ruleRow
		for _, n := range on {
			before := len(x.rows.index)
			if r := x.rows.add(b.rules[n/2]); r.from < r.to && !slices.Contains(each, r) {
				each = append(each, r)
			}
			b.unions += len(x.rows.index) - before
		}
		x.more = append(x.more, each)
		c.more = uint32(len(x.more))
	}
	n := uint32(len(x.classes))
	x.classes = append(x.classes, c)
	b.classes[string(key)] = n
	return n
}

// suffix is what every name that g stands for ends in.
func (g glob) suffix() string {
	i := len(g)
	for i > 0 && !strings.Contains(g[i-1], "*") {
		i--
	}
	return strings.Join(g[i:], ".")
}

func (s *hostSet) hasGlobs() bool {
	return len(s.globs) > 0 || slices.ContainsFunc(s.lists, (*hostSet).hasGlobs)
}

func (s *hostSet) reachesAny() bool {
	return s.any || slices.ContainsFunc(s.lists, (*hostSet).reachesAny)
}

// empty reports whether nothing can be on s.
func (s *hostSet) empty() bool {
	return !s.any && s.listed == nil && len(s.exact)+len(s.below)+len(s.nets)+len(s.globs)+len(s.urls)+len(s.lists) == 0
}
