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
		{0.91, 1, false}, // more than one can do
		{1.8, 1, false},
		{0.4, 49, false},
		{0.6, 1, false}, // not little: counted afresh
		{0.4, 49, false},
		{0.4, 1, true},
		{0.89, 1000, true},
	} {
		for range step.times {
			if got := l.judge(time.Duration(step.share*float64(span)), span); got != step.one {
				t.Fatalf("step %d: one processor is enough: %v", i, got)
			}
		}
	}
}
