// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/binary"
	mathbits "math/bits"
	"math/rand/v2"
)

// A nameTable maps host names to values, and finds those of a name and of all
// names above it in one pass. It is two runs of bytes without pointers: the
// collector never walks it, and it may lie in a file that is mapped into
// memory. Answers are exact, names are compared byte by byte. What it reads is
// checked against its bounds, so that damaged bytes give a wrong answer at
// worst.
//
// It is open addressing with linear probing. A slot is 24 bits of the hash and
// 40 of the place of a record, plus one; a record is four bytes of value, one
// of length, and the name. The hash is keyed, or whoever writes a list could
// make it slow.
type nameTable struct {
	seed  uint64
	depth uint64 // bit n: there is a name of n labels; the last: of that many or more
	count int    // names
	slots []byte
	names []byte // records
}

const (
	slotSize   = 8
	placeBits  = 40
	recordHead = 5
	deepest    = 63
)

// newTable is an empty table with room for n names.
func newTable(n int) *nameTable {
	return &nameTable{seed: rand.Uint64(), slots: make([]byte, slotSize*(2*n+1))}
}

// place is where name's record is; it is made, with the value 0, when there is
// none. There must be room.
func (t *nameTable) place(name string) int {
	h, labels := t.seed, 0
	for end := len(name); end >= 0; labels++ {
		var start int
		h, start = label(h, name, end)
		end = start - 1
	}
	n := uint64(len(t.slots) / slotSize)
	i, _ := mathbits.Mul64(h, n)
	for {
		slot := binary.LittleEndian.Uint64(t.slots[i*slotSize:])
		if slot == 0 {
			break
		}
		if slot>>placeBits == h&(1<<24-1) {
			at := int(slot&(1<<placeBits-1)) - 1
			if rec := t.names[at+recordHead:]; int(t.names[at+4]) == len(name) && string(rec[:len(name)]) == name {
				return at
			}
		}
		if i++; i == n {
			i = 0
		}
	}
	at := len(t.names)
	t.names = append(append(t.names, 0, 0, 0, 0, byte(len(name))), name...)
	binary.LittleEndian.PutUint64(t.slots[i*slotSize:], h<<placeBits|uint64(at+1))
	t.depth |= 1 << min(labels, deepest)
	t.count++
	return at
}

// label takes the label of name that ends at end into a hash, and tells where
// it begins.
func label(h uint64, name string, end int) (uint64, int) {
	start := end
	for start > 0 && name[start-1] != '.' {
		start--
	}
	return mix(h, name[start:end]), start
}

func (t *nameTable) value(at int) uint32       { return binary.LittleEndian.Uint32(t.names[at:]) }
func (t *nameTable) setValue(at int, v uint32) { binary.LittleEndian.PutUint32(t.names[at:], v) }

// A nameLookup goes through what a table has of a host name, from the top-level
// domain down. It must not outlive the table, which it does not keep mapped.
type nameLookup struct {
	t      *nameTable
	name   string
	end    int // of the labels not yet looked at
	labels int
	h      uint64
}

func (t *nameTable) lookup(name string) nameLookup {
	return nameLookup{t: t, name: name, end: len(name), h: t.seed}
}

// next finds the next record. whole says that it is for the name itself, not
// for one above it.
func (l *nameLookup) next() (value uint32, whole, ok bool) {
	t, name := l.t, l.name
	for l.end >= 0 {
		var start int
		l.h, start = label(l.h, name, l.end)
		l.end = start - 1
		l.labels++
		level := min(l.labels, deepest)
		if t.depth>>level == 0 { // nothing is as deep
			l.end = -1
			return 0, false, false
		}
		if v, ok := t.probe(l.h, level, name[start:]); ok {
			return v, start == 0, true
		}
	}
	return 0, false, false
}

// probe finds the value for a name of so many labels with the hash h.
func (t *nameTable) probe(h uint64, level int, name string) (uint32, bool) {
	if t.depth>>level&1 == 0 {
		return 0, false
	}
	n := uint64(len(t.slots) / slotSize)
	i, _ := mathbits.Mul64(h, n)
	for range n {
		slot := binary.LittleEndian.Uint64(t.slots[i*slotSize:])
		if slot == 0 {
			return 0, false
		}
		if slot>>placeBits == h&(1<<24-1) {
			at := slot&(1<<placeBits-1) - 1
			if at+recordHead < uint64(len(t.names)) {
				rec := t.names[at:]
				if size := int(rec[4]); size == len(name) && size <= len(rec)-recordHead && string(rec[recordHead:recordHead+size]) == name {
					return binary.LittleEndian.Uint32(rec), true
				}
			}
		}
		if i++; i == n {
			i = 0
		}
	}
	return 0, false
}

// mix takes the next label, from the right, into a hash: wyhash's way of
// reading short texts, and its multiplication. The constants have bytes that no
// name has, so that no label makes a product zero.
func mix(h uint64, s string) uint64 {
	const k0, k1 = 0xa0761d6478bd642f, 0xe7037ed1a0b428db
	var a, b uint64
	n := len(s)
	switch {
	case n == 0:
	case n < 4:
		a = uint64(s[0])<<16 | uint64(s[n>>1])<<8 | uint64(s[n-1])
	case n < 8:
		a, b = load32(s), load32(s[n-4:])
	default:
		rest := s
		for len(rest) > 16 {
			h = mul(load64(rest)^k1, load64(rest[8:])^h)
			rest = rest[16:]
		}
		a, b = load64(s[max(0, n-16):]), load64(s[n-8:])
	}
	return mul(a^k0^uint64(n), b^h)
}

func mul(a, b uint64) uint64 {
	hi, lo := mathbits.Mul64(a, b)
	return hi ^ lo
}

func load32(s string) uint64 {
	_ = s[3]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

func load64(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
