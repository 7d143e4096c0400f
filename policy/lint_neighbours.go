// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"
)

// neighbours finds the rules that may be about the same hosts as a rule, so
// that not every pair of rules need be looked at. It finds too many sooner
// than too few.
type neighbours struct {
	place  map[*Rule]int
	rules  []*Rule
	wide   []*Rule            // that may be about any host
	nets   []*Rule            // that have addresses
	at     map[string][]*Rule // by the last two labels of an entry that has no more
	within map[string][]*Rule // by the last two labels of an entry that has more
	under  map[string][]*Rule // by its last three labels
}

func newNeighbours(rules []*Rule) *neighbours {
	n := &neighbours{
		place: make(map[*Rule]int), rules: rules,
		at: make(map[string][]*Rule), within: make(map[string][]*Rule), under: make(map[string][]*Rule),
	}
	for i, r := range rules {
		n.place[r] = i
		names, nets, wide := r.to.tails()
		if wide {
			n.wide = append(n.wide, r)
			continue
		}
		if nets {
			n.nets = append(n.nets, r)
		}
		for _, name := range names {
			two, three := tails(name)
			if three == "" {
				n.at[two] = append(n.at[two], r)
			} else {
				n.within[two] = append(n.within[two], r)
				n.under[three] = append(n.under[three], r)
			}
		}
	}
	return n
}

// of are the neighbours of r in order, r among them.
func (n *neighbours) of(r *Rule) []*Rule {
	names, nets, wide := r.to.tails()
	if wide {
		return n.rules
	}
	near := slices.Clone(n.wide)
	if nets {
		near = append(near, n.nets...)
	}
	for _, name := range names {
		two, three := tails(name)
		near = append(near, n.at[two]...)
		if three == "" {
			near = append(near, n.within[two]...)
		} else {
			near = append(near, n.under[three]...)
		}
	}
	slices.SortFunc(near, func(a, b *Rule) int { return n.place[a] - n.place[b] })
	return slices.Compact(near)
}

// tails are the names that the hosts of s end in; nets says that there are
// addresses too, and wide that there may be any.
func (s *hostSet) tails() (names []string, nets, wide bool) {
	wide = s.any || s.listed != nil
	nets = len(s.nets) > 0
	for name := range s.exact {
		names = append(names, name)
	}
	for name := range s.below {
		names = append(names, name)
	}
	for _, g := range s.globs {
		names = append(names, g.suffix())
	}
	for h := range s.urls {
		if nets = nets || h.IsAddr(); !h.IsAddr() {
			names = append(names, h.Name)
		}
	}
	for _, l := range s.lists {
		more, n, w := l.tails()
		names, nets, wide = append(names, more...), nets || n, wide || w
	}
	return names, nets, wide || slices.ContainsFunc(names, func(name string) bool { return !strings.Contains(name, ".") })
}

// tails are the last two and the last three labels of a name; three is "" when
// it has no more than two.
func tails(name string) (two, three string) {
	dots := 0
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] != '.' {
			continue
		}
		switch dots++; dots {
		case 2:
			two = name[i+1:]
		case 3:
			return two, name[i+1:]
		}
	}
	if two == "" {
		return name, ""
	}
	return two, name
}
