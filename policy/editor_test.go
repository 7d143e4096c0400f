// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const modeline = "# yaml-language-server: $schema=./policy-v1.json\n"

// TestEditor: what people meet who edit a policy with the schema.
func TestEditor(t *testing.T) {
	e := openEditor(t)
	t.Run("finds nothing wrong in good policies", e.findsNothingWrong)
	t.Run("underlines mistakes", e.underlines)
	t.Run("completes", e.completes)
	t.Run("shows what a key is for", e.shows)
}

// Nobody who begins with one of the examples is shown an error that is none.
func (e *editor) findsNothingWrong(t *testing.T) {
	texts := map[string]string{"starter.yaml": string(StarterSource())}
	for _, name := range []string{"small-office.yaml", "corporate.yaml", "agent-sandbox.yaml", "everything.yaml", "lists.yaml", "included.yaml"} {
		src, err := os.ReadFile("testdata/good/" + name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(src)
	}
	for name, text := range texts {
		if !strings.HasPrefix(text, modeline) {
			text = modeline + text
		}
		if _, found := e.open(text); found != nil {
			t.Errorf("%s:\n%s", name, strings.Join(found, "\n"))
		}
	}
}

func (e *editor) underlines(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string
	}{
		{"version: 2\nrules: []\n", []string{"2:10: Value is not accepted. Valid values: 1."}},
		{"rules: []\n", []string{`2:1: Missing property "version".`}},
		{`version: 1
rules:
  - {name: a, from: any, to: any, mode: deny, tunnel: {idle: 5m}, allow_private: true, limits: {rate: 5/s}, methods: GET}
  - {name: b, from: any, to: any, mode: [tunnel, relay], paths: /x, plain_http: redirect, tunnel: {sni: any}}
  - {name: c, from: any, to: any, mode: [originate], deny: {status: 404}, origin: bank}
  - {name: d, from: any, to: any, mode: relay, origin: bank}
`, []string{
			"4:47: tunnel goes with mode tunnel",
			"4:67: allow_private does not go with mode deny, which reaches nothing",
			"4:88: limits does not go with mode deny, which lets nothing through",
			"5:58: paths does not go with tunnel",
			"5:69: plain_http goes with a rule that serves only CONNECT",
			"6:54: deny goes with mode deny",
			"7:48: origin goes with mode originate or intercept",
		}},
		{`version: 1
clients:
  staff: {gruop: staff, cidr: 10.0.0.0/33}
  lan: 10.0.0.0_8
  Office: [10.0.0.0/8]
  any: 10.0.0.0/8
destinations:
  saas: [.office.com, https://x.example/y, 127.1]
rules:
  - name: a
    from: stafff
    to: saas
    mode: tunel
  - name: b
    from: []
    to:
    mode: tunnel
    ports: [70000, 9-x]
    tunnel: {idle: 5 minutes, max_bytes: 10 MB, sni: [any]}
    until: 31.12.2026
    audit: maybe
  - {name: c, from: any, to: any}
tests:
  - as: {user: eva}
    allow: https://x.example/
    deny: x.example
`, []string{
			"4:11: Property gruop is not allowed.",
			"5:8: write the name of a client group, an address, a network such as 10.0.0.0/8, or any",
			"6:3: Property Office is not allowed.",
			"7:3: Property any is not allowed.",
			"9:23: write the name of a list, a host, a domain such as .example.com, an address, a network, or any",
			"9:44: Incorrect type. Expected one of string, object.",
			`14:11: Value is not accepted. Valid values: "deny", "tunnel", "intercept", "originate", "relay".`,
			"16:11: Array has too few items. Expected 1 or more.",
			"17:8: Incorrect type. Expected one of string, array.",
			"19:13: Value is above the maximum of 65535.",
			"19:20: a port from 1 to 65535, a range such as 8000-8099, or any",
			"20:20: write it as 90s, 5m, 36h or 7d",
			"20:42: write it as 64KiB, 10MB or 1GB",
			`20:54: Incorrect type. Expected "string".`,
			`20:54: Value is not accepted. Valid values: "match", "any".`,
			"21:12: write it as 2026-12-31",
			`22:12: Incorrect type. Expected "boolean".`,
			`23:5: Missing property "mode".`,
			`25:5: Missing property "ip".`,
			"26:5: Property allow is not allowed.",
			"27:11: write CONNECT host:port, or [METHOD] URL; for what is asked of the gateway itself, [METHOD] /path",
		}},
	} {
		_, got := e.open(modeline + test.text)
		if !slices.Equal(got, test.want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
}

func (e *editor) completes(t *testing.T) {
	rule := modeline + "version: 1\nrules:\n  - name: a\n    "
	keys := slices.DeleteFunc(ruleSection.names(), func(k string) bool { return k == "name" })
	for _, test := range []struct {
		text  string
		offer []string
	}{
		{rule + "mode: ‸\n", modeWords},
		{rule + "mode: [‸]\n", modeWords},
		{rule + "mode:\n      - ‸\n", modeWords},
		{rule + "log: ‸\n", []string{"none", "meta", "full"}},
		{rule + "‸\n", keys},
		{rule + "tunnel:\n      ‸\n", tunnelSection.names()},
		{modeline + "‸\n", policySection.names()},
		{modeline + "destinations:\n  ads:\n    - ‸\n", destinationSection.names()},
	} {
		offered := e.offered(test.text)
		for _, want := range test.offer {
			if !slices.Contains(offered, want) {
				t.Errorf("not offered in\n%s: %s; but %q", test.text, want, offered)
			}
		}
	}
	if offered := e.offered(rule + "‸\n"); slices.Contains(offered, "name") {
		t.Errorf("a rule has its name already, and another is offered: %q", offered)
	}
}

func (e *editor) shows(t *testing.T) {
	for text, want := range map[string][]string{
		"rules:\n  - name: a\n    mo‸de: deny\n":         {ruleSection.key("mode").doc, "`intercept`", "- originate\n- tunnel"},
		"rules:\n  - name: a\n    tunnel: {id‸le: 5m}\n": {tunnelSection.key("idle").doc, "5m"},
		"clients:\n  staff: {gr‸oup: staff}\n":           {clientSection.key("group").doc},
		"destinations:\n  x:\n    - {fi‸le: ads.txt}\n":  {destinationSection.key("file").doc, "lists/ads.txt"},
		"origins:\n  x:\n    min_‸tls: \"1.3\"\n":        {originSection.key("min_tls").doc, `"1.2"`, `"1.3"`},
	} {
		got := e.hover(modeline + text)
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("about\n%s:\n%s\nand nothing of %q", text, got, w)
			}
		}
	}
}
