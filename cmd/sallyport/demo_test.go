// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os/exec"
	"testing"

	"sallyport/cmd/sallyport/demo"
)

// runDemo makes the comparison with the binary of the scripts.
func runDemo(t *testing.T, o demo.Options) *demo.Result {
	t.Helper()
	bin, err := exec.LookPath("sallyport")
	if err != nil {
		t.Fatal(err)
	}
	o.Program, o.Version = bin, version()
	result, err := demo.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// demoTable is what the modes are, cell by cell: the columns are direct, originate,
// tunnel, intercept and relay. It is the trade-off contract as it was found on
// wires, and this test is the acceptance test of the modes.
var demoTable = []struct {
	row   string
	cells [5]string
}{
	{"wire.client_canary", [5]string{"0", "2", "0", "0", "2"}},
	{"wire.client_entropy", [5]string{"good", "bad", "good", "good", "bad"}},
	{"wire.origin_canary", [5]string{"n/a", "0", "0", "0", "2"}},
	{"wire.origin_entropy", [5]string{"n/a", "good", "good", "good", "bad"}},

	{"trust.checked_by", [5]string{"client", "gateway", "client", "gateway", "nobody"}},
	{"trust.expired", [5]string{"refused by the client", "refused by the gateway", "refused by the client", "refused by the gateway", "sent"}},
	{"trust.wrong_name", [5]string{"refused by the client", "refused by the gateway", "refused by the client", "refused by the gateway", "sent"}},
	{"trust.self_signed", [5]string{"refused by the client", "refused by the gateway", "refused by the client", "refused by the gateway", "sent"}},
	{"trust.untrusted", [5]string{"refused by the client", "refused by the gateway", "refused by the client", "refused by the gateway", "sent"}},
	{"trust.certificate", [5]string{"origin", "none", "origin", "minted", "none"}},
	{"trust.end_to_end", [5]string{"true", "false", "true", "false", "false"}},

	{"identity.own", [5]string{"client", "refused by the origin", "client", "refused by the origin", "none"}},
	{"identity.gateway", [5]string{"refused by the origin", "gateway", "refused by the origin", "gateway", "none"}},
	{"identity.delegated", [5]string{"refused by the origin", "eva", "refused by the origin", "eva", "none"}},

	{"control.read", [5]string{"n/a", "true", "false", "true", "true"}},
	{"control.logged", [5]string{"n/a", "host, method, path, status", "host, SNI", "host, SNI, method, path, status", "host, method, path, status"}},
	{"control.host", [5]string{"no rule", "yes", "yes", "yes", "yes"}},
	{"control.fronting", [5]string{"gets through", "as allowed", "refused", "refused", "as allowed"}},
	{"control.method", [5]string{"no rule", "yes", "refuses both", "yes", "yes"}},
	{"control.path", [5]string{"no rule", "yes", "refuses both", "yes", "yes"}},
	{"control.body", [5]string{"no rule", "yes", "cut", "yes", "yes"}},

	{"session.redirect", [5]string{"true", "false", "true", "true", "false"}},
	{"session.cookie", [5]string{"true", "false", "true", "true", "false"}},
	{"session.ssh", [5]string{"true", "false", "true", "false", "false"}},
	{"session.early_data", [5]string{"true", "n/a", "true", "false", "n/a"}},
}

// finding is what a cell says, without what differs from run to run.
func finding(c demo.Cell) string {
	switch {
	case c.Verdict == demo.Missing:
		return "n/a"
	case c.Unit != "":
		return string(c.Verdict)
	}
	return fmt.Sprint(c.Value)
}

// TestDemo: the modes are what the contract says, found on the wires of a run.
func TestDemo(t *testing.T) {
	r := runDemo(t, demo.Options{Costs: true}).Report
	found := make(map[string]demo.Row)
	for _, g := range r.Groups {
		for _, row := range g.Rows {
			found[row.ID] = row
			if len(row.Cells) != len(r.Columns) || row.How == "" || row.Title == "" {
				t.Errorf("row %s: %+v", row.ID, row)
			}
		}
	}
	for _, want := range demoTable {
		row, ok := found[want.row]
		if !ok {
			t.Errorf("there is no row %s", want.row)
			continue
		}
		delete(found, want.row)
		for i, cell := range row.Cells {
			if got := finding(cell); got != want.cells[i] {
				t.Errorf("%s, %s: found %s (%q), want %s", want.row, r.Columns[i].ID, got, cell.Text, want.cells[i])
			}
		}
	}
	for id, row := range found {
		for i, cell := range row.Cells {
			v, isNumber := cell.Value.(float64)
			if id[:5] != "cost." || cell.Verdict != demo.Missing && (!isNumber || v < 0 || cell.Unit == "") {
				t.Errorf("%s, %s: %+v is not in the table of this test, and no measurement", id, r.Columns[i].ID, cell)
			}
		}
	}
	if t.Failed() {
		for _, x := range r.Exchanges {
			t.Logf("%s: %s", x.ID, x.Outcome)
		}
	}
}
