// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

// A spot is a scalar of a policy and what the table of the language says
// about the place where it stands.
type spot struct {
	node    *node
	isKey   bool
	section *section // of a key that stands in one, and of key
	key     *key     // the key itself, or the one whose value this is; nil: not in the table
	value   value    // of a value: what may stand there
	parent  *node    // of a key: its mapping
	list    *node    // of a value: the list it stands in, nil when it stands alone
	name    *node    // the key that holds it, when an author chose that: a group, a list, …
	held    *node    // of a key that an author chose: its value
}

// visit tells f of every scalar in n, which stands where v may.
func (n *node) visit(v value, f func(spot)) { n.visitFrom(v, spot{value: v}, f) }

func (n *node) visitFrom(v value, at spot, f func(spot)) {
	switch {
	case n == nil:
	case n.kind == listNode:
		v.form &^= list
		at.list = n
		for _, item := range n.items {
			item.visitFrom(v, at, f)
		}
	case n.kind == mapNode && v.form&mapping != 0:
		for _, p := range n.pairs {
			k := v.section.key(p.key.text)
			f(spot{node: p.key, isKey: true, section: v.section, key: k, parent: n, name: at.name})
			if k != nil {
				p.value.visitFrom(k.value, spot{section: v.section, key: k, name: at.name}, f)
			}
		}
	case n.kind == mapNode && v.form&names != 0:
		for _, p := range n.pairs {
			f(spot{node: p.key, isKey: true, key: at.key, section: at.section, name: p.key, parent: n, held: p.value})
			p.value.visitFrom(*v.each, spot{section: at.section, key: at.key, name: p.key}, f)
		}
	case n.kind != mapNode:
		at.node, at.value = n, v
		f(at)
	}
}

// authored reports whether s is a key that its author chose.
func (s spot) authored() bool { return s.isKey && s.name == s.node }

// spots are all of them in the tree of a policy.
func spots(tree *node) []spot {
	var all []spot
	tree.visit(value{form: mapping, section: policySection}, func(s spot) { all = append(all, s) })
	return all
}

// spotAt is the one at a place, nil when there is none.
func (d *Draft) spotAt(line, col int) *spot {
	for _, s := range spots(d.tree) {
		if (Span{s.node.line, s.node.col, s.node.len}).holds(line, col) && !(s.node.kind == nullNode) {
			return &s
		}
	}
	return nil
}
