// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"cmp"
	"fmt"
	"io"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
)

// textWidth is what a table takes of a terminal: all have 80 columns.
const textWidth = 80

// WriteText prints a report for people: a table for each question. Without colour
// it is plain text.
func WriteText(w io.Writer, r *Report, colour bool) error {
	heads := []string{""}
	for _, c := range r.Columns {
		heads = append(heads, c.Title)
	}
	for _, g := range r.Groups {
		title := lipgloss.NewStyle()
		if colour {
			title = title.Bold(true)
		}
		t := table.New().Border(lipgloss.NormalBorder()).BorderRow(true).
			BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).
			Width(textWidth).Headers(heads...).
			StyleFunc(func(row, col int) lipgloss.Style { return cellStyle(g.Rows, row, col, len(heads), colour) })
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
	_, err := fmt.Fprintf(w, "Found in %.1f s on %s/%s with %d processors. How each row was found, and\nthe messages it was found from: sallyport demo --json\n",
		r.Seconds, r.Machine.OS, r.Machine.Arch, r.Machine.CPUs)
	return err
}

// cellStyle is a width for each column and, with colour, what a cell is worth.
func cellStyle(rows []Row, row, col, columns int, colour bool) lipgloss.Style {
	s := lipgloss.NewStyle()
	first := textWidth - (columns-1)*13
	if col == 0 {
		s = s.Width(first)
	} else {
		s = s.Width(12).PaddingLeft(1)
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
