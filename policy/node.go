// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "slices"

// A node is a value of the restricted YAML a policy is written in: text,
// numbers, booleans, lists and mappings, and nothing that refers elsewhere.
type node struct {
	kind           nodeKind
	text           string // of a scalar, without quotes
	style          byte   // how text was written: 0 plain, ' or ", | or >
	items          []*node
	pairs          []pair
	line, col, len int

	bad bool // already reported: whoever reads it says nothing more
}

type pair struct{ key, value *node }

type nodeKind uint8

const (
	nullNode nodeKind = iota
	textNode
	numberNode
	boolNode
	listNode
	mapNode
)

func (k nodeKind) String() string {
	return [...]string{"nothing", "a text", "a number", "true or false", "a list", "a mapping"}[k]
}

// get is the value of a key; nil when it is missing or was reported.
func (n *node) get(key string) *node {
	if n == nil || n.kind != mapNode {
		return nil
	}
	for _, p := range n.pairs {
		if p.key.text == key && !p.value.bad {
			return p.value
		}
	}
	return nil
}

// has reports whether the author wrote a key, right or wrong.
func (n *node) has(key string) bool { return n.keyNode(key) != nil }

// before reports whether key a stands before key b in n.
func (n *node) before(a, b string) bool {
	for _, p := range n.pairs {
		if p.key.text == a || p.key.text == b {
			return p.key.text == a
		}
	}
	return false
}

// keyNode is the place of a key itself.
func (n *node) keyNode(key string) *node {
	if n == nil {
		return nil
	}
	for _, p := range n.pairs {
		if p.key.text == key {
			return p.key
		}
	}
	return nil
}

// spoiled reports whether something in n was reported already, so that what
// seems to be missing may only have been written wrong.
func (n *node) spoiled() bool {
	return n.bad || slices.ContainsFunc(n.items, (*node).spoiled) ||
		slices.ContainsFunc(n.pairs, func(p pair) bool { return p.key.spoiled() || p.value.spoiled() })
}

// each are the values where one or a list may stand.
func (n *node) each() []*node {
	switch {
	case n == nil || n.bad:
		return nil
	case n.kind != listNode:
		return []*node{n}
	}
	var good []*node
	for _, i := range n.items {
		if !i.bad {
			good = append(good, i)
		}
	}
	return good
}

// str is the text of a scalar, "" for nil.
func (n *node) str() string {
	if n == nil {
		return ""
	}
	return n.text
}

// yes reports whether n is the boolean true.
func (n *node) yes() bool { return n != nil && n.kind == boolNode && n.text == "true" }
