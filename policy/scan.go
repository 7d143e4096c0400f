// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"unicode/utf8"
)

// Bounds of a policy file, checked before the parser sees it: the parser is
// recursive and reads untrusted drafts too (editors, pull requests).
const (
	maxFile   = 4 << 20
	maxIndent = 64 // columns of indentation; each level takes at least one
	maxFlow   = 16 // nested [ and {
)

const (
	hintStar   = "write .example.com for example.com and every name below it, list the names, or use {glob: \"a-*.example.com\"} for a star inside one label"
	hintBang   = "quote the text if it begins with an exclamation mark; to leave something out, use to_except or from_except"
	hintAnchor = "repeat the value, or give it a name under clients, destinations or origins"
	hintTab    = "indent with spaces"
)

// scan finds what YAML would read as something else than the author meant:
// a star is an alias there, an exclamation mark a tag, an ampersand an anchor.
// It reports them and returns the text with those characters, and tabs, made
// harmless at unchanged positions, so that the rest can be parsed and all
// mistakes be told at once. ok is false when the text must not be parsed.
func (r *reporter) scan(src []byte) (clean []byte, ok bool) {
	if len(src) > maxFile {
		r.at(1, 1, 1, "P002", "", "the file is larger than %d MiB", maxFile>>20)
		return nil, false
	}
	if !utf8.Valid(src) {
		r.at(1, 1, 1, "P003", "", "the file is not UTF-8 text")
		return nil, false
	}
	s := scanner{reporter: r, block: -1, ok: true}
	for i, line := range r.lines {
		r.lines[i] = s.line(i+1, line)
	}
	clean = []byte(strings.Join(r.lines, "\n"))
	r.lines = splitLines(src)
	return clean, s.ok
}

// A scanner follows just enough of YAML to know where a plain value begins.
type scanner struct {
	*reporter
	ok    bool
	quote rune // ' or ", when inside one
	flow  int  // open [ and {
	block int  // indentation of the key that holds a block scalar; -1: none
}

func (s *scanner) line(no int, line string) string {
	text := []rune(line)
	indent := 0
	for indent < len(text) && text[indent] == ' ' {
		indent++
	}
	blank := strings.TrimSpace(line) == ""
	if s.block >= 0 && (blank || indent > s.block) {
		return line // inside a block scalar
	}
	if !blank {
		s.block = -1
	}
	if indent > maxIndent {
		s.at(no, indent+1, 1, "P014", "", "more than %d columns of indentation", maxIndent)
		s.ok = false
	}
	begin, dashes := true, 0 // begin: a value may begin here
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c < ' ' && c != '\t' || c == 0x7f || c == 0xfeff:
			s.at(no, i+1, 1, "P003", "", "control character %U", c)
			text[i] = ' '
		case s.quote != 0:
			if c == '\\' && s.quote == '"' {
				i++
			} else if c == s.quote {
				s.quote = 0
			}
		case c == '\t':
			if strings.TrimSpace(string(text[:i])) == "" && !blank {
				s.at(no, i+1, 1, "P012", hintTab, "a tab")
			}
			text[i] = ' '
		case c == ' ':
		case c == '#' && (i == 0 || text[i-1] == ' '):
			return string(text)
		case begin && (c == '-' || c == '?') && (i+1 == len(text) || text[i+1] == ' '):
			if dashes++; dashes > maxFlow {
				s.at(no, i+1, 1, "P014", "", "nested too deeply")
				s.ok = false
				return string(text)
			}
		case begin && (c == '*' || c == '!' || c == '&'):
			s.sigil(no, i, text)
			begin = false
		case begin && (c == '\'' || c == '"'):
			s.quote, begin = c, false
		case (begin || s.flow > 0) && (c == '[' || c == '{'):
			begin = true
			if s.flow++; s.flow > maxFlow {
				s.at(no, i+1, 1, "P014", "", "nested too deeply")
				s.ok = false
				s.flow = 0
			}
		case s.flow > 0 && (c == ']' || c == '}'):
			s.flow, begin = s.flow-1, false
		case s.flow > 0 && c == ',':
			begin = true
		case c == ':' && (i+1 == len(text) || text[i+1] == ' ' || text[i+1] == '\t'):
			begin = true
		case begin && s.flow == 0 && (c == '|' || c == '>'):
			s.block = indent
			return string(text)
		default:
			begin = false
		}
	}
	return string(text)
}

// sigil reports the value that begins with *, ! or & at text[i].
func (s *scanner) sigil(no, i int, text []rune) {
	end := i + 1
	for end < len(text) && !strings.ContainsRune(" ,]}", text[end]) {
		end++
	}
	word := string(text[i:end])
	switch text[i] {
	case '*':
		s.at(no, i+1, end-i, "P010", hintStar, "%q: a star means one label in some products and any depth in others, so it is not accepted here", word)
	case '!':
		s.at(no, i+1, end-i, "P011", hintBang, "%q: YAML reads this as a tag and drops it", word)
	case '&':
		s.at(no, i+1, end-i, "P013", hintAnchor, "%q: a policy file has no anchors and no aliases", word)
	}
	text[i] = 'x'
}

func splitLines(src []byte) []string {
	lines := strings.Split(string(src), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSuffix(l, "\r")
	}
	return lines
}
