// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"sallyport/policy"
)

// An lspAnswer serves one method for one text.
type lspAnswer func(*lspServer, *lspDocument, *policy.Draft, *lspParams) (any, error)

var lspAnswers = map[string]lspAnswer{
	"textDocument/hover":          (*lspServer).hover,
	"textDocument/definition":     (*lspServer).definition,
	"textDocument/references":     (*lspServer).references,
	"textDocument/prepareRename":  (*lspServer).prepareRename,
	"textDocument/rename":         (*lspServer).rename,
	"textDocument/completion":     (*lspServer).completion,
	"textDocument/documentSymbol": (*lspServer).documentSymbol,
	"textDocument/codeLens":       (*lspServer).codeLens,
	"textDocument/codeAction":     (*lspServer).codeAction,
	"textDocument/formatting":     (*lspServer).formatting,
}

func (s *lspServer) hover(d *lspDocument, draft *policy.Draft, p *lspParams) (any, error) {
	h, ok := draft.Help(d.text.place(p.Position))
	if !ok {
		return nil, nil
	}
	markdown := slices.Contains(s.client.Capabilities.TextDocument.Hover.ContentFormat, "markdown")
	kind, title, fence := "plaintext", h.Title, ""
	if markdown {
		kind, title, fence = "markdown", "**"+h.Title+"**", "```"
	}
	parts := []string{title}
	if h.Doc != "" {
		parts = append(parts, h.Doc)
	}
	if len(h.Lines) > 0 {
		parts = append(parts, strings.Trim(fence+"\n"+strings.Join(h.Lines, "\n")+"\n"+fence, "\n"))
	}
	if h.Rule != "" {
		if said := s.ruleSaid(draft, h.Rule, s.hits()); said != "" {
			parts = append(parts, said)
		}
	}
	return lspHover{lspMarkup{kind, strings.Join(parts, "\n\n")}, d.text.spanRange(h.Span)}, nil
}

func (s *lspServer) definition(d *lspDocument, draft *policy.Draft, p *lspParams) (any, error) {
	line, col := d.text.place(p.Position)
	if path, ok := draft.FileAt(line, col); ok {
		return lspLocation{URI: uriOf(path)}, nil
	}
	n, ok := draft.NameAt(line, col)
	if !ok {
		return nil, nil
	}
	for _, o := range draft.Same(n) {
		if o.Defines {
			return lspLocation{d.uri, d.text.spanRange(o.Span)}, nil
		}
	}
	return nil, nil
}

func (s *lspServer) references(d *lspDocument, draft *policy.Draft, p *lspParams) (any, error) {
	n, ok := draft.NameAt(d.text.place(p.Position))
	if !ok {
		return nil, nil
	}
	found := []lspLocation{}
	for _, o := range draft.Same(n) {
		if !o.Defines || p.Context.IncludeDeclaration {
			found = append(found, lspLocation{d.uri, d.text.spanRange(o.Span)})
		}
	}
	return found, nil
}

func (s *lspServer) prepareRename(d *lspDocument, draft *policy.Draft, p *lspParams) (any, error) {
	n, ok := draft.NameAt(d.text.place(p.Position))
	if !ok {
		return nil, nil
	}
	return lspRenamable{d.text.spanRange(n.Span), n.Text}, nil
}

func (s *lspServer) rename(d *lspDocument, draft *policy.Draft, p *lspParams) (any, error) {
	line, col := d.text.place(p.Position)
	edits, err := draft.Rename(line, col, p.NewName)
	switch {
	case err != nil:
		return nil, err
	case edits == nil:
		return nil, nil
	}
	return s.workspaceEdit(d, d.text.edits(edits))
}

// workspaceEdit is a change to d, as long as d is what the editor has.
func (s *lspServer) workspaceEdit(d *lspDocument, edits []lspTextEdit) (any, error) {
	if !s.current(d) {
		return nil, rpcErrorf(rpcContentModified, "the text has changed")
	}
	if s.client.Capabilities.Workspace.WorkspaceEdit.DocumentChanges {
		return lspWorkspaceEdit{DocumentChanges: []lspDocumentEdit{{lspVersioned{d.uri, d.version}, edits}}}, nil
	}
	return lspWorkspaceEdit{Changes: map[string][]lspTextEdit{d.uri: edits}}, nil
}

func (s *lspServer) completion(d *lspDocument, draft *policy.Draft, p *lspParams) (any, error) {
	word, list := draft.Complete(d.text.place(p.Position))
	kinds := map[policy.CompletionKind]int{policy.CompleteKey: 10, policy.CompleteWord: 20, policy.CompleteName: 6} // Property, EnumMember, Variable
	items := []lspCompletionItem{}
	for i, c := range list {
		items = append(items, lspCompletionItem{
			Label: c.Label, Kind: kinds[c.Kind], Detail: c.Detail, Documentation: c.Doc,
			SortText: fmt.Sprintf("%03d", i), TextEdit: lspTextEdit{d.text.spanRange(word), c.Text},
		})
	}
	return map[string]any{"isIncomplete": false, "items": items}, nil
}

func (s *lspServer) documentSymbol(d *lspDocument, draft *policy.Draft, _ *lspParams) (any, error) {
	kinds := map[policy.SymbolKind]int{policy.SymbolSection: 3, policy.SymbolDefinition: 13, policy.SymbolRule: 12, policy.SymbolTest: 24} // Namespace, Variable, Function, Event
	flat := []lspFlatSymbol{}
	var tree func(list []policy.Symbol, in string) []lspSymbol
	tree = func(list []policy.Symbol, in string) []lspSymbol {
		out := []lspSymbol{}
		for _, y := range list {
			all := lspRange{d.text.position(y.Span.Line, 1), d.text.position(y.Last, 1<<30)}
			flat = append(flat, lspFlatSymbol{y.Name, kinds[y.Kind], lspLocation{d.uri, all}, in})
			out = append(out, lspSymbol{y.Name, y.Detail, kinds[y.Kind], all, d.text.spanRange(y.Span), tree(y.Children, y.Name)})
		}
		return out
	}
	symbols := tree(draft.Symbols(), "")
	if !s.client.Capabilities.TextDocument.DocumentSymbol.Hierarchical {
		return flat, nil
	}
	return symbols, nil
}

func (s *lspServer) codeLens(d *lspDocument, draft *policy.Draft, _ *lspParams) (any, error) {
	lenses := []lspLens{}
	add := func(at policy.Span, title string) {
		lenses = append(lenses, lspLens{d.text.spanRange(at), lspCommand{Title: title}})
	}
	hits := s.hits()
	for _, y := range draft.Symbols() {
		for _, r := range y.Children {
			if r.Kind != policy.SymbolRule {
				continue
			}
			if said := s.ruleSaid(draft, r.Name, hits); said != "" {
				add(r.Span, said)
			}
		}
	}
	for _, v := range draft.Verdicts() {
		switch failed := len(v.Failed); {
		case failed == 0:
			add(v.Span, "passes")
		case failed == 1:
			add(v.Span, "fails: "+v.Failed[0].Request+": got "+v.Failed[0].GotText())
		default:
			add(v.Span, fmt.Sprintf("fails: %s: got %s (and %d more)", v.Failed[0].Request, v.Failed[0].GotText(), failed-1))
		}
	}
	return lenses, nil
}

// hits are the counts of the gateway, nil when there are none.
func (s *lspServer) hits() map[string]ruleHits {
	if s.State == "" {
		return nil
	}
	counts, err := readHits(s.State)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Log.Printf("reading the hits: %v", err)
	}
	return counts
}

// ruleSaid says how often a rule decided and how many requests of tests it
// decides: "12,431 hits, last 3 min ago · 4 tests".
func (s *lspServer) ruleSaid(draft *policy.Draft, rule string, hits map[string]ruleHits) string {
	var parts []string
	if hits != nil {
		switch h := hits[rule]; {
		case h.Count == 0:
			parts = append(parts, "no hits")
		case h.Count == 1:
			parts = append(parts, "1 hit, "+agoText(time.Since(h.Last)))
		default:
			parts = append(parts, thousands(h.Count)+" hits, last "+agoText(time.Since(h.Last)))
		}
	}
	if draft.Results != nil {
		tests := 0
		for _, r := range draft.Results {
			if r.Rule == rule {
				tests++
			}
		}
		text := "no tests"
		if tests > 0 {
			text = count(tests, "test", "tests")
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " · ")
}

func thousands(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func agoText(d time.Duration) string {
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days ago", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	}
	return fmt.Sprintf("%d s ago", max(0, d/time.Second))
}

func (s *lspServer) codeAction(d *lspDocument, draft *policy.Draft, p *lspParams) (any, error) {
	actions := []lspAction{}
	only := p.Context.Only
	if s.client.Capabilities.TextDocument.CodeAction.Literal == nil ||
		only != nil && !slices.Contains(only, "quickfix") && !slices.Contains(only, "") {
		return actions, nil
	}
	from, _ := d.text.place(p.Range.Start)
	to, _ := d.text.place(p.Range.End)
	for _, g := range draft.Diagnostics {
		if g.File != d.path || g.Line < from || g.Line > to {
			continue
		}
		for _, fix := range g.Fixes() {
			edit, err := s.workspaceEdit(d, d.text.edits([]policy.Edit{fix.Edit}))
			if err != nil {
				return nil, err
			}
			actions = append(actions, lspAction{fix.Title, "quickfix", []lspDiagnostic{diagnosticOf(g, d.text)}, edit.(lspWorkspaceEdit)})
		}
	}
	return actions, nil
}

// formatting is what policy fmt does, as one edit of the lines that differ.
func (s *lspServer) formatting(d *lspDocument, _ *policy.Draft, _ *lspParams) (any, error) {
	out, err := policy.Format(d.path, []byte(d.text.src))
	var unreadable *policy.Error
	switch {
	case errors.As(err, &unreadable):
		return nil, fmt.Errorf("what cannot be read is not formatted: %v", unreadable.Diagnostics[0])
	case err != nil:
		return nil, err
	case !s.current(d):
		return nil, rpcErrorf(rpcContentModified, "the text has changed")
	}
	before := strings.SplitAfter(strings.TrimPrefix(d.text.src, utf8BOM), "\n")
	after := strings.SplitAfter(string(out), "\n")
	same := 0
	for same < min(len(before), len(after)) && before[same] == after[same] {
		same++
	}
	if same == len(before) && same == len(after) {
		return []lspTextEdit{}, nil
	}
	tail := 0
	for tail < min(len(before), len(after))-same && before[len(before)-1-tail] == after[len(after)-1-tail] {
		tail++
	}
	changed := lspRange{d.text.position(same+1, 1), d.text.position(len(before)-tail+1, 1)}
	return []lspTextEdit{{changed, strings.Join(after[same:len(after)-tail], "")}}, nil
}
