// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestTextFits: no line is wider than the terminal, whatever the columns and cells;
// nothing of a cell is left out; and what is plain has no escape in it.
func TestTextFits(t *testing.T) {
	for _, columns := range []int{1, 5} {
		r := &Report{Groups: []Group{{ID: "wire", Title: "What the wires show"}}}
		row := Row{ID: "wire.x", Title: "A title with many words in it"}
		for range columns {
			r.Columns = append(r.Columns, Column{ID: "originate", Title: "originate"})
			row.Cells = append(row.Cells, Cell{Text: "minted, by the sallyport intercept issuer 1", Verdict: Bad})
		}
		r.Groups[0].Rows = []Row{row, row}
		for _, width := range []int{0, 40, 80, 100, 200} {
			for _, colour := range []bool{false, true} {
				var b bytes.Buffer
				if err := WriteText(&b, r, width, colour); err != nil {
					t.Fatal(err)
				}
				if got := strings.Contains(b.String(), "\x1b"); got != colour {
					t.Errorf("colour %v: escapes %v", colour, got)
				}
				if colour {
					continue
				}
				for _, word := range strings.Fields(row.Title + " " + row.Cells[0].Text) {
					if !strings.Contains(b.String(), word) {
						t.Errorf("width %d, %d columns: %q is not there", width, columns, word)
					}
				}
				for line := range strings.Lines(b.String()) {
					if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > min(max(width, textWidth), widestText) {
						t.Errorf("width %d, %d columns: a line of %d: %s", width, columns, n, line)
					}
				}
			}
		}
	}
}
