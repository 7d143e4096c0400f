// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"sallyport/policy"
)

// An lspText translates places of a text between an editor and package policy.
// They differ in what they count from, in what they count, and in what ends a
// line: an editor's lines end with a lone CR too.
type lspText struct {
	src    string
	units  string // utf-8, utf-16 or utf-32
	theirs []int  // where the editor's lines begin
	ours   []int  // where the policy's lines begin
}

const utf8BOM = "\ufeff"

func newText(src, units string) *lspText {
	t := &lspText{src: src, units: units, theirs: []int{0}, ours: []int{0}}
	if strings.HasPrefix(src, utf8BOM) {
		t.ours[0] = len(utf8BOM) // it is no part of the policy
	}
	for i := range len(src) {
		switch {
		case src[i] == '\n':
			t.ours, t.theirs = append(t.ours, i+1), append(t.theirs, i+1)
		case src[i] == '\r' && (i+1 == len(src) || src[i+1] != '\n'):
			t.theirs = append(t.theirs, i+1)
		}
	}
	return t
}

// width is how many units a character takes.
func (t *lspText) width(c rune, size int) int {
	switch t.units {
	case "utf-8":
		return size
	case "utf-32":
		return 1
	}
	return utf16.RuneLen(c)
}

// line is what stands from an offset to the end of its line.
func (t *lspText) line(from int) string {
	end := strings.IndexAny(t.src[from:], "\r\n")
	if end < 0 {
		return t.src[from:]
	}
	return t.src[from : from+end]
}

// position is a place of the policy as the editor counts.
func (t *lspText) position(line, col int) lspPosition {
	if line < 1 || line > len(t.ours) {
		return t.at(len(t.src))
	}
	offset := t.ours[line-1]
	for rest := t.src[offset:]; col > 1 && rest != "" && rest[0] != '\n' && !strings.HasPrefix(rest, "\r\n"); col-- {
		_, size := utf8.DecodeRuneInString(rest)
		rest, offset = rest[size:], offset+size
	}
	return t.at(offset)
}

func (t *lspText) at(offset int) lspPosition {
	line, found := slices.BinarySearch(t.theirs, offset)
	if !found {
		line--
	}
	p := lspPosition{Line: line}
	for i, c := range t.src[t.theirs[line]:offset] {
		_, size := utf8.DecodeRuneInString(t.src[t.theirs[line]+i:])
		p.Character += t.width(c, size)
	}
	return p
}

// place is a place of the editor as package policy counts. What lies behind
// the end of a line or of the text is the end.
func (t *lspText) place(p lspPosition) (line, col int) {
	if p.Line < 0 {
		return 1, 1
	}
	offset, units := len(t.src), 0
	if p.Line < len(t.theirs) {
		offset = t.theirs[p.Line]
		for rest := t.line(offset); rest != "" && units < p.Character; {
			c, size := utf8.DecodeRuneInString(rest)
			if units += t.width(c, size); units > p.Character {
				break // the middle of a character
			}
			rest, offset = rest[size:], offset+size
		}
	}
	i, found := slices.BinarySearch(t.ours, offset)
	if !found {
		i = max(0, i-1)
	}
	if offset < t.ours[i] {
		return 1, 1 // inside the byte order mark
	}
	return i + 1, utf8.RuneCountInString(t.src[t.ours[i]:offset]) + 1
}

// spanRange is a span as a range.
func (t *lspText) spanRange(s policy.Span) lspRange {
	return lspRange{t.position(s.Line, s.Col), t.position(s.Line, s.Col+s.Len)}
}

func (t *lspText) edits(edits []policy.Edit) []lspTextEdit {
	out := make([]lspTextEdit, len(edits))
	for i, e := range edits {
		out[i] = lspTextEdit{t.spanRange(e.Span), e.Text}
	}
	return out
}
