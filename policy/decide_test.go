// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Each testdata/decide/*.yaml is a policy, and the .txt beside it what it
// must answer.
func TestDecide(t *testing.T) {
	files, err := filepath.Glob("testdata/decide/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no tables", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			p := mustLoad(t, file)
			p.Generation = 7
			table, err := os.ReadFile(strings.TrimSuffix(file, ".yaml") + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			for i, line := range strings.Split(string(table), "\n") {
				if line == "" || line[0] == '#' {
					continue
				}
				cells := strings.Split(line, "|")
				if len(cells) != 3 {
					t.Fatalf("line %d has %d cells", i+1, len(cells))
				}
				want := strings.Join(strings.Fields(cells[2]), " ")
				q, whole := readQuery(t, cells[0], cells[1])
				d := p.Decide(q)
				if whole {
					d = p.outcome(q)
				}
				if got := answer(d); got != want {
					t.Errorf("%d: %s\n got  %s (%s)\n want %s", i+1, strings.Join(strings.Fields(cells[1]), " "), got, d.Detail(), want)
				}
				if d.Generation != 7 {
					t.Errorf("%d: generation %d", i+1, d.Generation)
				}
				// Law 5: who explains must come to the same decision.
				if e := p.Explain(q); whole && e.Decision() != d || q.Kind != Inner && e.Decision() != d {
					t.Errorf("%d: explained as %s", i+1, answer(e.Decision()))
				}
			}
		})
	}
}

func answer(d Decision) string {
	rule := d.RuleName()
	if rule == "" {
		rule = "-"
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %d %s", d.Mode, d.Reason, rule, d.Port, d.Path))
}

// readQuery reads the first two cells of a table. whole is true for an https
// URL that stands for CONNECT and the request inside.
func readQuery(t *testing.T, client, request string) (q Query, whole bool) {
	t.Helper()
	request = strings.TrimSpace(request)
	request, plain := strings.CutPrefix(request, "plain ")
	request, inner := strings.CutPrefix(request, "inner ")
	request, mayAsk := strings.CutPrefix(request, "may-ask ")
	request, at, timed := strings.Cut(request, " @ ")
	q, err := ParseRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	if plain {
		q.Kind = Plain
	}
	q.MayAsk, q.At = mayAsk, testTime
	if timed {
		if q.At, err = time.Parse(time.RFC3339, at); err != nil {
			t.Fatal(err)
		}
	}
	for i, item := range strings.Fields(client) {
		kind, value, _ := strings.Cut(item, ":")
		switch {
		case i == 0:
			q.Client.Addr = netip.MustParseAddr(item)
		case kind == "user":
			q.Client.User = value
		case kind == "group":
			q.Client.Groups = append(q.Client.Groups, value)
		case kind == "cert":
			q.Client.Certs = append(q.Client.Certs, value)
		case kind == "claim":
			q.Client.Claims = append(q.Client.Claims, value)
		default:
			t.Fatalf("client %q", client)
		}
	}
	return q, q.Kind == Inner && !inner
}

func mustLoad(t testing.TB, file string) *Policy {
	t.Helper()
	p, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustParse(t testing.TB, src string) *Policy {
	t.Helper()
	p, err := Parse("test.yaml", []byte(src), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A policy is asked by every connection at once; the race detector looks on.
func TestDecideAtOnce(t *testing.T) {
	p := mustLoad(t, "testdata/good/agent-sandbox.yaml")
	want := make([]Decision, len(p.tests))
	for i, c := range p.tests {
		want[i] = p.outcome(c.q)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i, c := range p.tests {
				if d := p.outcome(c.q); d != want[i] {
					t.Errorf("%s: %s, want %s", c.q, answer(d), answer(want[i]))
				}
			}
		})
	}
	wg.Wait()
}

func TestAuditedRulesOnlyCount(t *testing.T) {
	p := mustLoad(t, "testdata/decide/sight.yaml")
	q, _ := readQuery(t, "10.1.1.1", "CONNECT audit.example:443")
	if d := p.Decide(q); d.Mode != Tunnel || d.Audited == nil || d.Audited.Name != "counted" {
		t.Errorf("got %s, audited %v; want the tunnel, and the first audit rule counted", answer(d), d.Audited)
	}
	q, _ = readQuery(t, "10.1.1.1", "CONNECT news.example:443")
	if d := p.Decide(q); d.Audited != nil {
		t.Errorf("audited %v, which does not match", d.Audited)
	}
}

func TestBlindNamesTheTunnelThatWouldHide(t *testing.T) {
	p := mustLoad(t, "testdata/decide/sight.yaml")
	q, _ := readQuery(t, "10.1.1.1", "CONNECT a.files.example:443")
	d := p.Decide(q)
	if d.Hidden == nil || d.Hidden.Name != "files" {
		t.Errorf("hidden by %v, want files", d.Hidden)
	}
	if s := d.Detail(); !strings.Contains(s, `"no-uploads"`) || !strings.Contains(s, `"files"`) {
		t.Errorf("detail %q names not both rules", s)
	}
}

func TestDetail(t *testing.T) {
	p := mustLoad(t, "testdata/decide/modes.yaml")
	for _, c := range []struct{ request, want string }{
		{"CONNECT t.example:443", `tunnel by rule "tunnel-only"`},
		{"CONNECT x.blocked.example:443", "Closed by never."},
		{"CONNECT nowhere.example:443", "no rule matched"},
		{"GET http://t.example/", `rule "tunnel-only" serves only CONNECT (tunnel): use an https:// URL through the proxy`},
		{"GET http://i.example/", `rule "inside" serves only CONNECT (intercept): use an https:// URL through the proxy`},
		{"CONNECT o.example:443", `rule "originate-only" serves only plain HTTP (originate): send http://… to the proxy, which speaks TLS to the origin itself; do not use CONNECT`},
		{"CONNECT o.example:80", `originate by rule "originate-only"`},
		{"CONNECT r.example:80", `rule "relay-only" serves only plain HTTP (relay): send http://… to the proxy; do not use CONNECT`},
		{"plain GET https://ra.example/", `rule "relay-any" serves only plain HTTP (relay): what was asked for as https never leaves in the clear`},
	} {
		q, _ := readQuery(t, "10.1.1.1", c.request)
		if got := p.Decide(q).Detail(); got != c.want {
			t.Errorf("%s:\n got  %s\n want %s", c.request, got, c.want)
		}
	}
	if got := (Decision{}).Detail(); got != "no policy is loaded: nothing is allowed" {
		t.Errorf("the zero decision says %q", got)
	}
}
