// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

// A bucket is filled again at a steady pace, and what is taken from it costs
// time: the generic cell rate algorithm (ITU-T I.371), which needs one number,
// the moment at which it will be full, and no goroutine that fills. The zero
// bucket is full. All times are nanoseconds of a clock that begins above 0.
type bucket int64

// take takes what it costs some time to fill again. When that is not there,
// nothing is taken, and wait is how long it takes until it is. depth is the
// time in which an empty bucket fills. A bucket that was emptied under other
// limits, or by a clock that has been set back, is no emptier than empty.
func (b *bucket) take(now, cost, depth int64) (wait int64) {
	full := min(max(int64(*b), now), now+depth)
	if wait = full + cost - depth - now; wait > 0 {
		*b = bucket(full)
		return wait
	}
	*b = bucket(full + cost)
	return 0
}

// borrow takes what costs time whether it is there or not, and returns how long
// whoever took it has to wait until it is.
func (b *bucket) borrow(now, cost, depth int64) (wait int64) {
	full := max(int64(*b), now) + cost
	*b = bucket(full)
	return max(full-depth-now, 0)
}

// full reports whether b is as good as new.
func (b bucket) full(now int64) bool { return int64(b) <= now }
