// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// hostEntries are what the lists of some rules hold, together.
type hostEntries struct {
	names  map[string]bool // true: below as well
	globs  []glob
	nets   []netip.Prefix
	urls   []Host
	listed []*hostSet // list files
	walk   int        // so many of them are walked through; the others only answer
	seen   map[*hostSet]bool
}

func (e *hostEntries) add(s *hostSet) {
	if e.seen[s] {
		return
	}
	e.seen[s] = true
	for name := range s.below {
		e.names[name] = true
	}
	for name := range s.exact {
		e.name(name)
	}
	e.globs = append(e.globs, s.globs...)
	e.nets = append(e.nets, s.nets...)
	e.urls = append(e.urls, slices.SortedFunc(maps.Keys(s.urls), Host.compare)...)
	if s.listed != nil {
		e.listed = append(e.listed, s)
	}
	for _, l := range s.lists {
		e.add(l)
	}
}

// addWhole adds what s has, with all below its names.
func (e *hostEntries) addWhole(s *hostSet) {
	e.add(s)
	for name := range s.exact {
		e.names[name] = true
	}
	for _, l := range s.lists {
		e.addWhole(l)
	}
}

// name adds a host alone.
func (e *hostEntries) name(name string) {
	if _, known := e.names[name]; !known {
		e.names[name] = false
	}
}

// cutHosts has a host of each class: for each entry the host itself, one
// below it about which nothing else is said, one no entry speaks of, and
// addresses. Of list files it looks at all names when thorough, else at some;
// and with lean only at the files that about names or that are excepted: to be
// on a list more only matters there.
func (c *cut) cutHosts(rules, about []*Rule, thorough, lean bool) []Host {
	e := &hostEntries{names: make(map[string]bool), seen: make(map[*hostSet]bool)}
	for _, r := range rules {
		e.add(&r.toExcept)
		if r.within != nil {
			e.add(&r.within.to)
		}
		if r.never != nil {
			e.addWhole(&r.never.hosts)
		}
		if !lean || slices.Contains(about, r) {
			e.add(&r.to)
		}
	}
	e.walk = len(e.listed)
	for _, r := range rules {
		e.add(&r.to)
	}
	if len(e.urls) > maxURLs {
		c.doubt("%d hosts of URLs were asked about, and there are more", maxURLs)
		e.urls = e.urls[:maxURLs]
	}
	for _, h := range e.urls {
		if h.IsAddr() {
			e.nets = append(e.nets, netip.PrefixFrom(h.Addr, h.Addr.BitLen()))
		} else {
			e.name(h.Name)
		}
	}
	if c.hostsOfLists(e, thorough); len(e.names) > maxEntries {
		c.doubt("%d hosts of the lists were asked about, and there are more", maxEntries)
	}
	order := slices.Sorted(maps.Keys(e.names))
	order = order[:min(len(order), maxEntries)]
	var names []string
	for _, name := range order {
		if e.names[name] {
			names = append(names, e.below(name)...)
		}
		names = append(names, name)
	}
	for _, g := range e.globs {
		names = append(names, e.instance(g))
	}
	names = append(names, c.overlaps(e, order)...)
	names = append(names, e.unnamed())
	var hosts []Host
	known := make(map[string]bool)
	for _, name := range names {
		if h, err := ParseHost(name); err == nil && !h.IsAddr() && !known[h.Name] {
			known[h.Name] = true
			hosts = append(hosts, h)
		}
	}
	nets := e.nets
	if !lean { // whether an address is reached does not matter there
		nets = slices.Concat(nets, guarded)
	}
	for _, a := range cutAddrs(nets, netip.Addr{}, netip.Addr{}) {
		hosts = append(hosts, Host{Addr: a})
	}
	return hosts
}

// overlaps are hosts that a glob and another glob, or a domain, both have.
func (c *cut) overlaps(e *hostEntries, order []string) (names []string) {
	if len(e.globs) > maxGlobs {
		c.doubt("hosts that two globs have were not looked for")
		return nil
	}
	for i, g := range e.globs {
		for _, h := range e.globs[:i] {
			if both, ok := g.overlap(h); ok {
				names = append(names, both)
			}
		}
		for _, name := range order {
			if both, ok := g.overlap(belowGlob(name, len(g))); ok && e.names[name] {
				names = append(names, both)
			}
		}
	}
	return names
}

// hostsOfLists adds a name of each class that list files have, or the first
// few of each.
func (c *cut) hostsOfLists(e *hostEntries, thorough bool) {
	if len(e.listed) == 0 {
		return
	}
	written := maps.Clone(e.names)
	seen := make(map[string]bool)
	var key []byte
	add := func(name string, below bool) {
		key = append(key[:0], name...)
		for rest := name; ; { // the nearest written entry decides like the others above it
			if _, ok := written[rest]; ok {
				key = append(key[:0], rest...)
				break
			}
			var more bool
			if _, rest, more = strings.Cut(rest, "."); !more {
				key = key[:0]
				break
			}
		}
		_, whole := written[name]
		key = append(key, '/', bit(below), bit(whole))
		for _, l := range e.listed {
			key = append(key, bit(l.has(Host{Name: name})))
		}
		for _, g := range e.globs {
			key = append(key, bit(g.has(name)))
		}
		if !seen[string(key)] {
			seen[string(key)] = true
			e.names[name] = e.names[name] || below
		}
	}
	for _, l := range e.listed[:e.walk] {
		n := 0
		for name, below := range l.listed.each() {
			if n++; !thorough && n > fewNames {
				c.doubt("the first %d names of the lists were asked about, and there are more", fewNames)
				break
			}
			add(name, below)
		}
	}
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func (h Host) compare(o Host) int {
	return cmp.Or(strings.Compare(h.Name, o.Name), h.Addr.Compare(o.Addr))
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
	for _, l := range []string{"www", "x", "some"} {
		if !e.named(l+"."+name) && !slices.ContainsFunc(e.globs, func(g glob) bool { return g.speaksOf(l) }) {
			return l
		}
	}
	return unlikely
}

// unlikely is a label nobody has.
const unlikely = "q7zxqk2v"

// named reports whether an entry is the host, or a list file has it and not
// its neighbours.
func (e *hostEntries) named(name string) bool {
	if _, ok := e.names[name]; ok {
		return true
	}
	_, parent, _ := strings.Cut(name, ".")
	return slices.ContainsFunc(e.listed, func(s *hostSet) bool {
		return s.has(Host{Name: name}) != s.has(Host{Name: unlikely + "." + parent})
	})
}

// speaksOf reports whether a label that is not just a star matches.
func (g glob) speaksOf(label string) bool {
	return slices.ContainsFunc(g, func(p string) bool { return p != "*" && starMatch(p, label) })
}

// instance is a host of g that no other entry speaks of, where there is one.
func (e *hostEntries) instance(g glob) string {
	var name string
	for _, filler := range []string{"x", "some", unlikely} {
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
		if !e.named(name) && others == 1 {
			return name
		}
	}
	return name
}

// overlap is a host that both globs have, if one is found.
func (g glob) overlap(h glob) (string, bool) {
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
	for _, name := range []string{"www.example.com", "www.example.net", "www.example.org"} {
		taken := slices.ContainsFunc(e.globs, func(g glob) bool { return g.has(name) }) ||
			slices.ContainsFunc(e.listed, func(s *hostSet) bool { return s.has(Host{Name: name}) })
		for rest := name; rest != ""; _, rest, _ = strings.Cut(rest, ".") {
			_, known := e.names[rest]
			taken = taken || known
		}
		if !taken {
			return name
		}
	}
	return unlikely + "." + unlikely
}
