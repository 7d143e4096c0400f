// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
)

const wide = `
tunnel-bulk 1 sallyport cost=0.30 rate=2 errors=0
tunnel-bulk 1 goproxy cost=0.40 rate=2 errors=0
tunnel-bulk 1 haproxy-tcp cost=0.20 rate=2 errors=0
tunnel-bulk 1 squid cost=1.00 rate=2 errors=0
tunnel-bulk-100 1 sallyport cost=0.30 rate=2 errors=0
tunnel-bulk-100 2 sallyport cost=0.50 rate=2 errors=0
tunnel-bulk-100-user 1 sallyport cost=0.30 rate=2 errors=0
tunnel-bulk-100-user 1 goproxy cost=2.00 rate=2 errors=0
tunnel-bulk-100-user 2 sallyport cost=0.60 rate=2 errors=0
originate-c10 1 sallyport cost=50.0 rate=2000 p50=1.00 p99=2.00 errors=0
originate-c100 1 sallyport cost=40.0 rate=2000 p50=1.00 p99=2.00 errors=0
originate-c1000 1 sallyport failed=1
originate-c10000 1 sallyport cost=60.0 rate=2000 p50=1.00 p99=2.00 errors=7
mixed 1 sallyport cost=200 rate=900 errors=0 minutes=10.0 warm_pss=20971520 warm_fds=40 warm_threads=9 end_pss=22020096 end_fds=41 end_threads=10 rest_pss=10485760 rest_fds=12 rest_threads=10
`

// A relay of bytes is shown with its ratio and is no peer; a figure that is not
// there is a dash, never a nought.
func TestTables(t *testing.T) {
	all, err := read(strings.NewReader(wide))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	makeTables(&out, all)
	for _, want := range []string{
		"| **sallyport** | 0.30 (0.75) |\n| goproxy | 0.40 (1.00) |\n| squid | 1.00 (2.50) |\n| haproxy-tcp, no CONNECT | 0.20 (0.50) |",
		"| tunnel: bulk | goproxy | **0.75** |",
		"| sallyport × | goproxy | squid | haproxy-tcp, no CONNECT |",
		"| tunnel: bulk | 0.75 | 0.30 | 1.50 |",
		"| **sallyport** | 50 | 40 | – | 60, 7 errors | 1.20 | 1.20 to 1.20 | 1.50 |",
		"| **sallyport** | 0.40 | 0.45 | 1.10 | 1.00 to 1.20 |",
		"| goproxy | – | 2.00 | – | – |",
		"| **sallyport** | 10.0 | 900 | 0 | 200 | 20.0, 21.0, 10.0 | 1.05 | 40, 41, 12 | 9, 10, 10 |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "as fast as it comes") {
		t.Errorf("a table of what was not measured:\n%s", out.String())
	}
	if svg := string(draw(all)); !strings.Contains(svg, `haproxy-tcp</text><rect class="relay"`) {
		t.Errorf("the relay is drawn as a peer:\n%s", svg)
	}
}
