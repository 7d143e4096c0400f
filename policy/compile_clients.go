// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

func (c *compiler) buildClients(d *definition[clientSet], _ string) {
	var prints []string
	for _, n := range d.node.each() {
		if n.kind == mapNode {
			d.made.alts = append(d.made.alts, c.alternative(n))
			continue
		}
		prints = append(prints, c.client(&d.made, n))
	}
	d.print = fingerprint(d.node, prints...)
}

// from reads from and from_except of a rule.
func (c *compiler) from(n *node) (s clientSet, prints []string) {
	for _, e := range n.each() {
		if e.text == "any" {
			s.any = true
			continue
		}
		prints = append(prints, c.client(&s, e))
	}
	return s, prints
}

// client adds what the text of n stands for to s: a network, an address or
// another group, whose fingerprint it returns.
func (c *compiler) client(s *clientSet, n *node) (print string) {
	if !strings.ContainsAny(n.text, ".:/") {
		if d := refer(c, n, "client group", c.clients, c.buildClients); d != nil {
			s.any = s.any || d.made.any
			s.alts = append(s.alts, d.made.alts...)
			return d.print
		}
		return ""
	}
	if p, ok := c.network(n); ok {
		s.alts = append(s.alts, alternative{nets: []netip.Prefix{p}})
	}
	return ""
}

func (c *compiler) alternative(n *node) alternative {
	var a alternative
	for _, e := range n.get("cidr").each() {
		if p, ok := c.network(e); ok {
			a.nets = append(a.nets, p)
		}
	}
	a.users = c.texts(n.get("user"))
	a.groups = c.texts(n.get("group"))
	a.certs = c.texts(n.get("cert"))
	a.claims = c.texts(n.get("claim"))
	for _, e := range n.get("claim").each() {
		if name, _, ok := strings.Cut(e.text, "="); !ok || name == "" {
			c.errorf(e, "P042", "", "%q is no claim: write name=value", e.text)
		}
	}
	if a.nets == nil && !a.identity() && !n.has("listener") && !n.spoiled() {
		c.errorf(n, "P042", "give it cidr, user, group, cert or claim", "this alternative asks for nothing and would be everybody")
	}
	if n.has("listener") { // not supported yet: nobody, rather than everybody
		a.nets = []netip.Prefix{}
	}
	return a
}

// texts are the entries of a list of texts, none of which may be empty.
func (c *compiler) texts(n *node) []string {
	var out []string
	for _, e := range n.each() {
		if e.text == "" {
			c.errorf(e, "P020", "", "an empty text")
			continue
		}
		out = append(out, e.text)
	}
	return out
}

// network reads a network or an address.
func (c *compiler) network(n *node) (netip.Prefix, bool) {
	p, err := parseNetwork(n.text)
	if err != nil {
		c.errorf(n, "P041", "", "%s", err)
		return p, false
	}
	if p != p.Masked() {
		c.warnf(n, "L001", fmt.Sprintf("write %s for the network or %s for the address", p.Masked(), p.Addr()), "%s has host bits set: it is read as %s", n.text, p.Masked())
	}
	return p.Masked(), true
}

func parseNetwork(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		h, err := ParseHost(s)
		switch {
		case err != nil && strings.ContainsAny(s, "."):
			return netip.Prefix{}, fmt.Errorf("%q is not an address: an IPv4 address has four decimal parts", s)
		case err != nil:
			return netip.Prefix{}, err
		case !h.IsAddr():
			return netip.Prefix{}, fmt.Errorf("%q is a host name, not an address", s)
		}
		return netip.PrefixFrom(h.Addr, h.Addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a network: %s", s, prefixFault(err))
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, errors.New("a network of IPv4-mapped addresses is written as the IPv4 network")
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, nil
}

// prefixFault is the end of netip's message, which repeats the input.
func prefixFault(err error) string {
	msg := err.Error()
	if i := strings.LastIndex(msg, "): "); i >= 0 {
		msg = msg[i+3:]
	}
	return msg
}
