// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// counts is what the workers have done so far.
type counts struct {
	ops, errs, bytes atomic.Int64
	recording, over  atomic.Bool
	first            atomic.Pointer[error]
}

func (n *counts) fail(err error) {
	n.errs.Add(1)
	n.first.CompareAndSwap(nil, &err)
	time.Sleep(2 * time.Millisecond) // not to spin on a proxy that is gone
}

// load runs the workers, warms up, and reads every count and the proxy's clock
// at both ends of the window.
func load() error {
	var n counts
	var wg sync.WaitGroup
	h := &habit{way: usual()}
	if *mode == "new" {
		h.turns = 1
	}
	if *rate > 0 {
		h.step = time.Duration(float64(*clients) / *rate * float64(time.Second))
	}
	first := make([]*client, *clients)
	if *mode == "kept" {
		first = n.open(h, *clients)
	}
	times := make([][]time.Duration, *clients)
	for i, c := range first {
		wg.Go(func() { times[i] = n.live(h, c, h.step*time.Duration(i)/time.Duration(*clients)) })
	}
	time.Sleep(*warm)
	n.recording.Store(true)
	start := time.Now()
	cpu, ops, errs, bytes := cpuTime(*pid), n.ops.Load(), n.errs.Load(), n.bytes.Load()
	time.Sleep(*window)
	cpu, ops, errs, bytes = cpuTime(*pid)-cpu, n.ops.Load()-ops, n.errs.Load()-errs, n.bytes.Load()-bytes
	wall := time.Since(start)
	n.over.Store(true)
	if *mode != "bulk" { // their bodies outlive any window, and the process ends them
		wg.Wait()
	}
	if err := n.first.Load(); err != nil && errs > 0 {
		fmt.Fprintf(os.Stderr, "load: %d errors, the first: %v\n", errs, *err)
	}
	if *mode == "bulk" {
		if bytes == 0 {
			return fmt.Errorf("no byte came")
		}
		gb := float64(bytes) / 1e9
		fmt.Printf("cost=%.4f rate=%.3f errors=%d\n", cpu.Seconds()/gb, gb/wall.Seconds(), errs)
		return nil
	}
	if ops == 0 {
		return fmt.Errorf("no request was answered")
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	at := func(q float64) float64 { return float64(all[int(q*float64(len(all)-1))].Microseconds()) / 1e3 }
	fmt.Printf("cost=%.1f rate=%.0f p50=%.2f p99=%.2f errors=%d\n",
		float64(cpu.Microseconds())/float64(ops), float64(ops)/wall.Seconds(), at(.5), at(.99), errs)
	return nil
}

// idle opens tunnels, has one exchange through each, and weighs the proxy
// before and some seconds after.
func idle() error {
	var n counts
	before := memory(*pid)
	held := slices.DeleteFunc(n.open(&habit{way: usual()}, *tunnels), func(c *client) bool { return c == nil })
	for _, c := range held {
		c.br = nil
	}
	time.Sleep(6 * time.Second) // a collector and an allocator get to give back
	if len(held) == 0 {
		return *n.first.Load()
	}
	fmt.Printf("cost=%.2f rate=%d errors=%d\n", float64(memory(*pid)-before)/1024/float64(len(held)), len(held), n.errs.Load())
	for _, c := range held {
		c.close()
	}
	return nil
}
