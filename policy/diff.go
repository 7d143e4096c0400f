// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "sort"

// Changes are the names of the rules in which two policies differ, and what became of
// mappings.
type Changes struct {
	Added   []string // in the order of the new policy
	Removed []string // in the order of the old one
	Changed []string // say something else, by themselves or by what they name, or have moved

	// Mappings are those that are new or gone, as "+ /bank/ to https://…" and "- …": which
	// origins clients that know no proxy find, whatever the rules say of them.
	Mappings []string
}

// None reports whether the policies have the same rules in the same order, and the
// same mappings.
func (c Changes) None() bool {
	return len(c.Added)+len(c.Removed)+len(c.Changed)+len(c.Mappings) == 0
}

// Diff compares the rules and mappings of two policies; a nil policy has none.
func Diff(before, after *Policy) Changes {
	var c Changes
	old := make(map[string]int) // place among the old rules, from 0
	if before != nil {
		for i, r := range before.Rules {
			old[r.Name] = i
		}
	}
	var kept []*Rule
	var places []int
	if after != nil {
		for _, r := range after.Rules {
			i, ok := old[r.Name]
			if !ok {
				c.Added = append(c.Added, r.Name)
				continue
			}
			kept, places = append(kept, r), append(places, i)
		}
	}
	stayed := longestRise(places)
	for i, r := range kept {
		if !stayed[places[i]] || r.print != before.Rules[places[i]].print {
			c.Changed = append(c.Changed, r.Name)
		}
		delete(old, r.Name)
	}
	if before != nil {
		for _, r := range before.Rules {
			if _, gone := old[r.Name]; gone {
				c.Removed = append(c.Removed, r.Name)
			}
		}
	}
	was, is := before.mappingTexts(), after.mappingTexts()
	c.Mappings = append(beside("- ", was, is), beside("+ ", is, was)...)
	return c
}

// mappingTexts are the mappings of p as they are told.
func (p *Policy) mappingTexts() (texts []string) {
	if p == nil {
		return nil
	}
	for _, m := range p.mappings.all {
		texts = append(texts, m.String()+" to "+m.origin())
	}
	return texts
}

// beside are the texts that are not among others, with a sign in front.
func beside(sign string, texts, others []string) (out []string) {
	for _, t := range without(texts, others) {
		out = append(out, sign+t)
	}
	return out
}

// longestRise picks a longest subsequence that rises: the rules that need not
// have moved for the new order to come about. The others have.
func longestRise(seq []int) map[int]bool {
	var tails []int // index in seq of the least end of a rise of each length
	back := make([]int, len(seq))
	for i, v := range seq {
		n := sort.Search(len(tails), func(k int) bool { return seq[tails[k]] >= v })
		back[i] = -1
		if n > 0 {
			back[i] = tails[n-1]
		}
		if n == len(tails) {
			tails = append(tails, i)
		}
		tails[n] = i
	}
	rise := make(map[int]bool)
	if len(tails) > 0 {
		for i := tails[len(tails)-1]; i >= 0; i = back[i] {
			rise[seq[i]] = true
		}
	}
	return rise
}
