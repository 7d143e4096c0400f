// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// A hostIndex finds the lists that a host is on, and the rules that name one
// of them.
type hostIndex struct {
	names    *nameTable // the value is an index into pairs
	pairs    []classPair
	long     []longList         // of rules, with the seed of names
	apart    []longList         // with seeds of their own
	depth    uint64             // of names and long
	literals *bart.Fast[uint32] // an index into classes
	classes  []hostClass
	members  []uint32 // the lists of classes
	more     [][]ruleRow
}

// A hostClass is what hosts on the same lists have in common. The zero class is on
// none.
type hostClass struct {
	row      ruleRow // the rules that name one of its lists
	more     uint32
	from, to uint32 // its lists, in members, sorted
}

// A classPair is what the name of a table is itself, and what names below it are
// for its sake.
type classPair struct{ whole, below hostClass }

// A longList is a list file with a table of its own.
type longList struct {
	table *nameTable
	row   ruleRow
}

// maxUnions bounds the words of rows that are made for classes; beyond, a
// class has a row for each of its lists.
var maxUnions = 4 << 20 // a variable for tests

// findHost begins to read the rows of the rules that name h.
func (x *index) findHost(s *indexSearch, h Host) {
	if h.IsAddr() {
		if n, ok := x.literals.Lookup(h.Addr); ok {
			x.readClass(s, &x.classes[n])
		}
		return
	}
	x.findName(s, h.Name)
	for i := range x.apart {
		if l := &x.apart[i]; l.table.covers(h.Name) {
			s.read(&l.row, byHost)
		}
	}
}

// findName is nameLookup for several tables at once.
func (x *index) findName(s *indexSearch, name string) {
	h, labels := x.names.seed, 0
	for end := len(name); end >= 0; {
		var start int
		h, start = label(h, name, end)
		end = start - 1
		labels++
		level := min(labels, deepest)
		left := x.depth >> level
		if left == 0 { // nothing is as deep
			return
		}
		if left&1 == 0 {
			continue
		}
		suffix := name[start:]
		if v, ok := x.names.probe(h, level, suffix); ok {
			if p := &x.pairs[v]; start == 0 {
				x.readClass(s, &p.whole)
			} else {
				x.readClass(s, &p.below)
			}
		}
		for i := range x.long {
			l := &x.long[i]
			if v, ok := l.table.probe(h, level, suffix); ok && (start == 0 || v&nameAndBelow != 0) {
				s.read(&l.row, byHost)
			}
		}
	}
}

func (x *index) readClass(s *indexSearch, c *hostClass) {
	s.read(&c.row, byHost)
	if c.more != 0 {
		more := x.more[c.more-1]
		for i := range more {
			s.read(&more[i], byHost)
		}
	}
}

// on reports whether h is on the list with a number.
func (x *index) on(h Host, list uint32) bool {
	if h.IsAddr() {
		n, ok := x.literals.Lookup(h.Addr)
		return ok && x.has(&x.classes[n], list)
	}
	for l := x.names.lookup(h.Name); ; {
		v, whole, ok := l.next()
		switch {
		case !ok:
			return false
		case whole && x.has(&x.pairs[v].whole, list), !whole && x.has(&x.pairs[v].below, list):
			return true
		}
	}
}

func (x *index) has(c *hostClass, list uint32) bool {
	_, ok := slices.BinarySearch(x.members[c.from:c.to], list)
	return ok
}

// plainAddr reports whether a is in normal form. Of another, a network and a
// table of networks may think differently.
func plainAddr(a netip.Addr) bool { return a.Zone() == "" && !a.Is4In6() }
