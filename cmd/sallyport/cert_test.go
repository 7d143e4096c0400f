// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestSafeJSON: whatever a certificate is called, JSON about it makes no terminal
// do anything, and says the same.
func TestSafeJSON(t *testing.T) {
	for _, s := range []string{"plain", "\x1b[31m", "\u009b31m", "a\u202eb", "\u2066x", "\U000e0001", "ümläut 中", "\x7f", "q\"\\"} {
		var b bytes.Buffer
		if err := printSafeJSON(&b, map[string]string{"name": s}); err != nil {
			t.Fatal(err)
		}
		if i := strings.IndexFunc(b.String(), unprintable); i >= 0 {
			t.Errorf("%q: %q is in the output", s, b.String()[i:])
		}
		var back map[string]string
		if err := json.Unmarshal(b.Bytes(), &back); err != nil || back["name"] != s {
			t.Errorf("%q: %q, %v", s, back["name"], err)
		}
	}
	if got := line("a\nb\r\x1b"); got != `a\nb\r\x1b` {
		t.Errorf("%s", got)
	}
}

// TestCertWatchTellsOnce: what was told is not told again, and what gets better
// and worse again is.
func TestCertWatchTellsOnce(t *testing.T) {
	now := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
	cmd := certWatchCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	w := certWatch{g: &certGather{}, cmd: cmd}
	entry := func(sum string, left time.Duration) certEntry {
		return certEntry{Kind: kindOrigin, Name: "bank", Serial: sum, SHA256: sum, NotAfter: now.Add(left)}
	}
	for i, step := range []struct {
		after time.Duration
		is    []certEntry
		want  string
	}{
		{0, []certEntry{entry("1", 20*day)}, ""},
		{0, []certEntry{entry("1", 20*day)}, ""},
		{7 * day, []certEntry{entry("1", 20*day)}, "expiring"},
		{8 * day, []certEntry{entry("1", 20*day)}, ""},
		{21 * day, []certEntry{entry("1", 20*day)}, "expired"},
		{22 * day, []certEntry{entry("2", 50*day)}, "renewed"},
		{40 * day, []certEntry{entry("2", 50*day)}, "expiring"},
		{41 * day, []certEntry{{Kind: kindOrigin, Name: "bank", Error: "cannot be read"}}, "failing"},
		{41 * day, nil, "gone"},
		{41 * day, []certEntry{entry("3", 90*day)}, "new"},
	} {
		out.Reset()
		if err := w.look(&certListing{Time: now.Add(step.after), Certificates: step.is, within: 14 * day}, i == 0); err != nil {
			t.Fatal(err)
		}
		var got []string
		for l := range strings.Lines(out.String()) {
			got = append(got, strings.Fields(l)[1])
		}
		if strings.Join(got, " ") != step.want {
			t.Errorf("step %d: told %q, want %q", i, got, step.want)
		}
	}
}
