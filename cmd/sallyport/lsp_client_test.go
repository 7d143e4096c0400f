// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"log"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"sallyport/policy"
)

// An lspClient is a client of the language server: it keeps texts, asks, and
// waits for what it is told.
type lspClient struct {
	t     *testing.T
	in    io.WriteCloser
	units string
	cmd   *exec.Cmd // nil when the server runs in the test
	errs  *journal

	mu      sync.Mutex
	changed *sync.Cond
	lastID  int
	answers map[int]rpcMessage
	stray   []rpcMessage // answers without an ID
	said    []lspPublish
	closed  bool
}

// startLSP starts the real program; capabilities is JSON.
func startLSP(t *testing.T, capabilities string, flags ...string) *lspClient {
	t.Helper()
	e := launchLSP(t, flags...)
	e.initialize(capabilities)
	return e
}

func launchLSP(t *testing.T, flags ...string) *lspClient {
	t.Helper()
	bin, err := exec.LookPath("sallyport")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, append([]string{"policy", "lsp"}, flags...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e := newLSPClient(t, in, out)
	e.cmd, e.errs = cmd, newJournal()
	go e.errs.follow(stderr)
	t.Cleanup(func() { cmd.Process.Kill() })
	return e
}

// embedLSP runs a server in the test, so that what it calls can be replaced.
func embedLSP(t *testing.T, s *lspServer) *lspClient {
	t.Helper()
	fromEditor, toServer := io.Pipe()
	fromServer, toEditor := io.Pipe()
	s.In, s.Out, s.Log = bufio.NewReader(fromEditor), toEditor, log.New(io.Discard, "", 0)
	if s.Read == nil {
		s.Read = policy.ReadDraft
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve()
		toEditor.Close()
	}()
	e := newLSPClient(t, toServer, fromServer)
	t.Cleanup(func() {
		toServer.Close()
		<-done
	})
	e.initialize(`{}`)
	return e
}

func newLSPClient(t *testing.T, in io.WriteCloser, out io.Reader) *lspClient {
	e := &lspClient{t: t, in: in, answers: make(map[int]rpcMessage)}
	e.changed = sync.NewCond(&e.mu)
	go e.listen(bufio.NewReader(out))
	return e
}

func (e *lspClient) listen(r *bufio.Reader) {
	for {
		body, err := readMessage(r)
		e.mu.Lock()
		var m rpcMessage
		switch {
		case err != nil:
			e.closed = true
		case json.Unmarshal(body, &m) != nil || m.Version != "2.0":
			e.stray = append(e.stray, rpcMessage{Method: "not JSON-RPC: " + string(body)})
		case m.Method == "textDocument/publishDiagnostics":
			var p lspPublish
			json.Unmarshal(m.Params, &p)
			e.said = append(e.said, p)
		default:
			var id int
			if json.Unmarshal(m.ID, &id) == nil && string(m.ID) != "null" {
				e.answers[id] = m
			} else {
				e.stray = append(e.stray, m)
			}
		}
		e.changed.Broadcast()
		e.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// until waits until ok holds; ok is called with e.mu held.
func (e *lspClient) until(what string, ok func() bool) {
	e.t.Helper()
	late := false
	timer := time.AfterFunc(30*time.Second, func() {
		e.mu.Lock()
		late = true
		e.changed.Broadcast()
		e.mu.Unlock()
	})
	defer timer.Stop()
	e.mu.Lock()
	defer e.mu.Unlock()
	for !ok() {
		if late || e.closed {
			e.t.Fatalf("waiting for %s: late %v, closed %v; said %+v; stray %+v; stderr %s", what, late, e.closed, e.said, e.stray, e.logged())
		}
		e.changed.Wait()
	}
}

func (e *lspClient) write(m rpcMessage) {
	e.t.Helper()
	text, err := frame(m)
	if err == nil {
		_, err = e.in.Write(text)
	}
	if err != nil {
		e.t.Fatal(err)
	}
}

func asJSON(v any) json.RawMessage {
	if s, ok := v.(string); ok {
		return json.RawMessage(s)
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func (e *lspClient) notify(method string, params any) {
	e.t.Helper()
	e.write(rpcMessage{Method: method, Params: asJSON(params)})
}

// request sends a request, and returns its ID.
func (e *lspClient) request(method string, params any) int {
	e.t.Helper()
	e.mu.Lock()
	e.lastID++
	id := e.lastID
	e.mu.Unlock()
	e.write(rpcMessage{ID: asJSON(id), Method: method, Params: asJSON(params)})
	return id
}

func (e *lspClient) answer(id int) (m rpcMessage) {
	e.t.Helper()
	e.until("an answer", func() bool {
		var ok bool
		m, ok = e.answers[id]
		return ok
	})
	return m
}

// ask asks, and reads the result into result.
func (e *lspClient) ask(method string, params, result any) {
	e.t.Helper()
	m := e.answer(e.request(method, params))
	if m.Error != nil {
		e.t.Fatalf("%s: %d %s", method, m.Error.Code, m.Error.Message)
	}
	if err := json.Unmarshal(m.Result, result); err != nil {
		e.t.Fatalf("%s: %s: %v", method, m.Result, err)
	}
}

// refusal asks, and is refused.
func (e *lspClient) refusal(method string, params any) rpcError {
	e.t.Helper()
	m := e.answer(e.request(method, params))
	if m.Error == nil {
		e.t.Fatalf("%s: answered with %s", method, m.Result)
	}
	return *m.Error
}

func (e *lspClient) initialize(capabilities string) {
	e.t.Helper()
	var result struct {
		Capabilities struct {
			PositionEncoding string `json:"positionEncoding"`
		} `json:"capabilities"`
	}
	e.ask("initialize", `{"processId": null, "rootUri": null, "capabilities": `+capabilities+`}`, &result)
	e.units = result.Capabilities.PositionEncoding
	e.notify("initialized", struct{}{})
}

// open opens a text and returns what the server says about it.
func (e *lspClient) open(uri, text string) []lspDiagnostic {
	e.t.Helper()
	e.notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": uri, "languageId": "yaml", "version": 1, "text": text}})
	return e.diagnostics(uri, 1)
}

func (e *lspClient) change(uri string, version int, text string) {
	e.t.Helper()
	e.notify("textDocument/didChange", map[string]any{
		"textDocument": map[string]any{"uri": uri, "version": version}, "contentChanges": []any{map[string]any{"text": text}},
	})
}

// diagnostics are the newest about a version of a document.
func (e *lspClient) diagnostics(uri string, version int) (found []lspDiagnostic) {
	e.t.Helper()
	e.until("diagnostics of "+uri, func() bool {
		for _, p := range slices.Backward(e.said) {
			if p.URI == uri {
				found = p.Diagnostics
				return p.Version != nil && *p.Version == version
			}
		}
		return false
	})
	return found
}

// end leaves in the order that the protocol wants.
func (e *lspClient) end() {
	e.t.Helper()
	var null any
	e.ask("shutdown", "null", &null)
	e.notify("exit", "null")
	if code := e.exit(); code != 0 {
		e.t.Errorf("exit code %d; stderr %s", code, e.logged())
	}
}

// logged is what the program has written to stderr.
func (e *lspClient) logged() string {
	if e.errs == nil {
		return ""
	}
	e.errs.mu.Lock()
	defer e.errs.mu.Unlock()
	return e.errs.text.String()
}

// exit waits for the program's end.
func (e *lspClient) exit() int {
	e.t.Helper()
	e.until("the end", func() bool { return e.closed })
	e.cmd.Wait()
	return e.cmd.ProcessState.ExitCode()
}

// about are the parameters of a request about a place of text that is marked
// by what stands before and behind it.
func (e *lspClient) about(uri, text, before, behind string) map[string]any {
	e.t.Helper()
	i := strings.Index(text, before+behind)
	if i < 0 {
		e.t.Fatalf("no %q in the text", before+behind)
	}
	return map[string]any{"textDocument": map[string]any{"uri": uri}, "position": e.position(text, i+len(before))}
}

// position counts what stands before an offset, in the units agreed on.
func (e *lspClient) position(text string, offset int) lspPosition {
	line := text[strings.LastIndexByte(text[:offset], '\n')+1 : offset]
	p := lspPosition{Line: strings.Count(text[:offset], "\n")}
	switch e.units {
	case "utf-8":
		p.Character = len(line)
	case "utf-16":
		p.Character = len(utf16.Encode([]rune(line)))
	case "utf-32":
		p.Character = len([]rune(line))
	}
	return p
}

// offset is the other way round.
func (e *lspClient) offset(text string, p lspPosition) int {
	e.t.Helper()
	lines := strings.SplitAfter(text, "\n")
	at := len(strings.Join(lines[:p.Line], ""))
	for i := range lines[p.Line] + "\x00" {
		if e.position(text, at+i) == p {
			return at + i
		}
	}
	e.t.Fatalf("%v is no place of the text", p)
	return 0
}

// apply applies edits that do not overlap.
func (e *lspClient) apply(text string, edits []lspTextEdit) string {
	e.t.Helper()
	slices.SortFunc(edits, func(a, b lspTextEdit) int {
		return e.offset(text, b.Range.Start) - e.offset(text, a.Range.Start)
	})
	for _, x := range edits {
		text = text[:e.offset(text, x.Range.Start)] + x.NewText + text[e.offset(text, x.Range.End):]
	}
	return text
}

// checked is what "policy check --json" says of a file and, when it loads, what
// "policy lint --json" says.
func checked(t *testing.T, file string) []policyDiagnostic {
	t.Helper()
	ask := func(what string) (ok bool, found []policyDiagnostic) {
		cmd := exec.Command("sallyport", "policy", what, "--json", filepath.Base(file))
		cmd.Dir = filepath.Dir(file)
		out, _ := cmd.Output()
		var result struct {
			OK          bool               `json:"ok"`
			Diagnostics []policyDiagnostic `json:"diagnostics"`
		}
		if err := json.Unmarshal(bytes.TrimSpace(out), &result); err != nil {
			t.Fatalf("policy %s: %s: %v", what, out, err)
		}
		return result.OK, result.Diagnostics
	}
	loads, found := ask("check")
	if loads {
		_, found = ask("lint")
	}
	return found
}

// A policyDiagnostic is what both say about a place, in characters from 1.
type policyDiagnostic struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Col      int    `json:"column"`
	Len      int    `json:"length"`
	Code     string `json:"code"`
	Severity string `json:"severity"`
	Msg      string `json:"message"`
	Hint     string `json:"hint"`
}

// told is what an editor was told, in the same form.
func (e *lspClient) told(file, text string, ds []lspDiagnostic) []policyDiagnostic {
	e.t.Helper()
	text = strings.TrimPrefix(text, utf8BOM)
	var out []policyDiagnostic
	for _, d := range ds {
		msg, hint, _ := strings.Cut(d.Message, "\nhelp: ")
		from, to := e.offset(text, d.Range.Start), e.offset(text, d.Range.End)
		start := strings.LastIndexByte(text[:from], '\n') + 1
		out = append(out, policyDiagnostic{
			file, d.Range.Start.Line + 1, len([]rune(text[start:from])) + 1, len([]rune(text[from:to])),
			d.Code, map[int]string{1: "error", 2: "warning"}[d.Severity], msg, hint,
		})
	}
	return out
}

// byPlace sorts what was told of one file.
func byPlace(ds []policyDiagnostic) {
	slices.SortFunc(ds, func(a, b policyDiagnostic) int {
		return cmp.Or(a.Line-b.Line, a.Col-b.Col, strings.Compare(a.Code, b.Code), strings.Compare(a.Msg, b.Msg))
	})
}
