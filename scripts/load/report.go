// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// ours is the one the others are peers of.
const ours = "sallyport"

// relay is a relay of bytes, with no CONNECT: a mark of what is possible, and no
// peer.
const relay = "haproxy-tcp"

func isPeer(proxy string) bool { return proxy != ours && proxy != relay }

// workloads in the order of the report; what a cost is counted in. Those without
// a column have a table of their own.
var workloads = []struct{ name, column, title, unit string }{
	{"originate-1k", "1 KiB, kept", "originate: 1 KiB, kept connections", "µs"},
	{"originate-64k", "64 KiB, kept", "originate: 64 KiB, kept connections", "µs"},
	{"originate-rate", "1 KiB at 2,000/s", "originate: 1 KiB at 2,000 a second", "µs"},
	{"originate-new", "new client connection", "originate: a new client connection each", "µs"},
	{"originate-handshake", "resumed origin handshake", "originate: a resumed origin handshake each", "µs"},
	{"originate-mtls", "full mutual handshake", "originate: a full mutual origin handshake each", "µs"},
	{"originate-bulk", "bulk", "originate: bulk", "s/GB"},
	{"originate-c10", "", "originate: 1 KiB at 2,000 a second, 10 clients", "µs"},
	{"originate-c100", "", "originate: 1 KiB at 2,000 a second, 100 clients", "µs"},
	{"originate-c1000", "", "originate: 1 KiB at 2,000 a second, 1,000 clients", "µs"},
	{"originate-c10000", "", "originate: 1 KiB at 2,000 a second, 10,000 clients", "µs"},
	{"originate-c10-closed", "", "originate: 1 KiB, 10 clients at once", "µs"},
	{"originate-c100-closed", "", "originate: 1 KiB, 100 clients at once", "µs"},
	{"originate-c1000-closed", "", "originate: 1 KiB, 1,000 clients at once", "µs"},
	{"originate-c10000-closed", "", "originate: 1 KiB, 10,000 clients at once", "µs"},
	{"tunnel-new-tls", "new, TLS inside", "tunnel: a new one each, TLS inside", "µs"},
	{"tunnel-new", "new, plain inside", "tunnel: a new one each, plain inside", "µs"},
	{"tunnel-1k", "1 KiB exchange", "tunnel: 1 KiB exchanges", "µs"},
	{"tunnel-bulk", "bulk", "tunnel: bulk", "s/GB"},
	{"tunnel-bulk-100", "", "tunnel: bulk, 100 of them", "s/GB"},
	{"tunnel-bulk-100-user", "", "tunnel: bulk, 100 of them, by nobody", "s/GB"},
	{"tunnel-idle", "idle, memory", "tunnel: idle, memory of each", "KiB"},
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
	makeTables(w, all)
	if plot == "" {
		return nil
	}
	return os.WriteFile(plot, draw(all), 0o644)
}

func makeTables(w io.Writer, all results) {
	for _, role := range []string{"originate", "tunnel"} {
		matrix(w, all, role)
	}
	ownTable(w, all)
	eachTable(w, all)
	scaleTable(w, all, "")
	scaleTable(w, all, "-closed")
	userTable(w, all)
	mixedTable(w, all)
}

// matrix prints what every proxy costs, with the ratio to the best peer.
func matrix(w io.Writer, all results, role string) {
	head, line := "| "+role+" |", "|---|"
	cells := make(map[string]string)
	var proxies []string
	columns := 0
	for _, load := range workloads {
		ranked := rows(all[load.name])
		if len(ranked) == 0 || load.column == "" || !strings.HasPrefix(load.name, role) {
			continue
		}
		head, line = head+" "+load.column+", "+load.unit+" |", line+"---|"
		for _, r := range ranked {
			if !slices.Contains(proxies, r.proxy) {
				proxies = append(proxies, r.proxy)
			}
			cells[r.proxy] += strings.Repeat(" – |", columns-strings.Count(cells[r.proxy], "|"))
			cells[r.proxy] += fmt.Sprintf(" %s (%s)%s |", costText(r.cost, load.unit), ratioText(r.ratio), mistakes(r.errors))
		}
		columns++
	}
	if columns == 0 {
		return
	}
	slices.SortStableFunc(proxies, func(a, b string) int { return cmp.Compare(place(a), place(b)) })
	fmt.Fprintf(w, "%s\n%s\n", head, line)
	for _, proxy := range proxies {
		cells[proxy] += strings.Repeat(" – |", columns-strings.Count(cells[proxy], "|"))
		fmt.Fprintf(w, "| %s |%s\n", nameText(proxy), cells[proxy])
	}
	fmt.Fprintln(w)
}

// ownTable prints how ours stands to the best peer, and how sure that is.
func ownTable(w io.Writer, all results) {
	fmt.Fprint(w, "| | best peer | × its cost | in single rounds | a second, ours and its | p99 ms, ours and its |\n|---|---|---|---|---|---|\n")
	for _, load := range workloads {
		ranked := rows(all[load.name])
		own := slices.IndexFunc(ranked, func(r row) bool { return r.proxy == ours })
		best := slices.IndexFunc(ranked, func(r row) bool { return isPeer(r.proxy) })
		if own < 0 || best < 0 {
			continue
		}
		r, b := ranked[own], ranked[best]
		fmt.Fprintf(w, "| %s | %s | **%.2f** | %.2f to %.2f (%d) | %s, %s | %s, %s |\n", load.title, b.proxy, r.ratio, r.low, r.high, r.rounds,
			rateText(r.rate, load.unit), rateText(b.rate, load.unit), latency(r), latency(b))
	}
}

func nameText(proxy string) string {
	switch proxy {
	case ours:
		return "**" + proxy + "**"
	case relay:
		return proxy + ", no CONNECT"
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

func mistakes(n float64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %.0f errors", n)
}
