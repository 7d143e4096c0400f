// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func draft(text string) *Draft { return ReadDraft("p.yaml", []byte(text), "testdata/good", ReadFile) }

// at is the text without its mark ^, and the place of it.
func at(t *testing.T, text string) (string, int, int) {
	t.Helper()
	before, after, ok := strings.Cut(text, "^")
	if !ok {
		t.Fatalf("no mark in %q", text)
	}
	line := before[strings.LastIndexByte(before, '\n')+1:]
	return before + after, strings.Count(before, "\n") + 1, len([]rune(line)) + 1
}

func goodPolicies(t testing.TB) []string {
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	return slices.DeleteFunc(files, func(f string) bool { return filepath.Base(f) == "included.yaml" }) // no policy of its own
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	src, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// What an editor shows is what check tells.
func TestDraftTellsWhatCheckTells(t *testing.T) {
	for _, f := range policyFiles(t) {
		d := ReadDraft(f, read(t, f), filepath.Dir(f), ReadFile)
		var want []Diagnostic
		p, err := Load(f)
		if err != nil {
			want = err.(*Error).Diagnostics
		} else {
			want = p.Warnings()
		}
		if !slices.Equal(d.Diagnostics, want) || (d.Policy == nil) != (p == nil) {
			t.Errorf("%s: %v, want %v", f, d.Diagnostics, want)
		}
	}
}

func TestDraftTooLarge(t *testing.T) {
	d := draft(strings.Repeat("# a comment\n", maxFile/12+1))
	if len(d.Diagnostics) != 1 || d.Diagnostics[0].Code != "P002" {
		t.Fatal(d.Diagnostics)
	}
	if _, c := d.Complete(1, 1); c != nil || d.Names() != nil || d.Symbols() != nil || d.Verdicts() != nil {
		t.Error("something is known of it")
	}
}

// Every name of every good policy can be renamed; the policy loads and decides
// its tests as before, and renaming back gives the same bytes.
func TestRenameThereAndBack(t *testing.T) {
	for _, f := range goodPolicies(t) {
		src := read(t, f)
		d := ReadDraft(f, src, filepath.Dir(f), ReadFile)
		if d.Policy == nil {
			t.Fatalf("%s: %v", f, d.Diagnostics)
		}
		renamed := 0
		for _, n := range d.Names() {
			if !n.Defines {
				continue
			}
			edits, err := d.Rename(n.Span.Line, n.Span.Col, "fresh-name")
			if err != nil {
				if !strings.Contains(err.Error(), "included.yaml:8:") { // which refers to it
					t.Fatalf("%s: %v: %v", f, n, err)
				}
				continue
			}
			if len(edits) != len(d.Same(n)) {
				t.Errorf("%s: %s %q: %d edits, stands in %d places", f, n.Kind, n.Text, len(edits), len(d.Same(n)))
			}
			after := ReadDraft(f, d.Apply(edits), filepath.Dir(f), ReadFile)
			if after.Policy == nil {
				t.Fatalf("%s: after renaming %q: %v", f, n.Text, after.Diagnostics)
			}
			for i, r := range after.Results {
				if b := d.Results[i]; r.Got != b.Got || strings.ReplaceAll(r.Rule, "fresh-name", n.Text) != b.Rule {
					t.Errorf("%s: after renaming %q: %v, before %v", f, n.Text, r, b)
				}
			}
			back, err := after.Rename(edits[0].Line, edits[0].Col, n.Text)
			if err != nil {
				t.Fatalf("%s: back to %q: %v", f, n.Text, err)
			}
			if !bytes.Equal(after.Apply(back), src) {
				t.Errorf("%s: %q renamed there and back is another file", f, n.Text)
			}
			renamed++
		}
		if renamed < 5 {
			t.Errorf("%s: %d names only", f, renamed)
		}
	}
}

const small = `version: 1
clients:
  lan: [10.0.0.0/8]
  "büro": [lan]
  office: [lan, 10.9.0.0/16, {user: eva}]
destinations: {saas: [.a.example, b.example], all: [saas]}
origins: {bank: {min_tls: "1.3"}}
schedules: {work: {days: mon-fri, hours: "07:00-19:00"}}
limits: {slow: {rate: 5/s}}
rules:
  - {name: one, from: [lan, office], from_except: office, to: all, to_except: [saas, c.example], mode: originate, origin: bank, schedule: work, limits: slow}
  - name: two
    from: any
    to: any
    mode: deny
tests:
  - as: {ip: 10.0.0.1}
    deny: {request: "http://x.example/", rule: two}
`

func TestRenameRefusals(t *testing.T) {
	for _, tt := range []struct{ old, mark, to, want string }{
		{"lan:", "l^an:", "office", `client group "office" is defined on line 5 already`},
		{"lan:", "l^an:", "any", `"any" is not a name: names are lower-case letters, digits, - and _, begin with a letter and have at most 64 characters; any is taken`},
		{"lan:", "l^an:", "a b", `"a b" is not a name: names are lower-case letters, digits, - and _, begin with a letter and have at most 64 characters; any is taken`},
		{"lan:", "l^an:", "", `"" is not a name: names are lower-case letters, digits, - and _, begin with a letter and have at most 64 characters; any is taken`},
		{"version", "ver^sion", "x", "there is no name here that could be changed"},
		{"10.9.0.0", "10^.9.0.0", "x", "there is no name here that could be changed"},
		{"from: [lan, office]", "from: [l^an, nobody]", "nobody", `client group "nobody" is referred to on line 11 already`},
		{"name: two", "name: t^wo", "null", `rule "two" cannot be called "null": `},
	} {
		text, line, col := at(t, strings.Replace(small, tt.old, tt.mark, 1))
		edits, err := draft(text).Rename(line, col, tt.to)
		if err == nil || edits != nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s to %q: %v, want %s", tt.mark, tt.to, err, tt.want)
		}
	}
}

func TestNamesAndPlaces(t *testing.T) {
	for _, tt := range []struct {
		mark  string // replaces its text without ^
		want  string
		lines []int
	}{
		{"[l^an, office]", "client group lan", []int{3, 4, 5, 11}},
		{"from_except: ^office", "client group office", []int{5, 11, 11}},
		{"to: all^", "destination list all", []int{6, 11}},
		{"to_except: [s^aas", "destination list saas", []int{6, 6, 11}},
		{"origin: ba^nk", "origin bank", []int{7, 11}},
		{"schedule: w^ork", "schedule work", []int{8, 11}},
		{"limits: s^low", "limits slow", []int{9, 11}},
		{"rule: tw^o", "rule two", []int{12, 18}},
		{`"bü^ro"`, "client group büro", []int{4}},
		{"from: a^ny", "", nil},
		{"c.ex^ample", "", nil},
	} {
		text, line, col := at(t, strings.Replace(small, strings.Replace(tt.mark, "^", "", 1), tt.mark, 1))
		if text != small {
			t.Fatalf("%s is not in the policy", tt.mark)
		}
		d := draft(text)
		n, ok := d.NameAt(line, col)
		if !ok {
			if tt.want != "" {
				t.Errorf("%s: nothing", tt.mark)
			}
			continue
		}
		var lines []int
		for _, o := range d.Same(n) {
			lines = append(lines, o.Span.Line)
		}
		if got := n.Kind.String() + " " + n.Text; got != tt.want || !slices.Equal(lines, tt.lines) {
			t.Errorf("%s: %s on %v, want %s on %v", tt.mark, got, lines, tt.want, tt.lines)
		}
	}
}

func labels(cs []Completion) string {
	var out []string
	for _, c := range cs {
		out = append(out, c.Label)
	}
	return strings.Join(out, " ")
}

// In each text something is being written at the mark. Most are not YAML.
func TestComplete(t *testing.T) {
	const head = "version: 1\nclients:\n  lan: 10.0.0.0/8\n  office: [lan]\ndestinations: {saas: .a.example, ads: b.example}\norigins: {bank: {}}\nschedules:\n  work: {days: mon, hours: \"01:00-02:00\"}\nlimits: {slow: {}}\n"
	ruleKeys := strings.Join(ruleSection.names(), " ")
	without := func(all string, keys ...string) string {
		return strings.Join(slices.DeleteFunc(strings.Fields(all), func(k string) bool { return slices.Contains(keys, k) }), " ")
	}
	for _, tt := range []struct{ name, text, want string }{
		{"a value", "rules:\n  - name: a\n    from: ^", "any lan office"},
		{"a value begun", "rules:\n  - name: a\n    from: l^", "any lan office"},
		{"in a list that is open", "rules:\n  - name: a\n    from: [lan, ^\n    to: any\n", "any office"},
		{"in a list that is closed", "rules:\n  - name: a\n    from: [lan, ^]\n    to: any\n", "any office"},
		{"in a list of lines", "rules:\n  - name: a\n    from_except:\n      - lan\n      - ^\n    to: any\n", "office"},
		{"in a list beneath its key", "rules:\n- name: a\n  from_except:\n  - lan\n  - ^\n  to: any\n", "office"},
		{"in a flow rule", "rules:\n  - {name: a, from: lan, to: ^", "any saas ads"},
		{"in a flow rule, before others", "rules:\n  - {name: a, to: ^, from: lan}\n  - {name: b}\n", "any saas ads"},
		{"origin", "rules:\n  - name: a\n    origin: ^\n    to: any\n", "bank"},
		{"schedule", "rules:\n  - name: a\n    schedule: ^", "work"},
		{"limits", "rules:\n  - name: a\n    limits: ^", "slow"},
		{"mode", "rules:\n  - name: a\n    mode: [tunnel, ^]", "deny intercept originate relay"},
		{"true or false", "rules:\n  - name: a\n    audit: ^", "true false"},
		{"ports", "rules:\n  - name: a\n    ports: ^", "any"},
		{"a key", "rules:\n  - name: a\n    from: any\n    ^\n    to: any\n", without(ruleKeys, "name", "from", "to")},
		{"a key begun", "rules:\n  - name: a\n    fr^\n    to: any\n", without(ruleKeys, "name", "to")},
		{"the first key", "rules:\n  - ^\n", ruleKeys},
		{"a flow key", "rules:\n  - {name: a, ^}\n", without(ruleKeys, "name")},
		{"a key of a section", "rules:\n  - name: a\n    tunnel:\n      ^\n", strings.Join(tunnelSection.names(), " ")},
		{"a key of a flow section", "rules:\n  - name: a\n    tunnel: {sni: any, ^", without(strings.Join(tunnelSection.names(), " "), "sni")},
		{"a top key", "^\nrules: []", "description never_intercept contact direct mappings tests include"},
		{"a word of a section", "rules:\n  - name: a\n    tunnel: {sni: ^}", "match any"},
		{"a quoted word", "rules:\n  - name: a\n    origin: {min_tls: \"^\"}", "1.2 1.3"},
		{"a name of one's own", "rules:\n  - name: ^", ""},
		{"a free text", "description: ^", ""},
		{"a group in a group", "tests:\n  - as: {^}", "ip user group cert claim tls"},
		{"a rule in a test", "rules: [{name: one}, {name: two}]\ntests:\n  - deny: {request: x, rule: ^}", "one two"},
		{"in a comment", "rules: # ^", ""},
	} {
		text, line, col := at(t, head+tt.text)
		_, got := draft(text).Complete(line, col)
		if labels(got) != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, labels(got), tt.want)
		}
	}

	for _, tt := range []struct{ text, want string }{
		{"^", "version description clients destinations never_intercept origins schedules contact direct limits mappings rules tests include"},
		{"ver^", "version description clients destinations never_intercept origins schedules contact direct limits mappings rules tests include"},
		{"version: 1\nclients:\n  lan: 10.0.0.0/8\n  office: [^]\n", "lan"},
		{"version: 1\nclients:\n  lan:\n    - 10.0.0.0/8\n  office:\n    - ^\n", "lan " + strings.Join(clientSection.names(), " ")},
		{"version: 1\ndestinations:\n  a: x.example\n  b: {file: x, format: ^", "domains hosts cidr urls"},
	} {
		text, line, col := at(t, tt.text)
		_, got := draft(text).Complete(line, col)
		if labels(got) != tt.want {
			t.Errorf("%q: %s, want %s", tt.text, labels(got), tt.want)
		}
	}
}

// What completion offers for a word replaces the whole of it, and brings no
// second colon.
func TestCompleteReplacesTheWord(t *testing.T) {
	text, line, col := at(t, "version: 1\nrules:\n  - name: a\n    fr^om: any\n    origin: {min_tls: ^^}")
	text = strings.ReplaceAll(text, "^", "")
	word, got := draft(text).Complete(line, col)
	if want := (Span{4, 5, 4}); word != want || !slices.ContainsFunc(got, func(c Completion) bool { return c.Text == "from_except" }) {
		t.Errorf("%v %v", word, got)
	}
	_, got = draft(text).Complete(5, 23)
	if len(got) != 2 || got[0].Text != `"1.2"` {
		t.Errorf("%v", got)
	}
}

func TestHelp(t *testing.T) {
	for _, tt := range []struct{ mark, want string }{
		{"o^ffice:", `client group "office" || lan; 10.9.0.0/16; {user: eva}`},
		{"from_except: off^ice", `client group "office" || lan; 10.9.0.0/16; {user: eva}`},
		{"origin: ba^nk", `origin "bank" || {min_tls: 1.3}`},
		{"schedule: w^ork", `schedule "work" || {days: mon-fri, hours: 07:00-19:00}`},
		{"rule: t^wo", `rule "two" | deny from any to any | `},
		{"mo^de: deny", "mode | what to do; at most one of tunnel and intercept and one of originate and relay | deny, tunnel, intercept, originate, relay; required"},
		{"http://x^.example/", `http://x.example/ | deny by rule "two" (line 12) | `},
		{"from: a^ny", ""},
	} {
		text, line, col := at(t, strings.Replace(small, strings.Replace(tt.mark, "^", "", 1), tt.mark, 1))
		h, ok := draft(strings.ReplaceAll(text, "büro", "buro")).Help(line, col)
		got := ""
		if ok {
			got = fmt.Sprintf("%s | %s | %s", h.Title, h.Doc, strings.Join(h.Lines, "; "))
		}
		if got != strings.Replace(tt.want, "||", "|  |", 1) {
			t.Errorf("%s: %s, want %s", tt.mark, got, tt.want)
		}
	}
}

func TestSymbolsAndVerdicts(t *testing.T) {
	d := draft(small + "  - name: wrong\n    as: {ip: 10.0.0.1}\n    deny: http://y.example/\n    tunnel: [CONNECT z.example:443]\n")
	var got []string
	for _, s := range d.Symbols() {
		got = append(got, fmt.Sprintf("%s %d-%d", s.Name, s.Span.Line, s.Last))
		for _, c := range s.Children {
			got = append(got, fmt.Sprintf("  %s %d-%d", c.Name, c.Span.Line, c.Last))
		}
	}
	want := "clients 2-5|  lan 3-3|  büro 4-4|  office 5-5|destinations 6-6|  saas 6-6|  all 6-6|origins 7-7|  bank 7-7|schedules 8-8|  work 8-8|limits 9-9|  slow 9-9|" +
		"rules 10-15|  one 11-11|  two 12-15|tests 16-22|  1 17-18|  wrong 19-22"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("%s\nwant %s", s, want)
	}
}

// Each fix that is offered settles what it is offered for.
func TestFixesSettle(t *testing.T) {
	fixed := make(map[string]int)
	for _, f := range policyFiles(t) {
		src := read(t, f)
		d := ReadDraft(f, src, filepath.Dir(f), ReadFile)
		for _, diag := range d.Diagnostics {
			for _, fix := range diag.Fixes() {
				after := ReadDraft(f, d.Apply([]Edit{fix.Edit}), filepath.Dir(f), ReadFile)
				i := slices.IndexFunc(after.Diagnostics, func(o Diagnostic) bool { return o.Line == diag.Line && o.Col == diag.Col && o.Code == diag.Code })
				if i >= 0 {
					t.Errorf("%s: %q: still %v", f, fix.Title, after.Diagnostics[i])
				}
				fixed[diag.Code]++
			}
		}
	}
	for _, code := range []string{"P010", "P020", "P021", "P023", "P030", "P074"} {
		if fixed[code] == 0 {
			t.Errorf("nothing with a fix for %s (%v)", code, fixed)
		}
	}
}

func TestFixesOfHostBits(t *testing.T) {
	d := draft("version: 1\nrules:\n  - {name: a, from: \"10.1.2.3/8\", to: any, mode: tunnel}\n")
	if len(d.Diagnostics) != 1 {
		t.Fatal(d.Diagnostics)
	}
	var got []string
	for _, fix := range d.Diagnostics[0].Fixes() {
		got = append(got, fmt.Sprint(fix))
	}
	want := []string{`{Change to 10.0.0.0/8 {{3 21 12} "10.0.0.0/8"}}`, `{Change to 10.1.2.3 {{3 21 12} "10.1.2.3"}}`}
	if !slices.Equal(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}

// Large texts that are broken are sketched in one pass, and nest no deeper than
// the stack allows; with the square of their length, some would take minutes.
func TestSketchOfLargeTexts(t *testing.T) {
	const large = maxFile / 8
	for _, text := range []string{
		strings.Repeat("[", large), strings.Repeat("{a: ", large/4), strings.Repeat("- ", large/2),
		"a: b\n" + strings.Repeat("  c\n", large/4), "a: \"b\n" + strings.Repeat("  'c\n", large/5),
		"a: {" + strings.Repeat("b: [c, ", large/7), "a: [" + strings.Repeat("'b', \"c\", ", large/10), strings.Repeat("a:\n", large/3),
		strings.Repeat("- a: [b\n", large/8), "a: [b,\n" + strings.Repeat("# c\n", large/4), strings.Repeat("\"\n", large/2), strings.Repeat("- 'a\n", large/5),
	} {
		tree := sketch(splitLines([]byte(text)))
		if tree == nil {
			t.Errorf("nothing of %.20q", text)
		}
		namesIn(tree)
	}
}

// Whatever the text is, nothing panics or hangs, at any place.
func FuzzDraft(f *testing.F) {
	for _, name := range policyFiles(f) {
		f.Add(read(f, name), uint16(100))
	}
	f.Add([]byte("a: [{\n- b: 'c\n d: \"\n}"), uint16(3))
	f.Fuzz(func(t *testing.T, src []byte, place uint16) {
		if len(src) <= 4<<10 {
			useDraft(t, src, int(place>>8), int(place&255))
		}
	})
}

func useDraft(t *testing.T, src []byte, line, col int) {
	t.Helper()
	d := ReadDraft("p.yaml", src, "/nowhere", ReadFile)
	d.Complete(line, col)
	d.Help(line, col)
	d.Symbols()
	d.Verdicts()
	if n, ok := d.NameAt(line, col); ok {
		edits, err := d.Rename(line, col, "other")
		if err == nil && n.Text != "other" && bytes.Equal(d.Apply(edits), src) {
			t.Errorf("renaming %v changed nothing", n)
		}
	}
	for _, diag := range d.Diagnostics {
		diag.Fixes()
	}
}

// The same with policies that are damaged as hands damage them.
func TestDraftsOfDamagedPolicies(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	files := policyFiles(t)
	scraps := []string{" ", "  ", "\n", ":", ": ", "- ", "[", "]", "{", "}", "\"", "'", "#", " #", ",", "|", ">", "\t", "any", "\r", "---\n", "é", "&", "*", "!"}
	for range 100 {
		src := read(t, files[rng.IntN(len(files))])
		for range rng.IntN(4) + 1 {
			i := rng.IntN(len(src) + 1)
			switch rng.IntN(3) {
			case 0:
				src = slices.Delete(src, i, min(len(src), i+rng.IntN(20)))
			case 1:
				src = slices.Insert(src, i, []byte(scraps[rng.IntN(len(scraps))])...)
			case 2:
				lines := bytes.SplitAfter(src, []byte("\n"))
				a, b := rng.IntN(len(lines)), rng.IntN(len(lines))
				lines[a], lines[b] = lines[b], lines[a]
				src = bytes.Join(lines, nil)
			}
		}
		useDraft(t, src, rng.IntN(60), rng.IntN(60))
	}
}
