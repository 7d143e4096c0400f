// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"sallyport/cmd/sallyport/demo"
	"sallyport/policy"
)

// TestDemoRulesLoad: what the page of a demo gives people to copy is a policy
// that loads, passes its own tests, and says the mode that it stands under.
func TestDemoRulesLoad(t *testing.T) {
	text, err := os.ReadFile("demo/testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	var r demo.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	rules := rulesOf(t, &page)
	if len(rules) < 8 {
		t.Fatalf("the page has %d policies only", len(rules))
	}
	for text, mode := range rules {
		file := filepath.Join(t.TempDir(), "policy.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Load(file); err != nil {
			t.Errorf("%s: %v\n%s", mode, err, text)
		}
		if !strings.Contains(text, "mode: "+mode) {
			t.Errorf("under %s stands\n%s", mode, text)
		}
	}
}

// rulesOf are the policies of a page, with the titles they stand under.
func rulesOf(t *testing.T, page *bytes.Buffer) map[string]string {
	t.Helper()
	root, err := html.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	rules := make(map[string]string)
	for n := range root.Descendants() {
		if n.Data != "code" || n.Parent.Data != "pre" {
			continue
		}
		title := n.Parent.PrevSibling // <figcaption>
		rules[n.FirstChild.Data] = title.FirstChild.Data
	}
	return rules
}
