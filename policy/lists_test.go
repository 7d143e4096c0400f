// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// memory is a Reader of files that are nowhere else; their names are relative
// to the directory of the test.
func memory(t *testing.T, files map[string]string) Reader {
	return func(path string, _ int64) ([]byte, time.Time, error) {
		dir, err := filepath.Abs(".")
		if err != nil {
			t.Fatal(err)
		}
		name, _ := filepath.Rel(dir, path)
		src, ok := files[name]
		if !ok {
			return nil, time.Time{}, fs.ErrNotExist
		}
		return []byte(src), time.Now(), nil
	}
}

func TestEditListFile(t *testing.T) {
	for _, c := range []struct {
		what, format     string // format: what stands behind the file in the policy
		src              string
		add, remove      []string
		want             string
		notes, wantError string
	}{
		{what: "at the end", src: "# mine\nb.example\na.example # two\n\n# the end\n", add: []string{"c.example", "d.example"}, want: "# mine\nb.example\na.example # two\n\n# the end\nc.example\nd.example\n"},
		{what: "no line end", src: "b.example\na.example", add: []string{"c.example"}, want: "b.example\na.example\nc.example\n"},
		{what: "windows", src: "b.example\r\na.example", add: []string{"c.example"}, want: "b.example\r\na.example\r\nc.example\r\n"},
		{what: "empty", src: "", add: []string{"c.example"}, want: "c.example\n"},
		{what: "one", src: "z.example\n", add: []string{"c.example"}, want: "z.example\nc.example\n"},
		{what: "sorted", src: "# top\na.example\nc.example # c\n# about d\nd.example\n", add: []string{"b.example", "0.example", "c1.example", "e.example"}, want: "# top\n0.example\na.example\nb.example\nc.example # c\nc1.example\n# about d\nd.example\ne.example\n"},
		{what: "there already", src: "x.example\na.example\n", add: []string{"A.EXAMPLE.", ".a.example", "b.a.example"}, notes: "A.EXAMPLE. is on the list already, on line 2\n.a.example is on the list already, on line 2\nb.a.example is on the list already: a.example on line 2 covers it"},
		{what: "covers others", src: "w.x.example\na.example\nv.x.example\n", add: []string{"x.example"}, want: "w.x.example\na.example\nv.x.example\nx.example\n", notes: "x.example covers w.x.example (line 1) and 1 others, which can be removed now"},
		{what: "international", src: "x.example\na.example\n", add: []string{"bücher.example", "xn--bcher-kva.example"}, want: "x.example\na.example\nbücher.example\n", notes: "xn--bcher-kva.example is on the list already, on line 3"},
		{what: "bad", src: "a.example\n", add: []string{"b.example", "*.c.example"}, wantError: `"*.c.example" cannot be on a list of domains: host has the character '*'`},
		{what: "two words", src: "a.example\n", add: []string{"b.example c.example"}, wantError: `"b.example c.example" cannot be on a list: it is not one word`},
		{what: "a line more", src: "a.example\n", add: []string{"b.example\nc.example"}, wantError: `"b.example\nc.example" cannot be on a list: it is not one word`},
		{what: "a comment", src: "a.example\n", add: []string{"#b"}, wantError: `"#b" cannot be on a list: it is not one word`},
		{what: "removed", src: "# top\na.example # a\nb.example\n.A.example\nc.example", remove: []string{"a.example", "c.example"}, want: "# top\nb.example\n"},
		{what: "not there", src: "a.example\n", remove: []string{"b.example"}, wantError: "l.txt: b.example is not on the list"},
		{what: "covered", src: "x.example\na.example\n", remove: []string{"b.a.example"}, wantError: "l.txt: b.a.example is not on the list by itself: a.example on line 2 covers it; to let it be, name it under to_except in the rule"},
		{what: "still covered", src: "b.a.example\na.example\n", remove: []string{"b.a.example"}, want: "a.example\n", notes: "b.a.example is still covered by a.example on line 1"},
		{what: "exact", format: ", match: exact", src: "x.example\na.example\n", add: []string{"b.a.example", ".a.example"}, want: "x.example\na.example\nb.a.example\n.a.example\n", notes: ".a.example covers a.example (line 2) and 1 others, which can be removed now"},
		{what: "exact removed", format: ", match: exact", src: "a.example\n.a.example\n", remove: []string{".a.example"}, want: "a.example\n"},
		{what: "hosts", format: ", format: hosts", src: "127.0.0.1 localhost\n0.0.0.0 b.example a.example # both\n", add: []string{"c.example", "a.example"}, remove: []string{"b.example"}, want: "127.0.0.1 localhost\n0.0.0.0 a.example # both\n0.0.0.0 c.example\n", notes: "a.example is on the list already, on line 2"},
		{what: "hosts, a machine's own", format: ", format: hosts", src: "0.0.0.0 b.example\n", add: []string{"localhost"}, wantError: `"localhost" cannot be on a list of hosts: it is a name every machine has for itself`},
		{what: "hosts, a line", format: ", format: hosts", src: "0.0.0.0 b.example\n0.0.0.0 a.example\n", remove: []string{"b.example"}, want: "0.0.0.0 a.example\n"},
		{what: "networks", format: ", format: cidr", src: "203.0.113.0/24 TEST-NET\n192.0.2.1\n", add: []string{"203.0.113.7", "192.0.0.0/16", "2001:db8::/32"}, want: "203.0.113.0/24 TEST-NET\n192.0.2.1\n192.0.0.0/16\n2001:db8::/32\n", notes: "203.0.113.7 is on the list already: 203.0.113.0/24 on line 1 covers it\n192.0.0.0/16 covers 192.0.2.1 (line 2), which can be removed now"},
		{what: "a bad network", format: ", format: cidr", src: "", add: []string{"203.0.113.0/40"}, wantError: `"203.0.113.0/40" cannot be on a list of networks: "203.0.113.0/40" is not a network: prefix length out of range`},
		{what: "URLs", format: ", format: urls", src: "http://x.example/a/\nb.example/c\n", add: []string{"https://x.example/a", "x.example/b"}, want: "http://x.example/a/\nb.example/c\nx.example/b\n", notes: "https://x.example/a is on the list already, on line 1"},
		{what: "fails a test", src: "a.example\n", add: []string{"free.example"}, wantError: `p.yaml:5:17: error[P100]: http://free.example/: expected relay, got deny by rule "block" (line 3)`},
	} {
		policy := "version: 1\ndestinations: {l: {file: l.txt" + c.format + "}}\nrules: [{name: block, from: any, to: l, mode: deny}, {name: rest, from: any, to: any, mode: relay}]\n" +
			"tests:\n- {as: {ip: 192.0.2.1}, relay: http://free.example/}\n"
		files := map[string]string{"p.yaml": policy, "l.txt": c.src}
		got, err := EditList("p.yaml", ListEdit{List: "l", Add: c.add, Remove: c.remove}, memory(t, files))
		if c.wantError != "" {
			if err == nil || strings.Split(err.Error(), "\n")[0] != strings.Replace(c.wantError, "p.yaml:5:17", "p.yaml:5:32", 1) {
				t.Errorf("%s: %v", c.what, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		if notes := strings.Join(got.Notes, "\n"); notes != c.notes {
			t.Errorf("%s: notes\n%s", c.what, notes)
		}
		switch {
		case c.want == "" && len(got.Files) > 0:
			t.Errorf("%s: changed to %q", c.what, got.Files[0].After)
		case c.want != "" && (len(got.Files) != 1 || string(got.Files[0].After) != c.want || string(got.Files[0].Before) != c.src):
			t.Errorf("%s: %q", c.what, got.Files)
		}
	}
}

func TestEditListInPolicy(t *testing.T) {
	const rules = "rules: [{name: block, from: any, to: l, mode: deny}]\n"
	for _, c := range []struct {
		what, list  string // list: the lines of the policy that define l
		add, remove []string
		want        string // instead of these lines
		notes       string
		wantError   string
	}{
		{what: "in brackets", list: "  l: [ a.example,.b.example ]   # mine\n", add: []string{".c.example", "2001:db8::/32"}, want: "  l: [ a.example,.b.example, .c.example, \"2001:db8::/32\" ]   # mine\n"},
		{what: "in lines", list: "  l:\n    # top\n    - a.example   # a\n    -  \".b.example\" # b\n\n  # next\n", add: []string{".c.example"}, want: "  l:\n    # top\n    - a.example   # a\n    -  \".b.example\" # b\n    - .c.example\n\n  # next\n"},
		{what: "lines not indented", list: "  l:\r\n  - a.example\r\n", add: []string{".c.example"}, want: "  l:\r\n  - a.example\r\n  - .c.example\r\n"},
		{what: "one", list: "  l: \"a.example\" # a\n", add: []string{"ü.example"}, want: "  l: [\"a.example\", ü.example] # a\n"},
		{what: "mapping last", list: "  l: [a.example, {host: intranet}]\n", add: []string{".c.example"}, want: "  l: [a.example, .c.example, {host: intranet}]\n"},
		{what: "mappings only", list: "  l:\n    - {host: intranet}\n    - {host: b}\n", add: []string{".c.example"}, want: "  l:\n    - .c.example\n    - {host: intranet}\n    - {host: b}\n"},
		{what: "mappings only, in brackets", list: "  l: [{host: intranet}]\n", add: []string{".c.example"}, want: "  l: [.c.example, {host: intranet}]\n"},
		{what: "brackets over lines", list: "  l: [\n    a.example, # a\n    b.example\n  ]\n", add: []string{".c.example"}, want: "  l: [\n    a.example, # a\n    b.example, .c.example\n  ]\n"},
		{what: "a list of lists", list: "  l: [a.example]\n  m: b.example\n", add: []string{"m"}, want: "  l: [a.example, m]\n  m: b.example\n"},
		{what: "there already", list: "  l: [A.example, 192.0.2.1]\n", add: []string{"a.example", "192.0.2.1/32"}, notes: "a.example is on the list already, on line 3\n192.0.2.1/32 is on the list already, on line 3"},
		{what: "a name that is none", list: "  l: [a.example]\n", add: []string{"m"}, wantError: `p.yaml:3:18: error[P030]: destination list "m" is not defined`},
		{what: "a star", list: "  l: [a.example]\n", add: []string{"*.m"}, wantError: `p.yaml:3:18: error[P010]: "*.m": a star means one label in some products and any depth in others, so it is not accepted here`},
		{what: "more than a word", list: "  l: [a.example]\n", add: []string{"x.example, .com"}, wantError: `"x.example, .com" cannot be on a list: it is not one word`},
		{what: "one mapping", list: "  l: {host: a}\n", add: []string{"x.example"}, wantError: `list "l" is one mapping: edit it by hand`},
		{what: "removed first", list: "  l: [a.example, b.example]\n", remove: []string{"A.example"}, want: "  l: [b.example]\n"},
		{what: "removed last", list: "  l: [a.example,  b.example]\n", remove: []string{"b.example"}, want: "  l: [a.example]\n"},
		{what: "removed line", list: "  l:\n    - a.example   # a\n    # about b\n    - b.example\n", remove: []string{"a.example"}, want: "  l:\n    # about b\n    - b.example\n"},
		{what: "removed line in brackets", list: "  l: [\n    a.example, # a\n    b.example]\n", remove: []string{"a.example"}, want: "  l: [\n    b.example]\n"},
		{what: "removed before the bracket", list: "  l: [\n    a.example, # a\n    b.example]\n", remove: []string{"b.example"}, want: "  l: [\n    a.example, # a\n    ]\n"},
		{what: "the only one", list: "  l: [a.example]\n", remove: []string{"a.example"}, wantError: `a.example is the only entry of list "l": a list cannot be empty; remove the list and what names it`},
		{what: "a mapping", list: "  l: [a.example, {host: intranet}]\n", remove: []string{"intranet"}, wantError: `line 3 of p.yaml is not written so that it can be changed safely: edit it by hand`},
		{what: "not there", list: "  l: [a.example, b.example]\n", remove: []string{".a.example"}, wantError: `.a.example is not on the list "l" of p.yaml`},
		{what: "no such list", list: "  ll: [a.example, b.example]\n  l2: b.example\n", wantError: `p.yaml has no list "l" under destinations; did you mean "l2"?`},
	} {
		src := "\ufeffversion: 1\ndestinations:\n" + c.list + rules
		if c.what == "no such list" {
			src = strings.Replace(src, "to: l,", "to: ll,", 1)
		}
		got, err := EditList("p.yaml", ListEdit{List: "l", Add: c.add, Remove: c.remove}, memory(t, map[string]string{"p.yaml": src}))
		if c.wantError != "" {
			if err == nil || strings.Split(err.Error(), "\n")[0] != c.wantError {
				t.Errorf("%s: %v", c.what, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		if notes := strings.Join(got.Notes, "\n"); notes != c.notes {
			t.Errorf("%s: notes\n%s", c.what, notes)
		}
		want := strings.Replace(src, c.list, c.want, 1)
		switch {
		case c.want == "" && len(got.Files) > 0:
			t.Errorf("%s: changed to %q", c.what, got.Files[0].After)
		case c.want != "" && (len(got.Files) != 1 || string(got.Files[0].After) != want):
			t.Errorf("%s: %q", c.what, got.Files)
		}
	}
}

// A pin is changed where it is asked for, in every file that has one, and only
// the list file decides which.
func TestEditListPin(t *testing.T) {
	const sum = "F5E4B4B1D24C4F0D7E1DCC0AD5D9B1AC0B3D6DBB8F1F7D4C4A4A2BB5F0F2A1B3"
	files := map[string]string{
		"l.txt": "a.example\n",
		"p.yaml": "version: 1\ndestinations:\n  l: [{file: l.txt, sha256: 'SUM'}, b.example]\n  same: {file: ./l.txt, sha256: SUM, match: exact}\n" +
			"  two: [{file: l.txt}, {file: m.txt}]\nrules: [{name: block, from: any, to: [l, same, two], mode: deny}]\n",
		"m.txt": "",
	}
	files["p.yaml"] = strings.ReplaceAll(files["p.yaml"], "SUM", "5dd4b8ff7b4d5b2e1ccd5a6b4c4eac1f16a3a1cf2b7ff1ad7aef7bbb0d0ed0b3")
	_, err := LoadWith("p.yaml", memory(t, files))
	if err == nil {
		t.Fatal("the pin is right by chance")
	}
	_, is, _ := strings.Cut(err.Error(), "its SHA-256 is ")
	is = is[:len(sum)]
	files["p.yaml"] = strings.ReplaceAll(files["p.yaml"], "5dd4b8ff7b4d5b2e1ccd5a6b4c4eac1f16a3a1cf2b7ff1ad7aef7bbb0d0ed0b3", is)
	for _, c := range []struct {
		e    ListEdit
		want string
	}{
		{ListEdit{List: "l"}, `list "l" has entries in p.yaml and in the file l.txt: say which with --inline or --file l.txt`},
		{ListEdit{List: "l", File: "x.txt"}, `list "l" has no file x.txt: it has l.txt`},
		{ListEdit{List: "two"}, `list "two" has the files l.txt and m.txt: say which with --file`},
		{ListEdit{List: "l", File: "l.txt"}, `l.txt is pinned by its sha256 on line 3 of p.yaml: with --pin, that is changed too`},
	} {
		c.e.Add = []string{"c.example"}
		if _, err := EditList("p.yaml", c.e, memory(t, files)); err == nil || err.Error() != c.want {
			t.Errorf("%+v: %v", c.e, err)
		}
	}
	c, err := EditList("p.yaml", ListEdit{List: "l", File: "l.txt", Add: []string{"c.example"}, Pin: true}, memory(t, files))
	if err != nil || len(c.Files) != 2 || filepath.Base(c.Files[0].Path) != "l.txt" {
		t.Fatalf("%+v, %v", c, err)
	}
	files["l.txt"], files["p.yaml"] = string(c.Files[0].After), string(c.Files[1].After)
	if _, err := LoadWith("p.yaml", memory(t, files)); err != nil {
		t.Error(err)
	}
	if strings.Contains(files["p.yaml"], is) || !strings.Contains(files["p.yaml"], "sha256: '") {
		t.Errorf("%s", files["p.yaml"])
	}
	if _, err := EditList("p.yaml", ListEdit{List: "l", Inline: true, Add: []string{"c.example"}}, memory(t, files)); err != nil {
		t.Error(err)
	}
}

// What people are told of a list file is what the gateway makes of it.
func TestListTextIsWhatIsEnforced(t *testing.T) {
	words := []string{
		"a.example", "b.a.example", ".b.example", "c.b.example", "A.Example.", "bücher.example", "*.x.example", "192.0.2.1", "10.0.0.0/8", "2001:db8::1",
		"localhost", "ip6-x", "0.0.0.0", "a..b", "#", "# x", "x#y", "http://u.example/p", "u.example/p/", "-", "fe80::1%lo0", "\r", "\t", "1.2.3",
	}
	rnd := rand.New(rand.NewPCG(6, 18))
	for _, how := range []string{"", "match: exact", "format: hosts", "format: hosts, match: below", "format: cidr", "format: urls"} {
		for range 60 {
			var src strings.Builder
			for range rnd.IntN(12) {
				for range 1 + rnd.IntN(2)*rnd.IntN(3) {
					src.WriteString(words[rnd.IntN(len(words))] + " ")
				}
				src.WriteByte('\n')
			}
			files := map[string]string{"l.txt": src.String(), "p.yaml": "version: 1\ndestinations: {l: {file: l.txt, " + how + "}}\nrules: [{name: block, from: any, to: l, mode: deny}]\n"}
			if how == "" {
				files["p.yaml"] = strings.Replace(files["p.yaml"], ", }", "}", 1)
			}
			p, err := LoadWith("p.yaml", memory(t, files))
			if err != nil {
				t.Fatal(err)
			}
			lists, err := ReadLists("p.yaml", memory(t, files))
			if err != nil {
				t.Fatal(err)
			}
			l := lists[0].Files[0]
			var bad []string
			for _, d := range l.Notes {
				if d.Code == "L010" {
					bad = append(bad, fmt.Sprintf("%d %d %s", d.Line, d.Len, strings.TrimPrefix(d.Msg, "a bad line is left out: ")))
				}
			}
			told := ""
			for _, d := range p.Warnings() {
				if d.Code == "L010" {
					told = fmt.Sprintf("%d %d %s", d.Line, d.Len, d.Msg[strings.Index(d.Msg, ": ")+2:])
					if strings.HasPrefix(d.Msg, fmt.Sprint(l.Bad)) == (l.Bad == 1) {
						t.Errorf("%s\n%s: %d bad lines, told %s", src.String(), how, l.Bad, d.Msg)
					}
					told = strings.Replace(told, "the first: ", "", 1)
				}
			}
			if len(bad) != l.Bad || l.Bad > 0 && bad[0] != told || l.Bad == 0 && told != "" {
				t.Errorf("%s\n%s: %q, the policy says %q", src.String(), how, bad, told)
			}
			text := readListText([]byte(src.String()), l.Format, l.Match)
			for _, w := range words {
				h, err := parsePolicyHost(strings.TrimPrefix(w, "."))
				if err != nil || l.Format == "urls" {
					continue
				}
				k, err := text.key(h.String())
				if err != nil {
					continue
				}
				_, over := text.above(k)
				listed := text.first[k] > 0 || over > 0
				if match := p.Rules[0].to.has(h); match != listed {
					t.Errorf("%s\n%s: %s is listed: %v, matches: %v", src.String(), how, h, listed, match)
				}
			}
		}
	}
}

func TestReadListsKnowsWhatUsesThem(t *testing.T) {
	files := map[string]string{
		"p.yaml": `version: 1
destinations: {a: [x.example, b], b: y.example, c: z.example}
include: [{file: sub/in.yaml, within: {from: any, to: [a, b]}}]
rules: [{name: r1, from: any, to: a, mode: deny}, {name: r2, from: any, to: any, to_except: b, mode: deny}]
`,
		"sub/in.yaml": "version: 1\ndestinations: {d: {file: l.txt}}\nrules: [{name: r3, from: any, to: [b, d], mode: deny}]\n",
		"sub/l.txt":   "x.example\n",
	}
	lists, err := ReadLists("p.yaml", memory(t, files))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range lists {
		got = append(got, fmt.Sprintf("%s %s:%d %d %v %d %v", l.Name, l.Policy, l.Line, l.Entries, l.Lists, len(l.Files), l.Rules))
	}
	want := []string{
		"a p.yaml:2 1 [b] 0 [r1]",
		"b p.yaml:2 1 [] 0 [r1 r2 r3]",
		"c p.yaml:2 1 [] 0 []",
		"d sub/in.yaml:2 0 [] 1 [r3]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
