// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"sallyport/cmd/sallyport/demo"
	"sallyport/policy"
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

	{"session.redirect", [5]string{"true", "true", "true", "true", "false"}},
	{"session.cookie", [5]string{"true", "true", "true", "true", "false"}},
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
			if !strings.HasPrefix(id, "cost.") || cell.Verdict != demo.Missing && (!isNumber || v < 0 || cell.Unit == "") {
				t.Errorf("%s, %s: %+v is not in the table of this test, and no measurement", id, r.Columns[i].ID, cell)
			}
		}
	}
	checkContract(t, r)
	checkLadders(t, r)
	checkSchema(t, r)
	if t.Failed() {
		for _, x := range r.Exchanges {
			t.Logf("%s: %s", x.ID, x.Outcome)
		}
	}
}

// checkContract holds what the gateway said of each login, in its log, to what was
// found on the wires of it.
func checkContract(t *testing.T, r *demo.Report) {
	t.Helper()
	for i, c := range r.Columns {
		for _, x := range r.Exchanges {
			if x.Column != c.ID || x.Name != "login" || c.ID == "direct" {
				continue
			}
			var lines []struct{ Contract policy.Contract }
			if err := json.Unmarshal(x.Log, &lines); err != nil || len(lines) == 0 {
				t.Errorf("%s was logged as %s: %v", x.ID, x.Log, err)
			}
			for _, l := range lines {
				found := func(row string) string { return finding(demoRow(t, r, row).Cells[i]) }
				sees := map[string]string{"none": "none", "origin": "the origin's", "minted": "a leaf minted by the gateway's CA"}[found("trust.certificate")]
				readers := "client, gateway, origin"
				switch {
				case found("trust.end_to_end") == "true" && found("control.read") == "false":
					readers = "client and origin only"
				case found("wire.client_canary") != "0" && found("wire.origin_canary") != "0":
					readers = "everybody on both wires"
				}
				auth := map[string]string{"client": "the client itself", "gateway": "the gateway, without a certificate", "nobody": "nobody"}[found("trust.checked_by")]
				if l.Contract.ClientSees != sees || l.Contract.Readers != readers || l.Contract.OriginAuth != auth {
					t.Errorf("%s: the gateway logged %+v; found were %q, %q, %q", x.ID, l.Contract, sees, readers, auth)
				}
			}
		}
	}
}

// checkLadders: the steps of an exchange are in the order they happened, those of a
// CONNECT are the book's, and what a cell refers to is there.
func checkLadders(t *testing.T, r *demo.Report) {
	t.Helper()
	there := make(map[string]bool)
	for _, x := range r.Exchanges {
		there[x.ID] = true
		var numbers []int
		bytes, recorded := 0, 0
		for i, s := range x.Steps {
			if i > 0 && s.At < x.Steps[i-1].At {
				t.Errorf("%s: step %d, %q, is earlier than the one before it", x.ID, i, s.Text)
			}
			if s.Number != 0 {
				numbers = append(numbers, s.Number)
			}
			bytes += s.Bytes
		}
		for _, w := range x.Wires {
			recorded += w.Sent + w.Received
		}
		if bytes == 0 || bytes > recorded {
			t.Errorf("%s: steps of %d bytes, and %d were recorded", x.ID, bytes, recorded)
		}
		if x.Name != "login" {
			continue
		}
		var want []int
		if x.Column == "tunnel" || x.Column == "intercept" {
			want = []int{1, 2, 3, 4, 5, 5} // the last once for either direction
		}
		if !slices.Equal(numbers, want) {
			t.Errorf("%s: the steps of its CONNECT are %v", x.ID, numbers)
		}
	}
	for _, g := range r.Groups {
		for _, row := range g.Rows {
			for i, c := range row.Cells {
				for _, id := range c.Evidence {
					if !there[id] {
						t.Errorf("%s, %s: no exchange is %s", row.ID, r.Columns[i].ID, id)
					}
				}
				if len(c.Evidence) == 0 && c.Verdict != demo.Missing && g.ID != "cost" {
					t.Errorf("%s, %s: %q without evidence", row.ID, r.Columns[i].ID, c.Text)
				}
			}
		}
	}
}
