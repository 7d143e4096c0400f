// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// A clientIndex finds the rules that are for a client.
type clientIndex struct {
	everyone clientRows // from: any
	unasked  clientRows // that depend on who the client is, wherever it is
	nets     *bart.Fast[uint32]
	inNet    []netRows
	proven   [4]map[string]uint32 // by user, group, cert and claim, an index into
	byProof  []clientRows
}

const (
	proofUser = iota
	proofGroup
	proofCert
	proofClaim
)

// clientRows are the rules that are for whoever has something: surely, or
// possibly, because they ask for more. The rules for any host stand in a row
// of their own, which is read, as well as in that with all, which is tested.
type clientRows struct {
	sure, maybe       ruleRow
	sureAny, maybeAny ruleRow
}

// netRows are for the clients in a network; unasked as in clientIndex.
type netRows struct{ in, unasked clientRows }

// findClient begins to read the rows of the rules that are for q's client.
func (x *index) findClient(s *indexSearch, q *Query) {
	c := &q.Client
	s.client(&x.everyone)
	var net *netRows
	if c.Addr.IsValid() {
		if n, ok := x.nets.Lookup(c.Addr); ok {
			net = &x.inNet[n]
			s.client(&net.in)
		}
	}
	if q.MayAsk && c.User == "" && c.Groups == nil && c.Claims == nil {
		s.client(&x.unasked)
		if net != nil {
			s.client(&net.unasked)
		}
	}
	if c.User != "" {
		x.findProof(s, proofUser, c.User)
	}
	for _, g := range c.Groups {
		x.findProof(s, proofGroup, g)
	}
	for _, n := range c.Certs {
		x.findProof(s, proofCert, n)
	}
	for _, n := range c.Claims {
		x.findProof(s, proofClaim, n)
	}
}

func (x *index) findProof(s *indexSearch, kind int, value string) {
	if n, ok := x.proven[kind][value]; ok {
		s.client(&x.byProof[n])
	}
}

// A clientIndexer builds a clientIndex.
type clientIndexer struct {
	x     *index
	anyTo []bool
}

// someRules are rules that are for a client, before they are rows.
type someRules struct{ sure, maybe []uint32 }

type netRules struct{ in, unasked someRules }

func (x *index) addClients(anyTo []bool) {
	b := clientIndexer{x, anyTo}
	var everyone, unasked someRules
	nets := make(map[netip.Prefix]*netRules)
	var proven [4]map[string]*someRules
	for i := range proven {
		proven[i] = make(map[string]*someRules)
		x.proven[i] = make(map[string]uint32)
	}
	in := func(p netip.Prefix) *netRules {
		p = p.Masked()
		if nets[p] == nil {
			nets[p] = new(netRules)
		}
		return nets[p]
	}
	for i, r := range x.rules {
		n := uint32(i)
		if r.from.any {
			everyone.sure = append(everyone.sure, n)
			continue
		}
		for j := range r.from.alts {
			a := &r.from.alts[j]
			switch proofs := a.proofs(); {
			case proofs == 0 && a.nets == nil:
				everyone.sure = append(everyone.sure, n)
			case proofs == 0:
				for _, p := range a.nets {
					in(p).in.sure = append(in(p).in.sure, n)
				}
			default:
				kind, values := a.firstProof()
				for _, v := range values {
					s := proven[kind][v]
					if s == nil {
						s = new(someRules)
						proven[kind][v] = s
					}
					if proofs == 1 && a.nets == nil {
						s.sure = append(s.sure, n)
					} else {
						s.maybe = append(s.maybe, n)
					}
				}
			}
			if a.users == nil && a.groups == nil && a.claims == nil {
				continue
			}
			if a.nets == nil {
				unasked.maybe = append(unasked.maybe, n)
			}
			for _, p := range a.nets {
				in(p).unasked.maybe = append(in(p).unasked.maybe, n)
			}
		}
	}
	x.everyone, x.unasked = b.rows(&everyone), b.rows(&unasked)
	for kind := range proven {
		for v, s := range proven[kind] {
			x.proven[kind][v] = uint32(len(x.byProof))
			x.byProof = append(x.byProof, b.rows(s))
		}
	}
	b.networks(nets)
}

// networks indexes the networks of clients: a network has the rules of those
// around it too, so that the longest that has an address says it all.
func (b *clientIndexer) networks(nets map[netip.Prefix]*netRules) {
	x := b.x
	x.nets = new(bart.Fast[uint32])
	prefixes := make([]netip.Prefix, 0, len(nets))
	for p := range nets {
		prefixes = append(prefixes, p)
	}
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int { return cmp.Or(cmp.Compare(a.Bits(), b.Bits()), a.Compare(b)) })
	var made []*netRules
	for _, p := range prefixes {
		r := nets[p]
		if n, ok := x.nets.LookupPrefix(p); ok {
			r.in.add(&made[n].in)
			r.unasked.add(&made[n].unasked)
		}
		x.nets.Insert(p, uint32(len(made)))
		made = append(made, r)
		x.inNet = append(x.inNet, netRows{b.rows(&r.in), b.rows(&r.unasked)})
	}
}

func (s *someRules) add(more *someRules) {
	s.sure = append(s.sure, more.sure...)
	s.maybe = append(s.maybe, more.maybe...)
}

func (b *clientIndexer) rows(s *someRules) clientRows {
	return clientRows{
		sure: b.x.rows.addTested(s.sure), sureAny: b.x.rows.add(b.forAny(s.sure)),
		maybe: b.x.rows.addTested(s.maybe), maybeAny: b.x.rows.add(b.forAny(s.maybe)),
	}
}

func (b *clientIndexer) forAny(rules []uint32) (of []uint32) {
	for _, n := range rules {
		if b.anyTo[n] {
			of = append(of, n)
		}
	}
	return of
}

// proofs counts what a asks for beside the address.
func (a *alternative) proofs() (n int) {
	for _, values := range [][]string{a.users, a.groups, a.certs, a.claims} {
		if values != nil {
			n++
		}
	}
	return n
}

// firstProof is what to find a by.
func (a *alternative) firstProof() (kind int, values []string) {
	for kind, values = range [][]string{a.users, a.groups, a.certs, a.claims} {
		if values != nil {
			break
		}
	}
	return kind, values
}
