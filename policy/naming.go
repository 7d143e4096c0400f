// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// A NameKind is what a name in a policy stands for. Names of two kinds may be
// the same.
type NameKind uint8

const (
	noName NameKind = iota
	ClientGroup
	DestinationList
	OriginProfile
	ScheduleName
	LimitsName
	RuleName
)

func (k NameKind) String() string {
	return [...]string{"nothing", "client group", "destination list", "origin", "schedule", "limits", "rule"}[k]
}

// defines are the keys below which authors define names of a kind.
var defines = map[string]NameKind{
	"clients": ClientGroup, "destinations": DestinationList, "origins": OriginProfile,
	"schedules": ScheduleName, "limits": LimitsName,
}

// refers are the keys whose values may be names, by section.
var refers = map[*section]map[string]NameKind{
	policySection: {"clients": ClientGroup, "destinations": DestinationList, "never_intercept": DestinationList, "direct": DestinationList},
	ruleSection: {
		"name": RuleName, "from": ClientGroup, "from_except": ClientGroup, "to": DestinationList, "to_except": DestinationList,
		"schedule": ScheduleName, "origin": OriginProfile, "limits": LimitsName,
	},
	cases.section:                        {"rule": RuleName},
	includeSection.key("within").section: {"from": ClientGroup, "to": DestinationList, "origins": OriginProfile},
}

// refers is the kind of name that may stand at s, noName when none may.
func (s spot) refers() NameKind {
	if s.isKey || s.key == nil {
		return noName
	}
	return refers[s.section][s.key.name]
}

// A Name is one place where a name is defined or referred to.
type Name struct {
	Kind    NameKind
	Text    string
	Span    Span // of the name, without quotes
	Defines bool

	value *node // of a definition: what it says; of a rule, nil
}

// namesIn are the names in the tree of a policy, in the order of the text.
func namesIn(tree *node) []Name {
	var found []Name
	for _, s := range spots(tree) {
		n := Name{Text: s.node.text, Span: s.node.span()}
		switch {
		case s.authored() && s.section == policySection:
			n.Kind, n.Defines, n.value = defines[s.key.name], true, s.held
		case s.node.kind != nullNode:
			n.Kind = s.refers()
			n.Defines = n.Kind == RuleName && s.section == ruleSection
		}
		if n.Kind != noName && n.Text != "" && (n.Defines || isReference(n.Kind, n.Text)) {
			found = append(found, n)
		}
	}
	return found
}

// isReference reports whether text, where a name of a kind may stand, is one
// and not a literal.
func isReference(kind NameKind, text string) bool {
	switch kind {
	case ClientGroup:
		return text != "any" && !strings.ContainsAny(text, ".:/")
	case DestinationList:
		return text != "any" && !strings.ContainsAny(text, ".:/*")
	}
	return true
}

// Names are the places where names are defined and referred to, in the order
// of the text.
func (d *Draft) Names() []Name { return slices.Clone(d.names) }

// NameAt is the name at a place; ok is false when there is none.
func (d *Draft) NameAt(line, col int) (n Name, ok bool) {
	for _, n := range d.names {
		if n.Span.holds(line, col) {
			return n, true
		}
	}
	return Name{}, false
}

// Same are all the places of the name n, n's own too.
func (d *Draft) Same(n Name) []Name {
	var same []Name
	for _, o := range d.names {
		if o.Kind == n.Kind && o.Text == n.Text {
			same = append(same, o)
		}
	}
	return same
}

// definition is where the name is defined; ok is false when it is not.
func (d *Draft) definition(kind NameKind, text string) (n Name, ok bool) {
	i := slices.IndexFunc(d.names, func(n Name) bool { return n.Kind == kind && n.Text == text && n.Defines })
	if i < 0 {
		return Name{}, false
	}
	return d.names[i], true
}

// An Edit puts Text in the place of what Span holds.
type Edit struct {
	Span
	Text string
}

// Rename gives the name at a place another text wherever it stands. An error
// says why that cannot be; then there are no edits. When there are, the text
// with them loads if it loaded before.
func (d *Draft) Rename(line, col int, to string) ([]Edit, error) {
	n, ok := d.NameAt(line, col)
	switch {
	case !ok:
		return nil, fmt.Errorf("there is no name here that could be changed")
	case !goodName.MatchString(to) || to == "any":
		return nil, fmt.Errorf("%q is not a name: names are lower-case letters, digits, - and _, begin with a letter and have at most 64 characters; any is taken", to)
	case to == n.Text:
		return nil, nil
	}
	for _, o := range d.names {
		if o.Kind == n.Kind && o.Text == to {
			verb := "referred to"
			if o.Defines {
				verb = "defined"
			}
			return nil, fmt.Errorf("%s %q is %s on line %d already", n.Kind, to, verb, o.Span.Line)
		}
	}
	var edits []Edit
	want := slices.Clone(d.names)
	for i, o := range want {
		if o.Kind == n.Kind && o.Text == n.Text {
			edits = append(edits, Edit{o.Span, to})
			want[i].Text = to
		}
	}
	// Not every word is read as the text it is (null, true), and not every
	// place of a name is known when the text is broken.
	changed := ReadDraft(d.name, d.Apply(edits), d.dir, d.read)
	same := slices.EqualFunc(want, changed.names, func(a, b Name) bool {
		return a.Kind == b.Kind && a.Text == b.Text && a.Defines == b.Defines && a.Span.Line == b.Span.Line
	})
	if !same || d.Policy != nil && changed.Policy == nil {
		why := "the policy would mean something else"
		if len(changed.Diagnostics) > 0 {
			why = changed.Diagnostics[0].Error()
		}
		return nil, fmt.Errorf("%s %q cannot be called %q: %s", n.Kind, n.Text, to, why)
	}
	return edits, nil
}

// Apply is the text with edits, which do not overlap.
func (d *Draft) Apply(edits []Edit) []byte {
	edits = slices.Clone(edits)
	slices.SortFunc(edits, func(a, b Edit) int {
		if a.Line != b.Line {
			return b.Line - a.Line
		}
		return b.Col - a.Col
	})
	bom := []byte("\ufeff")
	lines := strings.SplitAfter(string(bytes.TrimPrefix(d.src, bom)), "\n")
	for _, e := range edits {
		if e.Line < 1 || e.Line > len(lines) {
			continue
		}
		line := []rune(lines[e.Line-1])
		from := min(max(e.Col-1, 0), len(line))
		to := min(from+e.Len, len(line))
		lines[e.Line-1] = string(slices.Concat(line[:from], []rune(e.Text), line[to:]))
	}
	text := []byte(strings.Join(lines, ""))
	if bytes.HasPrefix(d.src, bom) {
		text = slices.Concat(bom, text)
	}
	return text
}
