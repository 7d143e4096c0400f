// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const schemaFile = "../docs/policy-v1.json"

// TestDocsSchema keeps docs/policy-v1.json what the decoder reads.
func TestDocsSchema(t *testing.T) {
	want := Schema()
	if *update {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Error("docs/policy-v1.json is not what the decoder reads: run go test ./policy -run TestDocs -update")
	}
}

func compileSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("policy-v1.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("policy-v1.json") // against the meta-schema as well
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON is the policy as the decoder's parser sees it; nil when that sees
// none. A number stays one: what is one to an editor is one to the decoder.
func asJSON(t testing.TB, src []byte) any {
	t.Helper()
	root := newReporter("p.yaml", src).parseYAML(src)
	if root == nil {
		return nil
	}
	b, err := json.Marshal(root.json())
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What loads is right by the schema, and what the decoder calls misshapen is
// wrong by it: an editor shows no error where there is none, and shows those
// that it can see.
func TestSchemaAgreesWithTheDecoder(t *testing.T) {
	s := compileSchema(t)
	policies := map[string]string{"starter.yaml": string(StarterSource())}
	for _, pattern := range []string{"testdata/*/*.yaml", "../docs/policy.md", "../cmd/sallyport/testdata/script/*.txtar"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, f := range files {
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(f, ".yaml") {
				policies[f] = string(src)
				continue
			}
			for i, m := range regexp.MustCompile("(?ms)^(?:```yaml|-- \\S+\\.yaml --)\n(.*?)(?:^```|^-- |\\z)").FindAllStringSubmatch(string(src), -1) {
				policies[fmt.Sprintf("%s #%d", f, i)] = m[1]
			}
		}
	}
	loaded, misshapen := 0, 0
	for name, src := range policies {
		switch agree(t, s, name, []byte(src)) {
		case loads:
			loaded++
		case isMisshapen:
			misshapen++
		}
	}
	if loaded < 30 || misshapen < 10 {
		t.Fatalf("%d policies loaded and %d were misshapen: are these all there are?", loaded, misshapen)
	}
}

type finding int

const (
	neither finding = iota // not YAML, or wrong in what no schema sees
	loads
	isMisshapen
)

// agree compares what the decoder and the schema say about a policy. Whether
// its tests pass is not a question to either.
func agree(t testing.TB, s *jsonschema.Schema, name string, src []byte) finding {
	t.Helper()
	doc := asJSON(t, src)
	if doc == nil {
		return neither
	}
	var found []Diagnostic
	if _, err := Parse(filepath.Base(name), src, filepath.Dir(name)); err != nil {
		var e *Error
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		found = slices.DeleteFunc(e.Diagnostics, func(d Diagnostic) bool {
			return d.Severity != SeverityError || d.Code == "P100" || d.Code == "P101"
		})
	}
	verdict := s.Validate(doc)
	i := slices.IndexFunc(found, func(d Diagnostic) bool { return aboutShape[d.Code] })
	switch {
	case len(found) == 0 && verdict != nil:
		t.Errorf("%s loads, and the schema refuses it: %v\n%s", name, verdict, src)
	case len(found) == 0:
		return loads
	case i >= 0 && verdict == nil:
		t.Errorf("%s is misshapen, and the schema accepts it: %v\n%s", name, found[i], src)
	case i >= 0:
		return isMisshapen
	}
	return neither
}

// aboutShape are the codes of what a schema can see.
var aboutShape = map[string]bool{"P020": true, "P021": true, "P022": true, "P023": true, "P024": true, "P025": true, "P026": true, "P071": true}

// The same for policies in which one value at a time is replaced by another,
// near it or far from it.
func TestSchemaAgreesOnMutants(t *testing.T) {
	s := compileSchema(t)
	r := rand.New(rand.NewPCG(1, 2))
	count := make(map[finding]int)
	for _, file := range []string{"everything.yaml", "corporate.yaml", "agent-sandbox.yaml"} {
		src, err := os.ReadFile("testdata/good/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for range 120 {
			doc := asJSON(t, src)
			var places []func(any)
			var values []any
			collect(doc, func(v any, set func(any)) { places, values = append(places, set), append(values, v) })
			i := r.IntN(len(places))
			places[i](mutate(r, values[i]))
			mutant, err := json.Marshal(doc) // JSON is YAML
			if err != nil {
				t.Fatal(err)
			}
			count[agree(t, s, "testdata/good/mutant of "+file, mutant)]++
		}
	}
	if count[loads] < 50 || count[isMisshapen] < 50 {
		t.Errorf("the mutants are not of much use: %v", count)
	}
}

// collect calls with every value below v, each with the way to replace it.
func collect(v any, with func(any, func(any))) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			with(v[k], func(x any) { v[k] = x })
			collect(v[k], with)
		}
	case []any:
		for i := range v {
			with(v[i], func(x any) { v[i] = x })
			collect(v[i], with)
		}
	}
}

// mutate is another value in the place of v.
func mutate(r *rand.Rand, v any) any {
	switch old, isText := v.(string); {
	case isText && r.IntN(2) == 0 && old != "":
		at := r.IntN(len(old))
		insert := "aZ09.-_:/+*%?#= ,üµ\n[]{}"
		begin := r.IntN(len(insert))
		return strings.ToValidUTF8(old[:at]+insert[begin:begin+r.IntN(2)]+old[at+r.IntN(2):], "")
	case r.IntN(3) > 0:
		return oddTexts[r.IntN(len(oddTexts))]
	}
	if m, ok := v.(map[string]any); ok && r.IntN(2) == 0 {
		m[oddTexts[r.IntN(len(oddTexts))]] = "x"
		return m
	}
	return []any{nil, true, 0, 1, -1, 443, 65536, 1.5, []any{}, map[string]any{}, []any{v}, []any{v, v}, []any{[]any{v}}, []any{nil}}[r.IntN(14)]
}

// oddTexts are spellings at the edge of what the compiler reads, on either side.
var oddTexts = []string{
	"", "any", "1", "7", "x", "lan", "Lan", "true", "null",
	"1h30m", "+5m", ".5h", "5.h", "10µs", "10μs", "0007d", "-1s", "1", "1w", "3.5d",
	"+10MB", "1TiB", "10 MB", "10kB", "10KB", "0B", "B", "1e3",
	"443", "0443", "65535", "65536", "8000-8099", "8099-8000", "1-", "-", "+443",
	"10.1.2.3/8", "10.0.0.0/33", "1.2.3.4.", "[::1]", "::1", "::ffff:10.0.0.0/104", "FE80::1/64", "fe80::1%eth0", "127.1", "0x7f.0.0.1",
	"bücher.example", ".BÜCHER.example", "ｅxample.com", "example。com", "_dmarc.ex_ample.com", ".", "..", "a..b", ".10.0.0.1", "x.y/z", "x.y:8443", "https://x.y/", "HTTP://[::1]:80/a b", "https://x.y/*", "https://x.y?q", "ftp://x.y/", "*.x.y", "xn--bcher-kva.example.",
	"a-*.b.example", "*.b.example", "a.*.example", "A*.b.c.", "**.b.c",
	"00:00-24:00", "24:00-01:00", "7:00-9:00", "22:00-06:00", "09:00-09:00", "daily", "sat-mon", "mon,tue", "Mon",
	"2026-12-31", "2026-2-3", "2026-02-30", "2026-01-05T9:00:00Z", "2026-01-05T09:00:00,5+01:00", "2026-01-05T09:00:00.25-11:30", "2026-01-05 09:00:00Z", "2026-01-05t09:00:00z",
	"GET", "get", "M-SEARCH", "CONNECT", "!#$%&'*+-.^_`|~", "/", "/a b", "/é/**", "/a?b", "/%41", "a/b", "/a/**/b",
	"a=b", "a=", "=b", "ab", "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=", "sha256//YLh1dUR9y6Kja30RrAn7JKnb\nQG/uEtLMkBgFF2Fuihg=\n", "sha256//YLh1",
	"CONNECT x.y:1", "  CONNECT x.y:1 ", "connect x.y:1", "HTTPS://X.y/", "post http://x.y/?q#f", "POST  http://x.y", "ftp://x.y/", "http:/x.y",
	"deny", "Deny", "tunnel", "intercept", "h2", "H2", "1.2", "match", "full",
}

func FuzzSchemaAgrees(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	s := compileSchema(f)
	f.Fuzz(func(t *testing.T, src []byte) { agree(t, s, "testdata/good/fuzzed.yaml", src) })
}
