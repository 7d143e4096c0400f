// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"runtime"
	"time"
)

// With two processors or more, Go wakes a second thread for work that the first
// would have done a moment later, and that one looks for more before it sleeps
// again. Where requests are as short as here that is a fifth of all processor
// time. So the runtime gets one processor while one is enough.
const (
	lookEvery = 100 * time.Millisecond
	tooMuch   = 0.95 // of one processor, in so many looks: all from here on
	heavyFor  = 3
	little    = 0.75 // of one processor, in so many looks: one again; it will be less, then
	lightFor  = 20
)

// load decides how many processors the runtime needs.
type load struct {
	one   bool // it has one; otherwise all there are
	looks int  // in a row that speak for a change
}

// judge is told how much processor time was used in a span of time, and reports
// whether one processor is enough from now on.
func (l *load) judge(used, span time.Duration) bool {
	share := float64(used) / float64(span)
	enough := lightFor
	if l.one {
		enough = heavyFor
	}
	if l.one && share < tooMuch || !l.one && share >= little {
		l.looks = 0
	} else if l.looks++; l.looks == enough {
		l.one, l.looks = !l.one, 0
	}
	return l.one
}

// followLoad runs until ctx ends. Where GOMAXPROCS is set, it has the say; where
// what was used cannot be known, the runtime has.
func followLoad(ctx context.Context) {
	if os.Getenv("GOMAXPROCS") != "" || runtime.GOMAXPROCS(0) == 1 || processorTime() == 0 {
		return
	}
	runtime.GOMAXPROCS(1)
	l := load{one: true}
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	used, at := processorTime(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		u, now, was := processorTime(), time.Now(), l.one
		if one := l.judge(u-used, now.Sub(at)); one && !was {
			runtime.GOMAXPROCS(1)
		} else if !one && was {
			runtime.SetDefaultGOMAXPROCS() // as many as the machine, or its container, has now
		}
		used, at = u, now
	}
}
