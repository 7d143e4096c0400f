// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/policy"
)

const goodPolicies = "../../policy/testdata/good"

// copyPolicies gives the test a directory of its own with the good policies.
func copyPolicies(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "p ö") // what has to be escaped in a URI
	if err := os.CopyFS(dir, os.DirFS(goodPolicies)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func lspPut(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return text
}

func lspGet(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var lspUnits = map[string]string{
	"utf-16": `{}`,
	"utf-8":  `{"general": {"positionEncodings": ["utf-7", "utf-8", "utf-16"]}, "workspace": {"workspaceEdit": {"documentChanges": true}}}`,
	"utf-32": `{"general": {"positionEncodings": ["utf-32", "utf-8"]}}`,
}

// The editor shows what policy check and policy lint tell, of good and of broken policies, in
// whatever units it counts columns.
func TestLSPDiagnosticsAreThoseOfCheck(t *testing.T) {
	const wide = "version: 1\ndescription: \"📚 bücher\"\nclients: {\"📚\": nobody, ünï: x, \"a\": nobdy}\nrules:\n" +
		"  - {description: \"😀😀 ä\", name: a, from: lann, to: [bücher.example, \"*.öde.example\", \"😀.example\"], mode: tunnel} # 😀\n  - {name: b, from: any, to: any, mode: deny, x😀: 1}\n"
	for units, capabilities := range lspUnits {
		t.Run(units, func(t *testing.T) {
			dir := copyPolicies(t)
			e := startLSP(t, capabilities)
			if e.units != units {
				t.Fatalf("agreed on %q", e.units)
			}
			texts := map[string]string{
				"wide.yaml": wide, "bom.yaml": utf8BOM + wide, "crlf.yaml": strings.ReplaceAll(wide, "\n", "\r\n"), "empty.yaml": "", "cr.yaml": "version: 1\rrules: []\r",
			}
			for _, name := range []string{"corporate.yaml", "small-office.yaml", "everything.yaml"} {
				texts[name] = lspGet(t, filepath.Join(dir, name))
			}
			broken, err := filepath.Glob("../../policy/testdata/bad/*.yaml")
			if err != nil || len(broken) < 20 {
				t.Fatal(broken, err)
			}
			for _, f := range broken {
				texts[filepath.Base(f)] = lspGet(t, f)
			}
			found := 0
			for name, text := range texts {
				file := filepath.Join(dir, name)
				lspPut(t, file, text)
				if strings.ContainsRune(strings.ReplaceAll(text, "\r\n", "\n"), '\r') || name == "utf8.yaml" || strings.HasPrefix(text, utf8BOM) {
					e.open(uriOf(file), text) // the places are looked at elsewhere
					continue
				}
				want := checked(t, file)
				got := e.told(name, text, e.open(uriOf(file), text))
				mine := func(d policyDiagnostic) bool { return d.File != name }
				want = slices.DeleteFunc(want, mine)
				lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
				for i := range want { // an editor marks nothing behind the end of a line
					want[i].Len = min(want[i].Len, len([]rune(lines[want[i].Line-1]))-want[i].Col+1)
				}
				byPlace(got)
				byPlace(want)
				if !slices.Equal(got, want) {
					t.Errorf("%s:\ntold    %+v\nchecked %+v", name, got, want)
				}
				found += len(want)
			}
			if found < 100 {
				t.Errorf("%d diagnostics only", found)
			}
			e.end()
		})
	}
}

// A lone CR ends a line for an editor and is a mistake in a policy; a byte
// order mark is no part of it. Places are right behind either.
func TestLSPTextPlaces(t *testing.T) {
	src := utf8BOM + "a: 😀x\r\nb\rcd: ü\n\n€: y"
	for units, want := range map[string][]lspPosition{
		"utf-8":  {{0, 3}, {0, 6}, {0, 10}, {0, 11}, {1, 0}, {1, 1}, {2, 0}, {2, 4}, {2, 6}, {3, 0}, {4, 3}},
		"utf-16": {{0, 1}, {0, 4}, {0, 6}, {0, 7}, {1, 0}, {1, 1}, {2, 0}, {2, 4}, {2, 5}, {3, 0}, {4, 1}},
		"utf-32": {{0, 1}, {0, 4}, {0, 5}, {0, 6}, {1, 0}, {1, 1}, {2, 0}, {2, 4}, {2, 5}, {3, 0}, {4, 1}},
	} {
		text := newText(src, units)
		for i, place := range [][2]int{{1, 1}, {1, 4}, {1, 5}, {1, 6}, {2, 1}, {2, 2}, {2, 3}, {2, 7}, {2, 8}, {3, 1}, {4, 2}} {
			if p := text.position(place[0], place[1]); p != want[i] {
				t.Errorf("%s: %v is %v, want %v", units, place, p, want[i])
			}
			if line, col := text.place(want[i]); [2]int{line, col} != place {
				t.Errorf("%s: %v is %d:%d, want %v", units, want[i], line, col, place)
			}
		}
		for _, p := range []lspPosition{{99, 0}, {4, 99}, {99, 99}} {
			if line, col := text.place(p); line != 4 || col != 5 {
				t.Errorf("%s: behind the end: %d:%d", units, line, col)
			}
		}
		if line, col := text.place(lspPosition{-1, -1}); line != 1 || col != 1 {
			t.Errorf("%s: before the beginning: %d:%d", units, line, col)
		}
	}
}

// A session with a real policy: what an editor asks, and what it does with
// the answers.
func TestLSPSession(t *testing.T) {
	for units, capabilities := range lspUnits {
		t.Run(units, func(t *testing.T) { lspSession(t, startLSP(t, capabilities)) })
	}
}

func lspSession(t *testing.T, e *lspClient) {
	dir := copyPolicies(t)
	file := filepath.Join(dir, "corporate.yaml")
	// Something wide stands before a name on its line.
	text := lspPut(t, file, strings.Replace(lspGet(t, file), "  - name: saas\n    from: [staff, offices]", "  - {description: \"😀 bücher\", name: saas, from: [staff, offices],", 1))
	text = lspPut(t, file, strings.Replace(text, ",\n    to: saas\n    mode: tunnel\n", ", to: saas, mode: tunnel}\n", 1))
	uri := uriOf(file)
	if found := e.open(uri, text); slices.ContainsFunc(found, func(d lspDiagnostic) bool { return d.Severity == 1 }) {
		t.Fatal(found)
	}

	var h *lspHover
	e.ask("textDocument/hover", e.about(uri, text, "name: saas, from: [st", "aff"), &h)
	if want := "client group \"staff\"\n\n{group: staff}"; h == nil || h.Contents.Value != want || h.Contents.Kind != "plaintext" ||
		text[e.offset(text, h.Range.Start):e.offset(text, h.Range.End)] != "staff" {
		t.Errorf("hover: %+v, want %s", h, want)
	}
	e.ask("textDocument/hover", e.about(uri, text, "schedules:\n  office-ho", "urs"), &h)
	if h == nil || !strings.Contains(h.Contents.Value, "tz: Europe/Prague") {
		t.Errorf("hover: %+v", h)
	}
	h = nil
	e.ask("textDocument/hover", e.about(uri, text, "version: 1\n", "description"), &h)
	if h == nil || !strings.Contains(h.Contents.Value, "what this policy is for") {
		t.Errorf("hover: %+v", h)
	}
	h = nil
	e.ask("textDocument/hover", e.about(uri, text, "# both", ":"), &h)
	if h != nil {
		t.Errorf("hover of a comment: %+v", h)
	}

	var l *lspLocation
	e.ask("textDocument/definition", e.about(uri, text, "name: saas, from: [staff, off", "ices"), &l)
	if l == nil || l.URI != uri || !strings.HasPrefix(text[e.offset(text, l.Range.Start):], "offices: [10.20.0.0/16") {
		t.Errorf("definition: %+v", l)
	}
	l = nil
	e.ask("textDocument/definition", e.about(uri, text, "{file: lists/mal", "ware.txt"), &l)
	if l == nil || l.URI != uriOf(filepath.Join(dir, "lists", "malware.txt")) {
		t.Errorf("definition of a file: %+v", l)
	}

	var refs []lspLocation
	params := e.about(uri, text, "", "offices: [10.20.0.0/16")
	params["context"] = map[string]bool{"includeDeclaration": true}
	e.ask("textDocument/references", params, &refs)
	// Not the schedule's: office-hours is another word.
	if want := len(regexp.MustCompile(`\boffices\b`).FindAllString(text, -1)); len(refs) != want || want < 4 {
		t.Errorf("%d references, want %d", len(refs), want)
	}
	params["context"] = map[string]bool{"includeDeclaration": false}
	var others []lspLocation
	if e.ask("textDocument/references", params, &others); len(others) != len(refs)-1 {
		t.Errorf("%d references without the definition, %d with it", len(others), len(refs))
	}

	// Renaming, and what the policy then says.
	before, err := exec.Command("sallyport", "policy", "test", "--json", file).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, before)
	}
	var r *lspRenamable
	if e.ask("textDocument/prepareRename", e.about(uri, text, "", "offices: ["), &r); r == nil || r.Placeholder != "offices" {
		t.Errorf("prepareRename: %+v", r)
	}
	params = e.about(uri, text, "name: saas, from: [staff, off", "ices")
	for to, want := range map[string]string{
		"guests":  `client group "guests" is defined on line 7 already`,
		"No Name": `"No Name" is not a name: names are lower-case letters, digits, - and _, begin with a letter and have at most 64 characters; any is taken`,
	} {
		params["newName"] = to
		if got := e.refusal("textDocument/rename", params); got.Message != want || got.Code != rpcRequestFailed {
			t.Errorf("rename to %s: %+v", to, got)
		}
	}
	params["newName"] = "sites"
	var edit lspWorkspaceEdit
	e.ask("textDocument/rename", params, &edit)
	edits := edit.Changes[uri]
	if e.units == "utf-8" { // which also said that it takes versions
		if len(edit.DocumentChanges) != 1 || edit.DocumentChanges[0].TextDocument != (lspVersioned{uri, 1}) {
			t.Fatalf("rename: %+v", edit)
		}
		edits = edit.DocumentChanges[0].Edits
	}
	renamed := e.apply(text, edits)
	if want := regexp.MustCompile(`\boffices\b`).ReplaceAllString(text, "sites"); renamed != want {
		t.Errorf("renamed:\n%s", renamed)
	}
	lspPut(t, file, renamed)
	after, err := exec.Command("sallyport", "policy", "test", "--json", file).Output()
	if err != nil || string(after) != string(before) {
		t.Errorf("after the renaming: %v\n%s\nbefore:\n%s", err, after, before)
	}

	// What is broken is said; what can still be seen is known.
	brokenText := renamed + "  - name: new\n    as: {ip: 10.66.3.3}\n    deny: [{request: https://www.example.org/, rule: gu\n"
	e.change(uri, 2, renamed)
	e.change(uri, 3, brokenText)
	lspPut(t, file, brokenText)
	want := checked(t, file)
	want = slices.DeleteFunc(want, func(d policyDiagnostic) bool { return d.File != "corporate.yaml" })
	got := e.told("corporate.yaml", brokenText, e.diagnostics(uri, 3))
	if len(got) != len(want) || len(got) == 0 || got[0].Code != want[0].Code || got[0].Line != want[0].Line {
		t.Errorf("told %+v, checked %+v", got, want)
	}
	var list struct {
		Items []lspCompletionItem `json:"items"`
	}
	labels := func(before, behind string) string {
		list.Items = nil
		e.ask("textDocument/completion", e.about(uri, brokenText, before, behind), &list)
		var all []string
		for _, i := range list.Items {
			all = append(all, i.Label)
		}
		return strings.Join(all, " ")
	}
	if got := labels("rule: gu", "\n"); !strings.HasPrefix(got, "threats erp-to-bank customs-declarations ") || !strings.Contains(got, "guests-web") {
		t.Errorf("completion of a rule: %s", got)
	}
	i := slices.IndexFunc(list.Items, func(i lspCompletionItem) bool { return i.Label == "guests-web" })
	if text := e.apply(brokenText, []lspTextEdit{list.Items[i].TextEdit}); !strings.HasSuffix(text, "rule: guests-web\n") {
		t.Errorf("completed: %q", text[len(text)-40:])
	}
	if got := labels("name: saas, from: [staff, ", "sites"); got != "any sites guests finance developers erp-server marketing build-agents" {
		t.Errorf("completion of a group: %s", got)
	}
	if got := labels("    tunnel: {sni: ", "match"); got != "any" && got != "match any" {
		t.Errorf("completion of a word: %s", got)
	}
	if got := labels("  - {description: \"😀 bücher\", ", "name"); !strings.Contains(got, "from_except") || strings.Contains(got, "description") {
		t.Errorf("completion of a key: %s", got)
	}

	var flat []lspFlatSymbol
	e.ask("textDocument/documentSymbol", map[string]any{"textDocument": map[string]any{"uri": uri}}, &flat)
	names := make(map[string]string)
	for _, y := range flat {
		names[y.Name] = y.ContainerName
	}
	if names["sites"] != "clients" || names["guests-web"] != "rules" || names["finance at night"] != "tests" {
		t.Errorf("symbols: %v", names)
	}
	e.end()
}

// Rules say how often they decided and how many tests they have, tests how
// they went. Counts are the gateway's; without any, nothing is said of them.
func TestLSPLenses(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	uri := uriOf(filepath.Join(dir, "p.yaml"))
	text := "version: 1\nrules:\n  - {name: a, from: 10.0.0.0/8, to: a.example, mode: tunnel}\n  - {name: b, from: any, to: b.example, mode: relay}\n  - {name: c, from: any, to: c.example, mode: deny}\n" +
		"tests:\n  - as: {ip: 10.0.0.1}\n    tunnel: [https://a.example/, CONNECT a.example:443]\n    relay: http://b.example/\n  - as: {ip: 192.0.2.1}\n    tunnel: https://a.example/\n    relay: http://b.example/\n"
	e := startLSP(t, `{"textDocument": {"documentSymbol": {"hierarchicalDocumentSymbolSupport": true}, "hover": {"contentFormat": ["markdown"]}}}`, "--state", state)
	e.open(uri, text)
	lenses := func() string {
		var list []lspLens
		e.ask("textDocument/codeLens", map[string]any{"textDocument": map[string]any{"uri": uri}}, &list)
		var out []string
		for _, l := range list {
			out = append(out, fmt.Sprintf("%d %s", l.Range.Start.Line+1, l.Command.Title))
		}
		return strings.Join(out, "\n")
	}
	want := "3 2 tests\n4 2 tests\n5 no tests\n7 passes\n10 fails: https://a.example/: got deny: no rule matched"
	if got := lenses(); got != want {
		t.Errorf("lenses:\n%s\nwant\n%s", got, want)
	}
	if err := os.MkdirAll(filepath.Dir(hitsPath(state)), 0o700); err != nil {
		t.Fatal(err)
	}
	ago := func(d time.Duration) string { return time.Now().Add(-d).Format(time.RFC3339) }
	lspPut(t, hitsPath(state), fmt.Sprintf(`{"rules": {"a": {"count": 12431, "last": %q}, "b": {"count": 1, "last": %q}}}`, ago(190*time.Second), ago(50*time.Hour)))
	want = "3 12,431 hits, last 3 min ago · 2 tests\n4 1 hit, 2 days ago · 2 tests\n5 no hits · no tests\n7 passes\n10 fails: https://a.example/: got deny: no rule matched"
	if got := lenses(); got != want {
		t.Errorf("lenses:\n%s\nwant\n%s", got, want)
	}
	var h lspHover
	e.ask("textDocument/hover", e.about(uri, text, "name: ", "a"), &h)
	if want := "**rule \"a\"**\n\ntunnel from 10.0.0.0/8 to a.example\n\n12,431 hits, last 3 min ago · 2 tests"; h.Contents != (lspMarkup{"markdown", want}) {
		t.Errorf("hover: %+v", h.Contents)
	}
	var tree []lspSymbol
	e.ask("textDocument/documentSymbol", map[string]any{"textDocument": map[string]any{"uri": uri}}, &tree)
	if len(tree) != 2 || len(tree[0].Children) != 3 || tree[0].Children[1].Detail != "relay from any to b.example" {
		t.Errorf("symbols: %+v", tree)
	}
	// A damaged file of counts is told in the log, once asked for, and costs nothing else.
	lspPut(t, hitsPath(state), "{")
	if got := lenses(); !strings.HasPrefix(got, "3 2 tests\n") {
		t.Errorf("lenses: %s", got)
	}
	if !e.errs.wait(func(s string) bool { return strings.Contains(s, "sallyport: reading the hits: ") }) {
		t.Error("the damaged counts are not told")
	}
	e.end()
}

// What a hint says exactly enough, an editor does.
func TestLSPQuickFixes(t *testing.T) {
	dir := t.TempDir()
	uri := uriOf(filepath.Join(dir, "p.yaml"))
	text := "version: 1\ndestinations: {saas: a.example}\nrules:\n  - {nam: \"😀\", from: any, to: [sas, \"*.b.example\"], mode: tunel}\n"
	e := startLSP(t, `{"textDocument": {"codeAction": {"codeActionLiteralSupport": {}}}}`)
	e.open(uri, text)
	params := map[string]any{
		"textDocument": map[string]any{"uri": uri}, "range": lspRange{lspPosition{3, 0}, lspPosition{3, 90}}, "context": map[string]any{"diagnostics": []any{}},
	}
	var actions []lspAction
	e.ask("textDocument/codeAction", params, &actions)
	var titles []string
	for _, a := range actions {
		titles = append(titles, a.Title)
		text = e.apply(text, a.Edit.Changes[uri])
		e.change(uri, 2+len(titles), text)
		params["textDocument"] = map[string]any{"uri": uri}
		break
	}
	for len(actions) > 0 {
		e.ask("textDocument/codeAction", params, &actions)
		if len(actions) > 0 {
			titles = append(titles, actions[0].Title)
			text = e.apply(text, actions[0].Edit.Changes[uri])
			e.change(uri, 2+len(titles), text)
		}
	}
	want := "version: 1\ndestinations: {saas: a.example}\nrules:\n  - {name: \"😀\", from: any, to: [saas, \".b.example\"], mode: tunnel}\n"
	if text != want {
		t.Errorf("%q\nfixed %q\nwant  %q", titles, text, want)
	}
	params["context"] = map[string]any{"diagnostics": []any{}, "only": []string{"refactor"}}
	if e.ask("textDocument/codeAction", params, &actions); len(actions) != 0 {
		t.Errorf("asked for refactorings, got %v", actions)
	}
	e.end()
}

// Formatting is policy fmt, whatever the text had for line ends, and refused
// with a reason where nothing can be read.
func TestLSPFormatting(t *testing.T) {
	dir := t.TempDir()
	e := startLSP(t, `{"general": {"positionEncodings": ["utf-8"]}}`)
	base := "version: 1\n# 😀\nclients:   {lan: 10.0.0.0/8}\n\n\n\nrules:\n    - {name: a,  from: any, to: any, mode: deny}\ndescription: x"
	for name, text := range map[string]string{
		"plain": base, "crlf": strings.ReplaceAll(base, "\n", "\r\n"), "clean": "version: 1\nrules: []\n", "bom": utf8BOM + base,
	} {
		file := filepath.Join(dir, name+".yaml")
		lspPut(t, file, text)
		e.open(uriOf(file), text)
		var edits []lspTextEdit
		e.ask("textDocument/formatting", map[string]any{"textDocument": map[string]any{"uri": uriOf(file)}, "options": map[string]any{}}, &edits)
		if out, err := exec.Command("sallyport", "policy", "fmt", "-w", file).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		got := e.apply(text, edits)
		if want := lspGet(t, file); strings.TrimPrefix(got, utf8BOM) != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if name == "clean" && len(edits) != 0 {
			t.Errorf("edits %v of what is formatted", edits)
		}
	}
	uri := uriOf(filepath.Join(dir, "broken.yaml"))
	e.open(uri, "a: [")
	got := e.refusal("textDocument/formatting", map[string]any{"textDocument": map[string]any{"uri": uri}})
	if !strings.HasPrefix(got.Message, "what cannot be read is not formatted: ") {
		t.Errorf("%+v", got)
	}
	e.end()
}

// A file that is open counts as it stands in the editor, also for a policy
// that includes it; mistakes are shown where they are, and taken back.
func TestLSPIncludedFiles(t *testing.T) {
	dir := t.TempDir()
	main, part := filepath.Join(dir, "p.yaml"), filepath.Join(dir, "part.yaml")
	text := "version: 1\ninclude: {file: part.yaml, within: {from: any, to: .x.example}}\nrules: []\n"
	good := "version: 1\nrules: [{name: a, from: any, to: any, mode: tunnel}]\n"
	lspPut(t, part, strings.Replace(good, "tunnel", "tunel", 1))
	e := startLSP(t, `{}`)
	about := func(file, what string) {
		t.Helper()
		e.until(what, func() bool {
			for _, p := range slices.Backward(e.said) {
				if p.URI == uriOf(file) {
					ds := slices.DeleteFunc(slices.Clone(p.Diagnostics), func(d lspDiagnostic) bool { return d.Severity != 1 })
					if what == "" {
						return len(ds) == 0
					}
					return len(ds) == 1 && ds[0].Message == what && ds[0].Range.Start == lspPosition{1, 44}
				}
			}
			return false
		})
	}
	e.open(uriOf(main), text)
	mistake := "\"tunel\" is no value for mode\nhelp: did you mean \"tunnel\"?"
	about(part, mistake)
	// In the editor it is right, and with it the policy.
	e.notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": uriOf(part), "version": 1, "text": good}})
	about(part, "")
	about(main, "")
	// Closed unsaved: what counts is the file.
	e.notify("textDocument/didClose", map[string]any{"textDocument": map[string]any{"uri": uriOf(part)}})
	about(part, mistake)
	// Saved: the files are read again.
	lspPut(t, part, good)
	e.notify("textDocument/didSave", map[string]any{"textDocument": map[string]any{"uri": uriOf(main)}})
	about(part, "")
	e.notify("textDocument/didClose", map[string]any{"textDocument": map[string]any{"uri": uriOf(main)}})
	about(main, "")
	e.end()
}

// Sessions begin and end as the protocol wants, or with an exit code that says
// that they did not.
func TestLSPLifecycle(t *testing.T) {
	t.Run("order", func(t *testing.T) {
		e := launchLSP(t)
		params := `{"textDocument": {"uri": "file:///x"}, "position": {"line": 0, "character": 0}}`
		if got := e.refusal("textDocument/hover", params); got.Code != rpcNotInitialized {
			t.Errorf("before initialize: %+v", got)
		}
		e.notify("textDocument/didOpen", `{"textDocument": {"uri": "file:///x", "text": ""}}`) // too early
		if got := e.refusal("initialize", `[]`); got.Code != rpcInvalidParams {
			t.Errorf("bad initialize: %+v", got)
		}
		e.initialize(`{}`)
		if got := e.refusal("initialize", `{}`); got.Code != rpcInvalidRequest {
			t.Errorf("initialize twice: %+v", got)
		}
		if got := e.refusal("workspace/unheardOf", `{}`); got.Code != rpcNoMethod {
			t.Errorf("unknown: %+v", got)
		}
		if got := e.refusal("$/unheardOf", `{}`); got.Code != rpcNoMethod {
			t.Errorf("unknown: %+v", got)
		}
		e.notify("$/unheardOf", `{}`)
		if got := e.refusal("textDocument/hover", params); got != (rpcError{rpcInvalidParams, "file:///x is not open"}) {
			t.Errorf("not open: %+v", got)
		}
		if got := e.refusal("textDocument/hover", `{"textDocument": 1}`); got.Code != rpcInvalidParams {
			t.Errorf("bad parameters: %+v", got)
		}
		for _, text := range []string{"{", "[]", `[{"jsonrpc": "2.0", "id": 9, "method": "shutdown"}]`, `"x"`} {
			fmt.Fprintf(e.in, "Content-Length: %d\r\nContent-Type: application/vscode-jsonrpc; charset=utf8\r\n\r\n%s", len(text), text)
		}
		e.until("four refusals", func() bool { return len(e.stray) == 4 })
		for i, want := range []int{rpcParseError, rpcInvalidRequest, rpcInvalidRequest, rpcInvalidRequest} {
			if m := e.stray[i]; m.Error == nil || m.Error.Code != want || string(m.ID) != "null" {
				t.Errorf("%+v, want %d", m, want)
			}
		}
		var null any
		e.ask("shutdown", "null", &null)
		if got := e.refusal("textDocument/hover", params); got.Code != rpcInvalidRequest {
			t.Errorf("after shutdown: %+v", got)
		}
		e.notify("exit", "null")
		if code := e.exit(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	for name, leave := range map[string]func(*lspClient) int{
		"exit without shutdown":   func(e *lspClient) int { e.notify("exit", "null"); return 1 },
		"stdin ends":              func(e *lspClient) int { e.in.Close(); return 1 },
		"stdin ends in a message": func(e *lspClient) int { fmt.Fprint(e.in, "Content-Length: 9\r\n\r\n{"); e.in.Close(); return 1 },
		"no length":               func(e *lspClient) int { fmt.Fprint(e.in, "X: y\r\n\r\n{}"); return 1 },
		"a length that is none":   func(e *lspClient) int { fmt.Fprint(e.in, "Content-Length: -1\r\n\r\n{}"); return 1 },
		"no header":               func(e *lspClient) int { fmt.Fprint(e.in, "{}\r\n\r\n"); return 1 },
		"an endless header":       func(e *lspClient) int { fmt.Fprint(e.in, strings.Repeat("x", maxHeaderLine+1)); return 1 },
		"a length beyond all": func(e *lspClient) int {
			fmt.Fprint(e.in, "Content-Length: 9223372036854775807\r\n\r\n{}")
			e.in.Close()
			return 1
		},
		"stdin ends after the shutdown": func(e *lspClient) int { e.answer(e.request("shutdown", "null")); e.in.Close(); return 0 },
	} {
		t.Run(name, func(t *testing.T) {
			e := startLSP(t, `{}`)
			want := leave(e)
			if code := e.exit(); code != want {
				t.Errorf("exit code %d, want %d; stderr %s", code, want, e.logged())
			}
		})
	}
}

// A message that is too long is not read, and the session goes on; a policy
// that is too large gets one diagnostic.
func TestLSPBounds(t *testing.T) {
	e := startLSP(t, `{}`)
	go func() {
		fmt.Fprintf(e.in, "Content-Length: %d\r\n\r\n", maxMessage+1)
		chunk := make([]byte, 1<<20)
		for range maxMessage >> 20 {
			e.in.Write(chunk)
		}
		e.in.Write([]byte{' '})
		e.notify("$/after", `{}`)
	}()
	e.until("a refusal", func() bool { return len(e.stray) == 1 })
	if m := e.stray[0]; m.Error == nil || m.Error.Message != "the message is longer than 64 MiB" {
		t.Errorf("%+v", m)
	}
	uri := "untitled:Untitled-1"
	if found := e.open(uri, strings.Repeat("# a comment\n", 400_000)); len(found) != 1 || found[0].Code != "P002" {
		t.Errorf("%v", found)
	}
	var list []lspLens
	if e.ask("textDocument/codeLens", map[string]any{"textDocument": map[string]any{"uri": uri}}, &list); len(list) != 0 {
		t.Errorf("%v", list)
	}
	e.end()
}

// A gate is an analysis that waits until it is told to go on.
type gate struct {
	begun chan string
	goOn  chan struct{}
	reads atomic.Int32
}

func (g *gate) read(name string, src []byte, dir string, read policy.Reader) *policy.Draft {
	g.reads.Add(1)
	g.begun <- string(src)
	<-g.goOn
	return policy.ReadDraft(name, src, dir, read)
}

// The newest text wins: a text that was superseded before its analysis began
// is never analysed, one that was superseded meanwhile is not spoken of, and
// reading goes on all the time.
func TestLSPNewestWins(t *testing.T) {
	g := &gate{begun: make(chan string, 10), goOn: make(chan struct{}, 10)}
	e := embedLSP(t, &lspServer{Read: g.read})
	uri := "file:///nowhere/p.yaml"
	e.notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": uri, "version": 1, "text": "one"}})
	if got := <-g.begun; got != "one" {
		t.Fatal(got)
	}
	for v := 2; v <= 9; v++ {
		e.change(uri, v, fmt.Sprint("text ", v))
	}
	if got := e.refusal("workspace/unheardOf", `{}`); got.Code != rpcNoMethod { // everything before it was read
		t.Fatal(got)
	}
	g.goOn <- struct{}{}
	if got := <-g.begun; got != "text 9" {
		t.Errorf("analysed next: %q", got)
	}
	g.goOn <- struct{}{}
	e.diagnostics(uri, 9)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.said) != 1 || g.reads.Load() != 2 {
		t.Errorf("%d analyses; said %+v", g.reads.Load(), e.said)
	}
}

// Edits to a text that is no more are refused, a request that is cancelled is
// answered so, and one with the number of another is none.
func TestLSPModifiedAndCancelled(t *testing.T) {
	g := &gate{begun: make(chan string, 10), goOn: make(chan struct{}, 10)}
	e := embedLSP(t, &lspServer{Read: g.read, Pause: time.Hour})
	uri, text := "file:///nowhere/p.yaml", "version: 1\nclients: {lan: 10.0.0.0/8}\nrules: []\n"
	e.notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": uri, "version": 1, "text": text}})
	<-g.begun
	params := e.about(uri, text, "clients: {", "lan")
	params["newName"] = "net"
	renaming, hovering, cancelled := e.request("textDocument/rename", params), e.request("textDocument/hover", params), e.request("textDocument/hover", params)
	e.notify("$/cancelRequest", map[string]int{"id": cancelled})
	e.change(uri, 2, "version: 1\n")
	e.write(rpcMessage{ID: asJSON(hovering), Method: "textDocument/hover", Params: asJSON(params)}) // its answer says that all before it was read
	if m := e.answer(hovering); m.Error == nil || m.Error.Code != rpcInvalidRequest {
		t.Errorf("twice: %+v", m)
	}
	e.mu.Lock()
	delete(e.answers, hovering)
	e.mu.Unlock()
	g.goOn <- struct{}{}
	g.goOn <- struct{}{}
	if m := e.answer(renaming); m.Error == nil || m.Error.Code != rpcContentModified {
		t.Errorf("rename: %+v", m)
	}
	if m := e.answer(hovering); m.Error != nil || !strings.Contains(string(m.Result), "lan") {
		t.Errorf("hover: %+v", m)
	}
	if m := e.answer(cancelled); m.Error == nil || m.Error.Code != rpcCancelled {
		t.Errorf("cancelled: %+v", m)
	}
	for range 8 { // what else wants to be read at the end
		g.goOn <- struct{}{}
	}
}

// A panic while a text is analysed costs the answers about that text.
func TestLSPPanic(t *testing.T) {
	e := embedLSP(t, &lspServer{Read: func(name string, src []byte, dir string, read policy.Reader) *policy.Draft {
		if strings.Contains(string(src), "panic") {
			panic("at the disco")
		}
		return policy.ReadDraft(name, src, dir, read)
	}})
	uri := "file:///nowhere/p.yaml"
	found := e.open(uri, "panic")
	if len(found) != 1 || found[0].Message != "this file was not checked: reading file:///nowhere/p.yaml: at the disco" {
		t.Errorf("%+v", found)
	}
	if got := e.refusal("textDocument/hover", e.about(uri, "panic", "", "panic")); got.Code != rpcInternalError {
		t.Errorf("%+v", got)
	}
	e.change(uri, 2, "version: 1\nrules: []\n")
	if found := e.diagnostics(uri, 2); len(found) != 0 {
		t.Errorf("%+v", found)
	}
}

// Whatever a client sends, the server neither panics nor hangs, and writes
// only messages.
func FuzzLSP(f *testing.F) {
	m := func(method string, id int, params string) string {
		msg := rpcMessage{Method: method, Params: json.RawMessage(params)}
		if id > 0 {
			msg.ID = asJSON(id)
		}
		text, err := frame(msg)
		if err != nil {
			f.Fatal(err)
		}
		return string(text)
	}
	begin := m("initialize", 1, `{"capabilities": {}}`)
	open := m("textDocument/didOpen", 0, `{"textDocument": {"uri": "u", "version": 1, "text": "version: 1\nrules:\n  - {name: a, from: [x"}}`)
	f.Add([]byte(begin + open + m("textDocument/completion", 2, `{"textDocument": {"uri": "u"}, "position": {"line": 2, "character": 99999999999}}`)))
	f.Add([]byte(begin + open + m("textDocument/rename", 2, `{"textDocument": {"uri": "u"}, "position": {"line": -2, "character": -9}, "newName": "b"}`)))
	f.Add([]byte(begin + m("textDocument/didChange", 0, `{"textDocument": {"uri": "u"}, "contentChanges": [{"text": "\ud800"}]}`) + m("textDocument/hover", 2, `{"textDocument": {"uri": "u"}}`)))
	f.Add([]byte(begin + m("shutdown", 2, `null`) + m("exit", 0, `null`)))
	f.Fuzz(func(t *testing.T, input []byte) {
		e := embedLSP(t, &lspServer{})
		e.in.Write(input)
		e.in.Close()
		e.until("the end", func() bool { return e.closed || len(e.stray) > 1<<20 })
		for _, m := range e.stray {
			if strings.HasPrefix(m.Method, "not JSON-RPC") {
				t.Error(m.Method)
			}
		}
	})
}

// A policy that a program has written may be one line: what is asked about it
// takes no time that grows with the square of its length.
func TestLSPOneLongLine(t *testing.T) {
	var rules []string
	for i := range 3000 {
		rules = append(rules, fmt.Sprintf(`{"name": "r%d", "from": "any", "to": "h%d.example", "mode": "deny", "description": "😀"}`, i, i))
	}
	text := `{"version": 1, "rules": [` + strings.Join(rules, ", ") + "]}"
	e := startLSP(t, `{"textDocument": {"documentSymbol": {"hierarchicalDocumentSymbolSupport": true}}}`)
	uri := uriOf(filepath.Join(t.TempDir(), "p.yaml"))
	e.open(uri, text)
	var tree []lspSymbol
	e.ask("textDocument/documentSymbol", map[string]any{"textDocument": map[string]any{"uri": uri}}, &tree)
	if len(tree) != 1 || len(tree[0].Children) != 3000 {
		t.Fatalf("%d symbols", len(tree))
	}
	last := tree[0].Children[2999].SelectionRange
	if want := e.position(text, strings.Index(text, `r2999"`)); last.Start != want {
		t.Errorf("%v, want %v", last, want)
	}
	e.end()
}
