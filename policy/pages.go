// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// Pages are what a policy has to say on the gateway's own pages.
type Pages struct {
	// Contact says to people whom to ask about what was refused; "": nobody in particular.
	Contact string

	// Direct are the destinations that clients are told, by the PAC file, to reach
	// without the gateway. That is advice to clients, and no decision.
	Direct Direct
}

// Direct are hosts, sorted. The zero value has none.
type Direct struct {
	Names []string       // these names
	Zones []string       // these names and all below them
	Nets  []netip.Prefix // addresses; names are not looked up for it
}

// mostDirect bounds what a client has to read through for each request.
const mostDirect = 2000

// pages reads contact and direct.
func (c *compiler) pages(root *node) (p Pages) {
	p.Contact = root.get("contact").str()
	n := root.get("direct")
	if n == nil || n.bad {
		return p
	}
	hosts, _ := c.to(n)
	switch {
	case hosts.all(func(s *hostSet) bool { return !s.any }) != nil:
		c.errorf(n, "P040", "give clients no proxy", "direct: any leaves the gateway nothing")
	case hosts.hasPaths():
		c.errorf(n, "P072", "name the host", "direct has URLs, and a PAC file is not told the path of an https URL")
	case hosts.all(func(s *hostSet) bool { return len(s.globs) == 0 }) != nil:
		c.errorf(n, "P072", "name the zone", "direct has a glob, which a PAC file reads otherwise")
	}
	if p.Direct = hosts.direct(); len(p.Direct.Names)+len(p.Direct.Zones)+len(p.Direct.Nets) > mostDirect {
		c.errorf(n, "P072", "name zones or networks", "direct has more than %d entries, and clients go through them for each request", mostDirect)
	}
	return p
}

// all returns a set, s or one of its lists, for which ok is false; nil: there is none.
func (s *hostSet) all(ok func(*hostSet) bool) *hostSet {
	if !ok(s) {
		return s
	}
	for _, l := range s.lists {
		if bad := l.all(ok); bad != nil {
			return bad
		}
	}
	return nil
}

// direct are the hosts of s, but for globs and URLs, and not many more than may be.
func (s *hostSet) direct() (d Direct) {
	s.all(func(s *hostSet) bool {
		for n := range s.exact {
			d.Names = append(d.Names, n)
		}
		for n := range s.below {
			d.Zones = append(d.Zones, n)
		}
		d.Nets = append(d.Nets, s.nets...)
		if s.listed == nil {
			return true
		}
		for n, below := range s.listed.each() {
			if len(d.Names)+len(d.Zones) > mostDirect {
				break
			}
			if below {
				d.Zones = append(d.Zones, strings.Clone(n))
			} else {
				d.Names = append(d.Names, strings.Clone(n))
			}
		}
		return true
	})
	slices.Sort(d.Names)
	slices.Sort(d.Zones)
	slices.SortFunc(d.Nets, netip.Prefix.Compare)
	d.Names, d.Zones, d.Nets = slices.Compact(d.Names), slices.Compact(d.Zones), slices.Compact(d.Nets)
	return d
}
