// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/netip"
	"slices"
)

// cutClients has an address of each class with each combination of what
// rules ask a client to prove. With lean, these are the combinations that get
// into about: to prove more only puts a client into more groups, which
// matters where a rule has from_except.
func (c *cut) cutClients(rules, about []*Rule, lean bool) []Client {
	var nets []netip.Prefix
	who := []Client{{}}
	for _, r := range rules {
		if r.minted() {
			who = append(who, Client{User: somebody})
		}
		for _, s := range r.clientSets() {
			for i := range s.alts {
				nets = append(nets, s.alts[i].nets...)
				if !lean || s == &r.fromExcept || slices.Contains(about, r) {
					who = append(who, s.alts[i].identities()...)
				}
			}
		}
	}
	who = c.combine(uniqueClients(who))
	var clients []Client
	for _, a := range cutAddrs(nets, netip.MustParseAddr("192.0.2.77"), netip.MustParseAddr("2001:db8::77")) {
		for _, w := range who {
			w.Addr = a
			clients = append(clients, w)
		}
	}
	return clients
}

// somebody is a user whom no rule needs to name.
const somebody = "somebody"

func (r *Rule) clientSets() []*clientSet {
	sets := []*clientSet{&r.from, &r.fromExcept}
	if r.within != nil {
		sets = append(sets, &r.within.from)
	}
	return sets
}

// combine adds to who, who has nobody first, those who prove what several of
// them do.
func (c *cut) combine(who []Client) []Client {
	all := who
	for together := 1; ; together++ {
		var more []Client
		for _, a := range all {
			for _, b := range who {
				if both, ok := a.and(b); ok {
					more = append(more, both)
				}
			}
			if len(more) > 8*maxIdentities {
				break
			}
		}
		more = uniqueClients(slices.Concat(all, more))
		if len(more) > maxIdentities {
			c.doubt("clients that prove more than %d of the things rules ask for were not asked about", together)
			return all
		}
		if len(more) == len(all) {
			return all
		}
		all = more
	}
}

// identities are the least a client can prove to be in the alternative, in
// each way there is.
func (a *alternative) identities() []Client {
	who := []Client{{}}
	add := func(values []string, set func(*Client, string)) {
		if values == nil {
			return
		}
		var more []Client
		for _, w := range who {
			for _, v := range values {
				w := w
				set(&w, v)
				more = append(more, w)
			}
		}
		who = more
	}
	add(a.users, func(c *Client, v string) { c.User = v })
	add(a.groups, func(c *Client, v string) { c.Groups = []string{v} })
	add(a.certs, func(c *Client, v string) { c.Certs = []string{v} })
	add(a.claims, func(c *Client, v string) { c.Claims = []string{v} })
	return who
}

// and is a client that proves what a and b do; there is none when they are
// different users. Addresses are left alone.
func (c Client) and(b Client) (Client, bool) {
	if c.User != "" && b.User != "" && c.User != b.User {
		return Client{}, false
	}
	if c.User == "" {
		c.User = b.User
	}
	c.Groups, c.Certs, c.Claims = union(c.Groups, b.Groups), union(c.Certs, b.Certs), union(c.Claims, b.Claims)
	return c, true
}

func union(a, b []string) []string {
	if len(b) == 0 {
		return a
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func uniqueClients(clients []Client) []Client {
	seen := make(map[string]bool)
	return slices.DeleteFunc(slices.Clone(clients), func(c Client) bool {
		key := fmt.Sprintf("%q", []any{c.User, c.Groups, c.Certs, c.Claims})
		twice := seen[key]
		seen[key] = true
		return twice
	})
}

// cutAddrs has an address of each class that nets can tell apart, those in
// one of nets first. v4 and v6 are preferred where they are in a class.
func cutAddrs(nets []netip.Prefix, v4, v6 netip.Addr) []netip.Addr {
	begins := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	for _, p := range nets {
		begins = append(begins, p.Masked().Addr())
		if next := lastAddr(p).Next(); next.IsValid() && next.Is4() == p.Addr().Is4() {
			begins = append(begins, next)
		}
	}
	slices.SortFunc(begins, netip.Addr.Compare)
	begins = slices.Compact(begins)
	for i, b := range begins {
		for _, nice := range []netip.Addr{v4, v6} {
			if nice.Is4() == b.Is4() && b.Less(nice) && (i+1 == len(begins) || nice.Less(begins[i+1])) {
				begins[i] = nice
			}
		}
	}
	var inside, preferred, rest []netip.Addr
	for _, a := range begins {
		switch {
		case containsAddr(nets, a):
			inside = append(inside, a)
		case a == v4 || a == v6:
			preferred = append(preferred, a)
		default:
			rest = append(rest, a)
		}
	}
	return slices.Concat(inside, preferred, rest)
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As16()
	host := p.Addr().BitLen() - p.Bits()
	for i := range host {
		b[15-i/8] |= 1 << (i % 8)
	}
	return netip.AddrFrom16(b).Unmap()
}
