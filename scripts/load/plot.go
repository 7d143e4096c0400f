// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strings"
)

// The plot: a panel per workload, a bar per proxy, as long as its cost is a
// multiple of the best peer's; the line is the best peer. Originate stands
// left, tunnel right.
const (
	panelWidth = 460
	nameWidth  = 84
	barWidth   = 250 // of a bar that is fullRatio long
	fullRatio  = 5.0 // longer ones are cut and say so by their number
	barStep    = 17
	panelGap   = 16
	titleStep  = 20
	margin     = 16
	top        = 46
)

const style = `<style>
  text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #24292f }
  .page { fill: #ffffff } .head { font-size: 15px; font-weight: 600 } .title { font-weight: 600 } .figure, .sub { fill: #57606a }
  .peer { fill: #afb8c1 } .ours { fill: #0969da } .relay { fill: none; stroke: #afb8c1 }
  .name { text-anchor: end } .line { stroke: #24292f; stroke-dasharray: 2 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .page { fill: #0d1117 } .figure, .sub { fill: #9da7b3 }
    .peer { fill: #57606a } .ours { fill: #4493f8 } .line { stroke: #e6edf3 }
  }
</style>
`

// draw makes the SVG. Its texts have places that are computed from how many
// bars there are, so that none meets another.
func draw(all results) []byte {
	var body bytes.Buffer
	bottom := [2]int{top, top}
	for _, load := range workloads {
		ranked := rows(all[load.name])
		if len(ranked) == 0 {
			continue
		}
		side := 0
		if strings.HasPrefix(load.name, "tunnel") {
			side = 1
		}
		x := margin + side*(panelWidth+margin)
		y := bottom[side]
		unit := "CPU " + load.unit
		if load.unit == "KiB" {
			unit = load.unit
		}
		fmt.Fprintf(&body, "<text class=\"title\" x=\"%d\" y=\"%d\">%s <tspan class=\"sub\" font-weight=\"400\">· %s</tspan></text>\n",
			x, y+12, load.title, unit)
		y += titleStep
		left := x + nameWidth
		one := float64(left) + barWidth/fullRatio
		for i, r := range ranked {
			kind := "peer"
			switch r.proxy {
			case ours:
				kind = "ours"
			case relay:
				kind = "relay"
			}
			at := y + i*barStep
			long := min(r.ratio, fullRatio) / fullRatio * barWidth
			fmt.Fprintf(&body, "<text class=\"name\" x=\"%d\" y=\"%d\">%s</text><rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>",
				left-6, at+11, r.proxy, kind, left, at+1, long, barStep-4)
			behind := max(float64(left)+long, one) + 6 // never on the line
			fmt.Fprintf(&body, "<text class=\"figure\" x=\"%.1f\" y=\"%d\">%s × · %s</text>\n",
				behind, at+11, ratioText(r.ratio), costText(r.cost, load.unit))
		}
		end := y + len(ranked)*barStep
		fmt.Fprintf(&body, "<line class=\"line\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>\n", one, y-2, one, end)
		bottom[side] = end + panelGap
	}
	width, height := 2*panelWidth+3*margin, max(bottom[0], bottom[1])
	var out bytes.Buffer
	fmt.Fprintf(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" "+
		"aria-label=\"What each proxy costs, as a multiple of the best peer\">\n", width, height, width, height)
	out.WriteString(style)
	fmt.Fprintf(&out, "<rect class=\"page\" width=\"%d\" height=\"%d\"/>\n", width, height)
	fmt.Fprintf(&out, "<text class=\"head\" x=\"%d\" y=\"26\">What each proxy costs, × the best peer "+
		"<tspan class=\"sub\" font-size=\"12\" font-weight=\"400\">(shorter is better; line: the best peer; bars end at %.0f ×; empty: a relay, no CONNECT)</tspan></text>\n", margin, fullRatio)
	out.Write(body.Bytes())
	out.WriteString("</svg>\n")
	return out.Bytes()
}
