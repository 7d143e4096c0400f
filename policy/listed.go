// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/binary"
	"iter"
	"runtime"
	"unsafe"
)

// longNames is how many names a list may have to be put into the table of all
// lists. A longer one has a table of its own, which is compiled once.
var longNames = 100_000 // a variable for tests

// A nameList is what a hostSet that is a list file has: its names, which are too
// many for a map. They are records of a table, in a row until the index has
// taken them, or a table.
type nameList struct {
	records []byte
	count   int
	table   *nameTable

	index  *index // once it is made: what answers for records and addresses
	number uint32 // the list's, in index

	bad badLines
}

// What a list says of a name; the value of a record.
const (
	nameAlone = 1 << iota
	nameAndBelow
)

func (l *nameList) add(name string, below bool) {
	var value byte = nameAlone
	if below {
		value = nameAndBelow
	}
	l.records = append(append(l.records, value, 0, 0, 0, byte(len(name))), name...)
	l.count++
}

// names are those that were added.
func (l *nameList) names() iter.Seq2[string, bool] {
	return func(yield func(string, bool) bool) {
		for r := l.records; len(r) > 0; {
			end := recordHead + int(r[4])
			if !yield(view(r[recordHead:end]), r[0] == nameAndBelow) {
				return
			}
			r = r[end:]
		}
	}
}

// each are the names of l, in any order.
func (l *nameList) each() iter.Seq2[string, bool] {
	return func(yield func(string, bool) bool) {
		switch {
		case l.table != nil:
			for name, v := range l.table.each() {
				if !yield(name, v&nameAndBelow != 0) {
					return
				}
			}
		case l.index != nil:
			for name, v := range l.index.names.each() {
				below := l.index.has(&l.index.pairs[v].below, l.number)
				if (below || l.index.has(&l.index.pairs[v].whole, l.number)) && !yield(name, below) {
					return
				}
			}
		default:
			l.names()(yield)
		}
		runtime.KeepAlive(l)
	}
}

// each are the names of a table with their values. The names must not outlive
// the table.
func (t *nameTable) each() iter.Seq2[string, uint32] {
	return func(yield func(string, uint32) bool) {
		for rest := t.names; len(rest) >= recordHead; {
			end := recordHead + int(rest[4])
			if end > len(rest) || !yield(string(rest[recordHead:end]), binary.LittleEndian.Uint32(rest)) {
				return
			}
			rest = rest[end:]
		}
	}
}

// compile makes a table of the names added. The records move together where
// they are; none moves to where one has yet to be read.
func (l *nameList) compile() {
	t := newTable(l.count)
	rest := l.records
	t.names = rest[:0]
	for len(rest) > 0 {
		end := recordHead + int(rest[4])
		value := binary.LittleEndian.Uint32(rest)
		at := t.place(view(rest[recordHead:end]))
		rest = rest[end:]
		t.setValue(at, t.value(at)|value)
	}
	l.records, l.table, l.count = nil, t, t.count
}

// answerBy makes x, which has taken the names and addresses of l, answer for
// it.
func (l *nameList) answerBy(x *index, number uint32) {
	l.index, l.number, l.records = x, number, nil
}

func (l *nameList) has(name string) bool {
	switch {
	case l.table != nil:
		ok := l.table.covers(name)
		runtime.KeepAlive(l)
		return ok
	case l.index != nil:
		return l.index.on(Host{Name: name}, l.number)
	}
	for n, below := range l.names() {
		if name == n || below && isBelow(name, n) {
			return true
		}
	}
	return false
}

// covers reports whether a list has a name, in its own right or for the sake
// of one above it.
func (t *nameTable) covers(name string) bool {
	for l := t.lookup(name); ; {
		v, whole, ok := l.next()
		if !ok || whole || v&nameAndBelow != 0 {
			return ok
		}
	}
}

// isBelow reports whether name is below the domain.
func isBelow(name, domain string) bool {
	n := len(name) - len(domain)
	return n > 0 && name[n-1] == '.' && name[n:] == domain
}

// view is b as a string that must not outlive b's bytes.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
