// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"
)

// A CompletionKind says what a Completion is.
type CompletionKind uint8

const (
	CompleteKey CompletionKind = iota
	CompleteWord
	CompleteName
)

// A Completion is something that may be written at a place.
type Completion struct {
	Kind   CompletionKind
	Label  string
	Detail string // one line; may be empty
	Doc    string // may be empty
	Text   string // what to write
}

// cursor stands in the text where it is to be completed. It is a letter that
// no policy has: a private one.
const cursor = '\U0010FFFD'

// Complete lists what may be written at a place, in the order of the table of
// the language, and the part of the word there that it would replace. The text
// need not be YAML.
func (d *Draft) Complete(line, col int) (Span, []Completion) {
	if line < 1 || line > len(d.lines) {
		return Span{line, col, 0}, nil
	}
	text := []rune(d.lines[line-1])
	at := min(max(col-1, 0), len(text))
	from, to := at, at
	for from > 0 && inWord(text[from-1]) {
		from--
	}
	for to < len(text) && inWord(text[to]) {
		to++
	}
	word := Span{line, from + 1, to - from}

	lines := slices.Clone(d.lines)
	lines[line-1] = string(slices.Concat(text[:at], []rune{cursor}, text[at:]))
	tree := sketch(lines)
	all := spots(tree)
	i := slices.IndexFunc(all, func(s spot) bool { return strings.ContainsRune(s.node.text, cursor) })
	if i < 0 {
		if top := topLevel(tree, line); top != nil {
			return word, keysFor(policySection, top, text[to:])
		}
		return word, nil
	}
	s := all[i]
	switch {
	case s.authored():
		return word, nil
	case s.isKey:
		return word, keysFor(s.section, s.parent, text[to:])
	}
	return word, d.valuesFor(s, namesIn(tree), text[to:])
}

// topLevel is a mapping for a text that is one word: the first of a policy.
func topLevel(tree *node, line int) *node {
	if tree != nil && tree.kind == textNode && tree.line == line && strings.ContainsRune(tree.text, cursor) {
		return tree
	}
	return nil
}

func inWord(c rune) bool {
	return c == '-' || c == '_' || c == '.' || c == '/' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c > 0x7f
}

// keysFor are the keys of a section that its mapping does not have yet.
func keysFor(s *section, mapping *node, behind []rune) []Completion {
	colon := ": "
	if strings.HasPrefix(strings.TrimLeft(string(behind), " "), ":") {
		colon = ""
	}
	var found []Completion
	for _, k := range s.keys {
		if mapping.has(k.name) {
			continue
		}
		c := Completion{Kind: CompleteKey, Label: k.name, Detail: k.form.String(), Doc: k.about(), Text: k.name + colon}
		if k.required {
			c.Detail += ", required"
		}
		found = append(found, c)
	}
	return found
}

// anybody are the keys in which any may stand.
var anybody = map[*section][]string{
	ruleSection:                          {"from", "to", "ports"},
	includeSection.key("within").section: {"from", "to"},
}

func (d *Draft) valuesFor(s spot, names []Name, behind []rune) []Completion {
	var found []Completion
	add := func(kind CompletionKind, label, detail string) {
		if s.list != nil && slices.ContainsFunc(s.list.items, func(n *node) bool { return n.text == label }) ||
			slices.ContainsFunc(found, func(c Completion) bool { return c.Label == label }) {
			return
		}
		text := label
		if s.value.words != nil && s.node.style == 0 && strings.Trim(label, "0123456789.") == "" {
			text = `"` + label + `"` // a number to YAML
		}
		found = append(found, Completion{Kind: kind, Label: label, Detail: detail, Text: text})
	}
	for _, w := range s.value.words {
		add(CompleteWord, w, "")
	}
	if s.value.form&boolean != 0 {
		add(CompleteWord, "true", "")
		add(CompleteWord, "false", "")
	}
	if kind := s.refers(); kind != noName && (kind != RuleName || s.section != ruleSection) {
		if slices.Contains(anybody[s.section], s.key.name) {
			add(CompleteWord, "any", "everything")
		}
		for _, n := range names {
			if n.Kind == kind && n.Defines && (s.name == nil || n.Text != s.name.text) && !strings.ContainsRune(n.Text, cursor) {
				add(CompleteName, n.Text, oneLine(n.value, 60))
			}
		}
	} else if s.key != nil && slices.Contains(anybody[s.section], s.key.name) {
		add(CompleteWord, "any", "everything")
	}
	// Where a mapping may stand on lines of its own, a word may become its first key.
	if s.value.form&mapping != 0 && s.node.style == 0 && d.opens(s.node) {
		found = append(found, keysFor(s.value.section, &node{kind: mapNode}, behind)...)
	}
	return found
}

// opens reports whether only space and dashes stand before n on its line.
func (d *Draft) opens(n *node) bool {
	before := []rune(d.lines[n.line-1])
	return strings.Trim(string(before[:min(n.col-1, len(before))]), " -") == ""
}
