// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"net/netip"
	"sync"
	"time"
)

// What is kept of the wires is bounded: of each direction of a flow, and of all
// together. Counts go on behind it.
const (
	keptOfFlow = 256 << 10
	keptOfAll  = 64 << 20
)

// A Recording is what was on the wires of one run, and the keys to read it by. It
// may be written and asked by several at once.
type Recording struct {
	Began time.Time // all times count from here, by the monotonic clock

	mu    sync.Mutex
	flows []*Flow
	kept  int
	keys  bytes.Buffer
}

// A Flow is one TCP connection, as it was recorded between its two ends.
type Flow struct {
	Leg    string         // "client": opened by the client; "origin": by the gateway
	Direct bool           // the client's own connection to the origin
	From   netip.AddrPort // who opened it
	To     netip.AddrPort // where it was accepted
	Opened time.Duration

	// Known once the run has ended. A flow of no exchange is in the column that was
	// tried when it was opened.
	Column   string
	Exchange string // ID; "": of none

	rec    *Recording
	chunks []Chunk
	total  [2]int // bytes, up and down
	stored [2]int
}

// A Chunk is what one read of a flow gave.
type Chunk struct {
	At   time.Duration
	Down bool   // from who accepted to who opened
	Data []byte // nil: that direction ended
	Lost int    // bytes behind Data that were not kept
}

func newRecording() *Recording { return &Recording{Began: time.Now()} }

// now is the time on the recording's clock.
func (r *Recording) now() time.Duration { return time.Since(r.Began) }

// open begins a flow.
func (r *Recording) open(leg string, direct bool, from, to netip.AddrPort) *Flow {
	f := &Flow{Leg: leg, Direct: direct, From: from, To: to, Opened: r.now(), rec: r}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flows = append(r.flows, f)
	return f
}

// Flows are those that were opened so far, in their order.
func (r *Recording) Flows() []*Flow {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*Flow(nil), r.flows...)
}

// Write adds lines to the key log, in the format of NSS (SSLKEYLOGFILE); it never fails.
func (r *Recording) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys.Write(line)
}

// Keys is the key log of both ends that are ours, the client's and the origins':
// the TLS sessions of every leg can be read by it.
func (r *Recording) Keys() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.keys.Bytes())
}

// add notes what was read; nil is the end of the direction. It keeps a copy.
func (f *Flow) add(down bool, data []byte) {
	d := direction(down)
	r := f.rec
	r.mu.Lock()
	defer r.mu.Unlock()
	c := Chunk{At: r.now(), Down: down}
	f.total[d] += len(data)
	n := min(len(data), keptOfFlow-f.stored[d], keptOfAll-r.kept)
	if n < len(data) {
		c.Lost = len(data) - n
	}
	if data != nil {
		c.Data = append(make([]byte, 0, n), data[:n]...)
	}
	f.stored[d] += n
	r.kept += n
	f.chunks = append(f.chunks, c)
}

func direction(down bool) int {
	if down {
		return 1
	}
	return 0
}

// Chunks are those so far, in the order they came.
func (f *Flow) Chunks() []Chunk {
	f.rec.mu.Lock()
	defer f.rec.mu.Unlock()
	return append([]Chunk(nil), f.chunks...)
}

// Total is how many bytes went in a direction, kept or not.
func (f *Flow) Total(down bool) int {
	f.rec.mu.Lock()
	defer f.rec.mu.Unlock()
	return f.total[direction(down)]
}

// bytes are those kept of a direction.
func (f *Flow) bytes(down bool) []byte {
	var out []byte
	for _, c := range f.Chunks() {
		if c.Down == down {
			out = append(out, c.Data...)
		}
	}
	return out
}
