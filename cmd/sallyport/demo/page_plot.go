// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A plotView is the dot plot of one kind of request: a row of dots for each
// column, stacked where they fall together. Sizes are in the units of its
// viewBox, which is 720 wide.
type plotView struct {
	Name, Title, Desc string
	Log               bool
	Height, Foot      int
	Ticks             []tick
	Rows              []plotRow
	Per               int // requests that a dot stands for
}

type tick struct {
	X    int
	Text string
}

type plotRow struct {
	Y                  int
	Column             string
	Dots               string // a path
	X50, X99           int
	N                  int
	Min, P50, P99, Max string
	values             []float64 // sorted
}

const (
	plotLeft, plotRight = 130, 700
	plotTop, plotRow1   = 34, 46
	dot                 = 5 // across
	dotsHigh            = 7 // of a stack
	decades             = 20.0
)

// viewPlots are the plots of the kinds of requests, in the order of the report.
func viewPlots(r *Report) []plotView {
	var plots []plotView
	for i, s := range r.Samples {
		if slices.ContainsFunc(r.Samples[:i], func(o Sample) bool { return o.Name == s.Name }) {
			continue
		}
		if p := viewPlot(r, s.Name); len(p.Rows) > 0 {
			plots = append(plots, p)
		}
	}
	return plots
}

func viewPlot(r *Report, name string) plotView {
	p := plotView{Name: clip(name, 40), Title: fmt.Sprintf("Latency of requests, %s connections", clip(name, 40)), Per: 1}
	for _, c := range r.Columns {
		for _, s := range r.Samples {
			if s.Name != name || s.Column != c.ID {
				continue
			}
			if values := measured(s.Millis); len(values) > 0 {
				p.Rows = append(p.Rows, plotRow{Column: clip(c.Title, 18), N: len(values), values: values})
			}
			break
		}
	}
	if len(p.Rows) == 0 {
		return p
	}
	lo, hi := p.Rows[0].values[0], 0.0
	for _, row := range p.Rows {
		lo, hi = min(lo, row.values[0]), max(hi, row.values[len(row.values)-1])
	}
	p.Log = lo > 0 && hi/lo > decades
	x := p.axis(lo, hi)
	p.stack(x)
	var desc []string
	for i := range p.Rows {
		row := &p.Rows[i]
		row.Y = plotTop + plotRow1*i + plotRow1/2
		p50, p99 := nearestRank(row.values, .5), nearestRank(row.values, .99)
		row.X50, row.X99 = x(p50), x(p99)
		row.Min, row.P50, row.P99, row.Max = millis(row.values[0]), millis(p50), millis(p99), millis(row.values[row.N-1])
		desc = append(desc, fmt.Sprintf("%s: %d requests, p50 %s, p99 %s.", row.Column, row.N, row.P50, row.P99))
	}
	p.Desc = strings.Join(desc, " ")
	p.Foot = plotTop + plotRow1*len(p.Rows) + 6
	p.Height = p.Foot + 42
	return p
}

// measured are the values that are times, sorted.
func measured(ms []float64) []float64 {
	var out []float64
	for _, v := range ms {
		if v >= 0 && v < 1e9 { // not NaN either
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// nearestRank is the least value that a share q of the sorted values does not
// exceed.
func nearestRank(sorted []float64, q float64) float64 {
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

// axis chooses the ends of the axis and its ticks, and returns where a value
// stands on it.
func (p *plotView) axis(lo, hi float64) func(float64) int {
	scale := func(v float64) float64 { return v }
	var marks []float64
	hi = max(hi, 1e-3)
	if p.Log {
		lo = max(lo, hi/1e6) // what is smaller stands at the end
		scale = math.Log10
		for e := math.Floor(math.Log10(lo)); e <= math.Ceil(math.Log10(hi)); e++ {
			for _, m := range []float64{1, 2, 5} {
				marks = append(marks, m*math.Pow(10, e))
			}
		}
	} else {
		lo = 0
		step := math.Pow(10, math.Floor(math.Log10(hi)))
		for hi/step < 4 {
			step /= 2
		}
		for v := 0.0; v < hi+step; v += step {
			marks = append(marks, v)
		}
	}
	// The ends are ticks, so that every dot is between two.
	for len(marks) > 2 && marks[1] <= lo {
		marks = marks[1:]
	}
	for len(marks) > 2 && marks[len(marks)-2] >= hi {
		marks = marks[:len(marks)-1]
	}
	from, to := scale(marks[0]), scale(marks[len(marks)-1])
	x := func(v float64) int {
		share := (scale(max(v, marks[0])) - from) / (to - from)
		return plotLeft + int(math.Round(share*(plotRight-plotLeft)))
	}
	for _, v := range marks {
		p.Ticks = append(p.Ticks, tick{x(v), strconv.FormatFloat(v, 'g', 4, 64)})
	}
	return x
}

// stack makes the dots: values that fall into the same place are put above and
// below the line. A dot stands for more than one request when stacks would be
// too high.
func (p *plotView) stack(x func(float64) int) {
	counts := make([]map[int]int, len(p.Rows))
	highest := 1
	for i, row := range p.Rows {
		counts[i] = make(map[int]int)
		for _, v := range row.values {
			at := (x(v) + dot/2) / dot * dot
			counts[i][at]++
			highest = max(highest, counts[i][at])
		}
	}
	p.Per = (highest + dotsHigh - 1) / dotsHigh
	for i := range p.Rows {
		var b strings.Builder
		y := plotTop + plotRow1*i + plotRow1/2
		var places []int
		for at := range counts[i] {
			places = append(places, at)
		}
		slices.Sort(places)
		for _, at := range places {
			n := (counts[i][at] + p.Per - 1) / p.Per
			for k := range n {
				up := (k + 1) / 2 * dot
				if k%2 == 1 {
					up = -up
				}
				fmt.Fprintf(&b, "M%d %dh0", at, y+up)
			}
		}
		p.Rows[i].Dots = b.String()
	}
}
