// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "strings"

// Summary is the rule in one line, in the words of its author: what it does,
// for whom, where to, and under which conditions.
func (r *Rule) Summary() string { return r.summary }

func summarize(n *node) string {
	var b strings.Builder
	b.WriteString(joined(n.get("mode")))
	for _, k := range []struct{ key, word string }{
		{"from", " from "},
		{"from_except", " except "},
		{"to", " to "},
		{"to_except", " except "},
		{"ports", ", ports "},
		{"methods", ", methods "},
		{"paths", ", paths "},
		{"when", ", when "},
		{"schedule", ", schedule "},
		{"until", ", until "},
		{"origin", ", origin "},
	} {
		if text := joined(n.get(k.key)); text != "" {
			b.WriteString(k.word + text)
		}
	}
	if n.get("audit").yes() {
		b.WriteString(" (audit: counted only)")
	}
	return b.String()
}

// joined are the texts of n, "inline" for a profile written into the rule.
func joined(n *node) string {
	if n != nil && n.kind == mapNode {
		return "inline"
	}
	var texts []string
	for _, e := range n.each() {
		texts = append(texts, strings.Join(strings.Fields(e.text), " "))
	}
	return strings.Join(texts, ", ")
}
