// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"cmp"
	"fmt"
	"slices"
)

// Long texts of a report are cut on the page; the JSON has them whole.
const (
	cellText  = 400
	leastText = 120
)

type groupView struct {
	Anchor, Title string
	Columns       []string
	Rows          []rowView
}

type rowView struct {
	Anchor, ID, Title, How string
	Cells                  []cellView
}

type cellView struct {
	Column  string
	Text    string
	Mark    string // class of the verdict
	Verdict string // for those who do not see the mark
	Links   []link
	More    int // links that are not shown
}

type link struct{ Anchor, Name string }

// verdictMark is the class and the word of a verdict.
func verdictMark(v Verdict) (class, word string) {
	switch v {
	case Good:
		return "good", "good"
	case Bad:
		return "bad", "bad"
	case Missing:
		return "none", "does not apply"
	}
	return "even", "neither good nor bad"
}

func viewGroups(r *Report, x *index, detail int) []groupView {
	limit := cellText
	if detail >= leastPage {
		limit = leastText
	}
	groups := make([]groupView, len(r.Groups))
	for i, g := range r.Groups {
		v := groupView{Anchor: fmt.Sprintf("g%d", i+1), Title: clip(g.Title, limit)}
		for _, c := range r.Columns {
			v.Columns = append(v.Columns, clip(c.Title, leastText))
		}
		for k, row := range g.Rows {
			rv := rowView{Anchor: rowAnchor(i, k), ID: clip(row.ID, limit), Title: clip(row.Title, limit), How: clip(row.How, limit)}
			for c := range r.Columns {
				if c < len(row.Cells) {
					rv.Cells = append(rv.Cells, viewCell(r, x, c, row.Cells[c], limit))
				}
			}
			v.Rows = append(v.Rows, rv)
		}
		groups[i] = v
	}
	return groups
}

func viewCell(r *Report, x *index, column int, c Cell, limit int) cellView {
	v := cellView{Column: clip(r.Columns[column].Title, leastText), Text: clip(cmp.Or(c.Text, "–"), limit)}
	v.Mark, v.Verdict = verdictMark(c.Verdict)
	for _, id := range c.Evidence {
		anchor := x.exchanges[id]
		if anchor == "" {
			continue
		}
		if len(v.Links) == 4 {
			v.More++
			continue
		}
		i := slices.IndexFunc(r.Exchanges, func(e Exchange) bool { return e.ID == id })
		v.Links = append(v.Links, link{anchor, clip(r.Exchanges[i].Name, 24)})
	}
	return v
}

// A modeView is what the cells of a column come to.
type modeView struct {
	Column
	Good, Bad, Even, None int
	Bar                   []bar
	For, Against          []argument
}

// A bar is a part of the line that shows how many cells are good and bad.
type bar struct {
	Mark     string
	X, Width float64
}

// An argument is what is claimed out of a group: the title of a row says little
// without that of its group.
type argument struct {
	Group  string
	Claims []claim
}

// A claim is a cell, told with its row.
type claim struct{ Anchor, Title, Text string }

const claims = 4 // of each kind, for a mode

func viewModes(r *Report) []modeView {
	var modes []modeView
	for c, column := range r.Columns {
		v := modeView{Column: column}
		v.Title, v.Rule = clip(v.Title, leastText), clip(v.Rule, leastText)
		for _, g := range r.Groups {
			for _, row := range g.Rows {
				if c < len(row.Cells) {
					v.count(row.Cells[c].Verdict)
				}
			}
		}
		v.bars()
		v.For, v.Against = outstanding(r, c, Good), outstanding(r, c, Bad)
		modes = append(modes, v)
	}
	return modes
}

func (v *modeView) count(verdict Verdict) {
	switch verdict {
	case Good:
		v.Good++
	case Bad:
		v.Bad++
	case Missing:
		v.None++
	default:
		v.Even++
	}
}

func (v *modeView) bars() {
	total := v.Good + v.Bad + v.Even + v.None
	at := 0.0
	for _, part := range []struct {
		mark string
		n    int
	}{{"good", v.Good}, {"bad", v.Bad}, {"even", v.Even}, {"none", v.None}} {
		if part.n > 0 {
			width := 200 * float64(part.n) / float64(total)
			v.Bar = append(v.Bar, bar{part.mark, at, width})
			at += width
		}
	}
}

// Rated is how many cells are good or bad.
func (v modeView) Rated() int { return v.Good + v.Bad }

// outstanding are the cells of a column with a verdict that few others have,
// those first that fewest share. What all columns have in common says nothing
// about one of them.
func outstanding(r *Report, column int, verdict Verdict) []argument {
	type found struct {
		claim
		group  string
		shared int
	}
	var list []found
	for i, g := range r.Groups {
		for k, row := range g.Rows {
			if column >= len(row.Cells) || row.Cells[column].Verdict != verdict {
				continue
			}
			same, rated := 0, 0
			for _, c := range row.Cells {
				if c.Verdict == verdict {
					same++
				}
				if c.Verdict == Good || c.Verdict == Bad {
					rated++
				}
			}
			if same < rated || rated == 1 {
				list = append(list, found{claim{rowAnchor(i, k), clip(row.Title, leastText), clip(row.Cells[column].Text, leastText)}, clip(g.Title, leastText), same})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b found) int { return a.shared - b.shared })
	var out []argument
	for _, f := range list[:min(len(list), claims)] {
		i := slices.IndexFunc(out, func(a argument) bool { return a.Group == f.group })
		if i < 0 {
			i = len(out)
			out = append(out, argument{Group: f.group})
		}
		out[i].Claims = append(out[i].Claims, f.claim)
	}
	return out
}
