// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"
)

func TestCleanPath(t *testing.T) {
	for _, c := range []struct {
		in, want string // want "": refused
	}{
		{"", "/"},
		{"/", "/"},
		{"*", "*"},
		{"/a/b.c", "/a/b.c"},
		{"/a//b", "/a//b"},
		{"/~eva/a_b-c;v=1/x,y!", "/~eva/a_b-c;v=1/x,y!"},
		{"/%7Eeva", "/~eva"},
		{"/%61dmin", "/admin"},
		{"/caf%c3%a9", "/caf%C3%A9"},
		{"/a%20b", "/a%20b"},
		{"/a%2ab", "/a%2Ab"},
		{"/100%25", "/100%25"},
		{"/100%25x", "/100%25x"},
		{"/a/./b", "/a/b"},
		{"/a/../b", "/b"},
		{"/a/b/..", "/a/"},
		{"/a/b/.", "/a/b/"},
		{"/../../etc", "/etc"},
		{"/..", "/"},
		{"/a/%2e%2e/b", "/b"},
		{"/a/.%2E/b", "/b"},
		{"/a/.../b", "/a/.../b"},
		{"/.well-known/x", "/.well-known/x"},
		{"/a//../b", "/a/b"},

		{"a", ""},
		{"*x", ""},
		{"http://x/", ""},
		{"/a%2Fb", ""},
		{"/a%2fb", ""},
		{"/a%5Cb", ""},
		{`/a\b`, ""},
		{"/a%00", ""},
		{"/a%0d%0ab", ""},
		{"/a%7f", ""},
		{"/a\x00b", ""},
		{"/a\tb", ""},
		{"/a b", ""},
		{"/a\x7fb", ""},
		{"/bücher", ""},
		{"/a%", ""},
		{"/a%2", ""},
		{"/a%zz", ""},
		{"/a%u002f", ""},
		{"/a%252Fb", ""},
		{"/a%25%32%46b", ""}, // 2F after one decoding
		{"/a%2541", ""},
		{"/a?b", ""},
		{"/a#b", ""},
		{"/a/..;/b", ""},
		{"/a/..%3bx/b", ""},
		{"/a/%2e%2e;x=1/b", ""},
		{"/a%c0%afb", ""}, // overlong /
		{"/a%c1%9cb", ""}, // overlong \
		{"/a%e0%80%afb", ""},
		{"/a%f0%80%80%afb", ""},
	} {
		got, err := CleanPath(c.in)
		if (err == nil) != (c.want != "") || got != c.want {
			t.Errorf("CleanPath(%q) = %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

func TestCleanPathOfCleanPathAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { CleanPath("/v1/messages;v=2/x") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCleanPath(f *testing.F) {
	for _, s := range []string{"/", "*", "/a/%2e%2e/b", "/a%252Fb", "/a%25%32%46b", "/..;/", "/caf%c3%a9", "//a/./", "/a%c0%af"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := CleanPath(s)
		if err != nil {
			if p != "" {
				t.Fatalf("CleanPath(%q) = %q with error %v", s, p, err)
			}
			return
		}
		if again, err := CleanPath(p); err != nil || again != p {
			t.Fatalf("CleanPath(%q) = %q, again %q, %v", s, p, again, err)
		}
		for _, seg := range strings.Split(p, "/") {
			if seg == "." || seg == ".." {
				t.Fatalf("CleanPath(%q) = %q", s, p)
			}
		}
		for _, bad := range []string{"%2F", "%2f", "%5C", "%00", "%2E", "\\", "\x00", " "} {
			if strings.Contains(p, bad) {
				t.Fatalf("CleanPath(%q) = %q has %q", s, p, bad)
			}
		}
	})
}
