// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A reading is the figures of one proxy in one round.
type reading map[string]float64

// results are readings by workload and proxy, in the order of the rounds; a round
// that failed is nil.
type results map[string]map[string][]reading

func sum(v []float64) (total float64) {
	for _, n := range v {
		total += n
	}
	return total
}

// times is how many times the cost of another: the median of the quotients of
// single rounds, and their span. It is zero where no round has both.
type times struct{ ratio, low, high float64 }

func over(runs, others []reading) times {
	var v []float64
	for i := range min(len(runs), len(others)) {
		if a, b := runs[i], others[i]; a != nil && b != nil {
			v = append(v, a["cost"]/b["cost"])
		}
	}
	if len(v) == 0 {
		return times{}
	}
	return times{median(v), slices.Min(v), slices.Max(v)}
}

// A row is one proxy in one workload: medians over the rounds, and how many
// times the best peer's its cost is.
type row struct {
	proxy string
	cost  float64
	times
	rate, p50, p99 float64
	rounds         int
	errors         float64
}

// read takes lines of workload, round, proxy and figures.
func read(r io.Reader) (results, error) {
	all := make(results)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 3 {
			continue
		}
		round, err := strconv.Atoi(f[1])
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		figures := make(reading)
		for _, pair := range f[3:] {
			name, value, _ := strings.Cut(pair, "=")
			if figures[name], err = strconv.ParseFloat(value, 64); err != nil {
				return nil, fmt.Errorf("line %q: %w", lines.Text(), err)
			}
		}
		if all[f[0]] == nil {
			all[f[0]] = make(map[string][]reading)
		}
		runs := all[f[0]][f[2]]
		for len(runs) < round {
			runs = append(runs, nil)
		}
		if figures["cost"] > 0 {
			runs[round-1] = figures
		}
		all[f[0]][f[2]] = runs
	}
	return all, lines.Err()
}

func figures(runs []reading, name string) (v []float64) {
	for _, r := range runs {
		if r != nil {
			v = append(v, r[name])
		}
	}
	return v
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// rows ranks the proxies of a workload, the cheapest first. The best peer is
// the one with the lowest median; ours is compared and never the measure, nor is
// a relay.
func rows(of map[string][]reading) []row {
	best := ""
	for proxy, runs := range of {
		if c := median(figures(runs, "cost")); isPeer(proxy) && c > 0 && (best == "" || c < median(figures(of[best], "cost"))) {
			best = proxy
		}
	}
	var all []row
	for proxy, runs := range of {
		cost := figures(runs, "cost")
		if len(cost) == 0 {
			continue
		}
		r := row{
			proxy: proxy, cost: median(cost), rounds: len(cost),
			rate: median(figures(runs, "rate")), p50: median(figures(runs, "p50")), p99: median(figures(runs, "p99")),
			errors: sum(figures(runs, "errors")),
		}
		r.times = over(runs, of[best])
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b row) int { return cmp.Compare(a.cost, b.cost) })
	return all
}
