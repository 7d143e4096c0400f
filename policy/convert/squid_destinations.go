// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
)

// dst is about addresses, for which Squid looks up names; a policy does not.
func (s *squid) dst(c *condition, t term, allow bool, lose func(string, ...any)) {
	const literals = "Squid resolves names to compare them with these addresses; a policy compares addresses in URLs only"
	switch {
	case coversAll(t.nets):
		c.never = c.never || t.not
	case len(t.nets) == 0:
		c.never = c.never || !t.not
	case !t.not && (c.to != nil):
		lose("together with another condition on the destination")
	case t.not && allow && !guarded(t.nets):
		lose(literals)
	case !t.not && !allow && !guarded(t.nets):
		lose(literals)
	case t.not:
		c.toExcept = append(c.toExcept, netTexts(t.nets)...)
		if !allow {
			c.notes = append(c.notes, literals+": names that lead there are denied too")
		}
	default:
		c.to = netTexts(t.nets)
		if allow {
			c.notes = append(c.notes, literals+": names that lead there are not let through")
		} else {
			s.banned = true
		}
	}
}

func (s *squid) dstdomain(c *condition, t term, allow bool, lose func(string, ...any)) {
	s.byName = true
	entries, wrong := t.hosts()
	if len(wrong) > 0 {
		if t.not == allow {
			lose("%s is no host", wrong[0])
			return
		}
		c.notes = append(c.notes, fmt.Sprintf("acl %s: %s is no host and left out", t.name, wrong[0]))
	}
	if allow && !t.not && s.banned {
		entries = slices.DeleteFunc(entries, func(e string) bool { _, err := netip.ParseAddr(e); return err == nil })
	}
	if len(entries) == 0 {
		c.never = c.never || !t.not
		return
	}
	name := t.name
	key := "to\n" + name + fmt.Sprint(len(entries))
	if s.made[key] == "" {
		s.made[key] = s.taken.name(name)
		s.list(s.made[key], entries)
	}
	switch name = s.made[key]; {
	case t.not:
		c.toExcept = append(c.toExcept, name)
	case c.to != nil:
		lose("two conditions on the destination at once")
	default:
		c.to = []string{name}
	}
}

// matches adds regular expressions on something.
func (s *squid) matches(c *condition, t term, what string, lose func(string, ...any)) {
	re, err := t.regexps()
	if err != nil {
		lose("%v", err)
		return
	}
	expr := what + ".matches(" + quote2(re) + ")"
	if t.not {
		expr = "!" + expr
	}
	c.when = append(c.when, expr)
	c.notes = append(c.notes, fmt.Sprintf("acl %s: a regular expression; list the names instead, if they are known", t.name))
}

// url is about a whole URL, of which a policy never sees the query.
func (s *squid) url(c condition, t term, allow bool) []condition {
	why := fmt.Sprintf("acl %s (%s): queries are not seen, so it cannot be said for plain HTTP", t, t.kind)
	plain, connect := c, c
	plain.connect, plain.lost = false, append(slices.Clone(c.lost), why)
	connect.plain = false
	re, err := t.regexps()
	if err == nil && t.kind == "url_regex" {
		var expr string
		if expr = "(dest.host + ':' + string(dest.port)).matches(" + quote2(re) + ")"; t.not {
			expr = "!" + expr
		}
		connect.when = append(slices.Clone(c.when), expr)
		connect.notes = append(slices.Clone(c.notes), fmt.Sprintf("acl %s: for a CONNECT, Squid compares host:port", t.name))
		connect.plain = !allow && c.plain // what it says of host:port, all are denied
	} else if err == nil {
		empty := regexp.MustCompile(re).MatchString("")
		connect.never = connect.never || empty == t.not
	} else {
		connect.lost = append(slices.Clone(c.lost), fmt.Sprintf("acl %s: %v", t, err))
	}
	var out []condition
	if c.connect && !connect.never {
		out = append(out, connect)
	}
	if c.plain {
		out = append(out, plain)
	}
	if out == nil {
		c.never = true
		out = append(out, c)
	}
	return out
}

func coversAll(nets []netip.Prefix) bool {
	v4, v6 := false, false
	for _, p := range nets {
		v4 = v4 || p.Bits() == 0 && p.Addr().Is4()
		v6 = v6 || p.Bits() == 0 && p.Addr().Is6()
	}
	return v4 && v6
}

func overlaps(a, b []netip.Prefix) (out []netip.Prefix) {
	for _, p := range a {
		for _, q := range b {
			switch {
			case !p.Overlaps(q):
			case p.Bits() >= q.Bits():
				out = append(out, p)
			default:
				out = append(out, q)
			}
		}
	}
	return out
}

// notPublic are the networks that no rule reaches by a name.
var notPublic = func() (nets []netip.Prefix) {
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3",
		"::/127", "fc00::/7", "fe80::/10",
	} {
		nets = append(nets, netip.MustParsePrefix(s))
	}
	return nets
}()

// guarded reports whether the gateway keeps names from leading there by itself.
func guarded(nets []netip.Prefix) bool {
	return !slices.ContainsFunc(nets, func(p netip.Prefix) bool {
		return !slices.ContainsFunc(notPublic, func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) })
	})
}
