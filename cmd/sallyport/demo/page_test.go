// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// aReport is that of a run.
func aReport(t *testing.T) *Report {
	t.Helper()
	b, err := os.ReadFile("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	r := new(Report)
	if err := json.Unmarshal(b, r); err != nil {
		t.Fatal(err)
	}
	if len(r.Columns) != 5 || len(r.Groups) < 5 || len(r.Exchanges) < 50 || len(r.Samples) < 10 {
		t.Fatalf("testdata/report.json is not a whole report")
	}
	return r
}

func written(t *testing.T, r *Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	if b.Len() >= PageLimit {
		t.Fatalf("the page has %d bytes, %d are the limit", b.Len(), PageLimit)
	}
	return b.Bytes()
}

func parsed(t *testing.T, page []byte) *html.Node {
	t.Helper()
	n, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// find are the elements below n that are so, in the order of the page.
func find(n *html.Node, is func(*html.Node) bool) []*html.Node {
	var out []*html.Node
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && is(d) {
			out = append(out, d)
		}
	}
	return out
}

func named(name string) func(*html.Node) bool {
	return func(n *html.Node) bool { return n.Data == name }
}

func hasAttr(key, value string) func(*html.Node) bool {
	return func(n *html.Node) bool { return attr(n, key) == value }
}

func hasClass(class string) func(*html.Node) bool {
	return func(n *html.Node) bool { return slices.Contains(strings.Fields(attr(n, "class")), class) }
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func one(t *testing.T, n *html.Node, what string, is func(*html.Node) bool) *html.Node {
	t.Helper()
	list := find(n, is)
	if len(list) != 1 {
		t.Fatalf("%d times on the page: %s", len(list), what)
	}
	return list[0]
}

func TestPageHasEveryRowAndCell(t *testing.T) {
	r := aReport(t)
	page := parsed(t, written(t, r))
	for _, g := range r.Groups {
		for _, row := range g.Rows {
			tr := one(t, page, row.ID, hasAttr("data-row", row.ID))
			cells := find(tr, named("td"))
			if head := one(t, tr, "head of "+row.ID, named("th")); !strings.Contains(text(head), row.Title) || !strings.Contains(text(head), row.How) || attr(head, "scope") != "row" {
				t.Errorf("%s: the head is %q", row.ID, text(head))
			}
			if len(cells) != len(r.Columns) {
				t.Fatalf("%s has %d cells", row.ID, len(cells))
			}
			for i, c := range row.Cells {
				class, word := verdictMark(c.Verdict)
				shown := text(cells[i])
				if attr(cells[i], "class") != class || !strings.Contains(shown, word+": "+c.Text) || attr(cells[i], "data-column") != r.Columns[i].Title {
					t.Errorf("%s, %s: %q is shown as %s %q", row.ID, r.Columns[i].ID, c.Text, attr(cells[i], "class"), shown)
				}
				if use := one(t, cells[i], "sign", named("use")); attr(use, "href") != "#m-"+class {
					t.Errorf("%s, %s: the sign is %s", row.ID, r.Columns[i].ID, attr(use, "href"))
				}
				links := find(cells[i], named("a"))
				for k, id := range c.Evidence {
					if k >= 4 {
						break
					}
					target := one(t, page, id, hasAttr("data-exchange", id))
					if k >= len(links) || attr(links[k], "href") != "#"+attr(target, "id") {
						t.Errorf("%s, %s: no link to %s", row.ID, r.Columns[i].ID, id)
					}
				}
			}
		}
	}
}

func TestPageHasEveryExchange(t *testing.T) {
	r := aReport(t)
	page := parsed(t, written(t, r))
	for _, e := range r.Exchanges {
		n := one(t, page, e.ID, hasAttr("data-exchange", e.ID))
		if !strings.Contains(text(n), e.Outcome) {
			t.Errorf("%s: the outcome is not there", e.ID)
		}
		for _, s := range e.Steps {
			if !strings.Contains(text(n), millis(s.At)) || !strings.Contains(text(n), s.Text) {
				t.Errorf("%s: step %q at %s is not there", e.ID, s.Text, millis(s.At))
			}
		}
		if n.Data == "article" { // the first one, in full
			svg := one(t, n, "ladder of "+e.ID, hasClass("ladder"))
			one(t, svg, "title", func(n *html.Node) bool { return n.Data == "title" && n.Parent == svg })
			if arrows := find(svg, hasAttr("class", "say")); len(arrows) != len(e.Steps) {
				t.Errorf("%s: %d arrows for %d steps", e.ID, len(arrows), len(e.Steps))
			}
		}
	}
}

// What a page could load, run or send to is what is looked for, not only what
// browsers do with it today.
func TestPageStandsByItself(t *testing.T) {
	raw := written(t, aReport(t))
	page := parsed(t, raw)
	onlyItself(t, page)
	style := one(t, page, "style", named("style"))
	sum := sha256.Sum256([]byte(text(style)))
	csp := attr(one(t, page, "policy", hasAttr("http-equiv", "Content-Security-Policy")), "content")
	want := fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'", base64.StdEncoding.EncodeToString(sum[:]))
	if csp != want {
		t.Errorf("the policy is %s\nand has to be %s", csp, want)
	}
	for _, foreign := range []string{"@import", "http://www", "https://www", "src="} {
		if strings.Contains(text(style), foreign) {
			t.Errorf("the style sheet has %s", foreign)
		}
	}
	if !bytes.HasPrefix(raw, []byte("<!DOCTYPE html>\n<html lang=\"en\">")) {
		t.Errorf("begins with %.60q", raw)
	}
}

// pageElements are all that a page is made of.
var pageElements = strings.Fields(`html head meta title style body svg defs symbol g use marker path rect circle text tspan desc
	a header p h1 h2 h3 ul ol li span nav time main section article figure figcaption div table caption thead tbody tr th td
	details summary b i strong code pre mark cite footer`)

// onlyItself finds what loads or runs anything, and links to nowhere.
func onlyItself(t *testing.T, page *html.Node) {
	t.Helper()
	ids := make(map[string]bool)
	for _, n := range find(page, func(n *html.Node) bool { return attr(n, "id") != "" }) {
		if ids[attr(n, "id")] {
			t.Errorf("two elements are %s", attr(n, "id"))
		}
		ids[attr(n, "id")] = true
	}
	for _, n := range find(page, func(*html.Node) bool { return true }) {
		if !slices.Contains(pageElements, n.Data) {
			t.Errorf("the page has an element %s", n.Data)
		}
		for _, a := range n.Attr {
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "src", a.Key == "action", a.Key == "srcset":
				t.Errorf("%s has %s=%q", n.Data, a.Key, a.Val)
			case a.Key == "href" && !(strings.HasPrefix(a.Val, "#") && ids[a.Val[1:]]):
				t.Errorf("%s links to %q", n.Data, a.Val)
			case a.Key == "aria-labelledby" && !ids[a.Val]:
				t.Errorf("%s is named by %q, which is not there", n.Data, a.Val)
			}
		}
	}
}
