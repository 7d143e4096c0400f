// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLimitsAreRead(t *testing.T) {
	p := mustParse(t, `
version: 1
limits:
  slow: {rate: 20/s, bandwidth: 20Mbit/s, per: client, description: text}
  unused: {rate: 1000000/d}
rules:
  - {name: a, from: any, to: any, mode: tunnel, limits: slow}
  - {name: b, from: any, to: any, mode: [tunnel, originate], limits: slow}
  - {name: c, from: any, to: any, mode: relay, limits: {rate: 100/min, burst: 7, concurrent: 8, request_body: 10MB, response_body: 1KiB, per: user}}
  - {name: d, from: any, to: any, mode: relay, limits: {bandwidth: 2MB/s, per: rule}}
  - {name: e, from: any, to: any, mode: relay}
`)
	slow := Limits{Name: "slow", Rate: Rate{20, time.Second}, Burst: 20, Bandwidth: 2_500_000, Per: PerClient}
	for i, want := range []*Limits{
		&slow,
		&slow,
		{Name: "rule/c", Rate: Rate{100, time.Minute}, Burst: 7, Concurrent: 8, RequestBody: 10_000_000, ResponseBody: 1 << 10, Per: PerUser},
		{Name: "rule/d", Bandwidth: 2_000_000},
		nil,
	} {
		got := p.Rules[i].Limits
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("rule %s: %+v, want %+v", p.Rules[i].Name, got, want)
		}
	}
	if p.Rules[0].Limits != p.Rules[1].Limits {
		t.Error("two rules that name the same limits have two of them")
	}
	if w := p.Warnings(); len(w) > 0 {
		t.Error(w)
	}
}

func TestRateString(t *testing.T) {
	for _, want := range []string{"20/s", "100/min", "5/h", "50/d"} {
		p := mustParse(t, "version: 1\nrules: [{name: a, from: any, to: any, mode: relay, limits: {rate: "+want+"}}]\n")
		if got := p.Rules[0].Limits.Rate.String(); got != want {
			t.Errorf("%s is told as %s", want, got)
		}
	}
	if got := (Rate{3, time.Millisecond}).String(); got != "3/1ms" {
		t.Errorf("a period that no file has: %s", got)
	}
}

func TestBandwidths(t *testing.T) {
	for text, want := range map[string]int64{
		"8000bit/s": 1_000, "8kbit/s": 1_000, "8kBit/s": -1, "16Kbit/s": 2_000, "8Mibit/s": 1 << 20,
		"20Mbit/s": 2_500_000, "1Gbit/s": 125_000_000, "1Tbit/s": MaxBandwidth,
		"1kB/s": 1_000, "64KiB/s": 64 << 10, "2MB/s": 2_000_000, "1GB/s": 1_000_000_000,
		"": -1, "/s": -1, "B/s": -1, "bit/s": -1, "2MB": -1, "2M/s": -1, "MB/s": -1, "-2MB/s": -1, "2.5MB/s": -1, "2 MB/s": -1,
		"2MB/min": -1, "99999999999999MB/s": -1, "99999999999999999999bit/s": -1,
	} {
		got, ok := parseBandwidth(text)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}

// TestLimitsShowInDiff: a rule has changed when the limits it names have.
func TestLimitsShowInDiff(t *testing.T) {
	load := func(limits string) *Policy {
		return mustParse(t, "version: 1\nlimits: {l: {"+limits+"}}\nrules: [{name: a, from: any, to: any, mode: relay, limits: l}]\n")
	}
	if c := Diff(load("rate: 1/s"), load("rate: 2/s")); len(c.Changed) != 1 {
		t.Errorf("%+v", c)
	}
	if c := Diff(load("rate: 1/s"), load("rate:  1/s")); !c.None() {
		t.Errorf("%+v", c)
	}
}

// TestLimitsOfIncludedFiles: two files may give the same name to limits, which are
// not counted together.
func TestLimitsOfIncludedFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"p.yaml": `
version: 1
limits: {ours: {rate: 3/s, per: client}}
include:
  - {file: a.yaml, within: {from: any, to: any}}
  - {file: b.yaml, within: {from: any, to: any}}
rules: [{name: p, from: any, to: any, mode: relay, limits: ours}]
`,
		"a.yaml": "version: 1\nlimits: {own: {rate: 1/s, per: client}}\nrules: [{name: a, from: any, to: any, mode: relay, limits: own}]\n",
		"b.yaml": "version: 1\nlimits: {own: {rate: 2/s, per: client}}\nrules: [{name: b, from: any, to: any, mode: relay, limits: own}, {name: c, from: any, to: any, mode: relay, limits: ours}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Load(filepath.Join(dir, "p.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, r := range p.Rules {
		got[r.Name] = r.Limits.Name
	}
	want := map[string]string{"a": "a.yaml:own", "b": "b.yaml:own", "c": "ours", "p": "ours"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLimitsString(t *testing.T) {
	for want, l := range map[string]*Limits{
		"":                      nil,
		"rate 20/s":             {Rate: Rate{20, time.Second}, Burst: 20},
		"8 in progress; 20MB/s": {Concurrent: 8, Bandwidth: 20_000_000},
		"request bodies up to 10MB; answers up to 64KiB":                       {RequestBody: 10_000_000, ResponseBody: 64 << 10},
		"rate 100/min, 5 at once; 2500kB/s, for each client; answers up to 1B": {Rate: Rate{100, time.Minute}, Burst: 5, Bandwidth: 2_500_000, ResponseBody: 1, Per: PerClient},
	} {
		if got := l.String(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}
