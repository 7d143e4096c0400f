// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"
)

// flow reads what stands in brackets. A line that is not indented ends it,
// closed or not: the bracket that closes is often not written yet.
func (s *sketcher) flow(least int) *node {
	s.depth++
	defer func() { s.depth-- }()
	open := s.at(s.c)
	n := s.node(listNode, 1)
	if open == '{' {
		n.kind = mapNode
	}
	s.c++
	for s.inside(least) && s.depth <= maxSketch {
		switch c := s.at(s.c); {
		case c == ',':
			s.c++
		case c == ']' || c == '}':
			if open == '[' == (c == ']') {
				s.c++
			}
			return n
		case open == '{':
			n.pairs = append(n.pairs, s.flowPair(least))
		case strings.ContainsRune(`[{`, c):
			n.items = append(n.items, s.flow(least))
		default:
			p := s.flowPair(least)
			item := p.key
			if p.value.line != p.key.line || p.value.col != p.key.col {
				item = &node{kind: mapNode, line: item.line, col: item.col, len: item.len, pairs: []pair{p}}
			}
			n.items = append(n.items, item)
		}
	}
	return n
}

// inside goes to the next character of what stands in brackets; false when
// the indentation says that it is over.
func (s *sketcher) inside(least int) bool {
	l, c := s.l, s.c
	if s.peek() && (s.l == l || s.c >= least || slices.Contains([]rune{']', '}'}, s.at(s.c)) && s.c >= least-1) {
		return true
	}
	s.l, s.c = l, c
	return false
}

func (s *sketcher) flowPair(least int) pair {
	start := s.c
	key, colon := s.keyText(true)
	value := &node{kind: nullNode, line: key.line, col: key.col, len: key.len}
	if s.c == start { // a bracket where a key should be
		s.flow(least)
	}
	if !colon || !s.inside(least) {
		return pair{key, value}
	}
	switch c := s.at(s.c); {
	case strings.ContainsRune(",]}", c):
	case strings.ContainsRune("[{", c):
		value = s.flow(least)
	case c == '"' || c == '\'':
		value = s.quoted(least)
	default:
		if v := s.word(s.plainEnd(s.c, false, true)); v.kind != nullNode {
			value = v
		}
	}
	return pair{key, value}
}
