// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestNeeds(t *testing.T) {
	const head = `version: 1
clients:
  team: {group: t}
  both: {user: u, cert: c}
  agent: {claim: role=agent}
rules:
`
	for rules, want := range map[string][]string{
		`  - {name: a, from: any, to: any, mode: tunnel}`:                                         nil,
		`  - {name: a, from: 10.0.0.0/8, to: any, mode: tunnel, when: 'client.ip != "10.0.0.1"'}`: nil,
		`  - {name: a, from: team, to: any, mode: tunnel}`:                                        {`group 7:21 rule "a"`},
		`  - {name: a, from: any, from_except: both, to: any, mode: tunnel}`:                      {`user 7:39 rule "a"`, `cert 7:39 rule "a"`},
		`  - {name: a, from: any, to: any, mode: tunnel, client_leg: tls}`:                        {`client_leg: tls 7:61 rule "a"`},
		`  - {name: a, from: any, to: any, mode: tunnel, client_leg: any}`:                        nil,
		"  - {name: a, from: agent, to: any, mode: deny}\n  - {name: b, from: [agent, team], to: any, mode: tunnel}": {
			`group 8:21 rule "b"`, `claim 7:21 rule "a"`,
		},
		`  - {name: a, from: any, to: any, mode: tunnel, when: 'client.user != "" && "g" in client.groups && "c" in client.certs && "a=b" in client.claims'}`: {
			`user 7:55 rule "a"`, `group 7:55 rule "a"`, `cert 7:55 rule "a"`, `claim 7:55 rule "a"`,
		},
	} {
		p := mustParse(t, head+rules+"\n")
		var got []string
		for _, n := range p.Needs() {
			got = append(got, fmt.Sprintf("%s %d:%d %s", n.Fact, n.Line, n.Col, n.What))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", rules, got, want)
		}
		if len(p.Unsupported()) > 0 || len(p.Warnings()) > 0 {
			t.Errorf("%s: %v, %v", rules, p.Unsupported(), p.Warnings())
		}
	}
}

// What an included file is limited to counts as well.
func TestNeedsOfIncludedFile(t *testing.T) {
	read := func(string, int64) ([]byte, time.Time, error) {
		return []byte("version: 1\nrules: [{name: a, from: any, to: a.example, mode: tunnel, client_leg: tls}]\n"), testTime, nil
	}
	p, _, err := Loader{Read: read}.load("p.yaml", []byte(`version: 1
clients: {team: {group: t}}
include: {file: lab.yaml, within: {from: team, to: a.example}}
rules: [{name: b, from: any, to: any, mode: deny}]
`), ".")
	if err != nil {
		t.Fatal(err)
	}
	want := []Need{
		{FactGroup, "what is included from lab.yaml", "p.yaml", 3, 42},
		{FactTLS, `rule "a"`, "lab.yaml", 2, 71},
	}
	if got := p.Needs(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
