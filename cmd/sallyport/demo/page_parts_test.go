// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// column is where the column stands.
func columnAt(t *testing.T, r *Report, id string) int {
	t.Helper()
	i := slices.IndexFunc(r.Columns, func(c Column) bool { return c.ID == id })
	if i < 0 {
		t.Fatalf("no column %s", id)
	}
	return i
}

// swap exchanges the cells of two columns, as if one had been the other.
func swap(r *Report, a, b int) {
	for _, g := range r.Groups {
		for _, row := range g.Rows {
			row.Cells[a], row.Cells[b] = row.Cells[b], row.Cells[a]
		}
	}
}

// What is said of a mode is said because of its cells: when two columns have
// each other's, each is said what was said of the other.
func TestPageSummaryIsOfTheCells(t *testing.T) {
	r := aReport(t)
	a, b := columnAt(t, r, "tunnel"), columnAt(t, r, "relay")
	before := find(parsed(t, written(t, r)), hasClass("mode"))
	swap(r, a, b)
	after := find(parsed(t, written(t, r)), hasClass("mode"))
	if len(before) != len(r.Columns) || len(after) != len(r.Columns) {
		t.Fatalf("%d and %d summaries", len(before), len(after))
	}
	said := func(s, title string) string { return strings.Replace(s, title, "", 1) }
	if x, y := said(text(before[a]), "tunnel"), said(text(after[b]), "relay"); x != y {
		t.Errorf("of the same cells: %s\nand: %s", x, y)
	}
	if text(before[a]) == text(after[a]) {
		t.Errorf("the summary does not depend on the cells: %s", text(after[a]))
	}
	if s := text(before[a]); !strings.Contains(s, "For it") || !strings.Contains(s, "Against it") {
		t.Errorf("the summary of tunnel: %s", s)
	}
}

func TestPageSummaryCounts(t *testing.T) {
	cells := func(v ...Verdict) (out []Cell) {
		for i, v := range v {
			out = append(out, Cell{Text: fmt.Sprint("text ", i), Verdict: v})
		}
		return out
	}
	r := &Report{
		Columns: []Column{{ID: "a", Title: "a"}, {ID: "b", Title: "b"}},
		Groups: []Group{{Title: "what", Rows: []Row{
			{ID: "1", Title: "first", Cells: cells(Good, Bad)},
			{ID: "2", Title: "second", Cells: cells(Good, Good)},
			{ID: "3", Title: "third", Cells: cells(Missing, Neutral)},
		}}},
	}
	modes := viewModes(r)
	if a, b := modes[0], modes[1]; a.Good != 2 || a.Bad != 0 || a.None != 1 || b.Good != 1 || b.Bad != 1 || b.Even != 1 {
		t.Errorf("counted %+v and %+v", a, b)
	}
	if f := modes[0].For; len(f) != 1 || f[0].Group != "what" || len(f[0].Claims) != 1 || f[0].Claims[0] != (claim{"r1-1", "first", "text 0"}) {
		t.Errorf("for a: %v; what both have in common says nothing", f)
	}
	if f := modes[1].Against; len(f) != 1 || f[0].Claims[0].Anchor != "r1-1" {
		t.Errorf("against b: %v", f)
	}
}

// Every question of the guide is answered by rows of a real report, and its
// answer by a mode with a rule.
func TestPageGuideIsOfTheCells(t *testing.T) {
	r := aReport(t)
	got := viewGuide(r, newIndex(r))
	if len(got) != len(guide) {
		t.Errorf("%d of %d questions are on the page: a row was renamed", len(got), len(guide))
	}
	seen := make(map[string]bool)
	for _, q := range got {
		yes := q.Named(true)
		if len(yes) == 0 || len(q.Named(false)) == 0 || len(q.Yes) != len(yes) {
			t.Errorf("%s: yes %v, no %v, %d rules", q.Ask, yes, q.Named(false), len(q.Yes))
		}
		for _, mode := range yes {
			seen[mode] = true
		}
	}
	for _, mode := range []string{"originate", "tunnel", "intercept", "relay"} {
		if !seen[mode] {
			t.Errorf("no question leads to %s", mode)
		}
	}
	swap(r, columnAt(t, r, "tunnel"), columnAt(t, r, "intercept"))
	for i, q := range viewGuide(r, newIndex(r)) {
		flip := map[string]string{"tunnel": "intercept", "intercept": "tunnel"}
		want := got[i].Named(true)
		for k := range want {
			if other := flip[want[k]]; other != "" {
				want[k] = other
			}
		}
		have := q.Named(true)
		slices.Sort(want)
		slices.Sort(have)
		if !slices.Equal(have, want) {
			t.Errorf("%s: %v, although the cells say %v", q.Ask, have, want)
		}
	}
	r.Groups = nil
	if left := viewGuide(r, newIndex(r)); len(left) != 0 {
		t.Errorf("%d questions are answered by nothing", len(left))
	}
}

func TestPageStrip(t *testing.T) {
	b := []byte("user=ann&password=<b>CANARY-1234567890</b>\r\n\x00\xff")
	at := strings.Index(string(b), "CANARY")
	lines := stripLines(Strip{Offset: 0xff0, Hex: hex.EncodeToString(b), Canary: [2]int{at, at + 17}})
	var hexes, ascii, canaryHex, canary strings.Builder
	for i, l := range lines {
		if want := fmt.Sprintf("%04x", 0xff0+16*i); l.Offset != want {
			t.Errorf("line %d is at %s", i, l.Offset)
		}
		width := 0
		for _, p := range l.Hex {
			hexes.WriteString(p.Text)
			width += len(p.Text)
			if p.Canary {
				canaryHex.WriteString(p.Text)
				if strings.HasPrefix(p.Text, " ") || strings.HasSuffix(p.Text, " ") {
					t.Errorf("the mark is wider than its bytes: %q", p.Text)
				}
			}
		}
		if width != 16*3-1 {
			t.Errorf("line %d is %d wide: %v", i, width, l.Hex)
		}
		hexes.WriteString(" ")
		for _, p := range l.ASCII {
			ascii.WriteString(p.Text)
			if p.Canary {
				canary.WriteString(p.Text)
			}
		}
	}
	back, err := hex.DecodeString(strings.Join(strings.Fields(hexes.String()), ""))
	if err != nil || string(back) != string(b) {
		t.Errorf("shown are %q, %v", back, err)
	}
	if got := strings.TrimRight(ascii.String(), " "); got != "user=ann&password=<b>CANARY-1234567890</b>...." {
		t.Errorf("as ASCII %q", got)
	}
	if canary.String() != "CANARY-1234567890" || len(strings.Fields(canaryHex.String())) < 2 {
		t.Errorf("marked are %q and %q", canary.String(), canaryHex.String())
	}
}

func TestPageLadder(t *testing.T) {
	l := newLadder(Exchange{Name: "login", Steps: []Step{
		{At: 2.5, From: Origin, To: Gateway, Text: "TLS, encrypted", Bytes: 12_345},
		{At: .25, From: Client, To: Gateway, Text: "CONNECT " + strings.Repeat("long.", 20) + "test:443", Bytes: 64, Clear: true, Number: 1},
		{At: 2.5, From: Gateway, To: Client, Text: "after", Clear: true},
	}}, "tunnel")
	first, second, third := l.Arrows[0], l.Arrows[1], l.Arrows[2]
	if first.Number != 1 || first.Kind != "clear" || first.From != clientAt || first.To != gatewayAt || first.Time != "0.25 ms" || first.Bytes != "64 B" {
		t.Errorf("the first arrow is %+v", first)
	}
	if first.Text != "CONNECT" || !strings.HasPrefix(first.More, "long.long.") || !strings.HasSuffix(first.More, "…") || len(first.More) > 45 || !first.Cut {
		t.Errorf("a text longer than its arrow: %q over %q", first.Text, first.More)
	}
	if second.Kind != "sealed" || second.From != originAt || second.Tip() != gatewayAt+2 || second.Bytes != "12 kB" || second.Way != "origin → gateway, encrypted:" {
		t.Errorf("the second arrow is %+v", second)
	}
	if third.Text != "after" || third.Bytes != "" || third.Y <= second.Y || l.Foot <= third.Y {
		t.Errorf("the third arrow is %+v", third)
	}
	if !l.Gateway || !strings.Contains(l.Desc, "0.25 ms client → gateway, clear: CONNECT long.") {
		t.Errorf("described as %s", l.Desc)
	}
	if direct := newLadder(Exchange{Steps: []Step{{From: Client, To: Origin}}}, "direct"); direct.Gateway {
		t.Error("a gateway that took no part has a lifeline")
	}
}

func TestPageLongTextsTakeTwoLines(t *testing.T) {
	for _, test := range []struct{ text, above, below string }{
		{"HTTP/1.1 200 OK", "HTTP/1.1 200 OK", ""},
		{"TLS ClientHello, SNI login.tunnel.test", "TLS ClientHello", "SNI login.tunnel.test"},
		{"CONNECT login.intercept.test:12345", "CONNECT", "login.intercept.test:12345"},
		{"POST http://login.originate.demo.test:12345/login", "POST http://", "login.originate.demo.test:12345/login"},
		{"größer größer größer", "größer größer größer", ""},
		{strings.Repeat("x", 50), strings.Repeat("x", 50), ""},
		{strings.Repeat("ß", 29) + "/x", strings.Repeat("ß", 29) + "/x", ""},
	} {
		if above, below := halves(test.text, 30); above != test.above || below != test.below {
			t.Errorf("%q becomes %q and %q", test.text, above, below)
		}
	}
}

func TestPageConnectSteps(t *testing.T) {
	r := aReport(t)
	first, _ := viewExchanges(r, newIndex(r), wholePage)
	v := viewConnect(first)
	if !slices.Equal(v.Columns, []string{"tunnel", "intercept"}) || len(v.Steps) != 5 {
		t.Fatalf("%d steps, of %v", len(v.Steps), v.Columns)
	}
	for _, s := range v.Steps {
		for i, c := range s.Cells {
			if c.Time == "" {
				t.Errorf("step %d of %s was not seen", s.Number, v.Columns[i])
			}
		}
	}
}

func TestPagePlot(t *testing.T) {
	r := &Report{Columns: []Column{{ID: "a", Title: "a"}, {ID: "b", Title: "b"}, {ID: "none", Title: "none"}}}
	var slow, fast []float64
	for i := range 200 {
		fast = append(fast, 1+float64(i)/200)
		slow = append(slow, 50)
	}
	slow[7] = 900
	r.Samples = []Sample{{Column: "a", Name: "new", Millis: fast}, {Column: "b", Name: "new", Millis: append(slow, math.NaN())}}
	plots := viewPlots(r)
	if len(plots) != 1 || len(plots[0].Rows) != 2 {
		t.Fatalf("plots: %+v", plots)
	}
	p := plots[0]
	if !p.Log || p.Ticks[0].Text != "1" || p.Ticks[len(p.Ticks)-1].Text != "1000" {
		t.Errorf("the axis has %v", p.Ticks)
	}
	a, b := p.Rows[0], p.Rows[1]
	if a.P50 != "1.50 ms" || a.P99 != "1.98 ms" || b.P50 != "50.0 ms" || b.P99 != "50.0 ms" || b.Max != "900 ms" || b.N != 200 {
		t.Errorf("rows: %+v %+v", a, b)
	}
	if !(a.X50 < a.X99 && a.X99 < b.X50) || b.X50 > plotRight {
		t.Errorf("marks at %d %d %d", a.X50, a.X99, b.X50)
	}
	// 199 requests are one stack, which is as high as stacks may be.
	if n := strings.Count(b.Dots, "M"); p.Per != (199+dotsHigh-1)/dotsHigh || n > dotsHigh+1 {
		t.Errorf("%d dots, each for %d", n, p.Per)
	}
	r.Samples[1].Millis = []float64{3, 4}
	if p := viewPlots(r)[0]; p.Log || p.Ticks[0].Text != "0" {
		t.Errorf("a small range on %v", p.Ticks)
	}
}
