// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"time"
)

// classesOfChanges calls ask with one request of each class that a changed
// rule is about, and gives what makes the classes fewer than there may be.
func classesOfChanges(before, after *Policy, changes Changes, at time.Time, ask func(Query)) *cut {
	var rules, changed []*Rule
	if before != nil {
		for _, r := range before.Rules {
			if slices.Contains(changes.Removed, r.Name) || slices.Contains(changes.Changed, r.Name) {
				rules, changed = append(rules, r), append(changed, r)
			}
		}
	}
	if after != nil {
		for _, r := range after.Rules {
			rules = append(rules, r)
			if slices.Contains(changes.Added, r.Name) || slices.Contains(changes.Changed, r.Name) {
				changed = append(changed, r)
			}
		}
	}
	changed = slices.DeleteFunc(changed, func(r *Rule) bool { return r.Audit }) // it decides nothing
	c := newCut(rules, at)
	g := newGrid(c, rules, changed, false)
	asked := 0
	g.each(func(q Query) bool {
		if asked++; asked > maxAsked {
			c.doubt("%d classes were asked about, and there are more", maxAsked)
			return false
		}
		ask(q)
		return true
	})
	return c
}
