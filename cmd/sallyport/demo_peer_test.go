// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"sallyport/cmd/sallyport/demo"
)

// squidTable is what Squid is found to do: relay, tunnel and intercept.
var squidTable = []struct {
	row   string
	cells [3]string
}{
	{"wire.client_canary", [3]string{"2", "0", "0"}},
	{"wire.origin_canary", [3]string{"2", "0", "0"}},
	{"trust.checked_by", [3]string{"nobody", "client", "gateway"}},
	{"trust.expired", [3]string{"sent", "refused by the client", "refused by the gateway"}},
	{"trust.wrong_name", [3]string{"sent", "refused by the client", "refused by the gateway"}},
	{"trust.self_signed", [3]string{"sent", "refused by the client", "refused by the gateway"}},
	{"trust.untrusted", [3]string{"sent", "refused by the client", "refused by the gateway"}},
	{"trust.certificate", [3]string{"none", "origin", "minted"}},
	{"trust.end_to_end", [3]string{"false", "true", "false"}},
	{"identity.own", [3]string{"none", "client", "gateway"}}, // one certificate for all origins
	{"identity.gateway", [3]string{"none", "refused by the origin", "gateway"}},
	{"control.read", [3]string{"true", "false", "true"}},
	{"control.logged", [3]string{"host, method, path, status", "host", "host, SNI, method, path, status"}},
	{"control.host", [3]string{"yes", "yes", "yes"}},
	{"control.fronting", [3]string{"as allowed", "gets through", "refused"}},
	{"control.method", [3]string{"yes", "no", "yes"}}, // the CONNECT is not refused for what it would hide
	{"control.path", [3]string{"yes", "no", "yes"}},
	{"control.body", [3]string{"yes", "no", "yes"}},
	{"session.ssh", [3]string{"false", "true", "false"}},
	{"session.early_data", [3]string{"n/a", "true", "false"}},
}

// TestDemoSquid: a peer goes through the same exchanges, and what is found of it was
// found in the same way.
func TestDemoSquid(t *testing.T) {
	ways, notes, err := demo.PeerWays("squid")
	if err != nil {
		t.Skip(err)
	}
	if len(ways) != 3 {
		t.Skip(notes)
	}
	r := runDemo(t, demo.Options{Columns: []string{"direct"}, Ways: ways}).Report
	checkSchema(t, r)
	for _, want := range squidTable {
		row := demoRow(t, r, want.row)
		for i, w := range want.cells {
			if got := finding(row.Cells[1+i]); got != w {
				t.Errorf("%s, %s: found %s (%q), want %s", want.row, r.Columns[1+i].Title, got, row.Cells[1+i].Text, w)
			}
		}
	}
	for i, want := range []string{"expired", "not for this name", "self-signed"} {
		row := demoRow(t, r, []string{"trust.expired", "trust.wrong_name", "trust.self_signed"}[i])
		if got := row.Cells[3].Text; got != "gateway: "+want {
			t.Errorf("%s: %q, and its log says %s", row.ID, got, want)
		}
	}
	if t.Failed() {
		for _, x := range r.Exchanges {
			t.Logf("%s: %s %s", x.ID, x.Outcome, x.Log)
		}
	}
}
