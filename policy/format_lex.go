// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"unicode/utf8"
)

// A lexeme is a piece of a line: one of - : , [ ] { }, or one of these kinds.
type lexeme struct {
	kind  byte
	text  string // of several lines where a quoted text is
	col   int    // from 0, in bytes; of the first line
	apart bool   // there was a space before it
}

const (
	scalar    = 's'
	blockText = '|' // the header of a text that follows
)

// lexed is a line in pieces, with the further lines of a quoted text.
type lexed struct {
	tokens    []lexeme
	comment   string // at the end, with its #
	commentAt int    // its column, from 0, in characters
	gap       int    // the spaces before it
}

func (x *lexed) setComment(line string, i int) {
	x.comment = strings.TrimRight(line[i:], " \t")
	x.commentAt = utf8.RuneCountInString(line[:i])
	x.gap = i - len(strings.TrimRight(line[:i], " "))
}

// lex cuts the line that is next into pieces, beginning at column i. It sees
// the same pieces as scanner.line, which has approved of the text.
func (l *layout) lex(i int) (x lexed) {
	line := l.lines[l.next]
	l.next++
	begin := true // a value may begin here
	space := false
	for i < len(line) {
		c, at := line[i], i
		last := i+1 == len(line) || line[i+1] == ' '
		t := lexeme{kind: c, text: line[i : i+1], col: i, apart: space}
		space = false
		switch {
		case c == ' ':
			space = true
			i++
			continue
		case c == '#' && t.apart:
			x.setComment(line, i)
			return x
		case c == '-' && begin && last && l.flow == 0 && onlyDashes(x.tokens):
		case c == ':' && len(x.tokens) > 0 && (last || x.tokens[len(x.tokens)-1].quoted() && !t.apart):
			begin = true
		case l.flow > 0 && c == ',':
			begin = true
		case l.flow > 0 && (c == ']' || c == '}'):
			l.flow--
			begin = false
		case (begin || l.flow > 0) && (c == '[' || c == '{'):
			l.flow++
			begin = true
		case begin && (c == '"' || c == '\''):
			t.kind = scalar
			t.text, line, i = l.quoted(line, i)
			i--
			begin = false
		case begin && l.flow == 0 && (c == '|' || c == '>'):
			t.kind = blockText
			t.text, _, _ = strings.Cut(line[i:], " ")
			i += len(t.text) - 1
			begin = false
		default:
			t.kind = scalar
			t.text = plain(line[i:], l.flow > 0)
			i += len(t.text) - 1
			begin = false
		}
		if at > i { // a quoted text that ended on another line
			t.col = at
		}
		x.tokens = append(x.tokens, t)
		i++
	}
	return x
}

func (t lexeme) quoted() bool { return t.kind == scalar && (t.text[0] == '"' || t.text[0] == '\'') }

func onlyDashes(tokens []lexeme) bool {
	return len(tokens) == 0 || tokens[len(tokens)-1].kind == '-'
}

// plain is the text without quotes that s begins with, one character at least.
func plain(s string, flow bool) string {
	i := 1
	for ; i < len(s); i++ {
		if s[i] == ':' && (i+1 == len(s) || s[i+1] == ' ') || s[i] == '#' && s[i-1] == ' ' || flow && strings.IndexByte(",[]{}", s[i]) >= 0 {
			break
		}
	}
	return strings.TrimRight(s[:i], " ")
}

// quoted is the quoted text at line[i], the line in which it ends and the place
// after it there. Where lines are folded the spaces around the break say
// nothing.
func (l *layout) quoted(line string, i int) (text, end string, after int) {
	var b strings.Builder
	quote := line[i]
	start := i
	for i++; ; i++ {
		for i >= len(line) {
			b.WriteString(strings.TrimRight(line[start:], " \t"))
			if l.next == len(l.lines) {
				return b.String(), line, len(line)
			}
			b.WriteByte('\n')
			line = l.lines[l.next]
			l.next++
			start = len(line) - len(strings.TrimLeft(line, " \t"))
			i = start
		}
		switch {
		case line[i] == '\\' && quote == '"':
			i++
		case line[i] == quote && quote == '\'' && i+1 < len(line) && line[i+1] == quote:
			i++
		case line[i] == quote:
			b.WriteString(line[start : i+1])
			return requote(b.String()), line, i + 1
		}
	}
}

// requote writes a text in the usual quotes where that takes no escapes.
func requote(s string) string {
	if s[0] == '\'' && !strings.ContainsAny(s[1:len(s)-1], "'\"\\\n") {
		return `"` + s[1:len(s)-1] + `"`
	}
	return s
}

// join writes the pieces of a line with the spaces that belong between them.
func join(tokens []lexeme) string {
	var b strings.Builder
	for i, t := range tokens {
		if i > 0 && spaced(tokens[i-1].kind, t) {
			b.WriteByte(' ')
		}
		b.WriteString(t.text)
	}
	return b.String()
}

// spaced reports whether a space stands between a piece of kind before and t.
func spaced(before byte, t lexeme) bool {
	switch {
	case before == '-' || before == ':':
		return true
	case t.kind == ':' || t.kind == ',' || before == '[' || before == '{' || t.kind == ']' || t.kind == '}':
		return false
	}
	return before == ',' || t.apart
}
