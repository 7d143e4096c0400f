// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"container/heap"
	"time"
)

// dues is a heap of the tunnels of a loop by when they have to be looked at
// next. A timer of the runtime's for each would take more memory than the rest
// of an idle tunnel. Bytes that move do not touch it: a tunnel whose turn
// comes too early is put back.
type dues []due

type due struct {
	at   int64
	pair *pair
}

// expire looks at the tunnels whose time has come. It is what the timer calls.
func (l *loop) expire() {
	now := clock()
	var come []*pair
	l.mu.Lock()
	for len(l.due) > 0 && l.due[0].at <= now {
		p := l.due[0].pair
		l.due.remove(p)
		come = append(come, p)
	}
	l.wake = 0
	l.setTimer(now)
	l.mu.Unlock()
	for _, p := range come {
		p.expire()
	}
}

// arm has p looked at at a time, and not before.
func (l *loop) arm(p *pair, at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.place == 0 {
		heap.Push(&l.due, due{at, p})
	} else {
		l.due[p.place-1].at = at
		heap.Fix(&l.due, int(p.place-1))
	}
	if first := l.due[0].at; l.wake == 0 || first < l.wake {
		l.setTimer(clock())
	}
}

// setTimer is called with l.mu held.
func (l *loop) setTimer(now int64) {
	if len(l.due) > 0 {
		l.wake = l.due[0].at
		l.timer.Reset(max(time.Duration(l.wake-now), 0))
	}
}

func (d *dues) remove(p *pair) {
	if p.place > 0 {
		heap.Remove(d, int(p.place-1))
	}
}

// A pair's place is its index plus one, 0 when it is not in the heap.
func (d dues) Len() int           { return len(d) }
func (d dues) Less(i, j int) bool { return d[i].at < d[j].at }
func (d dues) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].pair.place, d[j].pair.place = uint32(i+1), uint32(j+1)
}

func (d *dues) Push(x any) {
	e := x.(due)
	*d = append(*d, e)
	e.pair.place = uint32(len(*d))
}

func (d *dues) Pop() any {
	old := *d
	e := old[len(old)-1]
	old[len(old)-1] = due{}
	*d = old[:len(old)-1]
	e.pair.place = 0
	return e
}

// clock is nanoseconds since the program began; it does not jump.
func clock() int64 { return int64(time.Since(began)) }

var began = time.Now().Add(-time.Second) // never 0
