// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An editor is a session with yaml-language-server, which VS Code, vim, Emacs
// and others run: the way in which most people meet the schema.
type editor struct {
	t    *testing.T
	dir  string
	in   io.WriteCloser
	msgs chan message
	id   int // of the last request
	n    int // texts shown
}

type message struct {
	ID     *int            `json:"id,omitempty"`
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  json.RawMessage `json:"error,omitempty"`
}

type position struct {
	Line      int `json:"line"`
	Character int `json:"character"`
}

// languageServer is the program, from PATH or from the directory of npm's
// programs that YAML_LANGUAGE_SERVER_BIN names.
func languageServer(t *testing.T) string {
	name := "yaml-language-server"
	if dir := os.Getenv("YAML_LANGUAGE_SERVER_BIN"); dir != "" {
		name = filepath.Join(dir, name)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no yaml-language-server, which tests the schema in an editor's place (tools/editor has the version): %v", err)
	}
	return path
}

// openEditor begins a session in a new folder that holds the schema and the
// example policies.
func openEditor(t *testing.T) *editor {
	t.Helper()
	program := languageServer(t)
	e := &editor{t: t, dir: t.TempDir(), msgs: make(chan message, 100)}
	if err := os.CopyFS(e.dir, os.DirFS("testdata/good")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(e.dir, "policy-v1.json"), Schema(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--stdio")
	cmd.Dir, cmd.Stderr = e.dir, os.Stderr
	var err error
	if e.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() { read <- e.read(out) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-read
		cmd.Wait()
	})

	e.call("initialize", map[string]any{
		"processId": os.Getpid(), "rootUri": e.uri(""),
		"capabilities": map[string]any{"textDocument": map[string]any{
			"hover":      map[string]any{"contentFormat": []string{"markdown"}},
			"completion": map[string]any{"completionItem": map[string]any{"snippetSupport": false, "documentationFormat": []string{"markdown"}}},
		}},
	})
	e.notify("initialized", map[string]any{})
	e.notify("workspace/didChangeConfiguration", map[string]any{"settings": map[string]any{
		"yaml": map[string]any{"validate": true, "hover": true, "completion": true, "schemaStore": map[string]any{"enable": false}},
		"http": map[string]any{}, "editor": map[string]any{},
	}})
	return e
}

func (e *editor) uri(name string) string {
	return (&url.URL{Scheme: "file", Path: filepath.Join(e.dir, name)}).String()
}

func (e *editor) read(out io.Reader) error {
	defer close(e.msgs)
	for r := bufio.NewReader(out); ; {
		length := 0
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return err
			}
			line = strings.TrimSpace(line)
			if line == "" {
				break
			}
			if n, ok := strings.CutPrefix(line, "Content-Length: "); ok {
				if length, err = strconv.Atoi(n); err != nil {
					return err
				}
			}
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		var m message
		if err := json.Unmarshal(body, &m); err != nil {
			return err
		}
		e.msgs <- m
	}
}

func (e *editor) send(m map[string]any) {
	e.t.Helper()
	m["jsonrpc"] = "2.0"
	body, err := json.Marshal(m)
	if err != nil {
		e.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(e.in, "Content-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		e.t.Fatal(err)
	}
}

func (e *editor) notify(method string, params any) {
	e.t.Helper()
	e.send(map[string]any{"method": method, "params": params})
}

// await is the first message that is wanted; requests of the server in
// between are answered with nothing.
func (e *editor) await(wanted func(message) bool) message {
	e.t.Helper()
	for timeout := time.After(time.Minute); ; {
		select {
		case m, ok := <-e.msgs:
			if !ok {
				e.t.Fatal("the server has gone")
			}
			if wanted(m) {
				return m
			}
			if m.ID != nil && m.Method != "" {
				e.send(map[string]any{"id": *m.ID, "result": nil})
			}
		case <-timeout:
			e.t.Fatal("the server says nothing")
		}
	}
}

func (e *editor) call(method string, params any) json.RawMessage {
	e.t.Helper()
	e.id++
	id := e.id
	e.send(map[string]any{"id": id, "method": method, "params": params})
	m := e.await(func(m message) bool { return m.ID != nil && *m.ID == id && m.Method == "" })
	if m.Error != nil {
		e.t.Fatalf("%s: %s", method, m.Error)
	}
	return m.Result
}

// open shows a text to the server, as a file of its own, and gives what it
// finds wrong: line:column of the beginning, and the message.
func (e *editor) open(text string) (uri string, out []string) {
	e.t.Helper()
	e.n++
	uri = e.uri(fmt.Sprintf("draft%d.yaml", e.n))
	e.notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{
		"uri": uri, "languageId": "yaml", "version": 1, "text": text,
	}})
	var found struct {
		URI         string
		Diagnostics []struct {
			Range   struct{ Start position }
			Message string
		}
	}
	e.await(func(m message) bool {
		return m.Method == "textDocument/publishDiagnostics" && json.Unmarshal(m.Params, &found) == nil && found.URI == uri
	})
	for _, d := range found.Diagnostics {
		out = append(out, fmt.Sprintf("%d:%d: %s", d.Range.Start.Line+1, d.Range.Start.Character+1, d.Message))
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(lineOf(a), lineOf(b)), strings.Compare(a, b)) })
	return uri, out
}

func lineOf(s string) (n int) {
	fmt.Sscanf(s, "%d:", &n)
	return n
}

// offered are the labels of what the server completes where the text has its
// mark ‸.
func (e *editor) offered(text string) []string {
	e.t.Helper()
	var list struct {
		Items []struct{ Label string }
	}
	if err := json.Unmarshal(e.at("textDocument/completion", text), &list); err != nil {
		e.t.Fatal(err)
	}
	var labels []string
	for _, i := range list.Items {
		labels = append(labels, i.Label)
	}
	return labels
}

// hover is what the server shows about the word at the mark.
func (e *editor) hover(text string) string {
	e.t.Helper()
	var h struct{ Contents struct{ Value string } }
	if err := json.Unmarshal(e.at("textDocument/hover", text), &h); err != nil {
		e.t.Fatal(err)
	}
	return h.Contents.Value
}

func (e *editor) at(method, text string) json.RawMessage {
	e.t.Helper()
	before, after, ok := strings.Cut(text, "‸")
	if !ok {
		e.t.Fatal("the text has no mark")
	}
	uri, _ := e.open(before + after)
	line := strings.Count(before, "\n")
	return e.call(method, map[string]any{
		"textDocument": map[string]any{"uri": uri},
		"position":     position{line, len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))},
	})
}
