// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"slices"
	"time"
)

// ladder is an exchange as a sequence of messages, in the order they were on the
// wires, until the gateway was told to stop. Everything in it was read from the
// recorded bytes.
func (x *exchange) ladder(stopped time.Duration) []Step {
	type timed struct {
		Step
		at   time.Duration
		last bool // of what is at the same time
	}
	var all []timed
	var confirmed time.Duration // when a CONNECT was answered with 200
	numbered := false
	for _, f := range slices.Concat(x.client, x.origin) {
		from, to := Client, Gateway
		switch {
		case f.Direct:
			to = Origin
		case f.Leg == "origin":
			from, to = Gateway, Origin
		}
		opened := f.Opened
		if f.Leg == "origin" && confirmed != 0 {
			// The kernel answers before we are woken: an opening that we saw behind
			// the 200 was in front of it, because the gateway waits for it.
			opened = min(opened, confirmed)
		}
		open := timed{Step{From: from, To: to, Text: "TCP connection", Clear: true}, opened, false}
		if f.Leg == "origin" && numbered {
			open.Number = 2
			all = append(all, open, timed{Step{From: to, To: from, Text: "connected", Clear: true, Number: 3}, opened, false})
		} else {
			all = append(all, open)
		}
		for _, m := range messages(f) {
			if stopped != 0 && m.at > stopped {
				break // a connection that was kept, and ended with the gateway
			}
			s := Step{From: from, To: to, Text: m.text, Bytes: m.size, Clear: m.clear, Number: m.number}
			if m.down {
				s.From, s.To = to, from
			}
			numbered = numbered || m.number == 1
			if m.number == 4 {
				confirmed = m.at
			}
			all = append(all, timed{s, m.at, true})
		}
	}
	slices.SortStableFunc(all, func(a, b timed) int {
		switch {
		case a.at != b.at:
			return int(a.at - b.at)
		case a.last != b.last && b.last:
			return -1
		case a.last != b.last:
			return 1
		}
		return 0
	})
	out := make([]Step, 0, len(all))
	for _, t := range all {
		t.At = float64((t.at - x.began).Microseconds()) / 1000
		out = append(out, t.Step)
	}
	return out
}
