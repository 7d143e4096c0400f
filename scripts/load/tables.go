// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// names are the proxies that any of these workloads has, ours first and the
// relay last.
func names(all results, loads ...string) []string {
	found := make(map[string]bool)
	for _, load := range loads {
		for proxy, runs := range all[load] {
			if len(figures(runs, "cost")) > 0 {
				found[proxy] = true
			}
		}
	}
	sorted := slices.Sorted(maps.Keys(found))
	slices.SortStableFunc(sorted, func(a, b string) int { return cmp.Compare(place(a), place(b)) })
	return sorted
}

// place is where a proxy stands among others: ours first, a relay last.
func place(proxy string) int {
	switch proxy {
	case ours:
		return 0
	case relay:
		return 2
	}
	return 1
}

// heading prints the head of a table, after an empty line.
func heading(w io.Writer, cells ...string) {
	fmt.Fprintf(w, "\n| %s |\n|%s\n", strings.Join(cells, " | "), strings.Repeat("---|", len(cells)))
}

func line(w io.Writer, cells ...string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }

// eachTable prints how many times the cost of each other proxy ours is.
func eachTable(w io.Writer, all results) {
	var loads []string
	for _, load := range workloads {
		loads = append(loads, load.name)
	}
	others := names(all, loads...)
	if len(others) < 2 || others[0] != ours {
		return
	}
	others = others[1:]
	cells := []string{ours + " ×"}
	for _, proxy := range others {
		cells = append(cells, nameText(proxy))
	}
	heading(w, cells...)
	for _, load := range workloads {
		cells := []string{load.title}
		most := 0.0
		for _, proxy := range others {
			r := over(all[load.name][ours], all[load.name][proxy]).ratio
			cells, most = append(cells, ratioText(r)), max(most, r)
		}
		if most > 0 {
			line(w, cells...)
		}
	}
}

// scaleTable prints what a request costs with more and more clients, and how the
// dearest of these figures stands to the cheapest.
func scaleTable(w io.Writer, all results, suffix string) {
	loads := []string{"originate-c10" + suffix, "originate-c100" + suffix, "originate-c1000" + suffix, "originate-c10000" + suffix}
	few, most := loads[0], loads[len(loads)-1]
	for i, proxy := range names(all, loads...) {
		if i == 0 {
			title := "1 KiB at 2,000 a second, µs"
			if suffix != "" {
				title = "1 KiB, as fast as it comes, µs"
			}
			heading(w, title, "10 clients", "100", "1,000", "10,000", "10,000 ÷ 10", "in single rounds", "dearest ÷ cheapest")
		}
		cells := []string{nameText(proxy)}
		var costs []float64
		for _, load := range loads {
			cells = append(cells, costOf(all[load][proxy], "µs"))
			if cost := figures(all[load][proxy], "cost"); len(cost) > 0 {
				costs = append(costs, median(cost))
			}
		}
		cells = append(cells, spanTexts(over(all[most][proxy], all[few][proxy]))...)
		line(w, append(cells, fmt.Sprintf("%.2f", slices.Max(costs)/slices.Min(costs)))...)
	}
}

// userTable prints what a gigabyte costs a proxy that root runs, and nobody.
func userTable(w io.Writer, all results) {
	const root, user = "tunnel-bulk-100", "tunnel-bulk-100-user"
	for i, proxy := range names(all, user) {
		if i == 0 {
			heading(w, "bulk, 100 tunnels, s/GB", "started by root", "by nobody", "nobody ÷ root", "in single rounds")
		}
		cells := []string{nameText(proxy), costOf(all[root][proxy], "s/GB"), costOf(all[user][proxy], "s/GB")}
		line(w, append(cells, spanTexts(over(all[user][proxy], all[root][proxy]))...)...)
	}
}

// costOf is the median cost, and how many mistakes were made.
func costOf(runs []reading, unit string) string {
	cost := figures(runs, "cost")
	if len(cost) == 0 {
		return "–"
	}
	return costText(median(cost), unit) + mistakes(sum(figures(runs, "errors")))
}

func spanTexts(t times) []string {
	if t.ratio == 0 {
		return []string{"–", "–"}
	}
	return []string{fmt.Sprintf("%.2f", t.ratio), fmt.Sprintf("%.2f to %.2f", t.low, t.high)}
}

// mixedTable prints what a proxy held when it was warm and after the load.
func mixedTable(w io.Writer, all results) {
	for i, proxy := range names(all, "mixed") {
		if i == 0 {
			heading(w, "mixed load", "minutes", "exchanges a second", "errors", "µs each",
				"MiB: warm, at the end, all left", "end ÷ warm", "descriptors", "threads")
		}
		at := func(name string) float64 { return median(figures(all["mixed"][proxy], name)) }
		three := func(name string, unit float64, verb string) string {
			return fmt.Sprintf(verb+", "+verb+", "+verb, at("warm_"+name)/unit, at("end_"+name)/unit, at("rest_"+name)/unit)
		}
		line(w, nameText(proxy), fmt.Sprintf("%.1f", at("minutes")), fmt.Sprintf("%.0f", at("rate")), fmt.Sprintf("%.0f", at("errors")),
			costText(at("cost"), "µs"), three("pss", 1<<20, "%.1f"), ratioText(at("end_pss")/at("warm_pss")),
			three("fds", 1, "%.0f"), three("threads", 1, "%.0f"))
	}
}
