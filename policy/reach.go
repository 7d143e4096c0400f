// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// zones are DNS names, each with all below it.
type zones map[string]struct{}

func (z *zones) add(name string) {
	if *z == nil {
		*z = make(zones)
	}
	(*z)[name] = struct{}{}
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

// mostReached is how many names of lists are looked at; they come to many more
// zones than a certificate carries anyway.
const mostReached = 100_000

// A reach is what a rule can be about, in zones and networks: more than that
// rather than less. What it cannot be about is exact.
type reach struct {
	anyName, anyAddr bool
	why              string // anyName: what the rule says, for people
	names            zones
	nets             []netip.Prefix
	exceptNames      []string
	exceptNets       []netip.Prefix
	except           func(zone string) bool
}

// reach is that of an intercept rule.
func (r *Rule) reach() reach {
	var a reach
	a.take(&r.to)
	if r.within != nil {
		var b reach
		b.take(&r.within.to)
		a = a.and(b)
	}
	var not zones
	r.toExcept.whole(&not)
	a.exceptNets = r.toExcept.prefixes()
	if r.never != nil {
		r.never.hosts.everything(&not)
		a.exceptNets = append(a.exceptNets, r.never.hosts.prefixes()...)
	}
	a.exceptNames = not.outermost()
	a.except = not.hold
	return a
}

// take adds what s has.
func (a *reach) take(s *hostSet) {
	if s.any {
		a.anyName, a.anyAddr, a.why = true, true, "any host"
	}
	for _, names := range []map[string]struct{}{s.exact, s.below} {
		for n := range names {
			a.names.add(n)
		}
	}
	for _, g := range s.globs {
		a.names.add(g.suffix())
	}
	for h := range s.urls {
		if h.IsAddr() {
			a.nets = append(a.nets, netip.PrefixFrom(h.Addr, h.Addr.BitLen()))
		} else {
			a.names.add(h.Name)
		}
	}
	a.nets = append(a.nets, s.nets...)
	if s.listed != nil {
		for n := range s.listed.each() {
			if len(a.names) >= mostReached {
				a.anyName = true
				if a.why == "" {
					a.why = fmt.Sprintf("more than %d names of lists", mostReached)
				}
				break
			}
			a.names.add(strings.Clone(n)) // which may be of a mapped file
		}
	}
	for _, l := range s.lists {
		a.take(l)
	}
}

// and is what both have.
func (a reach) and(b reach) reach {
	out := reach{anyName: a.anyName && b.anyName, anyAddr: a.anyAddr && b.anyAddr, why: a.why}
	switch {
	case a.anyName:
		out.names = maps.Clone(b.names)
	case b.anyName:
		out.names = maps.Clone(a.names)
	default:
		for n := range a.names {
			if b.names.hold(n) {
				out.names.add(n)
			}
		}
		for n := range b.names {
			if a.names.hold(n) {
				out.names.add(n)
			}
		}
	}
	switch {
	case a.anyAddr:
		out.nets = b.nets
	case b.anyAddr:
		out.nets = a.nets
	default:
		for _, p := range a.nets {
			for _, q := range b.nets {
				if !p.Overlaps(q) {
					continue
				}
				if q.Bits() > p.Bits() {
					out.nets = append(out.nets, q)
				} else {
					out.nets = append(out.nets, p)
				}
			}
		}
	}
	return out
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
			if len(*z) >= mostReached {
				break
			}
			z.add(strings.Clone(n))
		}
	}
	for _, l := range s.lists {
		l.everything(z)
	}
}

// reachesInto reports whether the rule may be about a name in the zone.
func (a reach) reachesInto(zone string) bool {
	if a.except(zone) {
		return false
	}
	if a.anyName || a.names.hold(zone) {
		return true
	}
	for n := range a.names {
		if isBelow(n, zone) && !a.except(n) {
			return true
		}
	}
	return false
}

// reachesNet reports whether the rule may be about an address in p.
func (a reach) reachesNet(p netip.Prefix) bool {
	if inside(a.exceptNets, p) {
		return false
	}
	return a.anyAddr || slices.ContainsFunc(a.nets, func(n netip.Prefix) bool {
		return n.Overlaps(p) && !inside(a.exceptNets, n)
	})
}
