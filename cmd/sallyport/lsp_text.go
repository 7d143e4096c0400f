// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"sort"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"sallyport/policy"
)

// An lspText translates places of a text between an editor and package policy.
// They differ in what they count from, in what they count, and in what ends a
// line: an editor's lines end with a lone CR too. A policy that a program has
// written may be one line, so that counting begins at the nearest mark.
type lspText struct {
	src    string
	units  string // utf-8, utf-16 or utf-32
	theirs []int  // where the editor's lines begin
	ours   []int  // where the policy's lines begin
	marks  []textMark
}

// A textMark is a place of a text, and what stands before it.
type textMark struct{ offset, runes, units int }

// markEvery is how many characters stand between two marks.
const markEvery = 256

const utf8BOM = "\ufeff"

func newText(src, units string) *lspText {
	t := &lspText{src: src, units: units, theirs: []int{0}, ours: []int{0}}
	if strings.HasPrefix(src, utf8BOM) {
		t.ours[0] = len(utf8BOM) // it is no part of the policy
	}
	for m := (textMark{}); ; m = t.next(m) {
		if m.runes%markEvery == 0 {
			t.marks = append(t.marks, m)
		}
		switch rest := src[m.offset:]; {
		case rest == "":
			return t
		case rest[0] == '\n':
			t.ours, t.theirs = append(t.ours, m.offset+1), append(t.theirs, m.offset+1)
		case rest[0] == '\r' && !strings.HasPrefix(rest, "\r\n"):
			t.theirs = append(t.theirs, m.offset+1)
		}
	}
}

// next is the place behind the character at m.
func (t *lspText) next(m textMark) textMark {
	c, size := utf8.DecodeRuneInString(t.src[m.offset:])
	width := 1
	switch t.units {
	case "utf-8":
		width = size
	case "utf-16":
		width = utf16.RuneLen(c)
	}
	return textMark{m.offset + size, m.runes + 1, m.units + width}
}

// last is the last place at which what of counts is not more than n.
func (t *lspText) last(n int, of func(textMark) int) textMark {
	i := sort.Search(len(t.marks), func(i int) bool { return of(t.marks[i]) > n })
	m := t.marks[max(0, i-1)]
	for m.offset < len(t.src) {
		next := t.next(m)
		if of(next) > n {
			break
		}
		m = next
	}
	return m
}

func (m textMark) inOffset() int { return m.offset }
func (m textMark) inRunes() int  { return m.runes }
func (m textMark) inUnits() int  { return m.units }

// end is where line i of those that begin at starts ends.
func (t *lspText) end(starts []int, i int) int {
	if i+1 == len(starts) {
		return len(t.src)
	}
	end := starts[i+1] - 1
	if t.src[end] == '\n' && end > starts[i] && t.src[end-1] == '\r' {
		end--
	}
	return end
}

// position is a place of the policy as the editor counts.
func (t *lspText) position(line, col int) lspPosition {
	if line < 1 || line > len(t.ours) {
		return t.at(len(t.src))
	}
	start := t.last(t.ours[line-1], textMark.inOffset)
	there := t.last(start.runes+max(col, 1)-1, textMark.inRunes)
	return t.at(min(there.offset, t.end(t.ours, line-1)))
}

func (t *lspText) at(offset int) lspPosition {
	line := lineAt(t.theirs, offset)
	return lspPosition{line, t.last(offset, textMark.inOffset).units - t.last(t.theirs[line], textMark.inOffset).units}
}

// lineAt is the line that holds an offset, of those that begin at starts.
func lineAt(starts []int, offset int) int {
	i, found := slices.BinarySearch(starts, offset)
	if !found {
		i--
	}
	return max(0, i)
}

// place is a place of the editor as package policy counts. What lies behind
// the end of a line or of the text is the end, and the middle of a character
// its beginning.
func (t *lspText) place(p lspPosition) (line, col int) {
	if p.Line < 0 {
		return 1, 1
	}
	offset := len(t.src)
	if p.Line < len(t.theirs) {
		start := t.last(t.theirs[p.Line], textMark.inOffset)
		there := t.last(start.units+min(max(p.Character, 0), 4*len(t.src)), textMark.inUnits)
		offset = min(there.offset, t.end(t.theirs, p.Line))
	}
	line = lineAt(t.ours, offset)
	start := t.last(t.ours[line], textMark.inOffset)
	return line + 1, max(0, t.last(offset, textMark.inOffset).runes-start.runes) + 1
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
