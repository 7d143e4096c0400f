// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// inline changes the entries of a list that stand in the policy itself. Only
// the characters of those entries change; where that is not simple it is left
// to people.
func (c *ListChange) inline(f *policyText, n *node, e ListEdit) error {
	c.Where = f.shown
	t := newInlineText(f.src, n)
	for _, w := range e.Add {
		if entry, i := t.find(w); i >= 0 {
			c.Notes = append(c.Notes, fmt.Sprintf("%s is on the list already, on line %d", w, entry.line))
			continue
		}
		if err := t.add(w); err != nil {
			return err
		}
		c.Added = append(c.Added, w)
	}
	for _, w := range e.Remove {
		entry, i := t.find(w)
		switch {
		case i < 0:
			return fmt.Errorf("%s is not on the list %q of %s", w, e.List, f.shown)
		case t.list.kind != listNode || len(t.list.items) == 1:
			return fmt.Errorf("%s is the only entry of list %q: a list cannot be empty; remove the list and what names it", w, e.List)
		case entry.kind == mapNode:
			return t.byHand(f, entry)
		}
		if err := t.remove(i); err != nil {
			return t.byHand(f, entry)
		}
		c.Removed = append(c.Removed, w)
	}
	if t.changed {
		c.Files = []FileChange{{f.path, f.src, t.bytes()}}
	}
	return nil
}

func (t *inlineText) byHand(f *policyText, n *node) error {
	return fmt.Errorf("line %d of %s is not written so that it can be changed safely: edit it by hand", n.line, f.shown)
}

// An inlineText is the text of a policy of which one list is edited.
type inlineText struct {
	bom     bool
	src     []byte
	tree    *node
	name    string // of the list
	list    *node  // what stands under it
	changed bool
}

func newInlineText(src []byte, list *node) *inlineText {
	t := &inlineText{bom: bytes.HasPrefix(src, []byte("\ufeff")), src: bytes.TrimPrefix(src, []byte("\ufeff"))}
	t.tree = newReporter("", t.src).parseYAML(t.src)
	for _, p := range t.tree.get("destinations").all() {
		if p.value.line == list.line && p.value.col == list.col {
			t.name, t.list = p.key.text, p.value
		}
	}
	return t
}

func (t *inlineText) bytes() []byte {
	if t.bom {
		return append([]byte("\ufeff"), t.src...)
	}
	return t.src
}

// find is the entry that says what word says, and its place among the others;
// -1 when there is none.
func (t *inlineText) find(word string) (*node, int) {
	want := inlineKey(word)
	for i, n := range t.list.each() {
		switch {
		case n.kind != mapNode && inlineKey(n.text) == want,
			n.has("host") && inlineKey(n.get("host").text) == want && strings.Contains(word, "."),
			n.has("host") && n.get("host").text == word:
			return n, i
		}
	}
	return nil, -1
}

// inlineKey is what an entry of a policy says.
func inlineKey(word string) string {
	if p, err := parseNetwork(word); err == nil {
		return p.Masked().String()
	}
	name := strings.TrimPrefix(word, ".")
	if h, err := parsePolicyHost(name); err == nil && strings.Contains(word, ".") {
		return word[:len(word)-len(name)] + h.Name
	}
	return word
}

// add puts word behind the last entry that is a plain text.
func (t *inlineText) add(word string) error {
	if strings.ContainsAny(word, `"\\`) {
		return fmt.Errorf("%q cannot be on a list: it is not one word", word)
	}
	text := word
	if strings.ContainsAny(word, ":#,[]{}&*!|>'%@`?") {
		text = `"` + word + `"`
	}
	want := &node{kind: listNode, items: slices.Clone(t.list.items)}
	entry := &node{kind: textNode, text: word}
	if t.list.kind != listNode { // one entry becomes a list of two
		if t.list.kind == mapNode {
			return fmt.Errorf("list %q is one mapping: edit it by hand", t.name)
		}
		first := *t.list
		want.items = []*node{&first, entry}
		from, to := t.extent(t.list)
		return t.replace(from, to, "["+string(t.src[from:to])+", "+text+"]", want)
	}
	i := len(t.list.items) // behind the entry before
	for i > 0 && t.list.items[i-1].kind == mapNode {
		i--
	}
	want.items = slices.Insert(want.items, i, entry)
	last := t.list.items[max(i-1, 0)]
	from, to := t.extent(last)
	line, end := t.lineOf(from)
	dash, alone := strings.CutSuffix(strings.TrimRight(string(t.src[line:from]), " "), "-")
	block := t.src[t.offset(t.list.line, t.list.col)] != '['
	switch {
	case block && (!alone || strings.TrimSpace(dash) != ""):
		return fmt.Errorf("list %q is not written so that it can be changed safely: edit it by hand", t.name)
	case block && i == 0:
		return t.replace(line, line, dash+"- "+text+t.eol(), want)
	case block:
		return t.replace(end, end, t.eol()+dash+"- "+text, want)
	case i == 0:
		return t.replace(from, from, text+", ", want)
	}
	return t.replace(to, to, ", "+text, want)
}

// remove takes the entry with that place off the list.
func (t *inlineText) remove(i int) error {
	items := t.list.items
	want := &node{kind: listNode, items: slices.Delete(slices.Clone(items), i, i+1)}
	from, to := t.extent(items[i])
	if i > 0 && items[i-1].line == items[i].line && items[i-1].kind != mapNode {
		_, from = t.extent(items[i-1])
		return t.replace(from, to, "", want)
	}
	if i+1 < len(items) && items[i+1].line == items[i].line {
		next, _ := t.extent(items[i+1])
		return t.replace(from, next, "", want)
	}
	line, end := t.lineOf(from)
	if bytes.HasPrefix(t.src[end:], []byte("\r")) {
		end++
	}
	if end < len(t.src) {
		end++
	}
	if t.replace(line, end, "", want) == nil {
		return nil
	}
	return t.replace(from, to, "", want) // a bracket stands on the line
}

// replace puts text in the place of src[from:to]. The parser has to see exactly
// the list that is wanted, and nothing else changed.
func (t *inlineText) replace(from, to int, text string, want *node) error {
	src := slices.Concat(t.src[:from], []byte(text), t.src[to:])
	r := newReporter("", src)
	tree := r.parseYAML(src)
	if tree == nil || r.failed() {
		return fmt.Errorf("list %q is not written so that it can be changed safely: edit it by hand", t.name)
	}
	list := tree.get("destinations").get(t.name)
	was := *t.list
	*t.list = *want
	same := differs(t.tree, tree) == nil
	*t.list = was
	if !same || list == nil {
		return fmt.Errorf("list %q is not written so that it can be changed safely: edit it by hand", t.name)
	}
	t.src, t.tree, t.list, t.changed = src, tree, list, true
	return nil
}

// extent is where the text of a scalar on one line is written, with its quotes.
func (t *inlineText) extent(n *node) (from, to int) {
	return t.offset(n.line, n.col), t.offset(n.line, n.col+n.len)
}

// offset is the byte at a line and column.
func (t *inlineText) offset(line, col int) int {
	i := 0
	for ; line > 1; line-- {
		i += bytes.IndexByte(t.src[i:], '\n') + 1
	}
	for ; col > 1 && i < len(t.src); col-- {
		_, size := utf8.DecodeRune(t.src[i:])
		i += size
	}
	return i
}

// lineOf is the line around a byte, without what ends it.
func (t *inlineText) lineOf(i int) (from, to int) {
	from = bytes.LastIndexByte(t.src[:i], '\n') + 1
	to = len(t.src)
	if n := bytes.IndexByte(t.src[i:], '\n'); n >= 0 {
		to = i + n
	}
	if to > from && t.src[to-1] == '\r' {
		to--
	}
	return from, to
}

func (t *inlineText) eol() string {
	if bytes.Contains(t.src, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}
