// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// hostEntries are what the lists of some rules hold, together.
type hostEntries struct {
	names map[string]bool // entries, in the order of order; true: below as well
	order []string
	globs []glob
	nets  []netip.Prefix
	seen  map[*hostSet]bool
	over  bool // there are more
}

func (e *hostEntries) add(s *hostSet) {
	if e.seen[s] {
		return
	}
	e.seen[s] = true
	for _, x := range []struct {
		names map[string]struct{}
		below bool
	}{{s.below, true}, {s.exact, false}} {
		for name := range x.names {
			if len(e.order) >= maxEntries {
				e.over = true
				break
			}
			below, known := e.names[name]
			if !known {
				e.order = append(e.order, name)
			}
			e.names[name] = below || x.below
		}
	}
	e.globs = append(e.globs, s.globs...)
	e.nets = append(e.nets, s.nets...)
	for _, l := range s.lists {
		e.add(l)
	}
}

// cutHosts has a host of each class: for each entry the host itself, one
// below it about which nothing else is said, one no entry speaks of, and
// addresses.
func (c *cut) cutHosts(rules []*Rule) []Host {
	e := &hostEntries{names: make(map[string]bool), seen: make(map[*hostSet]bool)}
	for _, r := range rules {
		e.add(&r.to)
		e.add(&r.toExcept)
	}
	slices.Sort(e.order)
	if e.over {
		c.doubt("%d entries of the lists were looked at, and there are more", len(e.order))
	}
	var names []string
	for _, name := range e.order {
		if e.names[name] {
			names = append(names, e.below(name)...)
		}
		names = append(names, name)
	}
	for _, g := range e.globs {
		names = append(names, e.instance(g))
	}
	if len(e.globs) <= 64 {
		for i, g := range e.globs {
			for _, h := range e.globs[:i] {
				if both, ok := e.overlap(g, h); ok {
					names = append(names, both)
				}
			}
			for _, name := range e.order {
				if both, ok := e.overlap(g, belowGlob(name, len(g))); ok && e.names[name] {
					names = append(names, both)
				}
			}
		}
	} else {
		c.doubt("hosts that two globs speak of were not looked for")
	}
	names = append(names, e.unnamed())
	var hosts []Host
	known := make(map[string]bool)
	for _, name := range names {
		if h, err := ParseHost(name); err == nil && !h.IsAddr() && !known[h.Name] {
			known[h.Name] = true
			hosts = append(hosts, h)
		}
	}
	for _, a := range cutAddrs(slices.Concat(e.nets, guarded), netip.Addr{}, netip.Addr{}) {
		hosts = append(hosts, Host{Addr: a})
	}
	return hosts
}

// guarded are the networks that the address guard tells apart.
var guarded = func() []netip.Prefix {
	nets := []netip.Prefix{nat64, sixTo4, netip.MustParsePrefix("64:ff9b::a00:0/104"), netip.MustParsePrefix("2002:a00::/24")}
	for _, s := range specials {
		nets = append(nets, s.block)
	}
	return nets
}()

// below are hosts below name that no other entry speaks of: one, and where
// there are globs, one of each depth that a glob can tell apart.
func (e *hostEntries) below(name string) []string {
	deepest := 1
	for _, g := range e.globs {
		deepest = max(deepest, len(g)-strings.Count(name, ".")) // one deeper than the glob
	}
	var names []string
	for range deepest {
		name = e.label(name) + "." + name
		names = append(names, name)
	}
	return names
}

// label is a label that makes a host below name no entry speaks of.
func (e *hostEntries) label(name string) string {
	for _, l := range []string{"www", "x", "some", "q7zx"} {
		if _, taken := e.names[l+"."+name]; !taken && !slices.ContainsFunc(e.globs, func(g glob) bool { return g.speaksOf(l) }) {
			return l
		}
	}
	return "q7zxq"
}

// speaksOf reports whether a label that is not just a star matches.
func (g glob) speaksOf(label string) bool {
	return slices.ContainsFunc(g, func(p string) bool { return p != "*" && starMatch(p, label) })
}

// instance is a host of g that no other entry speaks of, where there is one.
func (e *hostEntries) instance(g glob) string {
	var name string
	for _, filler := range []string{"x", "some", "q7zx"} {
		labels := make([]string, len(g))
		for i, p := range g {
			labels[i] = strings.ReplaceAll(p, "*", filler)
		}
		name = strings.Join(labels, ".")
		others := 0
		for _, o := range e.globs {
			if o.has(name) {
				others++
			}
		}
		if _, taken := e.names[name]; !taken && others == 1 {
			return name
		}
	}
	return name
}

// overlap is a host that both globs have.
func (e *hostEntries) overlap(g, h glob) (string, bool) {
	if len(g) != len(h) {
		return "", false
	}
	labels := make([]string, len(g))
	for i := range g {
		l, ok := bothMatch(g[i], h[i])
		if !ok {
			return "", false
		}
		labels[i] = l
	}
	return strings.Join(labels, "."), true
}

// belowGlob is the hosts below name with n labels, as a glob.
func belowGlob(name string, n int) glob {
	labels := strings.Split(name, ".")
	if len(labels) >= n {
		return nil
	}
	return append(slices.Repeat(glob{"*"}, n-len(labels)), labels...)
}

// bothMatch is a text that two patterns with stars match, if one is found.
func bothMatch(a, b string) (string, bool) {
	fill := func(p string) string { return strings.ReplaceAll(p, "*", "x") }
	candidates := []string{fill(a), fill(b), strings.ReplaceAll(a, "*", ""), strings.ReplaceAll(b, "*", "")}
	for _, p := range [][2]string{{a, b}, {b, a}} {
		head, _, _ := strings.Cut(p[0], "*")
		_, tail, _ := strings.Cut(p[1], "*")
		candidates = append(candidates, fill(head+"*"+tail), fill(head+tail))
	}
	for _, s := range candidates {
		if s != "" && starMatch(a, s) && starMatch(b, s) {
			return s, true
		}
	}
	return "", false
}

// unnamed is a host that no entry speaks of.
func (e *hostEntries) unnamed() string {
	for _, name := range []string{"www.example.com", "www.example.net", "www.example.org", "some.host.invalid"} {
		taken := slices.ContainsFunc(e.globs, func(g glob) bool { return g.has(name) })
		for rest := name; rest != ""; _, rest, _ = strings.Cut(rest, ".") {
			_, known := e.names[rest]
			taken = taken || known
		}
		if !taken {
			return name
		}
	}
	return "q7zxq.q7zxq"
}
