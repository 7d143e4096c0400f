// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// mutants is what law7Mutants adds to the package: every key that keeps identities
// apart goes through it, and comes out as it is, or with one part less.
const mutants = `package gateway

import "os"

func mutated(what string) bool { return os.Getenv("LAW7_MUTATION") == what }

func stripped(where string, r route) route {
	switch {
	case mutated(where + " without secure"):
		r.secure = false
	case mutated(where + " without trust"):
		r.trust = ""
	case mutated(where + " without identity"):
		r.user, r.cert = "", ""
	case mutated(where + " without user"):
		r.user = ""
	case mutated(where + " without certificate"):
		r.cert = ""
	case mutated(where + " without permit"):
		r.permit = ""
	case mutated(where + " without ech"):
		r.ech = 0
	case mutated(where + " without host"):
		r.host = ""
	case mutated(where + " without port"):
		r.port = 0
	}
	return r
}
`

// law7Mutants are the places in the package that are replaced: by what does the
// same unless LAW7_MUTATION says otherwise.
var law7Mutants = []struct {
	file, old, by string
	times         int
}{
	{"pool.go", "o.routes[r]", `o.routes[stripped("pool", r)]`, 5},
	{"pool.go", "delete(o.routes, r)", `delete(o.routes, stripped("pool", r))`, 1},
	{"pool.go", "k.gone || k.route != r {", `k.gone || !mutated("hint without route") && stripped("pool", k.route) != stripped("pool", r) {`, 1},
	{"transport.go", `key.host, key.port = "", 0`, `key.host, key.port, key.route = "", 0, stripped("transport", key.route)
	key.host, key.port = "", 0`, 1},
	{"transport.go", "cfg.ClientSessionCache = originTickets{addr, tickets}", `if !mutated("transport with the profile's tickets") {
					cfg.ClientSessionCache = originTickets{addr, tickets}
				}`, 1},
	{"http3leg.go", "cfg.ClientSessionCache = originTickets{addr, tickets}", `if !mutated("quic with the profile's tickets") {
					cfg.ClientSessionCache = originTickets{addr, tickets}
				}`, 1},
	{"hop.go", "cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)", `if !mutated("pool with the profile's tickets") {
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}`, 1},
	{"delegate.go", "cfg.ClientSessionCache = nil", `if !mutated("pool with the profile's tickets") && !mutated("transport with the profile's tickets") && !mutated("quic with the profile's tickets") {
			cfg.ClientSessionCache = nil
		}`, 1},
	{"leg.go", `key + " " + t.addr`, `key + map[bool]string{false: " " + t.addr}[mutated("tickets without address")]`, 1},
	{"leg.go", `key+" "+t.addr`, `key + map[bool]string{false: " " + t.addr}[mutated("tickets without address")]`, 1},
}

// TestLaw7Mutations: take any part out of a key that keeps identities apart, and a
// test of law 7 fails. What the property test cannot see, because something else
// still keeps users apart or because no request would be answered wrongly, another
// does.
func TestLaw7Mutations(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the package once more and runs its test many times")
	}
	program := mutant(t)
	const (
		crowd    = "TestLaw7UsersNeverMixAtOrigins"
		mismatch = `law7_test.go:\d+: the request (of "[a-z0-9-]+" came with (the certificate of "|a certificate that was replaced)|for \S+ came to )`
	)
	engine, standard := "^"+crowd+"$/^standard=false$", "^"+crowd+"$/^standard=true$"
	for _, m := range []struct {
		mutation, test, fails string
	}{
		{"pool without trust", engine, mismatch},
		{"pool without identity", engine, mismatch},
		{"pool without certificate", engine, mismatch},
		{"pool without host", engine, mismatch},
		{"pool without port", engine, mismatch},
		{"hint without route", engine, mismatch},
		{"pool with the profile's tickets", engine, mismatch},
		{"transport without trust", standard, mismatch},
		{"transport without identity", standard, mismatch},
		{"transport without certificate", standard, mismatch},
		{"transport with the profile's tickets", standard, mismatch},
		{"transport without identity", engine, mismatch}, // by HTTP/3
		{"quic with the profile's tickets", engine, mismatch},
		// The certificate is of the user: it keeps users apart even so.
		{"pool without user", "^TestRecheckDisowns$/^standard=false$", "kept: "},
		{"transport without user", "^TestRecheckDisowns$/^h2$", "kept: "},
		{"pool without secure", "^TestLaw7RoutesAreNotShared$", "shared"},
		{"pool without permit", "^TestLaw7RoutesAreNotShared$", "shared"},
		{"pool without ech", "^TestLaw7RoutesAreNotShared$", "shared"},
		{"transport without ech", "^TestLaw7TransportsAreNotShared$", "shared"},
		{"transport without secure", "^TestLaw7TransportsAreNotShared$", "shared"},
		{"transport without permit", "^TestLaw7TransportsAreNotShared$", "shared"},
		{"tickets without address", "^TestTicketsAreKeptPerOrigin$", "was given the ticket of"},
	} {
		t.Run(m.mutation, func(t *testing.T) {
			out, err := law7Run(t, program, m.mutation, m.test)
			if err == nil {
				t.Fatalf("%s passes:\n%s", m.test, out)
			}
			if !regexp.MustCompile(m.fails).MatchString(out) {
				t.Fatalf("%s fails, but not with %s:\n%s", m.test, m.fails, out)
			}
		})
	}
	// And with nothing taken out all of them pass.
	if out, err := law7Run(t, program, "nothing", "^("+crowd+"|TestRecheckDisowns|TestLaw7RoutesAreNotShared|TestLaw7TransportsAreNotShared|TestTicketsAreKeptPerOrigin)$"); err != nil {
		t.Errorf("as it is: %v\n%s", err, out)
	}
}

// mutant builds the package's tests with the places replaced.
func mutant(t *testing.T) string {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command to build a mutant with")
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	texts := map[string]string{"law7_mutants.go": mutants}
	for _, m := range law7Mutants {
		if texts[m.file] == "" {
			src, err := os.ReadFile(m.file)
			if err != nil {
				t.Fatal(err)
			}
			texts[m.file] = string(src)
		}
		if n := strings.Count(texts[m.file], m.old); n != m.times {
			t.Fatalf("%s has %q %d times, and it is to be replaced %d times: see what has become of it", m.file, m.old, n, m.times)
		}
		texts[m.file] = strings.ReplaceAll(texts[m.file], m.old, m.by)
	}
	replace := map[string]string{}
	for name, text := range texts {
		replace[filepath.Join(here, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "mutant.test")
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-pgo=off", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the mutant: %v\n%s", err, out)
	}
	return program
}

// law7Run runs tests of the mutant, three times: where chance has a part, once is
// to be enough.
func law7Run(t *testing.T, program, mutation, tests string) (out string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "-test.run", tests, "-test.short", "-test.count=3", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), fmt.Sprintf("LAW7_MUTATION=%s", mutation))
	cmd.WaitDelay = 10 * time.Second
	text, err := cmd.CombinedOutput()
	return string(text), err
}
