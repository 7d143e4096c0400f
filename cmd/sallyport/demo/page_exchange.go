// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// An exchangeGroup is one exchange, in all columns it was made in.
type exchangeGroup struct {
	Name      string
	Exchanges []exchangeView
}

type exchangeView struct {
	Anchor, ID, Column, Name, Outcome string
	Rule                              string // of the column, where the exchange is shown in full
	Steps                             []Step
	Ladder                            *ladder
	List                              bool // the ladder is shown as a list
	Wires                             []wireView
	Log                               string
}

// viewExchanges divides the exchanges into the first one, which is shown in
// full, and the others, by name.
func viewExchanges(r *Report, x *index, detail int) (first exchangeGroup, others []exchangeGroup) {
	at := make(map[string]int)
	for i, e := range r.Exchanges {
		v := exchangeView{Anchor: fmt.Sprintf("x%d", i+1), ID: clip(e.ID, 80), Column: e.Column, Name: clip(e.Name, 40), Outcome: clip(e.Outcome, cellText), Steps: e.Steps}
		if c, ok := x.columns[e.Column]; ok {
			v.Column, v.Rule = r.Columns[c].Title, clip(r.Columns[c].Rule, cellText)
		}
		v.Column = clip(v.Column, leastText)
		main := e.Name == r.Exchanges[0].Name
		v.Ladder = newLadder(e, v.Column)
		v.List = !main && detail >= withoutLadders
		v.Wires = viewWires(e.Wires, main || detail < withoutStrips)
		if detail < withoutLogs || main && detail < leastPage {
			v.Log = viewLog(e.Log, main)
		}
		if main {
			first.Name = v.Name
			first.Exchanges = append(first.Exchanges, v)
			continue
		}
		k, ok := at[e.Name]
		if !ok {
			k = len(others)
			at[e.Name] = k
			others = append(others, exchangeGroup{Name: v.Name})
		}
		others[k].Exchanges = append(others[k].Exchanges, v)
	}
	return first, others
}

// A wireView is what was recorded of a leg.
type wireView struct {
	Wire
	Title   string
	Entropy string
	Fill    float64 // of a bar 80 wide
	Lines   []stripLine
}

// A stripLine is 16 bytes of a strip in pieces, those of the canary apart.
type stripLine struct {
	Offset     string
	Hex, ASCII []piece
}

type piece struct {
	Text   string
	Canary bool
}

func viewWires(wires []Wire, strips bool) []wireView {
	var out []wireView
	for _, w := range wires {
		v := wireView{Wire: w, Title: "the leg of the " + clip(w.Leg, 24), Entropy: fmt.Sprintf("%.2f", w.Entropy)}
		switch w.Leg {
		case Client:
			v.Title = "client’s leg"
		case Origin:
			v.Title = "origin’s leg"
		}
		v.Fill = min(max(w.Entropy, 0), 8) * 10
		if strips {
			v.Lines = stripLines(w.Strip)
		}
		out = append(out, v)
	}
	return out
}

// Times is how often the canary is there.
func (w wireView) Times() string { return times(w.Canaries) }

const stripBytes, stripWidth = 128, 16

// stripLines are the lines of a hex dump. What is not hexadecimal is not shown.
func stripLines(s Strip) []stripLine {
	b, _ := hex.DecodeString(s.Hex) // as much of it as is hexadecimal
	b = b[:min(len(b), stripBytes)]
	var lines []stripLine
	for at := 0; at < len(b); at += stripWidth {
		line := stripLine{Offset: fmt.Sprintf("%04x", s.Offset+at)}
		for i := at; i < at+stripWidth; i++ {
			h, a := "  ", " "
			if i < len(b) {
				h, a = hex.EncodeToString(b[i:i+1]), "."
				if b[i] >= 0x20 && b[i] < 0x7f {
					a = string(rune(b[i]))
				}
			}
			in := i < len(b) && i >= s.Canary[0] && i < s.Canary[1]
			line.Hex = join(line.Hex, " ", h, in)
			line.ASCII = join(line.ASCII, "", a, in)
		}
		lines = append(lines, line)
	}
	return lines
}

// join puts a byte behind pieces: into the last one, if that is as it is.
func join(pieces []piece, gap, text string, canary bool) []piece {
	n := len(pieces)
	if n > 0 && pieces[n-1].Canary == canary {
		pieces[n-1].Text += gap + text
		return pieces
	}
	if n > 0 && canary { // the gap is outside the mark
		pieces[n-1].Text += gap
	} else {
		text = gap + text
	}
	if n == 0 {
		text = strings.TrimPrefix(text, gap)
	}
	return append(pieces, piece{text, canary})
}

// A connectView is the numbered steps of a CONNECT, as those of the first
// exchange that made one were timed.
type connectView struct {
	Columns []string
	Steps   []connectStep
}

type connectStep struct {
	Number int
	Cells  []connectCell
}

type connectCell struct{ Column, Text, Time string }

func viewConnect(g exchangeGroup) connectView {
	var v connectView
	byStep := make(map[int]int)
	for number := 1; number <= 5; number++ {
		v.Steps = append(v.Steps, connectStep{Number: number})
		byStep[number] = number - 1
	}
	for _, e := range g.Exchanges {
		numbered := false
		for _, s := range e.Steps {
			numbered = numbered || s.Number >= 1 && s.Number <= 5
		}
		if !numbered {
			continue
		}
		v.Columns = append(v.Columns, e.Column)
		for i := range v.Steps {
			v.Steps[i].Cells = append(v.Steps[i].Cells, connectCell{Column: e.Column, Text: "not seen"})
		}
		for _, s := range e.Steps {
			i, ok := byStep[s.Number]
			if !ok {
				continue
			}
			if cell := &v.Steps[i].Cells[len(v.Columns)-1]; cell.Time == "" {
				cell.Text, cell.Time = clip(s.Text, leastText), millis(s.At)
			}
		}
	}
	return v
}
