// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// zones are DNS names, each with all below it.
type zones map[string]struct{}

func (z *zones) add(name string) { z.made()[name] = struct{}{} }

func (z *zones) made() zones {
	if *z == nil {
		*z = make(zones)
	}
	return *z
}

// hold reports whether the name is in one of the zones.
func (z zones) hold(name string) bool {
	for rest := name; rest != ""; _, rest, _ = strings.Cut(rest, ".") {
		if _, ok := z[rest]; ok {
			return true
		}
	}
	return false
}

// outermost are the zones without those that are in others, in order.
func (z zones) outermost() []string {
	var out []string
	for name := range z {
		if _, above, _ := strings.Cut(name, "."); !z.hold(above) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// mostReached is how many names of lists are looked at, of all rules together;
// they come to many more zones than a certificate carries anyway.
var mostReached = 200_000 // a variable for tests

// A reach is what rules can be about, in zones and networks: more than that
// rather than less. What they except is exact.
type reach struct {
	anyName, anyAddr bool
	names, above     zones // above: the zones that names are in and are not themselves
	nets             []netip.Prefix
	except           zones
	exceptNets       []netip.Prefix
	taken            map[*hostSet]bool
}

// A reaching looks at the rules of one policy.
type reaching struct {
	left int // names that are still looked at
}

// rule adds what a rule can be about.
func (w *reaching) rule(a *reach, r *Rule) {
	if r.within == nil {
		w.take(a, &r.to)
	} else {
		var to, given reach
		w.take(&to, &r.to)
		w.take(&given, &r.within.to)
		to.and(given, a)
	}
	r.toExcept.whole(&a.except)
	a.exceptNets = append(a.exceptNets, r.toExcept.prefixes()...)
}

// why says what makes a rule one for any name.
func (a *reach) why(r *Rule) string {
	if r.to.reachesAny() {
		return "any host"
	}
	return fmt.Sprintf("lists that have more than %d names with those of other rules", mostReached)
}

func (a *reach) name(n string) {
	a.names.add(n)
	above := a.above.made()
	for _, up, _ := strings.Cut(n, "."); up != ""; _, up, _ = strings.Cut(up, ".") {
		if _, known := above[up]; known {
			return
		}
		above[up] = struct{}{}
	}
}

// take adds what s has.
func (w *reaching) take(a *reach, s *hostSet) {
	if a.taken[s] {
		return
	}
	if a.taken == nil {
		a.taken = make(map[*hostSet]bool)
	}
	a.taken[s] = true
	a.anyName, a.anyAddr = a.anyName || s.any, a.anyAddr || s.any
	for _, names := range []map[string]struct{}{s.exact, s.below} {
		for n := range names {
			a.name(n)
		}
	}
	for _, g := range s.globs {
		a.name(g.suffix())
	}
	for h := range s.urls {
		if h.IsAddr() {
			a.nets = append(a.nets, netip.PrefixFrom(h.Addr, h.Addr.BitLen()))
		} else {
			a.name(h.Name)
		}
	}
	a.nets = append(a.nets, s.nets...)
	if s.listed != nil {
		for n := range s.listed.each() {
			if w.left--; w.left < 0 {
				a.anyName = true
				break
			}
			a.name(strings.Clone(n)) // which may be of a mapped file
		}
	}
	for _, l := range s.lists {
		w.take(a, l)
	}
}

// and adds to out what a and b both have.
func (a *reach) and(b reach, out *reach) {
	out.anyName, out.anyAddr = out.anyName || a.anyName && b.anyName, out.anyAddr || a.anyAddr && b.anyAddr
	for n := range a.names {
		if b.anyName || b.names.hold(n) {
			out.name(n)
		}
	}
	for n := range b.names {
		if a.anyName || a.names.hold(n) {
			out.name(n)
		}
	}
	for _, p := range a.nets {
		if b.anyAddr || inside(b.nets, p) {
			out.nets = append(out.nets, p)
		}
	}
	for _, p := range b.nets {
		if a.anyAddr || inside(a.nets, p) {
			out.nets = append(out.nets, p)
		}
	}
}

// whole adds the zones that s has with all below them.
func (s *hostSet) whole(z *zones) {
	for n := range s.below {
		z.add(n)
	}
	for _, l := range s.lists {
		l.whole(z)
	}
}

// everything adds the zones of all names that s has, but for globs, which are
// none.
func (s *hostSet) everything(z *zones) {
	for _, names := range []map[string]struct{}{s.exact, s.below} {
		for n := range names {
			z.add(n)
		}
	}
	if s.listed != nil {
		for n := range s.listed.each() {
			if len(*z) > mostExcepted {
				break
			}
			z.add(strings.Clone(n))
		}
	}
	for _, l := range s.lists {
		l.everything(z)
	}
}

// reachesInto reports whether the rules may be about a name in the zone.
func (a *reach) reachesInto(zone string) bool {
	if a.except.hold(zone) {
		return false
	}
	_, into := a.above[zone]
	return into || a.anyName || a.names.hold(zone)
}

// reachesNet reports whether the rules may be about an address in p.
func (a *reach) reachesNet(p netip.Prefix) bool {
	return !inside(a.exceptNets, p) && (a.anyAddr || slices.ContainsFunc(a.nets, p.Overlaps))
}
