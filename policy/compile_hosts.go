// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
)

const (
	hintURL  = "write {url: …} for the host and everything below the path, or name the host here and the path under paths: in the rule"
	hintPort = "name the host here and the port under ports: in the rule"
)

func (c *compiler) buildHosts(d *definition[hostSet], name string) {
	d.made.name = name
	var prints []string
	for _, n := range d.node.each() {
		prints = append(prints, c.entry(&d.made, n))
	}
	d.print = fingerprint(d.node, prints...)
}

// to reads to and to_except of a rule.
func (c *compiler) to(n *node) (s hostSet, prints []string) {
	for _, e := range n.each() {
		if e.text == "any" {
			s.any = true
			continue
		}
		prints = append(prints, c.entry(&s, e))
	}
	return s, prints
}

// entry adds one entry to s, and returns the fingerprint of what it names.
func (c *compiler) entry(s *hostSet, n *node) (print string) {
	if n.kind == mapNode {
		return c.entryMapping(s, n)
	}
	t := n.text
	switch {
	case strings.Contains(t, "*"):
		c.errorf(n, "P010", hintStar, "%q: a star means one label in some products and any depth in others, so it is not accepted here", t)
	case strings.Contains(t, "://"):
		c.errorf(n, "P040", hintURL, "%q is a URL", t)
	case strings.HasPrefix(t, "."):
		h, err := parsePolicyHost(t[1:])
		switch {
		case err != nil:
			c.errorf(n, "P040", "", "%q is not a domain: %s", t, err)
		case h.IsAddr():
			c.errorf(n, "P040", "write the address, or a network such as 192.0.2.0/24", "nothing is below an address")
		default:
			s.below = s.add(s.below, h.Name)
		}
	case strings.ContainsAny(t, "/") || strings.Count(t, ":") > 1:
		if host, _, isPath := strings.Cut(t, "/"); isPath && !strings.Contains(host, ":") {
			if h, err := parsePolicyHost(host); err == nil && !h.IsAddr() {
				c.errorf(n, "P040", hintURL, "%q is a host with a path", t)
				return ""
			}
		}
		if p, ok := c.network(n); ok {
			s.nets = append(s.nets, p)
		}
	case strings.Contains(t, ":"):
		c.errorf(n, "P040", hintPort, "%q is a host with a port", t)
	case strings.Contains(t, "."):
		h, err := parsePolicyHost(t)
		switch {
		case err != nil:
			c.errorf(n, "P040", "", "%q: %s", t, err)
		case h.IsAddr():
			if p, ok := c.network(n); ok {
				s.nets = append(s.nets, p)
			}
		default:
			s.exact = s.add(s.exact, h.Name)
		}
	default:
		if d := refer(c, n, "destination list", c.hosts, c.buildHosts); d != nil {
			s.lists = append(s.lists, &d.made)
			return d.print
		}
	}
	return ""
}

func (c *compiler) entryMapping(s *hostSet, n *node) (print string) {
	kinds := []string{"host", "glob", "url", "file"}
	kinds = slices.DeleteFunc(kinds, func(k string) bool { return !n.has(k) })
	if len(kinds) != 1 {
		c.errorf(n, "P040", "", "a destination is exactly one of host, glob, url and file")
		return ""
	}
	if kinds[0] != "file" {
		for _, k := range []string{"format", "match", "sha256", "max_age"} {
			if n.has(k) {
				c.errorf(n.keyNode(k), "P040", "", "%s goes with file", k)
			}
		}
	}
	v := n.get(kinds[0])
	if v == nil {
		return ""
	}
	switch kinds[0] {
	case "host":
		h, err := parsePolicyHost(v.text)
		if err != nil || h.IsAddr() {
			c.errorf(v, "P040", "", "%q is not a host name", v.text)
			return ""
		}
		s.exact = s.add(s.exact, h.Name)
	case "glob":
		g, err := parseGlob(v.text)
		if err != nil {
			c.errorf(v, "P043", "", "%q: %s", v.text, err)
			return ""
		}
		s.globs = append(s.globs, g)
	case "url":
		if err := s.addURL(v.text); err != nil {
			c.errorf(v, "P045", "", "%q: %s", v.text, err)
		}
	case "file":
		return c.file(s, n)
	}
	return ""
}

// parseGlob reads bucket-*.s3.*.amazonaws.com. The last two labels must be
// literal, so that nobody opens a whole top-level domain by a star.
func parseGlob(s string) (glob, error) {
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	h, err := ParseHost(strings.ReplaceAll(s, "*", "x"))
	if err != nil {
		return nil, err
	}
	labels := strings.Split(s, ".")
	switch {
	case h.IsAddr():
		return nil, fmt.Errorf("an address has no stars")
	case !strings.Contains(s, "*"):
		return nil, fmt.Errorf("a glob has a star; without one, write the host")
	case strings.Contains(s, "**"):
		return nil, fmt.Errorf("a star stays inside its label: for every name below, write .example.com")
	case len(labels) < 3 || strings.Contains(strings.Join(labels[len(labels)-2:], ""), "*"):
		return nil, fmt.Errorf("the last two labels must be literal")
	}
	return labels, nil
}
