// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"

	"sallyport/cmd/sallyport/demo"
)

// demoModes are the columns with a gateway, in the order of demoTable.
var demoModes = []string{"originate", "tunnel", "intercept", "relay"}

// TestDemoNoticesSwappedModes: each column is given the rules of each other mode, and
// the comparison is not to say the same. Where the client comes the same way, it has
// to find the other mode; where it comes another way, that it is turned away. A row
// that no swap changes would be a claim and not a finding.
func TestDemoNoticesSwappedModes(t *testing.T) {
	noticed := make(map[string]bool)
	for turn := 1; turn < len(demoModes); turn++ {
		rules := make(map[string]string)
		for i, m := range demoModes {
			rules[m] = demoModes[(i+turn)%len(demoModes)]
		}
		r := runDemo(t, demo.Options{Rules: rules, Columns: demoModes}).Report
		for i, c := range r.Columns {
			mode := rules[c.ID]
			t.Run(c.ID+" is "+mode, func(t *testing.T) {
				var changed []string
				for _, want := range demoTable {
					row := demoRow(t, r, want.row)
					got := finding(row.Cells[i])
					if got != want.cells[1+i] {
						changed = append(changed, want.row)
						noticed[want.row] = true
					}
					if swapped := want.cells[1+slices.Index(demoModes, mode)]; sameWay(c.ID, mode) && got != swapped {
						t.Errorf("%s: found %s (%q), and %s has %s", want.row, got, row.Cells[i].Text, mode, swapped)
					}
				}
				for _, named := range changesNamed(c.ID, mode) {
					if !slices.Contains(changed, named) {
						t.Errorf("%s says the same", named)
					}
				}
				t.Logf("%d cells changed: %s", len(changed), strings.Join(changed, " "))
			})
		}
	}
	for _, want := range demoTable {
		if !noticed[want.row] {
			t.Errorf("%s says the same whatever the modes are", want.row)
		}
	}
}

// sameWay reports whether clients come to both modes in the same way: by CONNECT, or
// in plain HTTP.
func sameWay(a, b string) bool {
	connect := []string{"tunnel", "intercept"}
	return slices.Contains(connect, a) == slices.Contains(connect, b)
}

// changesNamed are the rows that have to change, whatever else does.
func changesNamed(column, mode string) []string {
	switch {
	case column == "tunnel" || column == "intercept":
		if sameWay(column, mode) {
			return []string{
				"trust.checked_by", "trust.expired", "trust.wrong_name", "trust.self_signed", "trust.untrusted", "trust.certificate", "trust.end_to_end",
				"identity.own", "identity.gateway", "identity.delegated",
				"control.read", "control.logged", "control.method", "control.path", "control.body", "session.ssh", "session.early_data",
			}
		}
		return []string{
			"wire.client_canary", "wire.client_entropy", "wire.origin_canary", "wire.origin_entropy",
			"trust.checked_by", "trust.expired", "trust.certificate", "trust.end_to_end", "identity.own", "identity.gateway",
			"control.logged", "control.host", "control.body", "session.redirect", "session.cookie",
		}
	case sameWay(column, mode):
		return []string{
			"wire.origin_canary", "wire.origin_entropy", "trust.checked_by", "trust.expired", "trust.wrong_name",
			"trust.self_signed", "trust.untrusted", "identity.own", "identity.gateway", "identity.delegated",
		}
	}
	return []string{
		"wire.client_canary", "wire.origin_canary", "wire.origin_entropy", "trust.checked_by", "trust.expired", "trust.wrong_name",
		"trust.self_signed", "trust.untrusted", "trust.end_to_end", "identity.own", "identity.gateway", "identity.delegated",
		"control.read", "control.logged", "control.host", "control.fronting", "control.method", "control.path", "control.body",
		"session.redirect", "session.cookie",
	}
}

func demoRow(t *testing.T, r *demo.Report, id string) demo.Row {
	t.Helper()
	for _, g := range r.Groups {
		for _, row := range g.Rows {
			if row.ID == id {
				return row
			}
		}
	}
	t.Fatalf("there is no row %s", id)
	return demo.Row{}
}
