// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package hsts

import (
	"fmt"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		value string
		age   int64 // seconds; -1: not valid
		sub   bool
	}{
		{"max-age=31536000", 31536000, false},
		{"max-age=31536000 ; includeSubDomains", 31536000, true},
		{"IncludeSubdomains;MAX-AGE=\"5\"", 5, true},
		{"max-age=0", 0, false},
		{"max-age = 7; preload; x=y; ;", 7, false},
		{"max-age=99999999999999999999999999", int64(longest / time.Second), false},
		{"includeSubDomains", -1, false},
		{"max-age", -1, false},
		{"max-age=", -1, false},
		{"max-age=\"\"", -1, false},
		{"max-age=-1", -1, false},
		{"max-age=1.5", -1, false},
		{"max-age=1; max-age=1", -1, false},
		{"max-age=1; includeSubDomains; includeSubDomains", -1, false},
		{"max-age=1; includeSubDomains=yes", -1, false},
		{"max-age=1, max-age=2", -1, false},
		{"", -1, false},
	} {
		age, sub, ok := read([]byte(tt.value))
		if ok != (tt.age >= 0) || ok && (age != time.Duration(tt.age)*time.Second || sub != tt.sub) {
			t.Errorf("%q: %v, %v, %v", tt.value, age, sub, ok)
		}
	}
}

func TestKnown(t *testing.T) {
	var h Hosts
	h.Hear("site.test", []byte("max-age=60; includeSubDomains"), noon)
	h.Hear("one.other.test", []byte("max-age=60"), noon)
	h.Hear("bad.test", []byte("includeSubDomains"), noon)
	for _, addr := range []string{"192.0.2.1", "2001:db8::1", "[2001:db8::1]", ""} {
		h.Hear(addr, []byte("max-age=60; includeSubDomains"), noon)
	}
	for host, by := range map[string]string{
		"site.test": "site.test", "a.b.site.test": "site.test", "one.other.test": "one.other.test",
		"two.one.other.test": "", "other.test": "", "test": "", "offsite.test": "", "bad.test": "", "192.0.2.1": "", "2001:db8::1": "", "": "",
	} {
		got, until, ok := h.Known(host, noon)
		if ok != (by != "") || got != by || ok && !until.Equal(noon.Add(time.Minute)) {
			t.Errorf("%s: %q, %v, %v", host, got, until, ok)
		}
	}
	if _, _, ok := h.Known("site.test", noon.Add(time.Minute)); ok {
		t.Error("it is known for longer than it said")
	}
	// A host forgets for itself, and only a host that speaks for it can speak for it.
	h.Hear("a.site.test", []byte("max-age=0"), noon)
	if _, _, ok := h.Known("a.site.test", noon); !ok {
		t.Error("a host below took back what its site said")
	}
	h.Hear("site.test", []byte("max-age=0"), noon)
	if _, _, ok := h.Known("site.test", noon); ok {
		t.Error("max-age=0 is not heard")
	}
	h.Hear("one.other.test", []byte("max-age=60; includeSubDomains"), noon)
	if _, _, ok := h.Known("two.one.other.test", noon); !ok {
		t.Error("what changed is not heard")
	}
	var none *Hosts
	none.Hear("site.test", []byte("max-age=60"), noon)
	if _, _, ok := none.Known("site.test", noon); ok || none.Lost() != "" {
		t.Error("nil remembers")
	}
}

func TestSnapshot(t *testing.T) {
	var h Hosts
	h.Hear("a.test", []byte("max-age=86400"), noon)
	h.Hear("b.test", []byte("max-age=60"), noon)
	notes, _, changed := h.Snapshot(noon.Add(time.Hour))
	if !changed || len(notes) != 1 || notes["a.test"] != (Note{Until: noon.Add(24 * time.Hour), Heard: noon}) {
		t.Errorf("%v %v", notes, changed)
	}
	h.Hear("a.test", []byte("max-age=86400"), noon.Add(time.Minute)) // as with every answer
	if _, _, changed := h.Snapshot(noon); changed {
		t.Error("what was heard before changes it")
	}
	h.Again()
	if _, _, changed := h.Snapshot(noon); !changed {
		t.Error("what was not kept is not said again")
	}
	var back Hosts
	back.Restore(notes)
	if _, _, changed := back.Snapshot(noon); changed {
		t.Error("what was restored is not new")
	}
	if _, _, ok := back.Known("a.test", noon); !ok {
		t.Error("it is not restored")
	}
}

// TestManyHosts: there is an end to what is remembered, and who makes up hosts pushes
// out no others.
func TestManyHosts(t *testing.T) {
	var h Hosts
	h.Hear("bank.test", []byte("max-age=31536000"), noon.Add(-2*time.Hour))
	for i := range MaxHosts + 10 {
		h.Hear(fmt.Sprintf("h%d.evil.test", i), []byte("max-age=31536000"), noon)
	}
	_, dropped, _ := h.Snapshot(noon)
	if _, _, ok := h.Known("bank.test", noon); !ok || len(h.notes) > MaxHosts || dropped == 0 {
		t.Errorf("%d hosts, %d dropped, bank.test known: %v", len(h.notes), dropped, ok)
	}
}

func TestHearingAgainCostsNothing(t *testing.T) {
	var h Hosts
	value := []byte("max-age=31536000; includeSubDomains")
	h.Hear("site.test", value, noon)
	if n := testing.AllocsPerRun(100, func() { h.Hear("site.test", value, noon); h.Known("a.site.test", noon) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzHear(f *testing.F) {
	f.Add([]byte("max-age=1; includeSubDomains"))
	f.Fuzz(func(t *testing.T, value []byte) {
		var h Hosts
		h.Hear("a.test", value, noon)
		_, until, ok := h.Known("a.test", noon)
		if ok && until.After(noon.Add(longest)) {
			t.Fatalf("%q: %v", value, until)
		}
	})
}
