// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

const sample = `
originate-1k 1 nginx cost=50.0 rate=1000 p50=1.00 p99=2.00 errors=0
originate-1k 1 sallyport cost=100.0 rate=500 p50=2.00 p99=4.00 errors=0
originate-1k 1 squid cost=200.0 rate=400 p50=2.00 p99=4.00 errors=0
originate-1k 2 sallyport cost=30.0 rate=500 p50=2.00 p99=4.00 errors=3
originate-1k 2 nginx cost=60.0 rate=1000 p50=1.00 p99=2.00 errors=0
originate-1k 2 squid failed=1
originate-1k 3 nginx cost=40.0 rate=1000 p50=1.00 p99=2.00 errors=0
originate-1k 3 sallyport cost=60.0 rate=500 p50=2.00 p99=4.00 errors=0
`

// A ratio is the median of the ratios of each round, and ours is never the
// measure of the others, cheap as it may be.
func TestRatiosAreOfTheSameRound(t *testing.T) {
	all, err := read(strings.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows(all["originate-1k"]) {
		want := map[string]row{
			"nginx":     {cost: 50, times: times{1, 1, 1}, rounds: 3},
			"sallyport": {cost: 60, times: times{1.5, 0.5, 2}, rounds: 3, errors: 3},
			"squid":     {cost: 200, times: times{4, 4, 4}, rounds: 1},
		}[r.proxy]
		if r.cost != want.cost || r.times != want.times || r.rounds != want.rounds || r.errors != want.errors {
			t.Errorf("%s: %+v, want %+v", r.proxy, r, want)
		}
	}
}

func TestPlotIsXML(t *testing.T) {
	all, err := read(strings.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	svg := string(draw(all))
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if strings.Count(svg, `class="ours"`) != 1 || strings.Count(svg, `class="peer"`) != 2 {
		t.Errorf("not a bar for each proxy:\n%s", svg)
	}
}
