// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"runtime"
	"sync"
)

// A batch is some lines of a log on their way through the processors.
type batch struct {
	text  []byte // of all lines
	lines []logLine
	ends  []int // in text
	out   []judged
	done  chan struct{} // closed when out is there
}

// Lines of one batch: enough that handing it over costs nothing beside them.
const (
	batchLines = 256
	batchBytes = 1 << 20
)

// inOrder judges the lines of a log on all processors, for reading JSON is what
// a replay mostly does, and hands them over one by one, in their order.
func (r *replay) inOrder(log io.Reader, visit func(judged)) error {
	procs := runtime.GOMAXPROCS(0)
	work, order := make(chan *batch, procs), make(chan *batch, procs)
	var all sync.WaitGroup
	for range procs {
		all.Go(func() {
			for b := range work {
				for i, l := range b.lines {
					begin := 0
					if i > 0 {
						begin = b.ends[i-1]
					}
					l.Text = b.text[begin:b.ends[i]]
					b.out = append(b.out, r.judge(l))
				}
				close(b.done)
			}
		})
	}
	all.Go(func() {
		for b := range order {
			<-b.done
			for _, j := range b.out {
				visit(j)
			}
		}
	})
	var b *batch
	send := func() {
		if b != nil {
			order <- b
			work <- b
			b = nil
		}
	}
	err := readLog(log, func(l logLine) error {
		if b == nil {
			b = &batch{done: make(chan struct{})}
		}
		b.text = append(b.text, l.Text...)
		l.Text = nil
		b.lines, b.ends = append(b.lines, l), append(b.ends, len(b.text))
		if len(b.lines) == batchLines || len(b.text) >= batchBytes {
			send()
		}
		return nil
	})
	send()
	close(work)
	close(order)
	all.Wait()
	return err
}
