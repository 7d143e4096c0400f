// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// Format is src in the one layout policy files have: two columns of
// indentation a level, one space after a colon or comma, no more than one
// blank line in a row, Unix line ends. What the author chose is kept: comments,
// the order of everything, lists on one line or on many, where lines break.
//
// Format looks at the form only, and formats policies that do not load as well.
// A text that cannot be parsed gives an *Error with the diagnostics, in which
// name stands for the file. Any other error means that the result would not
// have said the same as src; there is none then.
func Format(name string, src []byte) ([]byte, error) {
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	r := newReporter(name, src)
	before := r.parseYAML(src)
	if before == nil || r.failed() {
		return nil, &Error{byPlace(r.found)}
	}
	clean, _ := r.scan(src)
	out := layOut(strings.Split(strings.TrimSuffix(string(clean), "\n"), "\n"))

	// The parser is the judge of what the author wrote and what we did.
	check := newReporter(name, out)
	after := check.parseYAML(out)
	if after == nil || check.failed() {
		return nil, fmt.Errorf("formatting %s would make it unreadable (%w); please report this, and format the place by hand", name, check.found[0])
	}
	if at := differs(before, after); at != nil {
		return nil, fmt.Errorf("formatting %s would change what line %d says; please report this, and format the place by hand", name, at.line)
	}
	if !slices.Equal(comments(clean), comments(out)) {
		return nil, fmt.Errorf("formatting %s would lose or move a comment; please report this, and format the place by hand", name)
	}
	return out, nil
}

// differs is the first node of a that says something else in b, nil when there
// is none. How a text is quoted says nothing.
func differs(a, b *node) *node {
	if a.kind != b.kind || a.text != b.text || len(a.items) != len(b.items) || len(a.pairs) != len(b.pairs) {
		return a
	}
	for i := range a.items {
		if at := differs(a.items[i], b.items[i]); at != nil {
			return at
		}
	}
	for i := range a.pairs {
		if at := differs(a.pairs[i].key, b.pairs[i].key); at != nil {
			return at
		}
		if at := differs(a.pairs[i].value, b.pairs[i].value); at != nil {
			return at
		}
	}
	return nil
}

// comments are the comments of a text, each with the number of values before
// it.
func comments(src []byte) []string {
	var out []string
	values := 0
	for _, t := range lexer.Tokenize(string(src)) {
		switch t.Type {
		case token.CommentType:
			out = append(out, fmt.Sprintf("%d %s", values, strings.TrimRight(t.Value, " \t\r")))
		case token.MappingValueType, token.SequenceEntryType, token.CollectEntryType:
			values++
		}
	}
	return out
}
