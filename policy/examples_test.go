// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"os"
	"path/filepath"
	"testing"
)

// Everything that check says about policies with mistakes of all kinds, to the
// letter: each has a text beside it, which -update writes. The good examples
// are those of TestGood.
func TestExamples(t *testing.T) {
	for _, test := range []struct {
		file  string
		loads bool
	}{
		{"broken-promise", true}, // what is wrong there, lint finds
		{"shadows", false},       // its own test fails; the rest lint finds
		{"mistakes", false},
		{"sigils", false},
	} {
		t.Run(test.file, func(t *testing.T) {
			file := "testdata/examples/" + test.file + ".yaml"
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := Parse(filepath.Base(file), src, filepath.Dir(file))
			if (err == nil) != test.loads {
				t.Errorf("loads: %v, want %v", err == nil, test.loads)
			}
			if err == nil {
				err = &Error{p.Warnings()}
			}
			got := err.Error() + "\n"
			golden := "testdata/examples/" + test.file + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
