// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A group and its rows are questions; see Group and Row.
type group struct {
	id, title string
	rows      []row
}

type row struct {
	id, title, how string
	from           []string // names of the exchanges it is computed from
	cell           func(*column) Cell
}

// report answers the questions from what was recorded.
func (t *trial) report() *Report {
	r := &Report{
		Version: Version, Gateway: t.o.Version, Started: t.started.UTC().Round(0),
		Machine: machine(), Notes: t.o.Notes,
	}
	for _, c := range t.columns {
		col := Column{ID: c.id, Title: cmp.Or(c.way.Title, c.id), Mode: c.way.Mode, Notes: c.way.Notes}
		if c.id != direct && c.way.Peer == "" {
			col.Rule = mainRule(c.way, c.mode)
		}
		r.Columns = append(r.Columns, col)
		for _, x := range c.exchanges {
			r.Exchanges = append(r.Exchanges, Exchange{
				ID: x.id(), Column: c.id, Name: x.name, Outcome: x.outcome(),
				Steps: x.ladder(t.stopped), Wires: x.wires(t.canary), Log: x.log(),
			})
		}
		if c.cost != nil {
			r.Samples = append(r.Samples, c.cost.samples(c.id)...)
		}
	}
	for _, g := range questions() {
		if g.id == "cost" && !t.o.Costs {
			continue
		}
		out := Group{ID: g.id, Title: g.title}
		for _, q := range g.rows {
			out.Rows = append(out.Rows, q.ask(g, t.columns))
		}
		r.Groups = append(r.Groups, out)
	}
	r.Seconds = math.Round(time.Since(t.started).Seconds()*100) / 100
	return r
}

func questions() []group {
	return []group{wireRows(), trustRows(), identityRows(), controlRows(), sessionRows(), costRows()}
}

func (q row) ask(g group, columns []*column) Row {
	out := Row{ID: g.id + "." + q.id, Title: q.title, How: q.how}
	for _, c := range columns {
		cell := q.cell(c)
		for _, name := range q.from {
			if x := c.exchange(name); x != nil {
				cell.Evidence = append(cell.Evidence, x.id())
			}
		}
		out.Cells = append(out.Cells, cell)
	}
	return out
}

// notHere is a cell of a column to which the question does not apply.
func notHere(why string) Cell { return Cell{Text: why, Verdict: Missing} }

// judge is good or bad.
func judge(good bool) Verdict {
	if good {
		return Good
	}
	return Bad
}

// log is what the gateway wrote of an exchange.
func (x *exchange) log() json.RawMessage {
	var lines []json.RawMessage
	for _, r := range x.records {
		lines = append(lines, r.line)
	}
	if lines == nil {
		return nil
	}
	out, err := json.Marshal(lines)
	if err != nil {
		return nil // they were read as JSON
	}
	return out
}

// outcome tells what became of each request.
func (x *exchange) outcome() string {
	var parts []string
	for _, a := range x.answers {
		parts = append(parts, a.outcome())
	}
	switch {
	case x.err != nil && len(x.answers) == 0:
		parts = append(parts, x.err.Error())
	case x.said != "":
		parts = append(parts, fmt.Sprintf("%q came back", x.said))
	}
	for _, r := range x.records {
		if r.Error != "" && !slices.Contains(parts, "gateway: "+r.Error) {
			parts = append(parts, "gateway: "+r.Error)
		}
	}
	return strings.Join(parts, "; ")
}

func (a answer) outcome() string {
	switch {
	case a.byProxy:
		return fmt.Sprintf("%d from the gateway", a.status)
	case a.err != nil:
		return a.err.Error()
	}
	return fmt.Sprintf("%d from the origin", a.status)
}
