// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"math/rand/v2"
	"testing"
	"time"
)

const second = int64(time.Second)

func TestBucketTakes(t *testing.T) {
	// Three at once, one more each second.
	var b bucket
	for i, step := range []struct{ at, wait int64 }{
		{10 * second, 0},
		{10 * second, 0},
		{10 * second, 0},
		{10 * second, second},
		{10*second + 1, second - 1},
		{11*second - 1, 1},
		{11 * second, 0},
		{11 * second, second},
		{13 * second, 0},
		{13 * second, 0},
		{13 * second, second},
		{1000 * second, 0},
		{1000 * second, 0},
		{1000 * second, 0},
		{1000 * second, second},
		{999 * second, second}, // a clock that was set back
		{999*second + 1, second - 1},
		{1000 * second, 0},
		{0, second}, // far
		{second, 0},
	} {
		if wait := b.take(step.at, second, 3*second); wait != step.wait {
			t.Errorf("step %d, at %d: wait %d, want %d", i, step.at, wait, step.wait)
		}
	}
}

// TestBucketUnderOtherLimits: what was used up of a slow rate is an empty bucket
// of a fast one, and not a day of waiting.
func TestBucketUnderOtherLimits(t *testing.T) {
	var b bucket
	const day = 86400 * second
	now := second
	if b.take(now, day, day) != 0 || b.take(now, day, day) != day {
		t.Fatal("one in a day is not one in a day")
	}
	if wait := b.take(now, second/10, second); wait != second/10 {
		t.Errorf("ten in a second: wait %v", time.Duration(wait))
	}
	if wait := b.take(now+second/10, second/10, second); wait != 0 {
		t.Errorf("a tenth later: wait %v", time.Duration(wait))
	}
}

// TestBucketNeverLetsMoreThrough: in any time, whatever the order, no more than
// the depth and what has come in.
func TestBucketNeverLetsMoreThrough(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		cost := 1 + rng.Int64N(second)
		burst := 1 + rng.Int64N(50)
		var b bucket
		var passed []int64
		now := second
		for range 500 {
			if b.take(now, cost, burst*cost) == 0 {
				passed = append(passed, now)
			}
			now += rng.Int64N(2 * cost)
		}
		for i := range passed {
			for j := i; j < len(passed); j++ {
				if n := int64(j - i + 1); n > burst+(passed[j]-passed[i])/cost {
					t.Fatalf("%d in %d, burst %d, cost %d", n, passed[j]-passed[i], burst, cost)
				}
			}
		}
	}
}

func TestBucketLends(t *testing.T) {
	var b bucket
	for i, want := range []int64{0, 0, 1, 2, 3} { // depth 2
		if wait := b.borrow(second, second, 2*second); wait != want*second {
			t.Errorf("%d: wait %v, want %ds", i, time.Duration(wait), want)
		}
	}
	if b.full(5*second) || !b.full(6*second) {
		t.Errorf("full at %v", time.Duration(b))
	}
	if wait := b.borrow(0, second, 2*second); wait != 5*second { // a clock that was set back
		t.Errorf("wait %v", time.Duration(wait))
	}
}
