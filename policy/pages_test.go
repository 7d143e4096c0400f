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

func TestPages(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "more.txt"), []byte(".listed.example\nexact.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Parse("p.yaml", []byte(`version: 1
contact: "netsec, ext. 4711"
destinations:
  inside: [.intern.example, files.example, 10.0.0.0/8, "2001:db8::/32"]
  more: {file: more.txt}
direct: [inside, more, .intern.example, host.example]
rules: []
`), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(p.Pages), "{netsec, ext. 4711 {[files.example host.example] [exact.example intern.example listed.example] [10.0.0.0/8 2001:db8::/32]}}"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPagesThatCannotBe(t *testing.T) {
	var many strings.Builder
	for i := range mostDirect + 1 {
		fmt.Fprintf(&many, "h%d.example, ", i)
	}
	for text, want := range map[string]string{
		"direct: any\nrules: []": "direct: any leaves the gateway nothing",
		"destinations: {w: {glob: 'www*.big.example'}}\ndirect: w\nrules: []":      "direct has a glob, which a PAC file reads otherwise",
		"direct: [" + many.String() + "]\nrules: []":                               "direct has more than 2000 entries",
		"destinations: {u: {url: 'https://a.example/b/'}}\ndirect: [u]\nrules: []": "direct has URLs",
	} {
		if _, err := Parse("p.yaml", []byte("version: 1\n"+text+"\n"), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", text, err, want)
		}
	}
}
