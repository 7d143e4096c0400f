// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// A Help is what there is to say about a place of a policy.
type Help struct {
	Span  Span
	Title string   // what stands there: group "lan"
	Doc   string   // one sentence; may be empty
	Lines []string // what it consists of, as written; may be empty
	Rule  string   // the name of the rule spoken of; may be empty
}

// maxMembers bounds the Lines of a Help.
const maxMembers = 20

// Help explains a key, a name or a request of a test; ok is false when there
// is nothing to explain.
func (d *Draft) Help(line, col int) (h Help, ok bool) {
	if n, ok := d.NameAt(line, col); ok {
		return d.aboutName(n), true
	}
	s := d.spotAt(line, col)
	switch {
	case s == nil || s.key == nil:
		return Help{}, false
	case s.isKey:
		form := s.key.form.String()
		if s.key.words != nil {
			form = strings.Join(s.key.words, ", ")
		}
		if s.key.required {
			form += "; required"
		}
		return Help{Span: s.node.span(), Title: s.key.name, Doc: s.key.about(), Lines: []string{form}}, true
	}
	for _, r := range d.Results {
		if r.in.parent == nil && r.node.line == s.node.line && r.node.col == s.node.col {
			return Help{Span: s.node.span(), Title: r.Request, Doc: got(r.d), Rule: r.Rule}, true
		}
	}
	return Help{}, false
}

func (d *Draft) aboutName(n Name) Help {
	h := Help{Span: n.Span, Title: fmt.Sprintf("%s %q", n.Kind, n.Text)}
	def, ok := d.definition(n.Kind, n.Text)
	switch {
	case !ok:
		h.Doc = "not defined"
	case n.Kind == RuleName:
		h.Rule = n.Text
		if r := d.rule(n.Text); r != nil {
			h.Doc = summarize(r)
			if text := r.get("description").str(); text != "" {
				h.Lines = append(h.Lines, text)
			}
		}
	default:
		for _, e := range def.value.each() {
			h.Lines = append(h.Lines, oneLine(e, 100))
		}
		if len(h.Lines) > maxMembers {
			more := len(h.Lines) - maxMembers
			h.Lines = append(h.Lines[:maxMembers:maxMembers], fmt.Sprintf("and %d more", more))
		}
	}
	return h
}

// rule is the first rule of the tree with a name, nil when there is none.
func (d *Draft) rule(name string) *node {
	for _, n := range d.tree.get("rules").each() {
		if n.kind == mapNode && n.get("name").str() == name {
			return n
		}
	}
	return nil
}

// oneLine is n as YAML on one line, of at most so many characters.
func oneLine(n *node, most int) string {
	s := n.inline(most)
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most-1]) + "…"
	}
	return s
}

func (n *node) inline(most int) string {
	if n == nil {
		return ""
	}
	switch n.kind {
	case listNode, mapNode:
		open, end := "[", "]"
		if n.kind == mapNode {
			open, end = "{", "}"
		}
		var parts []string
		for i := 0; i < len(n.items) && len(parts) <= most; i++ {
			parts = append(parts, n.items[i].inline(most))
		}
		for i := 0; i < len(n.pairs) && len(parts) <= most; i++ {
			parts = append(parts, n.pairs[i].key.text+": "+n.pairs[i].value.inline(most))
		}
		return open + strings.Join(parts, ", ") + end
	}
	return strings.Join(strings.Fields(n.text), " ")
}

// FileAt is the path of the file that is named at a place: a list, or what is
// included. ok is false when none is.
func (d *Draft) FileAt(line, col int) (path string, ok bool) {
	s := d.spotAt(line, col)
	if s == nil || s.isKey || s.key == nil || s.key.name != "file" || s.node.text == "" {
		return "", false
	}
	if filepath.IsAbs(s.node.text) {
		return s.node.text, true
	}
	return filepath.Join(d.dir, s.node.text), true
}
