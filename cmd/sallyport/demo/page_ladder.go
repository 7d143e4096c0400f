// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// A ladder is the message-sequence chart of an exchange: a lifeline for each
// actor, an arrow for each step, downwards in the order of time. Sizes are in
// the units of its viewBox, which is 720 wide.
type ladder struct {
	Title, Desc string
	Height      int
	Foot        int    // where lifelines end
	Lanes       string // the lifelines, as a path
	Gateway     bool   // takes part
	Arrows      []arrow
}

type arrow struct {
	Y, From, To int
	Middle      int
	Kind        string // clear or sealed
	Way         string // "client → gateway, clear:"
	Text, More  string // above and below the arrow
	Cut         bool   // for want of room
	Full        string
	Bytes       string
	Time        string
	Number      int
}

const (
	clientAt, gatewayAt, originAt = 110, 385, 660

	ladderTop  = 58 // the first arrow
	ladderStep = 32
	ladderMore = 8   // where there is text below the arrow, too
	ladderMax  = 60  // steps shown
	letter     = 6.7 // the width that a character may have
)

func newLadder(e Exchange, column string) *ladder {
	l := &ladder{Title: fmt.Sprintf("%s, through %s", clip(e.Name, 40), column)}
	steps := slices.Clone(e.Steps)
	slices.SortStableFunc(steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	steps = steps[:min(len(steps), ladderMax)]
	at := l.lanes(steps)
	var desc strings.Builder
	y := ladderTop
	for _, s := range steps {
		from, known := at[s.From]
		to, knownTo := at[s.To]
		if !known {
			from = at[Client]
		}
		if !knownTo {
			to = from
		}
		a := arrow{
			Y: y, From: from, To: to, Middle: (from + to) / 2,
			Kind: "sealed", Full: clip(s.Text, cellText), Time: millis(s.At), Bytes: size(s.Bytes),
		}
		a.Way = fmt.Sprintf("%s → %s", clip(s.From, 24), clip(s.To, 24))
		if s.Clear {
			a.Kind = "clear"
			a.Way += ", clear:"
		} else {
			a.Way += ", encrypted:"
		}
		if s.Number >= 1 && s.Number <= 5 {
			a.Number = s.Number
		}
		a.fit()
		l.Arrows = append(l.Arrows, a)
		if y += ladderStep; a.More != "" {
			y += ladderMore
		}
		fmt.Fprintf(&desc, "%s %s %s. ", a.Time, a.Way, clip(s.Text, leastText))
	}
	l.Desc = strings.TrimSpace(desc.String())
	if len(e.Steps) > len(steps) {
		l.Desc += fmt.Sprintf(" %d more steps are not drawn.", len(e.Steps)-len(steps))
	}
	l.Foot = y - 12
	l.Height = l.Foot + 8
	l.Lanes = fmt.Sprintf("M%d 32V%dM%d 32V%d", clientAt, l.Foot, originAt, l.Foot)
	if l.Gateway {
		l.Lanes += fmt.Sprintf("M%d 32V%d", gatewayAt, l.Foot)
	}
	return l
}

// lanes is where the lifelines of the actors that take part are.
func (l *ladder) lanes(steps []Step) map[string]int {
	at := map[string]int{Client: clientAt, Origin: originAt}
	if l.Gateway = slices.ContainsFunc(steps, func(s Step) bool { return s.From == Gateway || s.To == Gateway }); l.Gateway {
		at[Gateway] = gatewayAt
	}
	return at
}

// fit cuts the text to the length of the arrow, and places that of an arrow to
// nowhere.
func (a *arrow) fit() {
	span := max(a.To-a.From, a.From-a.To)
	if span == 0 {
		span, a.Middle = gatewayAt-clientAt, min(max(a.From, 200), 570)
	}
	if a.Number > 0 {
		span -= 20
	}
	room := int(float64(span-20) / letter)
	a.Text, a.More = halves(a.Full, room)
	a.Text, a.More = clip(a.Text, room), clip(a.More, room)
	a.Cut = strings.HasSuffix(a.Text+a.More, "…")
}

// halves are what stands above and below an arrow: a text that is too long is
// divided at a comma or space, so that both fit, or where else it can be.
func halves(s string, room int) (above, below string) {
	if utf8.RuneCountInString(s) <= room {
		return s, ""
	}
	for _, at := range []string{", ", " "} {
		above, below, ok := strings.Cut(s, at)
		if ok && utf8.RuneCountInString(above) <= room && utf8.RuneCountInString(below) <= room {
			return above, below
		}
	}
	if i := strings.LastIndexAny(s[:min(room, len(s))], " /:"); i > 0 {
		return strings.TrimSpace(s[:i+1]), s[i+1:]
	}
	return s, ""
}

// Tip is where the point of the arrow is, just before its lifeline.
func (a arrow) Tip() int {
	switch {
	case a.To > a.From:
		return a.To - 2
	case a.To < a.From:
		return a.To + 2
	}
	return a.To
}

// millis is a time of a run, for people.
func millis(ms float64) string {
	switch {
	case math.IsNaN(ms) || math.IsInf(ms, 0):
		return "–"
	case ms >= 10_000:
		return fmt.Sprintf("%.1f s", ms/1000)
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	case ms >= 10:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.2f ms", ms)
}

// size is a number of bytes, for people; "" when there are none.
func size(n int) string {
	switch {
	case n <= 0:
		return ""
	case n >= 10_000_000:
		return fmt.Sprintf("%d MB", n/1_000_000)
	case n >= 10_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d B", n)
}
