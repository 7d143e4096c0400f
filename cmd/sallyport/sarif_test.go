// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sallyport/policy"
)

// What the schema of SARIF 2.1.0 requires of the parts that are used, and what
// services require beyond: each result has a rule that is described.
func TestSARIF(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	ds := []policy.Diagnostic{
		{File: "a policy/ü#1.yaml", Line: 3, Col: 5, Len: 2, Code: "P021", Msg: "a \x1b mistake", Hint: "do not"},
		{File: filepath.Join(wd, "x.yaml"), Line: 1, Col: 1, Code: "L022", Severity: policy.SeverityError, Msg: "blind"},
		{File: "/elsewhere/x.yaml", Code: "U001", Severity: policy.SeverityWarning, Msg: "later"},
		{File: "a:b.yaml", Line: 2, Col: 2, Len: 1, Code: "L001", Severity: policy.SeverityWarning, Msg: "bits"},
	}
	var b bytes.Buffer
	if err := printSARIF(&b, ds); err != nil {
		t.Fatal(err)
	}
	var log map[string]any
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	at := func(v any, path ...any) any {
		for _, p := range path {
			switch p := p.(type) {
			case string:
				m, _ := v.(map[string]any)
				v = m[p]
			case int:
				l, _ := v.([]any)
				if p >= len(l) {
					t.Fatalf("%v is missing", path)
				}
				v = l[p]
			}
		}
		return v
	}
	if at(log, "version") != "2.1.0" || at(log, "runs", 0, "tool", "driver", "name") != "sallyport" || at(log, "runs", 0, "columnKind") != "unicodeCodePoints" {
		t.Errorf("the frame is wrong: %.300s", b.String())
	}
	rules := at(log, "runs", 0, "tool", "driver", "rules").([]any)
	ids := make(map[any]bool)
	for _, r := range rules {
		if id := at(r, "id"); id == "" || ids[id] || at(r, "shortDescription", "text") == "" {
			t.Errorf("rule %v is described twice or not", id)
		}
		ids[at(r, "id")] = true
	}
	results := at(log, "runs", 0, "results").([]any)
	if len(results) != len(ds) {
		t.Fatalf("%d results", len(results))
	}
	uris := []string{"a%20policy/%C3%BC%231.yaml", "x.yaml", "file:///elsewhere/x.yaml", "./a:b.yaml"}
	for i, r := range results {
		if at(r, "message", "text") == "" || at(r, "ruleId") != ds[i].Code || at(rules, int(at(r, "ruleIndex").(float64)), "id") != ds[i].Code {
			t.Errorf("result %d: %v", i, r)
		}
		if !slices.Contains([]any{"error", "warning"}, at(r, "level")) {
			t.Errorf("result %d has the level %v", i, at(r, "level"))
		}
		place := at(r, "locations", 0, "physicalLocation")
		uri := at(place, "artifactLocation", "uri").(string)
		if _, err := url.Parse(uri); err != nil || uri != uris[i] {
			t.Errorf("%s is the URI %s (%v), want %s", ds[i].File, uri, err, uris[i])
		}
		line, col, end := at(place, "region", "startLine").(float64), at(place, "region", "startColumn").(float64), at(place, "region", "endColumn").(float64)
		if line < 1 || col < 1 || end <= col {
			t.Errorf("result %d: region %v", i, at(place, "region"))
		}
	}
	b.Reset()
	if err := printSARIF(&b, nil); err != nil || !bytes.Contains(b.Bytes(), []byte(`"results": []`)) {
		t.Errorf("nothing found: %v %s", err, b.Bytes())
	}
}
