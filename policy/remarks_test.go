// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "testing"

func TestLintReadsNames(t *testing.T) {
	for entry, want := range map[string]string{
		"example.com":                    "",
		".example.com":                   "",
		".co.uk":                         `L040: ".co.uk" lets through every name below the public suffix co.uk, where anybody can have one`,
		".com":                           `L040: ".com" lets through every name below the public suffix com, where anybody can have one`,
		".github.io":                     `L040: ".github.io" lets through every name below the public suffix github.io, where anybody can have one`,
		".me.github.io":                  "",
		".internal":                      "",
		"co.uk":                          "",
		"192.0.2.1":                      "",
		`{glob: "*.co.uk"}`:              `L040: "*.co.uk" lets through every name below the public suffix co.uk, where anybody can have one`,
		`{glob: "*.s3.example.com"}`:     "",
		"bücher.example":                 "",
		"аррӏе.com":                      `L041: "аррӏе.com" looks like apple.com, and is another host: xn--80ak6aa92e.com`,
		".xn--80ak6aa92e.com":            `L041: "xn--80ak6aa92e.com" looks like apple.com, and is another host: xn--80ak6aa92e.com`,
		"{url: \"https://аррӏе.com/a\"}": `L041: "аррӏе.com" looks like apple.com, and is another host: xn--80ak6aa92e.com`,
		"pаypal.com":                     `L041: "pаypal.com" mixes Cyrillic and Latin letters: it is xn--pypal-4ve.com, and may not be the host it looks like`,
		"почта.рф":                       "",
		"роса.рф":                        "",
		"例え.jp":                          "",
		"東京tokyo.jp":                     "",
	} {
		src := "version: 1\ndestinations: {list: [" + entry + "]}\nrules:\n  - {name: a, from: any, to: list, mode: intercept}\n"
		got := ""
		for _, d := range (Linter{At: testTime}).Lint(mustParse(t, src)) {
			if d.Code == "L040" || d.Code == "L041" {
				got += d.Code + ": " + d.Msg
			}
		}
		if got != want {
			t.Errorf("%s: %s\nwant %s", entry, got, want)
		}
		denied := mustParse(t, "version: 1\ndestinations: {list: ["+entry+"]}\nrules:\n  - {name: a, from: any, to: list, mode: deny}\n")
		if len(denied.remarks) > 0 {
			t.Errorf("%s is remarked on where it is denied: %v", entry, denied.remarks)
		}
	}
}
