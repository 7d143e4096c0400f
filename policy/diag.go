// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Severity grades a Diagnostic. Errors keep a policy from loading.
type Severity uint8

const (
	SeverityError Severity = iota
	SeverityWarning
)

func (s Severity) String() string {
	if s == SeverityWarning {
		return "warning"
	}
	return "error"
}

// MarshalText makes a Severity a word in JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Diagnostic is one thing to say about one place of a policy file. Lines
// and columns count from 1, columns and lengths in characters.
type Diagnostic struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Col      int      `json:"column"`
	Len      int      `json:"length"`
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Msg      string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
	Source   string   `json:"source,omitempty"` // the line spoken of
}

// Error is the first line of String, for one-line reports.
func (d Diagnostic) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s[%s]: %s", d.File, d.Line, d.Col, d.Severity, d.Code, d.Msg)
}

// String is the diagnostic with the line it speaks of and a caret under the
// place, as compilers print it.
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(d.Error())
	if d.Source != "" {
		fmt.Fprintf(&b, "\n%5d | %s\n      | %s", d.Line, d.Source, d.underline())
	}
	if d.Hint != "" {
		fmt.Fprintf(&b, "\n      = help: %s", d.Hint)
	}
	return b.String()
}

// underline is the caret line under Source. Tabs are kept, so that it lines up
// whatever a terminal makes of them.
func (d Diagnostic) underline() string {
	var b strings.Builder
	col := 1
	for _, c := range d.Source {
		if col >= d.Col {
			break
		}
		if c != '\t' {
			c = ' '
		}
		b.WriteRune(c)
		col++
	}
	room := utf8.RuneCountInString(d.Source) - d.Col + 1
	b.WriteString(strings.Repeat("^", max(1, min(d.Len, room))))
	return b.String()
}

// An Error is everything that keeps a policy from loading, by position.
type Error struct {
	Diagnostics []Diagnostic
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Diagnostics))
	for i, d := range e.Diagnostics {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}
