// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sallyport/cmd/sallyport/demo"
)

// everySetting is a policy with all that can be carried over to the comparison, and
// something that cannot.
const everySetting = `version: 1
clients: {lan: 10.0.0.0/8}
origins:
  bank: {min_tls: "1.3", alpn: [h2, http/1.1], revocation: prefer, client_cert: {secret: acme}, pins: "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="}
  old: {max_tls: "1.2", alpn: h2, port: 8443, verify_name: inner.example, revocation: require, aia: true}
rules:
  - {name: evil, from: any, to: evil.example, mode: deny}
  - {name: erp_to_bank, from: lan, to: api.bank.example, mode: originate, origin: bank, limits: {rate: 5/s}}
  - {name: legacy, from: lan, to: legacy.example, mode: originate, response: {rewrite: {location: false, cookies: false, hsts: false, alt_svc: false, bodies: true}}}
  - {name: look, from: lan, to: drop.example, mode: intercept, origin: old, intercept: {bad_origin: alert, alpn: [h2, http/1.1], leaf_ttl: 1h}}
  - {name: odd, from: lan, to: odd.example, mode: tunnel, tunnel: {sni: any, tls: optional, ech: allow, alpn: h2, idle: 1m, max_duration: 1h, max_bytes: 1MB}}
  - {name: strict, from: lan, to: strict.example, mode: tunnel}
  - {name: tried, from: lan, to: any, mode: relay, audit: true}
  - {name: web, from: lan, to: any, mode: [tunnel, relay]}
`

func writePolicy(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDemoWays: what a policy has, as columns; what could not be carried over is told.
func TestDemoWays(t *testing.T) {
	ways, notes, err := demoWays(os.Stderr, writePolicy(t, everySetting))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range ways {
		got = append(got, fmt.Sprintf("%s | %s | %s | %s%s%s | %s | %s", w.ID, w.Title, w.Mode, w.Tunnel, w.Intercept, w.Rewrite, w.Origin, strings.Join(w.Notes, "; ")))
	}
	want := []string{
		`erp-to-bank-originate | erp_to_bank originate | originate |  | min_tls: "1.3", alpn: [h2, http/1.1], revocation: prefer | without pins, client_cert, limits`,
		`legacy-originate | legacy originate | originate | location: false, cookies: false, hsts: false, alt_svc: false, bodies: true |  | `,
		`look-intercept | look intercept | intercept | bad_origin: alert, alpn: [h2, http/1.1] | max_tls: "1.2" | without intercept.leaf_ttl, alpn, port, verify_name, revocation, aia`,
		`odd-tunnel | odd tunnel | tunnel | sni: any, ech: allow, tls: optional |  | without tunnel.alpn, tunnel.idle, tunnel.max_duration, tunnel.max_bytes`,
		`strict-tunnel | strict tunnel | tunnel |  |  | is web, too`,
		`web-relay | web relay | relay |  |  | `,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	said := strings.Join(notes, "\n")
	for _, note := range []string{"Not compared: 1 rule that denies.", "Not compared: 1 rule that only audits.", "Origins, clients and limits are the demonstration's"} {
		if !strings.Contains(said, note) {
			t.Errorf("%q is not said: %s", note, said)
		}
	}
}

// TestDemoWaysAreFew: a policy with many settings has its first compared, and says
// which are not; names that are long or nearly the same make labels of host names.
func TestDemoWaysAreFew(t *testing.T) {
	text := "version: 1\norigins:\n"
	rules := "rules:\n"
	n := 0
	for _, tls := range []string{`min_tls: "1.3"`, `max_tls: "1.2"`, `min_tls: "1.2"`} {
		for _, more := range []string{"", ", revocation: prefer", ", alpn: [h2, http/1.1]", ", alpn: [http/1.1]"} {
			n++
			text += fmt.Sprintf("  o%d: {%s%s}\n", n, tls, more)
			rules += fmt.Sprintf("  - {name: %s_%d, from: any, to: h%d.example, mode: intercept, origin: o%d}\n", strings.Repeat("a_b-", 14), n, n, n)
		}
	}
	ways, notes, err := demoWays(os.Stderr, writePolicy(t, text+rules))
	if err != nil {
		t.Fatal(err)
	}
	if len(ways) != mostWays || !strings.HasPrefix(notes[0], "Left out, because there are more than 8: a_b-") {
		t.Errorf("%d columns, %q", len(ways), notes)
	}
	label := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	seen := make(map[string]bool)
	for _, w := range ways {
		if !label.MatchString(w.ID) || len(w.ID) > 47 || seen[w.ID] {
			t.Errorf("%q is no name of a column", w.ID)
		}
		seen[w.ID] = true
	}
}

// TestDemoPolicy: the settings of a policy's rules are what the comparison finds.
func TestDemoPolicy(t *testing.T) {
	ways, notes, err := demoWays(os.Stderr, writePolicy(t, everySetting))
	if err != nil {
		t.Fatal(err)
	}
	r := runDemo(t, demo.Options{Columns: []string{"direct"}, Ways: ways, Notes: notes}).Report
	checkSchema(t, r)
	for _, want := range []struct{ row, column, found string }{
		{"control.fronting", "strict-tunnel", "refused"},
		{"control.fronting", "odd-tunnel", "gets through"},
		{"session.ssh", "strict-tunnel", "false"},
		{"session.ssh", "odd-tunnel", "true"},
		{"session.cookie", "erp-to-bank-originate", "true"},
		{"session.cookie", "legacy-originate", "false"},
		{"trust.expired", "look-intercept", "refused by the gateway"},
		{"trust.certificate", "look-intercept", "minted"},
		{"identity.delegated", "erp-to-bank-originate", "eva"},
		{"wire.client_canary", "web-relay", "2"},
		{"wire.origin_canary", "erp-to-bank-originate", "0"},
	} {
		i := slices.IndexFunc(r.Columns, func(c demo.Column) bool { return c.ID == want.column })
		if i < 0 {
			t.Fatalf("there is no column %s", want.column)
		}
		if got := finding(demoRow(t, r, want.row).Cells[i]); got != want.found {
			t.Errorf("%s, %s: found %s, want %s", want.row, want.column, got, want.found)
		}
	}
	if c := r.Columns[1]; c.Mode != "originate" || !strings.Contains(c.Rule, "origin: demo-erp-to-bank-originate") || len(c.Notes) != 1 {
		t.Errorf("a column of the policy: %+v", c)
	}
	if t.Failed() {
		for _, x := range r.Exchanges {
			t.Logf("%s: %s", x.ID, x.Outcome)
		}
	}
}
