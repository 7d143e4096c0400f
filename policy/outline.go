// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "fmt"

// A SymbolKind says what a Symbol is.
type SymbolKind uint8

const (
	SymbolSection    SymbolKind = iota // clients, rules, …
	SymbolDefinition                   // a group, a list, a profile, …
	SymbolRule
	SymbolTest
)

// A Symbol is a part of a policy that people look for.
type Symbol struct {
	Kind     SymbolKind
	Name     string
	Detail   string // one line; may be empty
	Span     Span   // where its name is written
	Last     int    // the last line of all of it
	Children []Symbol
}

// Symbols are the sections of the text and what is defined in them.
func (d *Draft) Symbols() []Symbol {
	if d.tree == nil {
		return nil
	}
	var found []Symbol
	for _, p := range d.tree.pairs {
		k := policySection.key(p.key.text)
		if k == nil || p.value.kind != mapNode && p.value.kind != listNode {
			continue
		}
		s := Symbol{Kind: SymbolSection, Name: k.name, Span: p.key.span(), Last: max(p.key.line, p.value.last())}
		switch {
		case k.form&names != 0:
			for _, e := range p.value.pairs {
				s.Children = append(s.Children, Symbol{
					Kind: SymbolDefinition, Name: e.key.text, Detail: oneLine(e.value, 60), Span: e.key.span(), Last: max(e.key.line, e.value.last()),
				})
			}
		default:
			kind := SymbolTest
			if k.section == ruleSection {
				kind = SymbolRule
			}
			for i, e := range p.value.each() {
				s.Children = append(s.Children, entrySymbol(kind, e, i))
			}
		}
		found = append(found, s)
	}
	return found
}

// entrySymbol is a rule or a test; a test need not have a name.
func entrySymbol(kind SymbolKind, n *node, i int) Symbol {
	s := Symbol{Kind: kind, Span: Span{n.line, n.col, n.len}, Last: n.last()}
	if name := n.get("name"); name != nil && name.kind != nullNode {
		s.Name, s.Span = name.text, name.span()
	}
	if s.Name == "" {
		s.Name = fmt.Sprintf("%d", i+1)
	}
	if kind == SymbolRule && n.kind == mapNode {
		s.Detail = summarize(n)
	}
	return s
}

// A Verdict is what became of the requests of one test.
type Verdict struct {
	Span   Span // where the test begins
	Passed int  // requests
	Failed []TestResult
}

// Verdicts are those of the tests of this text, in its order; none when it is
// broken elsewhere.
func (d *Draft) Verdicts() []Verdict {
	var found []Verdict
	for _, n := range d.tree.get("tests").each() {
		v := Verdict{Span: Span{n.line, n.col, n.len}}
		last := n.last()
		for _, r := range d.Results {
			switch {
			case r.in.parent != nil || r.Line < n.line || r.Line > last: // another file's, another test's
			case r.OK:
				v.Passed++
			default:
				v.Failed = append(v.Failed, r)
			}
		}
		if v.Passed+len(v.Failed) > 0 {
			found = append(found, v)
		}
	}
	return found
}
