// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"path/filepath"
)

// A TestResult is what became of one request of one test.
type TestResult struct {
	Test     string `json:"test,omitempty"`
	Request  string `json:"request"`
	Line     int    `json:"line"`
	OK       bool   `json:"ok"`
	Want     Mode   `json:"want"`
	WantRule string `json:"want_rule,omitempty"`
	Got      Mode   `json:"got"`
	Rule     string `json:"rule,omitempty"`
	RuleLine int    `json:"rule_line,omitempty"`
	Detail   string `json:"detail"`

	node *node
	in   *compiler
	d    Decision
}

// Test loads the policy at path as Load does and gives the result of each of
// its tests. The error is Load's: it is there when a test failed, and when
// something else is wrong there are no results.
func Test(path string) ([]TestResult, error) {
	src, err := readPolicy(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	_, results, err := load(path, src, filepath.Dir(path), ReadFile)
	return results, err
}

// String is the line that "sallyport policy test" prints.
func (t TestResult) String() string {
	word := "ok"
	if !t.OK {
		word = "FAIL"
	}
	return fmt.Sprintf("%-4s  %-9s  %s  %s", word, t.Want, t.Request, got(t.d))
}

// GotText tells what became of the request, and by which rule.
func (t TestResult) GotText() string { return got(t.d) }

// runTests asks the policy its own tests.
func (p *Policy) runTests() []TestResult {
	results := make([]TestResult, len(p.tests))
	for i, t := range p.tests {
		d := p.outcome(t.q)
		r := TestResult{
			Test: t.test, Request: t.node.text, Line: t.node.line, Want: t.want, WantRule: t.rule,
			Got: d.Mode, Rule: d.RuleName(), Detail: d.Detail(), node: t.node, in: t.in, d: d,
		}
		if d.Rule != nil {
			r.RuleLine = d.Rule.Line
		}
		r.OK = r.Got == r.Want && (r.WantRule == "" || r.WantRule == r.Rule)
		results[i] = r
	}
	return results
}

// judgeTests reports each test that failed.
func judgeTests(results []TestResult) {
	for _, r := range results {
		name := ""
		if r.Test != "" {
			name = fmt.Sprintf(" of test %q", r.Test)
		}
		switch {
		case r.Got != r.Want:
			r.in.errorf(r.node, "P100", "", "%s%s: expected %s, got %s", r.Request, name, r.Want, got(r.d))
		case !r.OK:
			r.in.errorf(r.node, "P101", "", "%s%s: expected %s by rule %q, got %s", r.Request, name, r.Want, r.WantRule, got(r.d))
		}
	}
}

// got tells a decision to the author of a test.
func got(d Decision) string {
	switch {
	case d.Rule == nil:
		return fmt.Sprintf("%s: %s", d.Mode, d.Detail())
	case d.Reason == ByRule:
		return fmt.Sprintf("%s by rule %q (%s)", d.Mode, d.Rule.Name, d.Rule.place())
	}
	return fmt.Sprintf("%s: %s (%s)", d.Mode, d.Detail(), d.Rule.place())
}
