// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write anew what is generated: the keys in docs/policy.md, docs/policy-v1.json, testdata/examples/*.txt")

const docs = "../docs/policy.md"

// TestDocs keeps the list of keys in docs/policy.md what the decoder reads.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(page), "-update -->\n")
	_, after, ok2 := strings.Cut(rest, "<!-- keys end -->")
	if !ok1 || !ok2 {
		t.Fatal("the marks of the generated part are gone")
	}
	var b strings.Builder
	writeSyntaxes(&b)
	writeSection(&b, policySection, make(map[*section]bool))
	want := before + "-update -->\n" + b.String() + "<!-- keys end -->" + after
	if *update {
		if err := os.WriteFile(docs, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(page) {
		t.Error("docs/policy.md does not list the keys the decoder reads: run go test ./policy -run TestDocs -update")
	}
}

// writeSyntaxes says how the kinds of texts are written that the tables of
// keys name.
func writeSyntaxes(b *strings.Builder) {
	fmt.Fprint(b, "\n| value | is written |\n|---|---|\n")
	told := make(map[*syntax]bool)
	var tell func(*section)
	tell = func(s *section) {
		for _, k := range s.keys {
			for v := &k.value; v != nil; v = v.each {
				if x := v.syntax; x != nil && x.hint != "" && x != filledSyntax && !told[x] {
					told[x] = true
					fmt.Fprintf(b, "| %s | %s |\n", x.name, strings.NewReplacer("write it as ", "", "write them as ", "", "write ", "").Replace(x.hint))
				}
				if v.section != nil {
					tell(v.section)
				}
			}
		}
	}
	tell(policySection)
}

func writeSection(b *strings.Builder, s *section, done map[*section]bool) {
	if done[s] {
		return
	}
	done[s] = true
	fmt.Fprintf(b, "\n### In %s\n\n| key | value | |\n|---|---|---|\n", s.title)
	for i := range s.keys {
		k := &s.keys[i]
		about := k.about()
		if k.def != "" {
			about = strings.Replace(about, "default "+k.def, "default `"+k.def+"`", 1)
		}
		if k.required {
			about = "*required*; " + about
		}
		if k.pending != "" {
			about = strings.Replace(about, k.pending, "*"+k.pending+"*", 1)
		}
		if k.example != "" {
			about += "; as in `" + k.example + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", k.name, k.value, strings.ReplaceAll(about, "|", "\\|"))
	}
	for _, k := range s.keys {
		if k.section != nil {
			writeSection(b, k.section, done)
		}
		if k.each != nil && k.each.section != nil {
			writeSection(b, k.each.section, done)
		}
	}
}

func (v value) String() string {
	var parts []string
	add := func(part string, yes bool) {
		if yes {
			parts = append(parts, part)
		}
	}
	switch {
	case v.words != nil:
		add("`"+strings.Join(v.words, "`, `")+"`", true)
	case v.form&names != 0:
		return "name → " + v.each.String()
	case v.syntax != nil:
		add(v.syntax.name, true)
	default:
		add("text", v.form&text != 0)
		add("number", v.form&number != 0)
	}
	add("true or false", v.form&boolean != 0)
	if v.form&mapping != 0 {
		add(fmt.Sprintf("[section](#in-%s)", strings.ReplaceAll(v.section.title, " ", "-")), true)
	}
	add("list", v.form&list != 0)
	return strings.Join(parts, ", ")
}

// TestDocsCodes keeps the list of codes in docs/policy.md what codes.go has.
func TestDocsCodes(t *testing.T) {
	page, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- codes begin: made from policy/codes.go by go test ./policy -run TestDocs -update -->\n", "<!-- codes end -->"
	before, rest, ok1 := strings.Cut(string(page), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatal("the marks of the generated part are gone")
	}
	var b strings.Builder
	b.WriteString("| code | what is wrong |\n|---|---|\n")
	for _, c := range Codes() {
		fmt.Fprintf(&b, "| %s | %s |\n", c.Name, c.Text)
	}
	want := before + begin + b.String() + end + after
	if *update {
		if err := os.WriteFile(docs, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(page) {
		t.Error("docs/policy.md does not list the codes of codes.go: run go test ./policy -run TestDocs -update")
	}
}

// Every code the package can report stands in codes.go, means one thing, and
// is shown by a refused file.
func TestEveryCodeIsExplained(t *testing.T) {
	code := regexp.MustCompile(`\b[PLU]\d{3}\b`)
	used := make(map[string]bool)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(f, "_test.go") && f != "codes.go" {
			for _, c := range code.FindAllString(string(src), -1) {
				used[c] = true
			}
		}
	}
	explained := make(map[string]bool)
	for _, c := range Codes() {
		if explained[c.Name] || !code.MatchString(c.Name) || c.Text == "" {
			t.Errorf("%s is explained twice, or not at all", c.Name)
		}
		explained[c.Name] = true
	}
	if a, b := slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(explained)); !slices.Equal(a, b) {
		t.Errorf("used         %q\nin codes.go  %q", a, b)
	}

	shown := make(map[string]bool)
	files, err = filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^# \d+:\d+: error\[(P\d{3})\]`).FindAllStringSubmatch(string(src), -1) {
			shown[m[1]] = true
		}
	}
	elsewhere := []string{"P002", "P005"} // TestTooLarge, the script policy_errors
	for c := range used {
		if c[0] == 'P' && !shown[c] && !slices.Contains(elsewhere, c) {
			t.Errorf("no file in testdata/bad shows %s", c)
		}
	}
}

// Policies in the documentation load.
func TestExamplesInDocs(t *testing.T) {
	page, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(examples) == 0 {
		t.Fatal("no examples")
	}
	for _, e := range examples {
		p := mustParse(t, e[1])
		if u := p.Unsupported(); len(u) > 0 {
			t.Errorf("%v", u)
		}
	}
}
