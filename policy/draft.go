// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"strings"
)

// A Draft is the text of a policy in an editor, right or wrong, and what an
// editor wants to know of it. It is immutable and safe for concurrent use.
// Lines and columns count from 1, columns in characters, as in a Diagnostic; a
// place behind the last character of a word belongs to the word.
type Draft struct {
	Policy      *Policy      // nil when the text does not load
	Diagnostics []Diagnostic // what "sallyport policy check" tells
	Results     []TestResult // of the tests, those of included files too; nil when something else is wrong

	name  string
	dir   string
	read  Reader
	src   []byte
	lines []string
	tree  *node // a sketch; nil when there is nothing to look at
	names []Name
}

// ReadDraft reads src as Parse does; name stands for the file in messages, dir
// is where the files it names are looked for, and read reads them.
func ReadDraft(name string, src []byte, dir string, read Reader) *Draft {
	d := &Draft{name: name, dir: dir, read: read, src: src}
	var err error
	d.Policy, d.Results, err = load(name, src, dir, read)
	if err != nil {
		d.Diagnostics = err.(*Error).Diagnostics
	} else {
		d.Diagnostics = d.Policy.Warnings()
	}
	if len(src) <= maxFile {
		d.lines = splitLines(bytes.TrimPrefix(src, []byte("\ufeff")))
		d.tree = sketch(d.lines)
		d.names = namesIn(d.tree)
	}
	return d
}

// A Span is a stretch of one line: Len characters from Col on.
type Span struct{ Line, Col, Len int }

func (s Span) holds(line, col int) bool {
	return s.Line == line && s.Col <= col && col <= s.Col+s.Len
}

// span is where the text of a scalar is written, without its quotes.
func (n *node) span() Span {
	s := Span{n.line, n.col, n.len}
	if (n.style == '"' || n.style == '\'') && n.len >= 2 {
		s.Col, s.Len = s.Col+1, s.Len-2
	}
	return s
}

// last is the last line on which something of n is written.
func (n *node) last() int {
	line := n.line
	if n.style == '|' || n.style == '>' {
		line += 1 + strings.Count(n.text, "\n")
	}
	for _, i := range n.items {
		line = max(line, i.last())
	}
	for _, p := range n.pairs {
		line = max(line, p.key.line, p.value.last())
	}
	return line
}
