// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

// An expression is a when: condition.
type expression struct {
	readsRequest bool
}

func (e *expression) holds(w *walk, r *Rule) verdict { return verdictOf(r.denies()) }

func (c *compiler) when(n *node) *expression {
	c.unsupported(n, "U001", "when: %s", notYet)
	return &expression{}
}
