// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"regexp"
	"slices"
	"strings"
)

// goodName is what an author may call groups, lists, profiles and rules. No
// dot, slash or colon: those make a literal, so that names and literals can
// stand side by side without a sigil.
var goodName = regexp.MustCompile(nameSyntax.pattern)

// shape checks n, which stands behind the key called what, against the table,
// and everything below it. What does not fit is reported and marked bad.
func (r *reporter) shape(n *node, v value, what string) {
	if n.bad {
		return
	}
	switch {
	case n.kind == listNode && v.form&list != 0:
		if len(n.items) == 0 && v.form&empty == 0 {
			r.errorf(n, "P025", "leave the key out, or write any when you mean any", "%s is an empty list", what)
		}
		one := v
		one.form &^= list | empty
		for _, item := range n.items {
			r.shape(item, one, what)
		}
	case n.kind == nullNode && v.form&empty != 0:
	case n.kind == mapNode && v.form&mapping != 0:
		r.shapeSection(n, v.section)
	case n.kind == mapNode && v.form&names != 0:
		for _, p := range n.pairs {
			if v.each.named() && (!goodName.MatchString(p.key.text) || p.key.text == "any") {
				r.errorf(p.key, "P024", hintName+"; any is taken", "%q is not a name", p.key.text)
			}
			r.shape(p.value, *v.each, p.key.text)
		}
	case n.kind == textNode && v.form&text != 0,
		n.kind == numberNode && v.form&number != 0,
		n.kind == boolNode && v.form&boolean != 0:
		r.shapeWord(n, v, what)
	case n.kind == numberNode && v.form&text != 0 && len(v.words) > 0 && slices.Contains(v.words, n.text):
		r.errorf(n, "P020", `write "`+n.text+`"`, "%s is a text, and this is a number", what)
	case n.kind == numberNode && v.form&text != 0:
		n.kind = textNode // 127.1 or 10: a number to YAML, a bad host to us
		r.shapeWord(n, v, what)
	case n.kind == nullNode && !n.bad:
		r.errorf(n, "P020", "leave the key out, or write any when you mean any", "%s has no value: expected %s", what, v.form)
	default:
		r.errorf(n, "P020", "", "%s is %s: expected %s", what, n.kind, v.form)
	}
}

// named reports whether the keys before such values are names to refer to
// something by, and not words of another language such as header fields.
func (v value) named() bool { return v.form&(mapping|list) != 0 }

func (r *reporter) shapeWord(n *node, v value, what string) {
	if v.words == nil || slices.Contains(v.words, n.text) {
		return
	}
	hint := suggest(n.text, v.words)
	if hint == "" {
		hint = "one of " + strings.Join(v.words, ", ")
	}
	r.errorf(n, "P023", hint, "%q is no value for %s", n.text, what)
}

func (r *reporter) shapeSection(n *node, s *section) {
	meant := make(map[string]bool) // keys that are there, in another spelling
	for _, p := range n.pairs {
		if p.key.bad {
			continue
		}
		k := s.key(p.key.text)
		if k == nil {
			near := nearest(p.key.text, s.names())
			meant[near] = true
			p.value.bad = true
			hint := didYouMean(near)
			if hint == "" && len(s.keys) <= 12 { // more would be no help
				hint = "one of " + strings.Join(s.names(), ", ")
			}
			r.errorf(p.key, "P021", hint, "unknown key %q in %s", p.key.text, s.title)
			continue
		}
		r.shape(p.value, k.value, k.name)
		if k.pending != "" && !p.value.bad {
			r.unsupported(p.key, "U001", "%s: %s", k.name, k.pending)
		}
	}
	var missing []string
	for _, k := range s.keys {
		if k.required && !n.has(k.name) && !meant[k.name] {
			missing = append(missing, k.name)
		}
	}
	if missing != nil {
		r.at(n.line, n.col, n.len, "P022", "", "%s has no %s", s.title, strings.Join(missing, ", no "))
	}
}

// String is for messages: "a text or a list".
func (f form) String() string {
	var parts []string
	for _, p := range []struct {
		bits form
		name string
	}{{text, "a text"}, {number, "a number"}, {boolean, "true or false"}, {mapping | names, "a mapping"}, {list, "a list"}} {
		if f&p.bits != 0 {
			parts = append(parts, p.name)
		}
	}
	return strings.Join(parts, " or ")
}
