// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "strings"

// maxSketch bounds the nesting of a sketch, which is read recursively.
const maxSketch = 64

// sketch reads the restricted YAML of policies leniently: text that is being
// written is seldom YAML, and an editor has to know what stands in it all the
// same. Of a policy that can be parsed it makes the tree that the parser makes,
// but for the kinds of numbers. What it cannot read it leaves out; nothing is
// decided by a sketch.
func sketch(lines []string) *node {
	s := sketcher{lines: make([][]rune, len(lines))}
	for i, l := range lines {
		s.lines[i] = []rune(l)
	}
	root := s.block(0)
	for s.peek() { // after an end that was none
		more := s.block(0)
		if root != nil && root.kind == mapNode && more != nil && more.kind == mapNode {
			root.pairs = append(root.pairs, more.pairs...)
		}
		s.skipLine()
	}
	return root
}

// A sketcher stands before the next character to read.
type sketcher struct {
	lines [][]rune
	l, c  int // line and column, from 0
	depth int
}

// peek goes to the next character that is not space or comment.
func (s *sketcher) peek() bool {
	for s.l < len(s.lines) {
		line := s.lines[s.l]
		for s.c < len(line) && (line[s.c] == ' ' || line[s.c] == '\t') {
			s.c++
		}
		if s.c < len(line) && !s.comment() && !s.marker() {
			return true
		}
		s.l, s.c = s.l+1, 0
	}
	return false
}

// rest goes to the next character of this line that is not space or comment.
func (s *sketcher) rest() bool {
	l := s.l
	if s.peek() && s.l == l {
		return true
	}
	s.l, s.c = l, len(s.lines[l])
	return false
}

func (s *sketcher) skipLine() {
	if s.l < len(s.lines) && s.c > 0 {
		s.l, s.c = s.l+1, 0
	}
}

func (s *sketcher) comment() bool {
	line := s.lines[s.l]
	return line[s.c] == '#' && (s.c == 0 || line[s.c-1] == ' ' || line[s.c-1] == '\t')
}

// marker reports a line that begins or ends a document.
func (s *sketcher) marker() bool {
	if s.c > 0 {
		return false
	}
	line := strings.TrimRight(string(s.lines[s.l]), " \t")
	return line == "---" || line == "..."
}

func (s *sketcher) at(i int) rune {
	if line := s.lines[s.l]; i < len(line) {
		return line[i]
	}
	return 0
}

// gap reports whether nothing, or space, stands at i.
func (s *sketcher) gap(i int) bool {
	c := s.at(i)
	return c == 0 || c == ' ' || c == '\t'
}

func (s *sketcher) dash() bool { return s.at(s.c) == '-' && s.gap(s.c+1) }

// key reports whether a key with its colon begins here.
func (s *sketcher) key() bool {
	i := s.c
	switch q := s.at(i); q {
	case '[', '{':
		return false
	case '"', '\'':
		end := closing(s.lines[s.l], i)
		if end < 0 {
			return false
		}
		i = end + 1
		for s.at(i) == ' ' {
			i++
		}
		return s.at(i) == ':' && s.gap(i+1)
	}
	return s.at(s.plainEnd(i, true, false)) == ':'
}

// node is a new node that begins here.
func (s *sketcher) node(kind nodeKind, length int) *node {
	return &node{kind: kind, line: s.l + 1, col: s.c + 1, len: max(1, length)}
}

// block reads the value that stands at column least or behind it.
func (s *sketcher) block(least int) *node {
	if !s.peek() || s.c < least {
		return nil
	}
	s.depth++
	defer func() { s.depth-- }()
	switch {
	case s.depth > maxSketch:
	case s.dash():
		return s.list(s.c, least)
	case s.key():
		return s.mapping(s.c)
	}
	return s.value(least)
}

func (s *sketcher) list(col, least int) *node {
	n := s.node(listNode, 1)
	for s.peek() && s.c >= min(col, least) && s.depth <= maxSketch {
		var item *node
		if s.c == col && s.dash() {
			item = s.node(nullNode, 1)
			s.c++
			s.rest()
			if v := s.block(col + 1); v != nil {
				item = v
			}
		} else if s.c < least || s.c < col {
			break
		} else {
			item = s.block(s.c) // what has lost its dash
		}
		n.items = append(n.items, item)
		s.left(item)
	}
	return n
}

// left passes over what is left of a line after a value.
func (s *sketcher) left(n *node) {
	if n != nil && s.l == n.line-1 && s.c > 0 || s.l < len(s.lines) && s.c > 0 && !s.first() {
		s.l, s.c = s.l+1, 0
	}
}

// first reports whether only space stands before the next character.
func (s *sketcher) first() bool {
	return strings.TrimLeft(string(s.lines[s.l][:min(s.c, len(s.lines[s.l]))]), " \t") == ""
}

func (s *sketcher) mapping(col int) *node {
	n := s.node(mapNode, 1)
	for s.peek() && s.c >= col && s.depth <= maxSketch {
		if s.dash() { // the entries of a list that stand too far to the left
			stray := s.list(s.c, s.c)
			if len(n.pairs) > 0 && n.pairs[len(n.pairs)-1].value.kind == listNode {
				list := n.pairs[len(n.pairs)-1].value
				list.items = append(list.items, stray.items...)
			}
			continue
		}
		key, colon := s.keyText(false)
		value := &node{kind: nullNode, line: key.line, col: key.col, len: key.len}
		if colon {
			if v := s.behind(col); v != nil && v.kind != nullNode {
				value = v
			}
		}
		n.pairs = append(n.pairs, pair{key, value})
		s.left(key)
	}
	if len(n.pairs) > 0 {
		k := n.pairs[0].key
		n.line, n.col, n.len = k.line, k.col, k.len
	}
	return n
}

// keyText reads a key and its colon; text without one is a key that is still
// being written.
func (s *sketcher) keyText(flow bool) (key *node, colon bool) {
	if c := s.at(s.c); c == '"' || c == '\'' {
		key = s.quoted(len(s.lines) + 1<<20) // on one line
	} else {
		key = s.word(s.plainEnd(s.c, true, flow))
	}
	for s.at(s.c) == ' ' {
		s.c++
	}
	if s.at(s.c) != ':' {
		return key, false
	}
	s.c++
	return key, true
}

// behind reads the value of a key at column col, past its colon.
func (s *sketcher) behind(col int) *node {
	if s.rest() {
		return s.value(col + 1)
	}
	if !s.peek() {
		return nil
	}
	if s.c == col && s.dash() { // a list may stand below its key
		return s.list(col, col+1)
	}
	return s.block(col + 1)
}
