// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
)

// How wide the tables are, at the least and at most.
const (
	textWidth  = 80
	widestText = 130
)

// WriteText prints a report for people: a table for each question, so many columns
// wide as a terminal has; 0 is 80. Without colour it is plain text.
func WriteText(w io.Writer, r *Report, width int, colour bool) error {
	l := layoutOf(width, len(r.Columns))
	heads := []string{""}
	for _, c := range r.Columns {
		heads = append(heads, l.head(c.Title))
	}
	for _, g := range r.Groups {
		title := lipgloss.NewStyle()
		if colour {
			title = title.Bold(true)
		}
		t := table.New().Border(lipgloss.NormalBorder()).BorderRow(true).
			BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).
			Headers(heads...).
			StyleFunc(func(row, col int) lipgloss.Style { return l.style(g.Rows, row, col, colour) })
		for _, row := range g.Rows {
			line := []string{row.Title}
			for _, c := range row.Cells {
				line = append(line, cmp.Or(c.Text, "–"))
			}
			t.Row(line...)
		}
		if _, err := fmt.Fprintf(w, "%s\n\n%s\n\n", title.Render(g.Title), t.Render()); err != nil {
			return err
		}
	}
	for _, c := range r.Columns {
		for _, note := range c.Notes {
			if _, err := fmt.Fprintf(w, "%s: %s\n", c.Title, note); err != nil {
				return err
			}
		}
	}
	for _, note := range r.Notes {
		if _, err := fmt.Fprintln(w, note); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "Found in %.1f s on %s/%s with %d processors. How each row was found, and\nthe messages it was found from: sallyport demo --json\n",
		r.Seconds, r.Machine.OS, r.Machine.Arch, r.Machine.CPUs)
	return err
}

// A layout is the widths of the first column and of the others, without the lines
// between them.
type layout struct{ first, other int }

func layoutOf(width, columns int) layout {
	if width <= 0 {
		width = textWidth
	}
	width = min(max(width, textWidth), widestText)
	other := max(12, (width-18)/max(columns, 1)-1)
	return layout{max(12, width-columns*(other+1)), other}
}

// head is a title for a column: what is too long for one line, and has two words, goes
// on two.
func (l layout) head(title string) string {
	if i := strings.LastIndexByte(title, ' '); i > 0 && len(title) >= l.other {
		return title[:i] + "\n" + title[i+1:]
	}
	return title
}

// style is the width of a cell and, with colour, what it is worth.
func (l layout) style(rows []Row, row, col int, colour bool) lipgloss.Style {
	s := lipgloss.NewStyle().Width(l.first)
	if col > 0 {
		s = s.Width(l.other).PaddingLeft(1)
	}
	if !colour {
		return s
	}
	if row == table.HeaderRow || col == 0 {
		return s.Bold(row == table.HeaderRow)
	}
	if row < 0 || row >= len(rows) || col-1 >= len(rows[row].Cells) {
		return s
	}
	switch rows[row].Cells[col-1].Verdict {
	case Good:
		return s.Foreground(lipgloss.Green)
	case Bad:
		return s.Foreground(lipgloss.Red)
	case Missing:
		return s.Faint(true)
	}
	return s
}
