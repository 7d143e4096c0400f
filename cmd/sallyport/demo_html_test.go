// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"sallyport/cmd/sallyport/demo"
	"sallyport/policy"
)

// TestDemoRulesLoad: what the page of a demo gives people to copy is a policy
// that loads, passes its own tests, and says the mode that it stands under.
func TestDemoRulesLoad(t *testing.T) {
	text, err := os.ReadFile("demo/testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	var r demo.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	rules := rulesOf(t, &page)
	if len(rules) < 8 {
		t.Fatalf("the page has %d policies only", len(rules))
	}
	for text, mode := range rules {
		file := filepath.Join(t.TempDir(), "policy.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Load(file); err != nil {
			t.Errorf("%s: %v\n%s", mode, err, text)
		}
		if !strings.Contains(text, "mode: "+mode) {
			t.Errorf("under %s stands\n%s", mode, text)
		}
	}
}

// TestDemoPage: a real run makes a page of all that was found, in a file and at
// an address that ends with the command.
func TestDemoPage(t *testing.T) {
	bin, err := exec.LookPath("sallyport")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	cmd := exec.Command(bin, "demo", "--html", file, "--serve")
	cmd.Env = append(os.Environ(), "DISPLAY=:0", "TMPDIR="+t.TempDir()) // no terminal: no browser
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }() // it has ended, unless the test fails
	address := ""
	for lines := bufio.NewScanner(out); address == "" && lines.Scan(); {
		if _, rest, ok := strings.Cut(lines.Text(), "The report is at http://"); ok {
			address, _, _ = strings.Cut(rest, "/")
		}
	}
	if address == "" {
		t.Fatalf("it is not served: %v, %s", cmd.Wait(), &stderr)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o644 || len(page) >= demo.PageLimit {
		t.Errorf("%d bytes in the file, %v, %v", len(page), info.Mode(), err)
	}
	shown := getPage(t, "GET", address, address, "/")
	if shown.status != http.StatusOK || shown.body != string(page) || shown.head.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("served is %d, %v, %.200s", shown.status, shown.head, shown.body)
	}
	for _, asked := range []struct {
		method, host, path string
		status             int
	}{
		{"HEAD", address, "/", http.StatusOK},
		{"GET", "rebound.example", "/", http.StatusMisdirectedRequest},
		{"GET", "localhost", "/", http.StatusMisdirectedRequest},
		{"GET", address, "/favicon.ico", http.StatusNotFound},
		{"POST", address, "/", http.StatusMethodNotAllowed},
	} {
		if got := getPage(t, asked.method, address, asked.host, asked.path); got.status != asked.status || strings.Contains(got.body, "canary") {
			t.Errorf("%s %s of %s: %d, %.100s", asked.method, asked.path, asked.host, got.status, got.body)
		}
	}
	if n := strings.Count(string(page), `<pre class="yaml"`); n < 8 {
		t.Errorf("the guide has %d policies only: its questions go by rows that are not there", n)
	}
	for _, row := range demoTable {
		if !strings.Contains(string(page), `data-row="`+row.row+`"`) {
			t.Errorf("the page does not have %s", row.row)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
		t.Errorf("ended with %v, and said %s", err, &stderr)
	}
}

type gotPage struct {
	status int
	head   http.Header
	body   string
}

// getPage asks the server at address for a path of host.
func getPage(t *testing.T, method, address, host, path string) gotPage {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	transport := &http.Transport{DisableKeepAlives: true} // and no proxy
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return gotPage{resp.StatusCode, resp.Header, string(body)}
}

func TestDemoOpensABrowser(t *testing.T) {
	for _, test := range []struct {
		terminal bool
		env      map[string]string
		want     bool
	}{
		{true, map[string]string{"DISPLAY": ":0"}, true},
		{true, map[string]string{"WAYLAND_DISPLAY": "wayland-0"}, true},
		{true, nil, false},
		{false, map[string]string{"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, false},
	} {
		if got := atDesktop(test.terminal, func(name string) string { return test.env[name] }); got != test.want {
			t.Errorf("terminal %v, %v: %v", test.terminal, test.env, got)
		}
	}
}

// rulesOf are the policies of a page, with the titles they stand under.
func rulesOf(t *testing.T, page *bytes.Buffer) map[string]string {
	t.Helper()
	root, err := html.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	rules := make(map[string]string)
	for n := range root.Descendants() {
		if n.Data != "code" || n.Parent.Data != "pre" {
			continue
		}
		title := n.Parent.PrevSibling // <figcaption>
		rules[n.FirstChild.Data] = title.FirstChild.Data
	}
	return rules
}
