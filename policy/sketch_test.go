// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Of every text that is YAML, the sketch is the tree that the parser makes.
func TestSketchIsTheTree(t *testing.T) {
	for _, f := range policyFiles(t) {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sameTree(t, f, src)
	}
	for _, src := range []string{
		"a: b\n", "a:\n- b\n- c\nd: e", "a:\n  - b: c\n    d: e\n  - f\n", "- a\n- b", "a: [b, {c: d}, e]",
		"a: |\n  b\n   c\n\n  d\ne: f", "a: 'it''s'\nb: \"x\"", "a: {b: c,\n  d: [e,\n f]}\ng: h", "a:\nb:\n", "a: # c\n  b: c # d\n",
		"a:\n  b\n  c\nd: e", "a: \"b\n  c\"\nd: e", "---\na: b", "- - a\n  - b\n- c", "a: {}\nb: []", "a: b:c\nd: e#f", "\"a b\": c\n'd': e",
	} {
		sameTree(t, src, []byte(src))
	}
}

func policyFiles(t testing.TB) []string {
	t.Helper()
	var files []string
	for _, dir := range []string{"good", "bad", "decide"} {
		f, err := filepath.Glob("testdata/" + dir + "/*.yaml")
		if err != nil || len(f) == 0 {
			t.Fatal(dir, err)
		}
		files = append(files, f...)
	}
	return files
}

func sameTree(t testing.TB, name string, src []byte) {
	t.Helper()
	r := newReporter(name, src)
	tree := r.parseYAML(src)
	if tree == nil || r.failed() {
		return
	}
	want, got := drawn(tree), drawn(sketch(splitLines(src)))
	if want != got {
		a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				t.Errorf("%s:\nparsed   %s\nsketched %s", name, a[i], strings.Join(b[min(i, len(b)):min(i+1, len(b))], ""))
				return
			}
		}
		t.Errorf("%s: the sketch has more: %q", name, b[len(a)])
	}
}

// drawn is a tree as text. What a scalar looks like matters, and not whether
// YAML takes it for a number; nor what escapes in it stand for.
func drawn(n *node) string {
	var b strings.Builder
	var draw func(n *node, path string)
	draw = func(n *node, path string) {
		kind, text, length := n.kind, n.text, n.len
		if kind == numberNode {
			kind = textNode
		}
		if n.style == '"' || n.style == '|' || n.style == '>' {
			text, length = "", 0
		}
		fmt.Fprintf(&b, "%s %d %q %d:%d+%d\n", path, kind, text, n.line, n.col, length)
		for i, item := range n.items {
			draw(item, fmt.Sprintf("%s[%d]", path, i))
		}
		for _, p := range n.pairs {
			draw(p.key, path+"."+p.key.text+"?")
			draw(p.value, path+"."+p.key.text)
		}
	}
	if n != nil {
		draw(n, "")
	}
	return b.String()
}
