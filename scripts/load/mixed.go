// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// mixture is what the clients of a busy gateway do, all at once: w is how they
// ask for a request, plain the origin of tunnels with no TLS inside.
func mixture(w way, plain string) []habit {
	sized := func(w way, n int64) way { w.size = n; return w }
	small := sized(w, 1<<10)
	length, chunked := small, small
	length.upload, chunked.upload = "length", "chunked"
	tunnel := way{form: "connect", origin: plain, size: 1 << 10}
	inside := way{form: "connect", origin: w.origin, secure: true, size: 1 << 10}
	return []habit{
		{name: "1 KiB, kept connections", way: small},
		{name: "64 KiB, kept connections", way: sized(w, 64<<10)},
		{name: "1 KiB, new connections", way: small, turns: 1},
		{name: "uploads with a length", way: length},
		{name: "uploads in chunks", way: chunked},
		{name: "leaving in the middle of an answer", way: sized(w, 1<<30), leave: true},
		{name: "tunnels", way: tunnel, turns: 5},
		{name: "tunnels, TLS inside", way: inside, turns: 5},
		{name: "leaving in the middle of a tunnel", way: sized(tunnel, 1<<30), leave: true},
	}
}

// mixed loads the proxy in every way at once, and weighs it once it is warm,
// each minute, at the end, and when all have left.
func mixed() error {
	habits := mixture(usual(), *plain)
	done := make([]counts, len(habits))
	total := func() (ops, errs int64) {
		for i := range done {
			ops, errs = ops+done[i].ops.Load(), errs+done[i].errs.Load()
		}
		return ops, errs
	}
	say := func(when string) weight {
		w := weigh(*pid)
		ops, errs := total()
		fmt.Fprintf(os.Stderr, "load: %s: %v, %d exchanges, %d errors\n", when, w, ops, errs)
		return w
	}
	say("at rest")
	var wg sync.WaitGroup
	for i := range *clients {
		h, n := &habits[i%len(habits)], &done[i%len(habits)]
		h.limit = 30 * time.Second
		if *rate > 0 {
			h.step = time.Duration(float64(*clients) / *rate * float64(time.Second))
		}
		wg.Go(func() { n.live(h, nil, h.step*time.Duration(i)/time.Duration(*clients)) })
	}
	time.Sleep(*warm)
	start := time.Now()
	cpu := cpuTime(*pid)
	ops, _ := total()
	warm := say("warm")
	for left := *window; left > 0; left = *window - time.Since(start) {
		time.Sleep(min(left, time.Minute))
		if time.Since(start) < *window {
			say(fmt.Sprintf("after %v", time.Since(start).Round(time.Second)))
		}
	}
	wall, used := time.Since(start), cpuTime(*pid)-cpu
	end := say(fmt.Sprintf("after %v", wall.Round(time.Second)))
	now, _ := total()
	ops = now - ops
	for i := range done {
		done[i].over.Store(true)
	}
	wg.Wait()
	time.Sleep(6 * time.Second) // a collector and an allocator get to give back
	rest := say("when all have left")
	for i, h := range habits {
		fmt.Fprintf(os.Stderr, "load: %s: %d, %d errors", h.name, done[i].ops.Load(), done[i].errs.Load())
		if err := done[i].first.Load(); err != nil {
			fmt.Fprintf(os.Stderr, ", the first: %v", *err)
		}
		fmt.Fprintln(os.Stderr)
	}
	if ops == 0 {
		return fmt.Errorf("no request was answered")
	}
	_, errs := total()
	fmt.Printf("cost=%.1f rate=%.0f errors=%d minutes=%.1f", float64(used.Microseconds())/float64(ops), float64(ops)/wall.Seconds(), errs, wall.Minutes())
	for _, at := range []struct {
		name string
		weight
	}{{"warm", warm}, {"end", end}, {"rest", rest}} {
		fmt.Printf(" %s_pss=%d %[1]s_fds=%[3]d %[1]s_threads=%[4]d", at.name, at.pss, at.fds, at.threads)
	}
	fmt.Println()
	return nil
}
