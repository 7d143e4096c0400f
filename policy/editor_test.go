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

const modeline = "# yaml-language-server: $schema=./policy-v1.json\n"

// TestEditor: what people meet who edit a policy with the schema.
func TestEditor(t *testing.T) {
	e := openEditor(t)
	t.Run("finds nothing wrong in good policies", e.findsNothingWrong)
	t.Run("underlines mistakes", e.underlines)
	t.Run("completes", e.completes)
	t.Run("shows what a key is for", e.shows)
}

// Nobody who begins with one of the examples is shown an error that is none.
func (e *editor) findsNothingWrong(t *testing.T) {
	texts := map[string]string{"starter.yaml": string(StarterSource())}
	for _, name := range []string{"small-office.yaml", "corporate.yaml", "agent-sandbox.yaml", "everything.yaml", "lists.yaml", "included.yaml"} {
		src, err := os.ReadFile("testdata/good/" + name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(src)
	}
	for name, text := range texts {
		if !strings.HasPrefix(text, modeline) {
			text = modeline + text
		}
		if _, found := e.open(text); found != nil {
			t.Errorf("%s:\n%s", name, strings.Join(found, "\n"))
		}
	}
}

func (e *editor) underlines(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string
	}{
		{"version: 2\nrules: []\n", []string{"2:10: Value is not accepted. Valid values: 1."}},
		{"rules: []\n", []string{`2:1: Missing property "version".`}},
		{`version: 1
rules:
  - {name: a, from: any, to: any, mode: deny, tunnel: {idle: 5m}, allow_private: true, limits: {rate: 5/s}, methods: GET}
  - {name: b, from: any, to: any, mode: [tunnel, relay], paths: /x, plain_http: redirect, tunnel: {sni: any}}
  - {name: c, from: any, to: any, mode: [originate], deny: {status: 404}, origin: bank}
  - {name: d, from: any, to: any, mode: relay, origin: bank}
`, []string{
			"4:47: tunnel goes with mode tunnel",
			"4:67: allow_private does not go with mode deny, which reaches nothing",
			"4:88: limits does not go with mode deny, which lets nothing through",
			"5:58: paths does not go with tunnel",
			"5:69: plain_http goes with a rule that serves only CONNECT",
			"6:54: deny goes with mode deny",
			"7:48: origin goes with mode originate or intercept",
		}},
		{`version: 1
clients:
  staff: {gruop: staff, cidr: 10.0.0.0/33}
  lan: 10.0.0.0_8
  Office: [10.0.0.0/8]
  any: 10.0.0.0/8
destinations:
  saas: [.office.com, https://x.example/y, 127.1]
rules:
  - name: a
    from: stafff
    to: saas
    mode: tunel
  - name: b
    from: []
    to:
    mode: tunnel
    ports: [70000, 9-x]
    tunnel: {idle: 5 minutes, max_bytes: 10 MB, sni: [any]}
    until: 31.12.2026
    audit: maybe
  - {name: c, from: any, to: any}
tests:
  - as: {user: eva}
    allow: https://x.example/
    deny: x.example
`, []string{
			"4:11: Property gruop is not allowed.",
			"5:8: write the name of a client group, an address, a network such as 10.0.0.0/8, or any",
			"6:3: Property Office is not allowed.",
			"7:3: Property any is not allowed.",
			"9:23: write the name of a list, a host, a domain such as .example.com, an address, a network, or any",
			"9:44: Incorrect type. Expected one of string, object.",
			`14:11: Value is not accepted. Valid values: "deny", "tunnel", "intercept", "originate", "relay".`,
			"16:11: Array has too few items. Expected 1 or more.",
			"17:8: Incorrect type. Expected one of string, array.",
			"19:13: Value is above the maximum of 65535.",
			"19:20: a port from 1 to 65535, a range such as 8000-8099, or any",
			"20:20: write it as 90s, 5m, 36h or 7d",
			"20:42: write it as 64KiB, 10MB or 1GB",
			`20:54: Incorrect type. Expected "string".`,
			`20:54: Value is not accepted. Valid values: "match", "any".`,
			"21:12: write it as 2026-12-31",
			`22:12: Incorrect type. Expected "boolean".`,
			`23:5: Missing property "mode".`,
			`25:5: Missing property "ip".`,
			"26:5: Property allow is not allowed.",
			"27:11: write CONNECT host:port, or [METHOD] URL",
		}},
	} {
		_, got := e.open(modeline + test.text)
		if !slices.Equal(got, test.want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
}

func (e *editor) completes(t *testing.T) {
	rule := modeline + "version: 1\nrules:\n  - name: a\n    "
	keys := slices.DeleteFunc(ruleSection.names(), func(k string) bool { return k == "name" })
	for _, test := range []struct {
		text  string
		offer []string
	}{
		{rule + "mode: ‸\n", modeWords},
		{rule + "mode: [‸]\n", modeWords},
		{rule + "mode:\n      - ‸\n", modeWords},
		{rule + "log: ‸\n", []string{"none", "meta", "full"}},
		{rule + "‸\n", keys},
		{rule + "tunnel:\n      ‸\n", tunnelSection.names()},
		{modeline + "‸\n", policySection.names()},
		{modeline + "destinations:\n  ads:\n    - ‸\n", destinationSection.names()},
	} {
		offered := e.offered(test.text)
		for _, want := range test.offer {
			if !slices.Contains(offered, want) {
				t.Errorf("not offered in\n%s: %s; but %q", test.text, want, offered)
			}
		}
	}
	if offered := e.offered(rule + "‸\n"); slices.Contains(offered, "name") {
		t.Errorf("a rule has its name already, and another is offered: %q", offered)
	}
}

func (e *editor) shows(t *testing.T) {
	for text, want := range map[string][]string{
		"rules:\n  - name: a\n    mo‸de: deny\n":         {ruleSection.key("mode").doc, "`intercept`", "- originate\n- tunnel"},
		"rules:\n  - name: a\n    tunnel: {id‸le: 5m}\n": {tunnelSection.key("idle").doc, "5m"},
		"clients:\n  staff: {gr‸oup: staff}\n":           {clientSection.key("group").doc},
		"destinations:\n  x:\n    - {fi‸le: ads.txt}\n":  {destinationSection.key("file").doc, "lists/ads.txt"},
		"origins:\n  x:\n    min_‸tls: \"1.3\"\n":        {originSection.key("min_tls").doc, `"1.2"`, `"1.3"`},
	} {
		got := e.hover(modeline + text)
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("about\n%s:\n%s\nand nothing of %q", text, got, w)
			}
		}
	}
}
