// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/binary"
	"slices"
)

// A ruleRow is a set of rules, by their place in the file: the bits of those 64-rule
// words that are not empty, in order. The zero row is empty.
type ruleRow struct {
	from, to uint32 // its words in ruleRows
	dense    uint32 // where in ruleRows.dense all its words begin, plus one; 0 when they are not there
}

// ruleRows holds many rows without pointers between them.
type ruleRows struct {
	size  int // words of a dense row
	index []uint32
	words []uint64
	dense []uint64
	known map[string]*ruleRow // while building: equal rows are one
}

func newRows(rules int) *ruleRows {
	return &ruleRows{size: (rules + 63) / 64, known: make(map[string]*ruleRow)}
}

// add makes a row of rules, which may come in any order and more than once.
func (r *ruleRows) add(rules []uint32) ruleRow {
	if len(rules) == 0 {
		return ruleRow{}
	}
	return *r.make(rules)
}

// addTested makes a row of which single words will be asked for: dense, unless
// few of its words have anything in them.
func (r *ruleRows) addTested(rules []uint32) ruleRow {
	if len(rules) == 0 {
		return ruleRow{}
	}
	made := r.make(rules)
	if n := int(made.to - made.from); made.dense == 0 && (r.size <= 16 || n >= r.size/4) {
		made.dense = uint32(len(r.dense)) + 1
		r.dense = append(r.dense, make([]uint64, r.size)...)
		all := r.dense[made.dense-1:]
		for i := made.from; i < made.to; i++ {
			all[r.index[i]] = r.words[i]
		}
	}
	return *made
}

func (r *ruleRows) make(rules []uint32) *ruleRow {
	rules = slices.Clone(rules) // whose they are needs them as they are
	slices.Sort(rules)
	rules = slices.Compact(rules)
	key := make([]byte, 0, 4*len(rules))
	for _, n := range rules {
		key = binary.LittleEndian.AppendUint32(key, n)
	}
	if made, ok := r.known[string(key)]; ok {
		return made
	}
	made := &ruleRow{from: uint32(len(r.index))}
	for _, n := range rules {
		last := len(r.index) - 1
		if w := n / 64; last < int(made.from) || r.index[last] != w {
			r.index, r.words = append(r.index, w), append(r.words, 0)
			last++
		}
		r.words[last] |= 1 << (n % 64)
	}
	made.to = uint32(len(r.index))
	r.known[string(key)] = made
	return made
}

// at is word w of a row.
func (r *ruleRows) at(x ruleRow, w uint32) uint64 {
	if x.dense != 0 {
		return r.dense[x.dense-1+w]
	}
	lo, hi := x.from, x.to
	for lo < hi {
		if mid := (lo + hi) / 2; r.index[mid] < w {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < x.to && r.index[lo] == w {
		return r.words[lo]
	}
	return 0
}
