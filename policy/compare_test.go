// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math/rand/v2"
	"testing"
)

type changeKey struct {
	consequence   Consequence
	before, after Outcome
}

// What Compare tells is what asking about every request of a small universe
// tells, no more and no less.
func TestCompareIsBruteForce(t *testing.T) {
	changes := 0
	for seed := range uint64(48) {
		r := rand.New(rand.NewPCG(seed, 1))
		rules := randomRules(r, 6)
		before := mustParse(t, written(rules))
		for n := range 1 + r.IntN(2) { // change, add, remove or move a rule
			i := r.IntN(len(rules))
			switch r.IntN(4) {
			case 0:
				rules[i] = randomRule(r, rules[i].name)
			case 1:
				rules = append(rules, randomRule(r, "z"+string(rune('a'+n))))
			case 2:
				rules = append(rules[:i:i], rules[i+1:]...)
				rules = append(rules, randomRule(r, "y"+string(rune('a'+n))))
			case 3:
				rules[0], rules[i] = rules[i], rules[0]
			}
		}
		text := written(rules)
		if seed%4 == 1 {
			text = saysNever(text, randomNever(r))
		}
		after := mustParse(t, text)

		c := Compare(before, after, testTime)
		got := make(map[changeKey]bool)
		for _, ch := range c.Changes {
			b, a, asked := decideBoth(before, after, ch.Sample)
			if !asked || outcomeOf(b) != ch.Before || outcomeOf(a) != ch.After || ConsequenceOf(b, a) != ch.Consequence {
				t.Errorf("seed %d: the sample %s is %s -> %s, not %s -> %s", seed, ch.Sample.describe(true), outcomeOf(b), outcomeOf(a), ch.Before, ch.After)
			}
			got[changeKey{ch.Consequence, ch.Before, ch.After}] = true
		}
		missing := make(map[changeKey]Query)
		universe(t, func(q Query) {
			b, a, asked := decideBoth(before, after, q)
			k := changeKey{ConsequenceOf(b, a), outcomeOf(b), outcomeOf(a)}
			if asked && k.consequence != 0 && !got[k] {
				missing[k] = q
			}
		})
		for k, q := range missing {
			t.Errorf("seed %d: not told: %s -> %s (%s), e.g. %s", seed, k.before, k.after, k.consequence, q.describe(true))
		}
		if len(c.Unsure) > 0 {
			t.Errorf("seed %d: unsure: %q", seed, c.Unsure)
		}
		changes += len(c.Changes)
		if t.Failed() {
			t.Logf("after\n%s", written(rules))
			break
		}
	}
	if changes < 100 {
		t.Errorf("only %d changes in all: the test asks nothing", changes)
	}
}
