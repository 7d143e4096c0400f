// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Interceptable are the hosts that the rules of a policy can intercept, as far
// as the name constraints of a certificate can tell them apart: a name stands for
// itself and all below it (RFC 5280 §4.2.1.10). They may be more than the rules
// can intercept, and never fewer. The zero value is none.
type Interceptable struct {
	AnyName  bool           `json:"any_name"`
	AnyAddr  bool           `json:"any_address"`
	Names    []string       `json:"names"`        // sorted, none below another; empty with AnyName
	Nets     []netip.Prefix `json:"networks"`     // sorted, none within another; empty with AnyAddr
	NotNames []string       `json:"not_names"`    // of these, no rule can intercept any
	NotNets  []netip.Prefix `json:"not_networks"` // of these neither
	Wide     []string       `json:"wide"`         // why they are more than they might be, for people
}

// mostConstraints is how many names, and how many networks, a certificate is
// to carry: whoever verifies one compares each with each.
const mostConstraints = 64

// None reports whether nothing can be intercepted.
func (i Interceptable) None() bool {
	return !i.AnyName && !i.AnyAddr && len(i.Names) == 0 && len(i.Nets) == 0
}

// Any reports whether every host can be intercepted.
func (i Interceptable) Any() bool {
	return i.AnyName && i.AnyAddr && len(i.NotNames) == 0 && len(i.NotNets) == 0
}

// Has reports whether h is among them.
func (i Interceptable) Has(h Host) bool {
	if h.IsAddr() {
		return (i.AnyAddr || containsAddr(i.Nets, h.Addr)) && !containsAddr(i.NotNets, h.Addr)
	}
	return h.Name != "" && (i.AnyName || zoneOf(i.Names, h.Name) != "") && zoneOf(i.NotNames, h.Name) == ""
}

// Interceptable tells what the rules of p can intercept, whoever asks and
// whenever: of a nil p nothing.
func (p *Policy) Interceptable() Interceptable {
	if p == nil {
		return Interceptable{}.full()
	}
	var i Interceptable
	walk := reaching{left: mostReached}
	all := []*reach{{}} // first, together, that of the rules that except nothing of their own
	var never *never
	wide := 0
	for _, r := range p.Rules {
		if !r.has(Intercept) || r.Audit {
			continue
		}
		never = r.never
		one := all[0]
		if !r.toExcept.empty() || r.within != nil {
			one = &reach{}
			all = append(all, one)
		}
		before := one.anyName
		walk.rule(one, r)
		if one.anyName && (!before || r.to.reachesAny()) {
			if wide++; wide <= 8 {
				i.Wide = append(i.Wide, fmt.Sprintf("rule %s is for %s", where(r), one.why(r)))
			}
		}
	}
	if wide > 8 {
		i.Wide = append(i.Wide, fmt.Sprintf("and so are %d more", wide-8))
	}
	var names zones
	for _, one := range all {
		i.AnyName, i.AnyAddr = i.AnyName || one.anyName, i.AnyAddr || one.anyAddr
		for n := range one.names {
			names.add(n)
		}
		i.Nets = append(i.Nets, one.nets...)
	}
	i.nameZones(names)
	if i.Nets = outermost(i.Nets); !i.AnyAddr && len(i.Nets) > mostConstraints {
		i.Wide = append(i.Wide, fmt.Sprintf("the rules name %d networks, more than a certificate should carry", len(i.Nets)))
		i.AnyAddr = true
	}
	if i.AnyAddr {
		i.Nets = nil
	}
	i.exclude(all, never)
	return i.full()
}

// full has no list that is nil, which JSON would call null.
func (i Interceptable) full() Interceptable {
	i.Names, i.NotNames, i.Wide = append([]string{}, i.Names...), append([]string{}, i.NotNames...), append([]string{}, i.Wide...)
	i.Nets, i.NotNets = append([]netip.Prefix{}, i.Nets...), append([]netip.Prefix{}, i.NotNets...)
	return i
}

// nameZones fills in Names: the zones themselves, or where these are too many the
// registrable domains they are in, or else any name.
func (i *Interceptable) nameZones(names zones) {
	if i.AnyName {
		return
	}
	i.Names = names.outermost()
	written := len(i.Names)
	if written <= mostConstraints {
		return
	}
	var domains zones
	for _, n := range i.Names {
		d, err := publicsuffix.EffectiveTLDPlusOne(n)
		if err != nil { // n is a public suffix itself
			d = n
		}
		domains.add(d)
	}
	if i.Names = domains.outermost(); len(i.Names) <= mostConstraints {
		i.Wide = append(i.Wide, fmt.Sprintf("the rules name %d zones, more than a certificate should carry: it has their %d domains", written, len(i.Names)))
		return
	}
	i.Wide = append(i.Wide, fmt.Sprintf("the rules name hosts in %d domains, more than a certificate should carry", len(i.Names)))
	i.AnyName, i.Names = true, nil
}

// mostExcepted is how many zones and networks are looked at that rules except.
const mostExcepted = 1024

// exclude fills in NotNames and NotNets: what some rule excepts, or never says,
// and no rule can intercept for another reason.
func (i *Interceptable) exclude(all []*reach, never *never) {
	var zonesOf zones
	var netsOf []netip.Prefix
	var not neverZones
	if never != nil {
		never.hosts.everything(&not.names)
		not.nets = never.hosts.prefixes()
		maps.Copy(zonesOf.made(), not.names)
		netsOf = append(netsOf, not.nets...)
	}
	for _, one := range all {
		maps.Copy(zonesOf.made(), one.except)
		netsOf = append(netsOf, one.exceptNets...)
	}
	slices.SortFunc(netsOf, netip.Prefix.Compare)
	netsOf = slices.Compact(netsOf)
	if n := len(zonesOf) + len(netsOf); n > mostExcepted {
		i.Wide = append(i.Wide, fmt.Sprintf("the rules except %d zones and networks, more than a certificate should carry: the policy alone keeps them", n))
		return
	}
	var names zones
	var nets []netip.Prefix
	for z := range zonesOf {
		within := i.AnyName || zoneOf(i.Names, z) != ""
		if within && (not.names.hold(z) || !slices.ContainsFunc(all, func(o *reach) bool { return o.reachesInto(z) })) {
			names.add(z)
		}
	}
	for _, p := range netsOf {
		within := i.AnyAddr || slices.ContainsFunc(i.Nets, p.Overlaps)
		if within && (inside(not.nets, p) || !slices.ContainsFunc(all, func(o *reach) bool { return o.reachesNet(p) })) {
			nets = append(nets, p)
		}
	}
	if i.NotNames = names.outermost(); len(i.NotNames) > mostConstraints {
		i.Wide = append(i.Wide, fmt.Sprintf("the rules except %d zones, more than a certificate should carry: the policy alone keeps them", len(i.NotNames)))
		i.NotNames = nil
	}
	if i.NotNets = outermost(nets); len(i.NotNets) > mostConstraints {
		i.Wide = append(i.Wide, fmt.Sprintf("the rules except %d networks, more than a certificate should carry: the policy alone keeps them", len(i.NotNets)))
		i.NotNets = nil
	}
}

// neverZones are what never_intercept names.
type neverZones struct {
	names zones
	nets  []netip.Prefix
}

// Beyond lists what i has and before has not, for people: the names and networks
// that a change makes it possible to intercept.
func (i Interceptable) Beyond(before Interceptable) []string {
	var out []string
	if i.AnyName && !before.AnyName {
		out = append(out, "any name")
	}
	for _, n := range i.Names {
		if !before.AnyName && zoneOf(before.Names, n) == "" {
			out = append(out, n)
		}
	}
	for _, n := range before.NotNames {
		now := i.AnyName || zoneOf(i.Names, n) != "" || slices.ContainsFunc(i.Names, func(o string) bool { return isBelow(o, n) })
		if now && zoneOf(i.NotNames, n) == "" {
			out = append(out, n+", which was excluded")
		}
	}
	if i.AnyAddr && !before.AnyAddr {
		out = append(out, "any address")
	}
	for _, p := range i.Nets {
		if !before.AnyAddr && !inside(before.Nets, p) {
			out = append(out, p.String())
		}
	}
	for _, p := range before.NotNets {
		if (i.AnyAddr || slices.ContainsFunc(i.Nets, p.Overlaps)) && !inside(i.NotNets, p) {
			out = append(out, p.String()+", which was excluded")
		}
	}
	return out
}

// String lists them for people, in one line.
func (i Interceptable) String() string {
	if i.None() {
		return "nothing"
	}
	var parts []string
	if i.AnyName {
		parts = append(parts, "any name")
	}
	parts = append(parts, i.Names...)
	if i.AnyAddr {
		parts = append(parts, "any address")
	}
	for _, p := range i.Nets {
		parts = append(parts, p.String())
	}
	s := listedSome(parts)
	var not []string
	not = append(not, i.NotNames...)
	for _, p := range i.NotNets {
		not = append(not, p.String())
	}
	if len(not) > 0 {
		s += "; not " + listedSome(not)
	}
	return s
}

// zoneOf is which of some zones a name is in; "": in none. An empty zone holds
// every name.
func zoneOf(zones []string, name string) string {
	for _, z := range zones {
		if name == z || strings.HasSuffix(name, "."+z) {
			return z
		}
	}
	return ""
}

// inside reports whether all of p is in one of nets.
func inside(nets []netip.Prefix, p netip.Prefix) bool {
	return slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Bits() <= p.Bits() && n.Overlaps(p) })
}

// outermost are nets without those that are in others, in order.
func outermost(nets []netip.Prefix) []netip.Prefix {
	nets = slices.Clone(nets)
	for i := range nets {
		nets[i] = nets[i].Masked()
	}
	slices.SortFunc(nets, func(a, b netip.Prefix) int {
		if a.Bits() != b.Bits() {
			return a.Bits() - b.Bits()
		}
		return a.Addr().Compare(b.Addr())
	})
	var out []netip.Prefix
	for _, p := range nets {
		if !inside(out, p) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return out
}
