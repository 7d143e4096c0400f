// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

// TestProcessorsFollowLoad: all at once when one is not enough, one again only
// after a while of little work.
func TestProcessorsFollowLoad(t *testing.T) {
	l := load{one: true}
	const span = 100 * time.Millisecond
	for i, step := range []struct {
		share float64
		times int
		one   bool
	}{
		{0.99, 2, true}, // for a moment
		{0.94, 1000, true},
		{0.99, 2, true},
		{0.99, 1, false}, // more than one can do
		{1.8, 1, false},
		{0.7, 19, false},
		{0.8, 1, false}, // not little: counted afresh
		{0.7, 19, false},
		{0.7, 1, true},
	} {
		for range step.times {
			if got := l.judge(time.Duration(step.share*float64(span)), span); got != step.one {
				t.Fatalf("step %d: one processor is enough: %v", i, got)
			}
		}
	}
}
