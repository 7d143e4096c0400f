// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"strings"
)

// A hostSet is the OR of hosts. The zero set has none in it.
type hostSet struct {
	name  string // of a list in the file
	any   bool
	exact map[string]struct{}
	below map[string]struct{} // the name and everything below it
	nets  []netip.Prefix      // address literals only
	globs []glob
	urls  map[Host][]urlPrefix
	// of a list file, whose addresses it finds as well
	listed *nameList
	lists  []*hostSet
}

// A glob is the labels of a host name, from left to right; a star in one
// stands for any characters inside that label.
type glob []string

func (s *hostSet) has(h Host) bool {
	if s.any {
		return true
	}
	if h.IsAddr() {
		if s.hasAddr(h) {
			return true
		}
	} else if s.hasName(h.Name) || s.listed != nil && s.listed.has(h.Name) {
		return true
	}
	for _, l := range s.lists {
		if l.has(h) {
			return true
		}
	}
	return false
}

func (s *hostSet) hasAddr(h Host) bool {
	if l := s.listed; l != nil && l.index != nil && plainAddr(h.Addr) {
		return l.index.on(h, l.number)
	}
	return containsAddr(s.nets, h.Addr)
}

func (s *hostSet) hasName(name string) bool {
	if _, ok := s.exact[name]; ok {
		return true
	}
	for rest := name; len(s.below) > 0 && rest != ""; {
		if _, ok := s.below[rest]; ok {
			return true
		}
		_, rest, _ = strings.Cut(rest, ".")
	}
	for _, g := range s.globs {
		if g.has(name) {
			return true
		}
	}
	return false
}

func (g glob) has(name string) bool {
	for i, pattern := range g {
		label, rest, more := strings.Cut(name, ".")
		if more != (i < len(g)-1) || !starMatch(pattern, label) {
			return false
		}
		name = rest
	}
	return true
}

// starMatch reports whether s is pattern with each star replaced by some
// characters, or none.
func starMatch(pattern, s string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	if !strings.HasPrefix(s, head) {
		return false
	}
	s = s[len(head):]
	for {
		part, after, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], after
	}
}

// prefixes are the networks and addresses of s, with those of its lists.
func (s *hostSet) prefixes() []netip.Prefix {
	all := s.nets[:len(s.nets):len(s.nets)]
	for _, l := range s.lists {
		all = append(all, l.prefixes()...)
	}
	return all
}

// named are the prefixes, and the addresses in URLs.
func (s *hostSet) named() []netip.Prefix {
	all := s.nets[:len(s.nets):len(s.nets)]
	for h := range s.urls {
		if h.IsAddr() {
			all = append(all, netip.PrefixFrom(h.Addr, h.Addr.BitLen()))
		}
	}
	for _, l := range s.lists {
		all = append(all, l.named()...)
	}
	return all
}

func (s *hostSet) add(names map[string]struct{}, name string) map[string]struct{} {
	if names == nil {
		names = make(map[string]struct{})
	}
	names[name] = struct{}{}
	return names
}
