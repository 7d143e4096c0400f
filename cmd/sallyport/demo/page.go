// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
	"unicode"
)

// PageLimit is the most bytes that WriteHTML writes.
const PageLimit = 300_000

// A page has no script and loads nothing. Its one style sheet is named in its
// Content-Security-Policy by its hash, so that nothing in a report, which is
// what strangers put on a wire, could add either.
//
//go:embed page
var pageFiles embed.FS

var pageTemplate = parsePage()

// parsePage puts the style sheet and its hash into the text of the template:
// they are the program's own, and html/template leaves its own text as it is.
func parsePage() *template.Template {
	style := strings.TrimSpace(pageFile("style.css"))
	hash := sha256.Sum256([]byte(style))
	fill := strings.NewReplacer("STYLE-HASH", base64.StdEncoding.EncodeToString(hash[:]), "STYLE-SHEET", style)
	t := template.New("page")
	for _, name := range []string{"page.tmpl", "table.tmpl", "exchange.tmpl", "plot.tmpl", "guide.tmpl"} {
		template.Must(t.Parse(fill.Replace(pageFile(name))))
	}
	return t
}

func pageFile(name string) string {
	b, err := pageFiles.ReadFile("page/" + name)
	if err != nil {
		panic(err) // embedded above
	}
	return string(b)
}

// Details of a page, from all to least. The first exchange is shown whole in
// all but the last; what is left out of the others is said on the page.
const (
	wholePage      = iota
	withoutStrips  // recorded bytes
	withoutLadders // steps are a list
	withoutLogs
	leastPage // and long texts are cut
)

// WriteHTML writes r as one page that stands by itself: no script, nothing
// loaded from elsewhere, fewer than [PageLimit] bytes. When there is more to
// show, exchanges are shown in less detail, and the page says so; a report that
// is too large even then is an error, and nothing is written. Whatever stands
// in r is shown as text, also where it looks like markup.
func (r *Report) WriteHTML(w io.Writer) error {
	for detail := wholePage; detail <= leastPage; detail++ {
		var b sheet
		switch err := pageTemplate.ExecuteTemplate(&b, "page", newPageView(r, detail)); {
		case err == nil:
			_, err := w.Write(b.text.Bytes())
			return err
		case !errors.Is(err, errPageFull):
			return fmt.Errorf("demo: making the page: %w", err)
		}
	}
	return fmt.Errorf("demo: the report makes a page of more than %d bytes, also without the exchanges' details: keep it as JSON", PageLimit)
}

// A sheet takes fewer than PageLimit bytes.
type sheet struct{ text bytes.Buffer }

var errPageFull = errors.New("the page is full")

func (s *sheet) Write(p []byte) (int, error) {
	if s.text.Len()+len(p) >= PageLimit {
		return 0, errPageFull
	}
	return s.text.Write(p)
}

// A pageView is what the template shows of a report.
type pageView struct {
	*Report
	Gateway string
	When    string
	Took    string
	Host    string
	Modes   []modeView
	Groups  []groupView
	First   exchangeGroup // the exchange that is shown in full in all columns
	Connect connectView
	Others  []exchangeGroup
	Plots   []plotView
	Guide   []questionView
	Left    string // what is left out; "": nothing
}

func newPageView(r *Report, detail int) *pageView {
	x := newIndex(r)
	p := &pageView{
		Report: r, Gateway: clip(r.Gateway, 80),
		When:   r.Started.UTC().Format("2 January 2006, 15:04:05 UTC"),
		Took:   fmt.Sprintf("%.1f s", r.Seconds),
		Host:   fmt.Sprintf("%s/%s, %d processors, %s", clip(r.Machine.OS, 40), clip(r.Machine.Arch, 40), r.Machine.CPUs, clip(r.Machine.Go, 40)),
		Groups: viewGroups(r, x, detail),
		Plots:  viewPlots(r),
		Guide:  viewGuide(r, x),
		Left: [...]string{
			wholePage:      "",
			withoutStrips:  "recorded bytes",
			withoutLadders: "recorded bytes, and their ladders as lists",
			withoutLogs:    "recorded bytes and log, and their ladders as lists",
			leastPage:      "recorded bytes and log, their ladders as lists, and long texts cut",
		}[detail],
	}
	p.Modes = viewModes(r)
	p.First, p.Others = viewExchanges(r, x, detail)
	p.Connect = viewConnect(p.First)
	return p
}

// Date is when the run began, for <time>.
func (p *pageView) Date() string { return p.Started.UTC().Format(time.RFC3339) }

// An index knows the anchors of a page. They are numbers, because IDs of a
// report may hold anything and be there twice.
type index struct {
	exchanges map[string]string // ID → anchor, of the first that has it
	columns   map[string]int
	rows      map[string]rowAt
}

type rowAt struct {
	*Row
	anchor string
}

func newIndex(r *Report) *index {
	x := &index{exchanges: make(map[string]string), columns: make(map[string]int), rows: make(map[string]rowAt)}
	for i, e := range r.Exchanges {
		if x.exchanges[e.ID] == "" {
			x.exchanges[e.ID] = fmt.Sprintf("x%d", i+1)
		}
	}
	for i, c := range r.Columns {
		x.columns[c.ID] = i
	}
	for i := range r.Groups {
		for k := range r.Groups[i].Rows {
			row := &r.Groups[i].Rows[k]
			if _, twice := x.rows[row.ID]; !twice {
				x.rows[row.ID] = rowAt{row, rowAnchor(i, k)}
			}
		}
	}
	return x
}

func rowAnchor(group, row int) string { return fmt.Sprintf("r%d-%d", group+1, row+1) }

// clip is s with at most n characters; … stands for what is not there. What
// cannot be seen, or turns around what stands beside it, is replaced: a page
// shows what strangers sent, and has to show it as it was.
func clip(s string, n int) string {
	cut := false
	for i := range s {
		if n--; n < 0 {
			s, cut = strings.TrimSpace(s[:i]), true
			break
		}
	}
	s = strings.Map(visible, s)
	if cut {
		s += "…"
	}
	return s
}

func visible(r rune) rune {
	switch {
	case r == '\n' || unicode.IsPrint(r):
		return r
	case unicode.IsSpace(r):
		return ' '
	}
	return unicode.ReplacementChar
}
