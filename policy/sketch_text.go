// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "strings"

// plainEnd is where plain text that begins at i ends on its line: before a
// comment, before the colon of a key, and inside brackets before what divides.
func (s *sketcher) plainEnd(i int, key, flow bool) int {
	line := s.lines[s.l]
	for ; i < len(line); i++ {
		switch c := line[i]; {
		case key && c == ':' && (s.gap(i+1) || flow && strings.ContainsRune(",]}", s.at(i+1))):
			return i
		case c == '#' && i > 0 && (line[i-1] == ' ' || line[i-1] == '\t'):
			return i
		case flow && strings.ContainsRune(",[]{}", c):
			return i
		}
	}
	return i
}

// closing is the place of the quote that closes the one at i, -1 if there is
// none on the line.
func closing(line []rune, i int) int {
	q := line[i]
	for i++; i < len(line); i++ {
		switch {
		case line[i] == '\\' && q == '"':
			i++
		case line[i] == q && q == '\'' && i+1 < len(line) && line[i+1] == q:
			i++
		case line[i] == q:
			return i
		}
	}
	return -1
}

// value reads a scalar or what stands in brackets.
func (s *sketcher) value(least int) *node {
	switch s.at(s.c) {
	case '[', '{':
		return s.flow(least)
	case '"', '\'':
		return s.quoted(least)
	case '|', '>':
		return s.literal(least)
	}
	n := s.word(s.plainEnd(s.c, false, false))
	parts := []string{n.text}
	for { // plain text goes on in lines that are indented and are nothing else
		l, c := s.l, s.c
		if !s.peek() || s.l == l || s.c < least || s.dash() || s.key() {
			if s.l != l {
				s.l, s.c = l, c
			}
			break
		}
		for range s.l - l - 1 {
			parts = append(parts, "")
		}
		parts = append(parts, s.word(s.plainEnd(s.c, false, false)).text)
		n.kind = textNode
	}
	n.text = fold(parts)
	return n
}

// word is the plain text up to end.
func (s *sketcher) word(end int) *node {
	text := strings.TrimRight(string(s.lines[s.l][s.c:end]), " \t")
	n := s.node(textNode, len([]rune(text)))
	n.text = text
	switch text {
	case "true", "True", "TRUE":
		n.kind, n.text = boolNode, "true"
	case "false", "False", "FALSE":
		n.kind, n.text = boolNode, "false"
	case "", "~", "null", "Null", "NULL":
		n.kind, n.text = nullNode, ""
	}
	s.c = end
	return n
}

// quoted reads quoted text. When nothing closes the quote before the
// indentation ends, it ends with its line.
func (s *sketcher) quoted(least int) *node {
	q := s.at(s.c)
	n := s.node(textNode, 1)
	n.style = byte(q)
	raw := s.lines[s.l][s.c:]
	if end := closing(s.lines[s.l], s.c); end >= 0 {
		raw = s.lines[s.l][s.c : end+1]
		n.len = len(raw)
		n.text = unquote(raw[1 : len(raw)-1])
		s.c = end + 1
		return n
	}
	n.len = len(raw)
	n.text = string(raw[1:])
	parts := []string{strings.TrimRight(string(raw), " \t")}
	for l := s.l + 1; l < len(s.lines); l++ {
		line := s.lines[l]
		trimmed := strings.TrimSpace(string(line))
		indent := len(line) - len([]rune(strings.TrimLeft(string(line), " \t")))
		if trimmed != "" && indent < least {
			break
		}
		open := append([]rune{q}, line...)
		if end := closing(open, 0); end >= 0 {
			parts = append(parts, strings.TrimLeft(string(line[:end-1]), " \t"))
			n.text = unquote([]rune(fold(parts))[1:])
			s.l, s.c = l, end
			return n
		}
		parts = append(parts, trimmed)
	}
	s.c = len(s.lines[s.l])
	return n
}

// fold joins the lines of a text as YAML does: one break is a space.
func fold(lines []string) string {
	var b strings.Builder
	b.WriteString(lines[0])
	for i := 1; i < len(lines); i++ {
		switch {
		case lines[i] == "":
			b.WriteByte('\n')
		case lines[i-1] != "":
			b.WriteByte(' ')
			fallthrough
		default:
			b.WriteString(lines[i])
		}
	}
	return b.String()
}

// unquote makes doubled quotes one, and keeps what escapes stand for: no
// name has any.
func unquote(raw []rune) string { return strings.ReplaceAll(string(raw), "''", "'") }

// literal reads the lines of a block scalar.
func (s *sketcher) literal(least int) *node {
	n := s.node(textNode, 1)
	n.style = byte(s.at(s.c))
	var lines []string
	indent := -1
	for s.l++; s.l < len(s.lines); s.l++ {
		line := s.lines[s.l]
		at := len(line) - len([]rune(strings.TrimLeft(string(line), " ")))
		if at == len(line) {
			lines = append(lines, "")
			continue
		}
		if at < least {
			break
		}
		if indent < 0 {
			indent = at
		}
		lines = append(lines, string(line[min(indent, at):]))
	}
	s.c = 0
	n.text = strings.TrimRight(strings.Join(lines, "\n"), "\n")
	return n
}
