// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each testdata/fmt/*.in has its format in the .golden beside it.
func TestFormat(t *testing.T) {
	files, err := filepath.Glob("testdata/fmt/*.in")
	if err != nil || len(files) < 3 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Format(file, src)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		golden := strings.TrimSuffix(file, ".in") + ".golden"
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s becomes\n%s", file, got)
		}
		idempotent(t, file, got)
	}
}

// The policies people read first are formatted.
func TestFormatHasNothingToChange(t *testing.T) {
	for _, file := range []string{"starter.yaml", "testdata/good/corporate.yaml", "testdata/good/small-office.yaml", "testdata/good/agent-sandbox.yaml"} {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Format(file, src); err != nil || !bytes.Equal(got, src) {
			t.Errorf("%s: %v, %s", file, err, got)
		}
	}
}

func TestFormatRefusesWhatCannotBeParsed(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"version: 1\nrules: [\n", `p.yaml:2:8: error[P001]: sequence end token ']' not found`},
		{"version: 1\na: *x\nb: !y z\n", `p.yaml:2:4: error[P010]: "*x": a star means one label in some products and any depth in others, so it is not accepted here`},
		{"", "p.yaml:1:1: error[P001]: there is no policy here"},
		{"# nothing but this\n", "p.yaml:1:1: error[P001]: there is no policy here"},
		{"\xff", "p.yaml:1:1: error[P003]: the file is not UTF-8 text"},
	} {
		out, err := Format("p.yaml", []byte(c.src))
		var e *Error
		if out != nil || !errors.As(err, &e) || e.Diagnostics[0].Error() != c.want {
			t.Errorf("%q: %q, %v", c.src, out, err)
		}
	}
}

// idempotent checks that what Format wrote it would write again.
func idempotent(t *testing.T, name string, formatted []byte) {
	t.Helper()
	again, err := Format(name, formatted)
	if err != nil || !bytes.Equal(again, formatted) {
		t.Errorf("%s: %v: formatted\n%s\nand again\n%s", name, err, formatted, again)
	}
}

// Policies written in any layout, with comments anywhere, are formatted, and
// decide as before.
func TestFormatAnyLayout(t *testing.T) {
	var files []string
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/decide/*.yaml"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	rnd := rand.New(rand.NewPCG(4, 18))
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	policies := 0
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r := newReporter(file, src)
		root := r.parseYAML(src)
		dir := filepath.Dir(file)
		before, err := Parse(file, src, dir)
		if err != nil { // a part of one
			continue
		}
		policies++
		for round := range rounds {
			s := scatterer{rnd: rnd}
			scattered := s.policy(root)
			got, err := Format(file, scattered)
			if err != nil {
				t.Fatalf("%s, round %d: %v\n%s", file, round, err, scattered)
			}
			idempotent(t, file, got)
			for _, c := range s.comments {
				i := strings.Index(string(got), c)
				if i < 0 {
					t.Fatalf("%s, round %d: %q is lost\n%s", file, round, c, scattered)
				}
			}
			after, err := Parse(file, got, dir)
			if err != nil {
				t.Fatalf("%s, round %d: %v\n%s", file, round, err, got)
			}
			if d := Diff(before, after); !d.None() {
				t.Fatalf("%s, round %d: %+v\n%s", file, round, d, got)
			}
			for range min(20, 20*len(before.tests)) {
				q := anyQuery(rnd, before)
				if a, b := before.Decide(q), after.Decide(q); a.Mode != b.Mode || a.RuleName() != b.RuleName() || a.Reason != b.Reason {
					t.Fatalf("%s, round %d: %+v is %s by %q and then %s by %q", file, round, q, a.Mode, a.RuleName(), b.Mode, b.RuleName())
				}
			}
		}
	}
	if policies < 8 {
		t.Errorf("only %d policies load", policies)
	}
}

// anyQuery is one of p's tests with parts of another.
func anyQuery(rnd *rand.Rand, p *Policy) Query {
	q := p.tests[rnd.IntN(len(p.tests))].q
	o := p.tests[rnd.IntN(len(p.tests))].q
	if rnd.IntN(2) == 0 {
		q.Host = o.Host
	}
	if rnd.IntN(2) == 0 {
		q.Client = o.Client
	}
	if rnd.IntN(3) == 0 {
		q.Port = o.Port
	}
	if rnd.IntN(8) == 0 {
		q.Client.Addr = netip.AddrFrom4([4]byte{10, byte(rnd.IntN(256)), byte(rnd.IntN(256)), 9})
	}
	return q
}

// A scatterer writes a policy in a layout of chance.
type scatterer struct {
	rnd      *rand.Rand
	out      strings.Builder
	comments []string
}

func (s *scatterer) policy(root *node) []byte {
	s.between(0)
	s.block(root, s.rnd.IntN(4), false)
	s.between(0)
	text := s.out.String()
	if s.rnd.IntN(3) == 0 {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	if s.rnd.IntN(3) == 0 {
		text = "\ufeff" + text
	}
	return []byte(text)
}

func (s *scatterer) spaces(least int) { s.out.WriteString(strings.Repeat(" ", least+s.rnd.IntN(3))) }

func (s *scatterer) comment() string {
	c := fmt.Sprintf([]string{"# %d.", "#%d, with: {braces, \"quotes", "#   - name: c%d;", "#- [%d# #"}[s.rnd.IntN(4)], len(s.comments))
	s.comments = append(s.comments, c)
	return c
}

// end ends a line.
func (s *scatterer) end() {
	if s.rnd.IntN(6) == 0 {
		s.spaces(1)
		s.out.WriteString(s.comment())
	}
	if s.rnd.IntN(4) == 0 {
		s.out.WriteString(" \t ")
	}
	s.out.WriteByte('\n')
}

// between writes comments and blank lines.
func (s *scatterer) between(indent int) {
	for s.rnd.IntN(5) == 0 {
		if s.rnd.IntN(2) == 0 {
			s.spaces(0)
			s.out.WriteByte('\n')
			continue
		}
		if s.rnd.IntN(2) == 0 {
			indent = s.rnd.IntN(9)
		}
		s.out.WriteString(strings.Repeat(" ", indent))
		s.out.WriteString(s.comment())
		s.out.WriteByte('\n')
	}
}

// block writes a list or mapping over several lines. The first entry stands on
// a line that was begun when inline is true.
func (s *scatterer) block(n *node, indent int, inline bool) {
	lead := func(i int) {
		if i > 0 || !inline {
			s.between(indent)
			s.out.WriteString(strings.Repeat(" ", indent))
		}
	}
	for i, item := range n.items {
		lead(i)
		s.out.WriteByte('-')
		s.value(item, indent, true)
	}
	for i, p := range n.pairs {
		lead(i)
		s.scalar(p.key, false)
		if s.rnd.IntN(5) == 0 {
			s.spaces(0)
		}
		s.out.WriteByte(':')
		s.value(p.value, indent, false)
	}
}

// value writes what stands behind a dash or colon in column indent.
func (s *scatterer) value(n *node, indent int, inList bool) {
	blocky := len(n.items)+len(n.pairs) > 0 && s.rnd.IntN(3) > 0
	switch {
	case blocky && inList && s.rnd.IntN(3) > 0:
		pad := 1 + s.rnd.IntN(3)
		s.out.WriteString(strings.Repeat(" ", pad))
		s.block(n, indent+1+pad, true)
	case blocky:
		s.end()
		deeper := indent + 1 + s.rnd.IntN(4)
		if n.kind == listNode && !inList && s.rnd.IntN(3) == 0 {
			deeper = indent
		}
		s.block(n, deeper, false)
	case n.kind == nullNode:
		s.end()
	default:
		if s.rnd.IntN(8) == 0 {
			s.end()
			s.out.WriteString(strings.Repeat(" ", indent))
		}
		s.spaces(1)
		s.inline(n, indent)
		s.end()
	}
}

// inline writes n in brackets, if it is a list or mapping, now and then over
// several lines.
func (s *scatterer) inline(n *node, indent int) {
	open, closed := "[", "]"
	switch n.kind {
	case listNode:
	case mapNode:
		open, closed = "{", "}"
	default:
		s.scalar(n, true)
		return
	}
	gap := func() {
		if s.rnd.IntN(10) == 0 {
			s.end()
			s.between(indent)
			s.out.WriteString(strings.Repeat(" ", indent+1))
		}
		s.spaces(0)
	}
	s.out.WriteString(open)
	gap()
	for i, item := range n.items {
		if i > 0 {
			s.out.WriteByte(',')
			gap()
		}
		s.inline(item, indent)
		gap()
	}
	for i, p := range n.pairs {
		if i > 0 {
			s.out.WriteByte(',')
			gap()
		}
		s.scalar(p.key, true)
		s.out.WriteByte(':')
		s.spaces(1)
		s.inline(p.value, indent)
		gap()
	}
	s.out.WriteString(closed)
}

func (s *scatterer) scalar(n *node, flow bool) {
	switch {
	case n.kind != textNode:
		s.out.WriteString(n.text)
	case !strings.ContainsAny(n.text, "'\\\"\n") && s.rnd.IntN(4) == 0:
		s.out.WriteString("'" + n.text + "'")
	case n.style == 0 && (!flow || !strings.ContainsAny(n.text, ",[]{}:")):
		s.out.WriteString(n.text)
	default:
		s.out.WriteString(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(n.text) + `"`)
	}
}

// Whatever is fed to Format, it ends, and what it writes it would write again.
func FuzzFormat(f *testing.F) {
	for _, pattern := range []string{"testdata/fmt/*.in", "testdata/good/*.yaml", "testdata/decide/*.yaml", "testdata/bad/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		out, err := Format("p.yaml", src)
		if err != nil {
			if out != nil {
				t.Errorf("%v, and text", err)
			}
			return
		}
		idempotent(t, "p.yaml", out)
	})
}

// Policies damaged at random are refused whole or formatted whole.
func TestFormatDamaged(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 18))
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	formatted, refused := 0, 0
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rounds := 150000 / (len(src) + 3000)
		if testing.Short() {
			rounds /= 5
		}
		for range rounds {
			damaged := damage(rnd, src)
			out, err := Format(file, damaged)
			var e *Error
			switch {
			case err == nil:
				formatted++
				idempotent(t, file, out)
			case !errors.As(err, &e):
				refused++
			}
		}
	}
	if formatted < 100 || refused > formatted/20 {
		t.Errorf("%d formatted, %d refused", formatted, refused)
	}
}

// damage changes src in a few places.
func damage(rnd *rand.Rand, src []byte) []byte {
	const alphabet = " \t\n:-#,[]{}\"'|>\\x?.1%&"
	src = bytes.Clone(src)
	for range 1 + rnd.IntN(3) {
		if len(src) == 0 {
			return src
		}
		i := rnd.IntN(len(src))
		j := min(len(src), i+1+rnd.IntN(6))
		switch rnd.IntN(5) {
		case 0:
			src = append(src[:i], src[j:]...)
		case 1:
			src[i] = alphabet[rnd.IntN(len(alphabet))]
		case 2:
			src = append(src[:i:i], append([]byte{alphabet[rnd.IntN(len(alphabet))]}, src[i:]...)...)
		case 3:
			src = append(src[:i:i], append([]byte(strings.Repeat(" ", j-i)), src[i:]...)...)
		case 4:
			src = append(src[:j:j], append(bytes.Clone(src[i:j]), src[j:]...)...)
		}
	}
	return src
}
