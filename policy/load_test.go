// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

func TestGood(t *testing.T) {
	for name, want := range map[string][]string{ // what is said about the file, L011 left out
		"small-office.yaml":  nil,
		"everything.yaml":    nil,
		"lists.yaml":         {"testdata/good/lists/damaged.txt:2:1: warning[L010]: 2 bad lines are left out; the first: more than one word"},
		"agent-sandbox.yaml": nil,
		"corporate.yaml": {
			"30:12: L012", "35:12: L012",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustLoad(t, "testdata/good/"+name)
			var got []string
			for _, d := range p.Warnings() {
				switch {
				case d.Code == "L011": // depends on when the file was checked out
				case strings.HasSuffix(d.File, ".yaml"):
					got = append(got, fmt.Sprintf("%d:%d: %s", d.Line, d.Col, d.Code))
				default:
					got = append(got, d.Error())
				}
				if d.Severity != SeverityWarning {
					t.Errorf("%v is an error, and the policy loaded", d)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			pending := slices.IndexFunc(p.Warnings(), func(d Diagnostic) bool { return d.Code[0] == 'U' }) >= 0
			if pending != (len(p.Unsupported()) > 0) {
				t.Errorf("Unsupported has %d entries", len(p.Unsupported()))
			}
		})
	}
}

// Each testdata/bad/*.yaml begins with the errors it has, one comment a line.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatal(len(files), err)
	}
	expected := regexp.MustCompile(`^# (\d+:\d+: .*)$`)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.SplitSeq(string(src), "\n") {
				m := expected.FindStringSubmatch(line)
				if m == nil {
					break
				}
				want = append(want, m[1])
			}
			p, err := Load(file)
			var e *Error
			if !errors.As(err, &e) || p != nil {
				t.Fatalf("loaded as %v, %v", p, err)
			}
			var got []string
			for _, d := range e.Diagnostics {
				got = append(got, fmt.Sprintf("%d:%d: %s[%s]: %s", d.Line, d.Col, d.Severity, d.Code, d.Msg))
			}
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("got\n# %s\nwant\n# %s", strings.Join(got, "\n# "), strings.Join(want, "\n# "))
			}
		})
	}
}

func TestDiagnosticString(t *testing.T) {
	_, err := Parse("bad.yaml", []byte(`version: 1
clients:
  staff: {gruop: staff, cidr: 10.0.0.0/33}
  kůň:	{user: "žluťoučký", cidr: 10.0.0.0/40}
rules: []
`), ".")
	want := `bad.yaml:3:11: error[P021]: unknown key "gruop" in a client group
    3 |   staff: {gruop: staff, cidr: 10.0.0.0/33}
      |           ^^^^^
      = help: did you mean "group"?
bad.yaml:3:31: error[P041]: "10.0.0.0/33" is not a network: prefix length out of range
    3 |   staff: {gruop: staff, cidr: 10.0.0.0/33}
      |                               ^^^^^^^^^^^
bad.yaml:4:3: error[P024]: "kůň" is not a name
    4 |   kůň:	{user: "žluťoučký", cidr: 10.0.0.0/40}
      |   ^^^
      = help: names are lower-case letters, digits, - and _, and begin with a letter; any is taken
bad.yaml:4:34: error[P041]: "10.0.0.0/40" is not a network: prefix length out of range
    4 |   kůň:	{user: "žluťoučký", cidr: 10.0.0.0/40}
      |       	                          ^^^^^^^^^^^`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestEverythingIsRead(t *testing.T) {
	p := mustLoad(t, "testdata/good/everything.yaml")
	rule := func(name string) *Rule {
		i := slices.IndexFunc(p.Rules, func(r *Rule) bool { return r.Name == name })
		if i < 0 {
			t.Fatalf("no rule %s", name)
		}
		return p.Rules[i]
	}
	r := rule("tunnels")
	want := TunnelOptions{AnySNI: true, HiddenName: true, OptionalTLS: true, ALPN: []string{"h2"}, Idle: 90 * time.Second, MaxDuration: 8 * time.Hour, MaxBytes: 1 << 30}
	if fmt.Sprint(r.Tunnel) != fmt.Sprint(want) {
		t.Errorf("tunnel options %+v, want %+v", r.Tunnel, want)
	}
	if r.Log != LogNone || !r.RedirectPlain || !r.AllowPrivate || r.Line != 44 {
		t.Errorf("rule %+v", r)
	}
	if b := rule("bank"); b.Log != LogFull || b.Origin == nil || b.Origin.Name != "bank" || b.Origin.SNI != "api.xn--bcher-kva.example" ||
		b.Origin.Port != 8443 || b.Origin.MinTLS != 0x0304 || b.Origin.MaxTLS != 0x0304 || b.Origin.VerifyName != "inner.xn--bcher-kva.example" ||
		b.Origin.Revocation != RevocationRequire || !b.Origin.AIA || b.Origin.FetchKey() != "10.20.0.0/16,192.168.7.7/32" || len(b.Origin.Pins) != 1 || b.Origin.ClientCert.Secret != "acme-at-bank" ||
		!slices.Equal(b.Origin.ALPN, []string{"h2", "http/1.1"}) {
		t.Errorf("rule bank with origin %+v", b.Origin)
	}
	if d := rule("no-plain").Deny; d.Status != 451 || d.Message != "No ({rule})." {
		t.Errorf("deny options %+v", d)
	}
	var origins []string
	for _, o := range p.Origins {
		origins = append(origins, o.Name)
	}
	if !slices.Equal(origins, []string{"bank", "rule/inline"}) {
		t.Errorf("origins %q", origins)
	}
	if got := rule("tunnels").Summary(); got != "tunnel from lan, 192.0.2.8 except 10.9.0.0/16 to names, nets, globs, .direct.example except malware, www.example.com, ports 443, 8000-8099, schedule office, until 2030-12-31" {
		t.Errorf("summary %q", got)
	}
}

func TestClientCertFiles(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"both.pem", "c.pem", "k.pem", "roots.pem"} {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Parse("p.yaml", []byte(`
version: 1
origins:
  one: {client_cert: both.pem, roots: [roots.pem, ./sub/../roots.pem]}
  two: {client_cert: {cert: c.pem, key: k.pem}}
rules: []
`), dir)
	if err != nil {
		t.Fatal(err)
	}
	one, two := p.Origins[0], p.Origins[1]
	both := filepath.Join(dir, "both.pem")
	if *one.ClientCert != (ClientCert{Cert: both, Key: both}) {
		t.Errorf("one file: %+v", one.ClientCert)
	}
	if *two.ClientCert != (ClientCert{Cert: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "k.pem")}) {
		t.Errorf("two files: %+v", two.ClientCert)
	}
	if root := filepath.Join(dir, "roots.pem"); !slices.Equal(one.Roots, []string{root, root}) {
		t.Errorf("roots %q", one.Roots)
	}
	if w := p.Warnings(); len(w) != 0 {
		t.Errorf("warnings %v", w)
	}
}

func TestFilesAndRevision(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "p.yaml")
	write("p.yaml", "version: 1\ndestinations: {a: {file: b.txt}, c: {file: a.txt}}\nrules: []\n")
	write("a.txt", "one.example\n")
	write("b.txt", "two.example\n")
	p := mustLoad(t, file)
	if want := []string{file, filepath.Join(dir, "a.txt"), filepath.Join(dir, "b.txt")}; !slices.Equal(p.Files(), want) {
		t.Errorf("files %q, want %q", p.Files(), want)
	}
	seen := map[string]string{p.Revision: "the first"}
	if again := mustLoad(t, file); again.Revision != p.Revision || len(p.Revision) != 64 {
		t.Errorf("revisions %q and %q of one content", p.Revision, again.Revision)
	}
	for _, change := range []struct{ what, name, text string }{
		{"another list", "a.txt", "three.example\n"},
		{"lists that change places", "b.txt", "one.example\n"},
		{"a comment", "p.yaml", "# x\nversion: 1\ndestinations: {a: {file: b.txt}, c: {file: a.txt}}\nrules: []\n"},
	} {
		write(change.name, change.text)
		rev := mustLoad(t, file).Revision
		if before, ok := seen[rev]; ok {
			t.Errorf("%s has the revision of %s", change.what, before)
		}
		seen[rev] = change.what
	}
}

func TestOldListIsToldAbout(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "l.txt")
	if err := os.WriteFile(list, []byte("a.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	src := []byte("version: 1\ndestinations: {a: {file: l.txt, max_age: 2d}}\nrules: []\n")
	for _, c := range []struct {
		age  time.Duration
		want int
	}{{time.Hour, 0}, {72 * time.Hour, 1}} {
		then := time.Now().Add(-c.age)
		if err := os.Chtimes(list, then, then); err != nil {
			t.Fatal(err)
		}
		p, err := Parse("p.yaml", src, dir)
		if err != nil {
			t.Fatal(err)
		}
		if w := p.Warnings(); len(w) != c.want || c.want == 1 && w[0].Code != "L011" {
			t.Errorf("%v old: %v", c.age, w)
		}
	}
}

func TestStarter(t *testing.T) {
	p := Starter()
	if w := p.Warnings(); len(w) != 0 {
		t.Errorf("warnings %v", w)
	}
	if tests, requests := p.Tests(); tests != 4 || requests < 15 {
		t.Errorf("%d tests with %d requests", tests, requests)
	}
	if len(p.Files()) != 0 {
		t.Errorf("files %q", p.Files())
	}
	src := StarterSource()
	src[0] = 'X'
	if !bytes.HasPrefix(StarterSource(), []byte("# ")) {
		t.Error("the source can be changed by who gets it")
	}
}

func TestByteOrderMarkAndCRLF(t *testing.T) {
	p := mustParse(t, "\ufeffversion: 1\r\nrules:\r\n  - {name: a, from: any, to: 10.1.2.3/8, mode: deny}\r\n")
	w := p.Warnings()
	if len(w) != 1 || w[0].Line != 3 || w[0].Col != 30 || strings.ContainsAny(w[0].Source, "\r\ufeff") {
		t.Errorf("warnings %q", w)
	}
}

// The parser has not been seen to drop text; if a later version does, the
// policy must not load without it.
func TestTextThatBelongsToNothing(t *testing.T) {
	const src = "version: 1\nrules: []\n"
	r := newReporter("p.yaml", []byte(src))
	c := converter{reporter: r, used: make(map[*token.Token]bool)}
	tokens := lexer.Tokenize(src)
	c.used[tokens[0]], c.used[tokens[2]] = true, true
	if c.leftovers(tokens); len(r.found) != 1 || r.found[0].Line != 2 || !strings.Contains(r.found[0].Msg, `"rules" belongs to nothing`) {
		t.Errorf("found %v", r.found)
	}
}

func TestTooLarge(t *testing.T) {
	file := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(file, bytes.Repeat([]byte("#\n"), maxFile), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "P002") {
		t.Errorf("got %v", err)
	}
}

// FuzzParse feeds the whole reader. A policy that loads must answer anything,
// and everything said about one that does not must have its place in it.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml", "testdata/decide/*.yaml"} {
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
	q, err := ParseRequest("POST https://www.example.com/a/../b%2Fc")
	if err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, src []byte) {
		if bytes.Contains(src, []byte("file")) {
			return // must not open what a fuzzer names, such as /dev/zero
		}
		p, err := Parse("fuzz.yaml", src, dir)
		var e *Error
		switch {
		case err == nil:
			e := p.Explain(q)
			if d := p.outcome(q); d != e.Decision() {
				t.Fatalf("decided %v, explained %v", d, e.Decision())
			}
			_ = e.String()
		case !errors.As(err, &e) || len(e.Diagnostics) == 0 || p != nil:
			t.Fatalf("%v, %v", p, err)
		default:
			lines := splitLines(src)
			for _, d := range e.Diagnostics {
				if d.Line < 1 || d.Line > len(lines) || d.Col < 1 || d.Code == "" || d.Msg == "" {
					t.Fatalf("%+v", d)
				}
			}
		}
	})
}

func TestIncludedFileCounts(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const rules = "version: 1\ndestinations: {l: {file: ../l.txt}}\nrules: [{name: r, from: any, to: l, mode: originate}]\n"
	write("p.yaml", "version: 1\ninclude: {file: sub/q.yaml, within: {from: any, to: .x.example}}\nrules: [{name: a, from: any, to: any, mode: deny}]\n")
	write("sub/q.yaml", rules)
	write("l.txt", "a.x.example\n")
	file := filepath.Join(dir, "p.yaml")
	p := mustLoad(t, file)
	if want := []string{file, filepath.Join(dir, "sub/q.yaml"), filepath.Join(dir, "l.txt")}; !slices.Equal(p.Files(), want) {
		t.Errorf("files %q, want %q", p.Files(), want)
	}
	q, _ := readQuery(t, "10.1.1.1", "GET http://a.x.example/")
	if e := p.Explain(q).String(); !strings.Contains(e, `originate by rule "r" (line 3 of sub/q.yaml)`) {
		t.Errorf("explained as\n%s", e)
	}
	revisions := map[string]bool{p.Revision: true}
	write("sub/q.yaml", rules+"# a comment\n")
	revisions[mustLoad(t, file).Revision] = true
	write("l.txt", "b.x.example\n")
	revisions[mustLoad(t, file).Revision] = true
	if len(revisions) != 3 {
		t.Error("a change below is none of the whole")
	}
	before := mustLoad(t, file)
	write("p.yaml", "version: 1\ninclude: {file: sub/q.yaml, within: {from: any, to: .y.example}}\nrules: [{name: a, from: any, to: any, mode: deny}]\n")
	if c := Diff(before, mustLoad(t, file)); !slices.Equal(c.Changed, []string{"r"}) {
		t.Errorf("changes %+v", c)
	}
}
