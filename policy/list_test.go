// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// plainList is what the lines of a list say, read in the plainest way.
type plainList struct {
	alone, below map[string]bool
	nets         []netip.Prefix
	bad          []int // lines
}

func plainly(src string, how listFormat) *plainList {
	l := &plainList{alone: make(map[string]bool), below: make(map[string]bool)}
	entry := func(entry string) error {
		name := strings.TrimPrefix(entry, ".")
		h, err := parsePolicyHost(name)
		switch {
		case err != nil:
			return err
		case h.IsAddr():
			l.nets = append(l.nets, netip.PrefixFrom(h.Addr, h.Addr.BitLen()))
		case how.match == "exact" && name == entry:
			l.alone[h.Name] = true
		default:
			l.below[h.Name] = true
		}
		return nil
	}
	for i, line := range strings.Split(src, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		var err error
		switch {
		case how.format == "cidr":
			var p netip.Prefix
			if p, err = parseNetwork(words[0]); err == nil {
				l.nets = append(l.nets, p.Masked())
			}
		case how.format == "domains" && len(words) > 1:
			err = fmt.Errorf("words")
		case how.format == "domains":
			err = entry(words[0])
		default:
			if h, e := ParseHost(words[0]); (e != nil || !h.IsAddr()) && !strings.Contains(words[0], "%") {
				err = fmt.Errorf("no address")
			}
			for _, w := range words[1:] {
				own := w == "localhost" || w == "local" || w == "localhost.localdomain" || w == "broadcasthost" || strings.HasPrefix(w, "ip6-")
				if err == nil && !own && (w != words[0] || w != words[1]) {
					err = entry(w)
				}
			}
		}
		if err != nil {
			l.bad = append(l.bad, i+1)
		}
	}
	return l
}

func (l *plainList) has(h Host) bool {
	if h.IsAddr() {
		return containsAddr(l.nets, h.Addr)
	}
	for rest, name := h.Name, h.Name; rest != ""; _, rest, _ = strings.Cut(rest, ".") {
		if l.below[rest] || rest == name && l.alone[rest] {
			return true
		}
	}
	return false
}

func listLine(r *rand.Rand) string {
	name := func() string {
		labels := []string{"a", "b", "www", "x-y", "_dmarc", "A", "xn--bcher-kva", "bücher", "1", "0x1", "a--b", strings.Repeat("l", 63), strings.Repeat("l", 64), "-", "123a", "", "faß"}
		s := []string{"example", "test", "com", "co.uk", "5", "example."}[r.IntN(6)]
		for range r.IntN(4) {
			s = labels[r.IntN(len(labels))] + "." + s
		}
		return s
	}
	address := func() string {
		return []string{"0.0.0.0", "127.0.0.1", "::1", "fe80::1%lo0", "10.0.0.0/8", "10.1.2.3", "2001:db8::/32", "1.2.3", "nowhere", "::ffff:10.0.0.0/104", "10.1.2.3/16"}[r.IntN(11)]
	}
	space := []string{" ", "\t", "  ", "\u00a0", "\v", "\u0085"}[r.IntN(6)]
	return []func() string{
		name, name, name,
		func() string { return "." + name() },
		func() string { return address() + space + name() },
		func() string { return address() + space + name() + space + name() + " # why" },
		address,
		func() string { return "0.0.0.0 0.0.0.0" },
		func() string { return "127.0.0.1 localhost ip6-loopback broadcasthost " + name() },
		func() string { return "# " + name() },
		func() string { return space + name() + "\r" },
		func() string { return name() + "/path" },
		func() string { return "\xff" + name() },
		func() string { return strings.Repeat("a.", r.IntN(130)) + "deep" },
	}[r.IntN(14)]()
}

// Whichever way a list is kept, it has what its lines say.
func TestListIsItsLines(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	cache := t.TempDir()
	for round := range 60 {
		var b strings.Builder
		for range r.IntN(200) {
			b.WriteString(listLine(r) + "\n")
		}
		src := b.String()
		if round%2 == 0 {
			src = strings.TrimSuffix(src, "\n")
		}
		for _, how := range []listFormat{{"domains", "below"}, {"domains", "exact"}, {"hosts", "exact"}, {"hosts", "below"}, {"cidr", "below"}} {
			want := plainly(src, how)
			var hosts []Host
			for name := range maps.Keys(want.alone) {
				hosts = append(hosts, Host{Name: name}, Host{Name: "x." + name}, Host{Name: "x" + name})
			}
			for name := range maps.Keys(want.below) {
				hosts = append(hosts, Host{Name: name}, Host{Name: "x.y." + name}, Host{Name: "x" + name}, Host{Name: name[1:]})
			}
			for _, p := range want.nets {
				hosts = append(hosts, Host{Addr: p.Addr()}, Host{Addr: p.Addr().Next()}, Host{Addr: p.Addr().Prev()})
			}
			for _, kept := range []string{"records", "indexed", "table", "written", "mapped"} {
				limit, dir := 1000, ""
				switch kept {
				case "table":
					limit = 1
				case "written", "mapped":
					limit, dir = 1, cache
				}
				set := parsedList(t, src, how, limit, dir)
				if kept != "records" {
					newIndex(nil, []*hostSet{set})
				}
				for _, h := range hosts {
					if !h.Addr.IsValid() && h.Name == "" {
						continue
					}
					if got := set.has(h); got != want.has(h) {
						t.Fatalf("%v, %s: has %q: %v\n%q", how, kept, h, got, src)
					}
				}
				if got := sortedPrefixes(set.prefixes()); !slices.Equal(got, sortedPrefixes(want.nets)) {
					t.Fatalf("%v, %s: networks %v, want %v", how, kept, got, want.nets)
				}
				got := &plainList{alone: make(map[string]bool), below: make(map[string]bool)}
				for name, below := range set.listed.each() {
					if below {
						got.below[name] = true
					} else {
						got.alone[name] = true
					}
				}
				for name := range want.alone {
					if want.below[name] { // said already
						got.alone[name] = true
					}
				}
				if !maps.Equal(got.below, want.below) || !maps.Equal(got.alone, want.alone) {
					t.Fatalf("%v, %s: names %v, want %v", how, kept, got, want)
				}
				bad := set.listed.bad
				if bad.Count != len(want.bad) || bad.Count > 0 && bad.Line != want.bad[0] {
					t.Fatalf("%v, %s: bad %+v, want lines %v\n%q", how, kept, bad, want.bad, src)
				}
			}
		}
	}
	if files, _ := filepath.Glob(filepath.Join(cache, "*"+compiledExt)); len(files) < 50 {
		t.Errorf("only %d lists were kept", len(files))
	}
}

// parsedList is src as a list, long from limit names on, compiled in cache.
func parsedList(t *testing.T, src string, how listFormat, limit int, cache string) *hostSet {
	t.Helper()
	old := longNames
	defer func() { longNames = old }()
	longNames = limit
	file := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &compiler{read: ReadFile}
	l := c.readList(file)
	set, err := l.parse(how, cache)
	if l.err != nil || err != nil {
		t.Fatal(l.err, err)
	}
	return set
}

func TestBadLinesAreTold(t *testing.T) {
	dir := t.TempDir()
	writeText(t, filepath.Join(dir, "one.txt"), "good.example\n  not good # why\r\n")
	writeText(t, filepath.Join(dir, "more.txt"), "good.example\nx..y\nworse one\n")
	p, err := Parse("p.yaml", []byte(`
version: 1
destinations: {a: {file: one.txt}, b: {file: more.txt}, c: {file: more.txt, match: exact}}
rules: [{name: a, from: any, to: [a, b, c], mode: deny}]
`), dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range p.Warnings() {
		got = append(got, strings.ReplaceAll(d.String(), dir+"/", ""))
	}
	want := []string{
		"one.txt:2:1: warning[L010]: a bad line is left out: more than one word\n    2 |   not good \n      | ^^^^^^^^",
		"more.txt:2:1: warning[L010]: 2 bad lines are left out; the first: host has an empty label\n    2 | x..y\n      | ^^^^",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func writeText(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzNormalName(f *testing.F) {
	for _, s := range []string{"a.example", "A.example", "a..b", "1.2.3.4", "a.0x1", "xn--a.b", "", ".", "a.", "a.1", "a--b.c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		closely, err := parseName(s)
		if isNormal(s) && (err != nil || closely.Name != s) {
			t.Errorf("%q is said to be in normal form, and is %+v, %v", s, closely, err)
		}
		if h, err := parsePolicyHost(s); simpleName(s) && (err != nil || h.Name != s) {
			t.Errorf("%q is said to be simple, and is %+v, %v", s, h, err)
		}
	})
}

// Hosts on list files are among those that two policies are compared by.
func TestListFilesAreCompared(t *testing.T) {
	for _, limit := range []int{1000, 1} { // in the table of all lists, and in one of its own
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			replace(t, &longNames, limit)
			dir := t.TempDir()
			load := func(list string) *Policy {
				writeText(t, filepath.Join(dir, "list.txt"), list)
				p, err := Parse("p.yaml", []byte("version: 1\nrules:\n  - {name: l, from: any, to: listed, mode: deny}\n  - {name: r, from: any, to: any, mode: tunnel}\ndestinations: {listed: {file: list.txt}}\n"), dir)
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			before, after := load("a.example\nb.example\nc.example\n"), load("a.example\nc.example\nd.example\n")
			seen := fmt.Sprintf("%+v", Compare(before, after, testTime))
			if !strings.Contains(seen, "b.example") || !strings.Contains(seen, "d.example") || strings.Contains(seen, "c.example") {
				t.Errorf("seen is %s", seen)
			}
		})
	}
}
