// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/cmd/sallyport/demo"
)

// A sharkPacket is what Wireshark says about one.
type sharkPacket struct {
	leg, from, comment string
	protocols          string // "raw:ip:tcp:tls:http"
	authorization      string // of HTTP
	flags              string // of TCP
	wrong              string // what it finds wrong with it
}

// tshark reads a file. How it is started takes more time than reading does, so all
// that is looked at is asked for at once.
func tshark(t *testing.T, file string, more ...string) []sharkPacket {
	t.Helper()
	args := []string{
		"-r", file, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
		// A port of loopback can be one that Wireshark knows another protocol for.
		"-o", "tcp.try_heuristic_first:TRUE",
		"-T", "fields", "-E", "separator=|", "-E", "occurrence=f",
	}
	for _, field := range []string{
		"frame.interface_name", "ip.src", "frame.comment", "frame.protocols", "http.authorization", "tcp.flags",
		"ip.checksum.status", "tcp.checksum.status", "_ws.malformed", "tcp.analysis.flags",
	} {
		args = append(args, "-e", field)
	}
	cmd := exec.Command("tshark", append(args, more...)...)
	cmd.Env = append(cmd.Environ(), "HOME="+t.TempDir()) // no preferences but ours
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark %s: %v: %s", args, err, &said)
	}
	var list []sharkPacket
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		if len(f) != 10 {
			t.Fatalf("tshark said %q", line)
		}
		p := sharkPacket{leg: f[0], from: f[1], comment: f[2], protocols: f[3], authorization: f[4], flags: f[5]}
		if f[6] != "1" || f[7] != "1" || f[8] != "" || f[9] != "" {
			p.wrong = "checksum of IP " + f[6] + ", of TCP " + f[7] + " (1 is good), malformed: " + f[8] + ", TCP: " + f[9]
		}
		list = append(list, p)
	}
	return list
}

// withCanary counts the requests on a leg that Wireshark sees the secret in, and
// those of them that were inside TLS.
func withCanary(list []sharkPacket, leg string) (all, inTLS int) {
	for _, p := range list {
		if p.leg == leg && strings.HasPrefix(p.authorization, "Bearer canary-") {
			all++
			if strings.Contains(p.protocols, ":tls:") {
				inTLS++
			}
		}
	}
	return all, inTLS
}

// TestDemoPackets: Wireshark reads the files, finds nothing wrong with the packets,
// and sees on the wires what the report says, with the keys and without.
func TestDemoPackets(t *testing.T) {
	for _, program := range []string{"tshark", "editcap"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed (Debian: tshark, wireshark-common)", program)
		}
	}
	result := runDemo(t, demo.Options{})
	dir := filepath.Join(t.TempDir(), "wires")
	d, err := demo.NewCaptureDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names, err := d.Write(result)
	if err != nil {
		t.Fatal(err)
	}
	// Where the secret is to be seen by nobody who has no keys.
	hidden := map[string][]string{
		"direct": {"client leg"}, "originate": {"origin leg"}, "relay": nil,
		"tunnel": {"client leg", "origin leg"}, "intercept": {"client leg", "origin leg"},
	}
	for i, c := range result.Report.Columns {
		file, bare := filepath.Join(dir, names[i]), filepath.Join(t.TempDir(), "bare.pcapng")
		if said, err := exec.Command("editcap", "--discard-all-secrets", file, bare).CombinedOutput(); err != nil {
			t.Fatalf("editcap: %v: %s", err, said)
		}
		list := tshark(t, file)
		without := tshark(t, bare)
		again := tshark(t, bare, "-o", "tls.keylog_file:"+filepath.Join(dir, "keys.log"))
		for _, p := range list {
			if p.wrong != "" {
				t.Errorf("%s: %+v", c.ID, p)
			}
		}
		legs := []string{"client leg", "origin leg"}
		if c.ID == "direct" {
			legs = legs[:1]
		}
		for _, leg := range legs {
			all, inTLS := withCanary(list, leg)
			secret := strings.Contains(strings.Join(hidden[c.ID], ","), leg)
			if all == 0 || secret && inTLS != all || !secret && inTLS != 0 {
				t.Errorf("%s, %s: with the keys the secret is seen in %d requests, %d of them inside TLS", c.ID, leg, all, inTLS)
			}
			if n, _ := withCanary(without, leg); secret && n != 0 || !secret && n != all {
				t.Errorf("%s, %s: without keys the secret is seen in %d requests", c.ID, leg, n)
			}
			if n, _ := withCanary(again, leg); n != all {
				t.Errorf("%s, %s: with the key log the secret is seen in %d requests, with the keys of the file in %d", c.ID, leg, n, all)
			}
		}
		sameConnections(t, result.Report, c.ID, list)
	}
}

// sameConnections compares a column's ladders with the packets that open connections.
func sameConnections(t *testing.T, r *demo.Report, column string, list []sharkPacket) {
	t.Helper()
	packets := make(map[string]int)
	for _, p := range list {
		if x, leg, ok := strings.Cut(p.comment, ", "); ok && p.flags == "0x0002" && leg == p.leg {
			packets[x]++
		}
	}
	for _, x := range r.Exchanges {
		steps := 0
		for _, s := range x.Steps {
			if s.Text == "TCP connection" {
				steps++
			}
		}
		if x.Column == column && packets[x.ID] != steps {
			t.Errorf("%s: %d connections in its ladder, %d as packets", x.ID, steps, packets[x.ID])
		}
	}
}
