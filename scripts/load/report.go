// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// ours is the one the others are peers of.
const ours = "sallyport"

// workloads in the order of the report; what a cost is counted in.
var workloads = []struct{ name, column, title, unit string }{
	{"originate-1k", "1 KiB, kept", "originate: 1 KiB, kept connections", "µs"},
	{"originate-64k", "64 KiB, kept", "originate: 64 KiB, kept connections", "µs"},
	{"originate-rate", "1 KiB at 2,000/s", "originate: 1 KiB at 2,000 a second", "µs"},
	{"originate-new", "new client connection", "originate: a new client connection each", "µs"},
	{"originate-handshake", "resumed origin handshake", "originate: a resumed origin handshake each", "µs"},
	{"originate-mtls", "full mutual handshake", "originate: a full mutual origin handshake each", "µs"},
	{"originate-bulk", "bulk", "originate: bulk", "s/GB"},
	{"tunnel-new-tls", "new, TLS inside", "tunnel: a new one each, TLS inside", "µs"},
	{"tunnel-new", "new, plain inside", "tunnel: a new one each, plain inside", "µs"},
	{"tunnel-1k", "1 KiB exchange", "tunnel: 1 KiB exchanges", "µs"},
	{"tunnel-bulk", "bulk", "tunnel: bulk", "s/GB"},
	{"tunnel-idle", "idle, memory", "tunnel: idle, memory of each", "KiB"},
}

// A reading is the figures of one proxy in one round.
type reading map[string]float64

// results are readings by workload and proxy, in the order of the rounds; a round
// that failed is nil.
type results map[string]map[string][]reading

// A row is one proxy in one workload: medians over the rounds, and the median
// of its ratios to the best peer of the same rounds.
type row struct {
	proxy          string
	cost, ratio    float64
	low, high      float64 // of the ratios
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
// the one with the lowest median; ours is compared and never the measure.
func rows(of map[string][]reading) []row {
	best := ""
	for proxy, runs := range of {
		if c := median(figures(runs, "cost")); proxy != ours && c > 0 && (best == "" || c < median(figures(of[best], "cost"))) {
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
		}
		for _, e := range figures(runs, "errors") {
			r.errors += e
		}
		var ratios []float64
		for i := range min(len(runs), len(of[best])) {
			if a, b := runs[i], of[best][i]; a != nil && b != nil {
				ratios = append(ratios, a["cost"]/b["cost"])
			}
		}
		if len(ratios) > 0 {
			r.ratio, r.low, r.high = median(ratios), slices.Min(ratios), slices.Max(ratios)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b row) int { return cmp.Compare(a.cost, b.cost) })
	return all
}

// makeReport prints the tables of the results in file, and writes the plot.
func makeReport(file, plot string, w io.Writer) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	all, err := read(f)
	if err != nil {
		return err
	}
	for _, role := range []string{"originate", "tunnel"} {
		matrix(w, all, role)
	}
	ownTable(w, all)
	if plot == "" {
		return nil
	}
	return os.WriteFile(plot, draw(all), 0o644)
}

// matrix prints what every proxy costs, with the ratio to the best peer.
func matrix(w io.Writer, all results, role string) {
	head, line := "| "+role+" |", "|---|"
	cells := make(map[string]string)
	var proxies []string
	columns := 0
	for _, load := range workloads {
		ranked := rows(all[load.name])
		if len(ranked) == 0 || !strings.HasPrefix(load.name, role) {
			continue
		}
		head, line = head+" "+load.column+", "+load.unit+" |", line+"---|"
		for _, r := range ranked {
			if !slices.Contains(proxies, r.proxy) {
				proxies = append(proxies, r.proxy)
			}
			cells[r.proxy] += strings.Repeat(" – |", columns-strings.Count(cells[r.proxy], "|"))
			cells[r.proxy] += fmt.Sprintf(" %s (%s)%s |", costText(r.cost, load.unit), ratioText(r.ratio), mistakes(r))
		}
		columns++
	}
	if columns == 0 {
		return
	}
	fmt.Fprintf(w, "%s\n%s\n", head, line)
	for _, proxy := range proxies {
		cells[proxy] += strings.Repeat(" – |", columns-strings.Count(cells[proxy], "|"))
		fmt.Fprintf(w, "| %s |%s\n", emphasis(proxy), cells[proxy])
	}
	fmt.Fprintln(w)
}

// ownTable prints how ours stands to the best peer, and how sure that is.
func ownTable(w io.Writer, all results) {
	fmt.Fprint(w, "| | best peer | × its cost | in single rounds | a second, ours and its | p99 ms, ours and its |\n|---|---|---|---|---|---|\n")
	for _, load := range workloads {
		ranked := rows(all[load.name])
		own := slices.IndexFunc(ranked, func(r row) bool { return r.proxy == ours })
		best := slices.IndexFunc(ranked, func(r row) bool { return r.proxy != ours })
		if own < 0 || best < 0 {
			continue
		}
		r, b := ranked[own], ranked[best]
		fmt.Fprintf(w, "| %s | %s | **%.2f** | %.2f to %.2f (%d) | %s, %s | %s, %s |\n", load.title, b.proxy, r.ratio, r.low, r.high, r.rounds,
			rateText(r.rate, load.unit), rateText(b.rate, load.unit), latency(r), latency(b))
	}
}

func emphasis(proxy string) string {
	if proxy == ours {
		return "**" + proxy + "**"
	}
	return proxy
}

func costText(v float64, unit string) string {
	switch {
	case unit == "µs":
		return fmt.Sprintf("%.0f", v)
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

func ratioText(v float64) string {
	if v == 0 { // no peer was measured
		return "–"
	}
	return fmt.Sprintf("%.2f", v)
}

func rateText(v float64, unit string) string {
	switch unit {
	case "s/GB":
		return fmt.Sprintf("%.2f GB", v)
	case "KiB": // so many tunnels were open, nothing happened in them
		return "–"
	}
	return fmt.Sprintf("%.0f", v)
}

func latency(r row) string {
	if r.p99 == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", r.p99)
}

func mistakes(r row) string {
	if r.errors == 0 {
		return ""
	}
	return fmt.Sprintf(", %.0f errors", r.errors)
}
