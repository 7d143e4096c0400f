// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// plan is the floor plan of docs/design.md: who may not import what, and why.
// A package is named by its path below the module, and the ban covers what is
// below it, unless a longer entry for it says otherwise.
var plan = []struct {
	pkg    string
	banned []string
	why    string
}{
	{"policy", []string{"sallyport/"}, "policy stands on the ground: it decides, and knows nobody who acts"},
	{"policy", []string{"net/http"}, "a decision needs no connection"},
	{"policy/convert", []string{"sallyport/gateway", "sallyport/tunnel", "sallyport/certs", "net/http"}, "converting is reading and writing text; only a policy is asked"},
	{"tunnel", []string{"sallyport/"}, "tunnel stands on the ground: it moves bytes and is told what is permitted"},
	{"certs", []string{"sallyport/"}, "certs stands on the ground and plugs into gateway as functions"},
	{"pki", []string{"sallyport/"}, "pki stands on the ground: it signs what it is told to, and knows nobody who asks"},
	{"certs/inspect", []string{"sallyport/gateway", "sallyport/policy", "sallyport/tunnel", "sallyport/pki"}, "looking at certificates needs nothing but certificates"},
	{"gateway/h1", []string{"sallyport/", "net"}, "the grammar looks at bytes only"},
	{"gateway/wire", []string{"sallyport/", "net/http"}, "sockets know no HTTP, and nobody above them"},
	{"gateway/reconcile", []string{"sallyport/gateway/wire", "sallyport/tunnel", "sallyport/certs", "sallyport/pki", "sallyport/cmd", "net"}, "what a message says is changed by looking at its fields, and by asking the policy"},
	{"gateway/h3", []string{"sallyport/"}, "it speaks HTTP/3 to where it is told, and trusts whom it is told"},
	{"gateway/hsts", []string{"sallyport/", "net", "os"}, "a memory of hosts touches no wire and no disk"},
	{"gateway/identity", []string{"sallyport/gateway", "sallyport/tunnel", "sallyport/certs", "sallyport/pki", "sallyport/cmd", "net/http"}, "who a client is, is found out from fields and certificates, and told in the policy's words"},
	{"cmd/sallyport/demo", []string{"sallyport/gateway", "sallyport/policy", "sallyport/certs"}, "the comparison looks at a gateway from outside: at its wires and its log, by no other code of it than the reader of a ClientHello"},
	{"gateway", []string{"sallyport/certs", "sallyport/pki", "sallyport/cmd"}, "arrows point downward only"},
	{"gateway", []string{"github.com/rs/zerolog", "log/slog"}, "the data path hands over a record and logs nothing (law 6)"},
	{"", []string{"github.com/smallstep", "go.step.sm"}, "only pki imports the CA library: several hundred packages stay behind one door"},
	{"", []string{"github.com/quic-go"}, "only gateway/h3 speaks QUIC, with origins whose profile asks for it: what a library makes of UDP stays behind one door"},
	{"", []string{"golang.org/x/crypto/acme"}, "only certs speaks ACME"},
	{"", []string{"github.com/prometheus"}, "only gateway/admin knows metrics"},
	{"", []string{"github.com/spf13/cobra", "flag", "os/signal"}, "only cmd reads flags and signals"},
}

// excepted may import what the empty-named rows of the plan ban for everybody.
var excepted = map[string][]string{
	"pki":           {"github.com/smallstep", "go.step.sm"},
	"certs":         {"golang.org/x/crypto/acme"},
	"gateway/h3":    {"github.com/quic-go"},
	"gateway/admin": {"github.com/prometheus"},
	"cmd/sallyport": {"github.com/spf13/cobra", "flag", "os/signal"},
	"scripts/load":  {"flag"}, // a program of its own, for scripts/bench
}

func TestPlan(t *testing.T) {
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, "sallyport/")
		for _, row := range plan {
			if row.pkg != "" && name != row.pkg {
				continue
			}
			for _, banned := range row.banned {
				if row.pkg == "" && slices.Contains(excepted[name], banned) {
					continue
				}
				for _, imp := range p.Imports {
					if matches(imp, banned) {
						t.Errorf("%s imports %s: %s", name, imp, row.why)
					}
				}
			}
		}
		for _, part := range strings.Split(name, "/") {
			switch part {
			case "internal", "pkg", "utils", "util", "common", "config", "helpers":
				t.Errorf("a package named %s: it says nothing about what is in it", name)
			}
		}
	}
}

func matches(imp, banned string) bool {
	if strings.HasSuffix(banned, "/") {
		return strings.HasPrefix(imp, banned)
	}
	return imp == banned || strings.HasPrefix(imp, banned+"/") && strings.Contains(banned, ".")
}

type listedPackage struct {
	ImportPath string
	Imports    []string
}

func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "sallyport/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []listedPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(list) < 5 {
		t.Fatalf("go list found %d packages only", len(list))
	}
	return list
}
