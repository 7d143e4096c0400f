// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A reporter collects what is wrong with one file, so that all of it can be
// told at once.
type reporter struct {
	file     string
	lines    []string
	found    []Diagnostic // errors and warnings
	pending  []Diagnostic // understood, and not enforced yet
	reported map[[2]int]bool
}

func newReporter(file string, src []byte) *reporter {
	return &reporter{file: file, lines: splitLines(src), reported: make(map[[2]int]bool)}
}

func (r *reporter) diagnostic(line, col, length int, code, hint, msg string) Diagnostic {
	d := Diagnostic{File: r.file, Line: line, Col: col, Len: length, Code: code, Msg: msg, Hint: hint}
	if code[0] != 'P' {
		d.Severity = SeverityWarning
	}
	if line >= 1 && line <= len(r.lines) {
		d.Source = r.lines[line-1]
	}
	return d
}

// at reports a mistake at a place. Only the first mistake of a place is told:
// those that follow from it would send the author the wrong way.
func (r *reporter) at(line, col, length int, code, hint, format string, args ...any) {
	place := [2]int{line, col}
	if r.reported[place] && code != "P022" { // what is missing follows from nothing
		return
	}
	r.reported[place] = true
	r.found = append(r.found, r.diagnostic(line, col, length, code, hint, fmt.Sprintf(format, args...)))
}

// errorf reports a mistake of n.
func (r *reporter) errorf(n *node, code, hint, format string, args ...any) {
	n.bad = true
	r.at(n.line, n.col, n.len, code, hint, format, args...)
}

// warnf reports something about n that does not keep the policy from loading.
func (r *reporter) warnf(n *node, code, hint, format string, args ...any) {
	r.found = append(r.found, r.diagnostic(n.line, n.col, n.len, code, hint, fmt.Sprintf(format, args...)))
}

// unsupported reports something that is understood and that the gateway does
// not enforce yet.
func (r *reporter) unsupported(n *node, code, format string, args ...any) {
	r.pending = append(r.pending, r.diagnostic(n.line, n.col, n.len, code, "", fmt.Sprintf(format, args...)))
}

func (r *reporter) failed() bool {
	return slices.ContainsFunc(r.found, func(d Diagnostic) bool { return d.Severity == SeverityError })
}

func byPlace(ds []Diagnostic) []Diagnostic {
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Code, b.Code))
	})
	return ds
}

func suggest(word string, candidates []string) string {
	return didYouMean(nearest(word, candidates))
}

func didYouMean(word string) string {
	if word == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", word)
}

// nearest is the candidate most like word, "" when none is near enough to be
// a slip of the fingers.
func nearest(word string, candidates []string) string {
	best, found := len(word)/3+2, ""
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), c); d < best {
			best, found = d, c
		}
	}
	return found
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours between two words.
func distance(a, b string) int {
	before, prev := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev = prev, row
	}
	return prev[len(b)]
}
