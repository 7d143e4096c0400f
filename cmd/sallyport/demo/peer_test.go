// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPeerIsNotInstalled: who asks for a peer that is not there is told how to get it.
func TestPeerIsNotInstalled(t *testing.T) {
	const name = "a-proxy-that-nobody-has"
	peers[name] = peer{debian: "a-proxy"}
	defer delete(peers, name)
	if _, _, err := PeerWays(name); err == nil || err.Error() != name+" is not installed: apt-get install a-proxy" {
		t.Error(err)
	}
	if _, _, err := PeerWays("apache"); err == nil || err.Error() != `"apache" is no peer that can be compared: there is squid` {
		t.Error(err)
	}
}

// TestPeerWithoutAMode: what the installed program cannot do is left out, and told.
func TestPeerWithoutAMode(t *testing.T) {
	program := filepath.Join(t.TempDir(), "half")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(program))
	peers["half"] = peer{lacks: "half of it is missing", modes: func(path string) []string {
		if path != program {
			t.Errorf("it was found at %s", path)
		}
		return []string{relay}
	}}
	defer delete(peers, "half")
	ways, notes, err := PeerWays("half")
	if err != nil || len(ways) != 1 || ways[0].ID != "half-relay" || strings.Join(notes, "") != "half of it is missing" {
		t.Errorf("%+v %q %v", ways, notes, err)
	}
}

// TestPeerLog: the access log of a peer as records; what is no record is an error and
// nothing that is looked over.
func TestPeerLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), accessLog)
	read := func(content string) (*gateway, error) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		g := &gateway{name: "squid", log: path}
		return g, g.readLog()
	}
	g, err := read(`{"method":"GET","url":"https://a.test:1/","status":503,"error":"X509_V_ERR_CERT_HAS_EXPIRED+broken_cert","hello":{"sni":"a.test"}}
{"method":"CONNECT","url":"b.test:1","status":200,"error":"-","hello":{"sni":"-"}}
`)
	if err != nil {
		t.Fatal(err)
	}
	if r := g.of("a.test"); len(r) != 1 || r[0].Event != "origin_certificate_expired" || r[0].Hello.SNI != "a.test" || r[0].Status != 503 {
		t.Errorf("%+v", r)
	}
	if r := g.of("b.test"); len(r) != 1 || r[0].Error != "" || r[0].Hello.SNI != "" || r[0].Event != "" {
		t.Errorf("%+v", r)
	}
	if _, err := read("half a li"); err == nil || !strings.HasPrefix(err.Error(), "reading the access log of squid: invalid character") {
		t.Error(err)
	}
	if err := (&gateway{name: "squid", log: path + "no"}).readLog(); err != nil {
		t.Errorf("a peer that was asked for nothing: %v", err)
	}
}

// TestWays: a column has a name of its own that can be a part of a host name, and a mode.
func TestWays(t *testing.T) {
	for want, o := range map[string]Options{
		`there is no column "proxy" to compare`:                                                                    {Columns: []string{"proxy"}},
		`"direct" cannot be the name of a column: it is taken, or no part of a host name`:                          {Columns: []string{"direct"}, Ways: []Way{{ID: "direct", Mode: "relay"}}},
		`"a.b" cannot be the name of a column: it is taken, or no part of a host name`:                             {Ways: []Way{{ID: "a.b", Mode: "relay"}}},
		`"" cannot be the name of a column: it is taken, or no part of a host name`:                                {Ways: []Way{{Mode: "relay"}}},
		`column a: "deny" is no mode to compare`:                                                                   {Ways: []Way{{ID: "a", Mode: "deny"}}},
		`column a: "" is no mode to compare`:                                                                       {Ways: []Way{{ID: "a"}}},
		`column a: "direct" is no mode to compare`:                                                                 {Ways: []Way{{ID: "a", Mode: "direct"}}},
		`"a" cannot be the name of a column: it is taken, or no part of a host name`:                               {Ways: []Way{{ID: "a", Mode: "relay"}, {ID: "a", Mode: "tunnel"}}},
		`"` + strings.Repeat("a", 49) + `" cannot be the name of a column: it is taken, or no part of a host name`: {Ways: []Way{{ID: strings.Repeat("a", 49), Mode: "relay"}}},
	} {
		if _, err := o.ways(); err == nil || err.Error() != want {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
}
