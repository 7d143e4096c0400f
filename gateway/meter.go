// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/policy"
)

// meters count what limits limit. They belong to the server and not to a
// generation: a reload begins nothing anew. The zero value is ready.
type meters struct {
	once   sync.Once
	began  time.Time
	seed   maphash.Seed
	shards [meterShards]meterShard
}

const (
	meterShards = 64

	// maxMeters bounds the meters of a shard, 65,536 together. Clients that come
	// on top of that are counted together: neither can a flood of addresses fill
	// the memory, nor does it open what the limits close.
	maxMeters = 1024

	// sweepRest is how long a shard that is full is not looked through again.
	sweepRest = int64(100 * time.Millisecond)
)

type meterShard struct {
	mu    sync.Mutex
	of    map[meterKey]*meter
	most  int   // how many there may be before those that count nothing are looked for
	swept int64 // when they last were
}

// A meterKey is what is counted together.
type meterKey struct {
	per    policy.Per
	name   string     // of the rule, or else of the limits
	client netip.Addr // of an IPv6 /64 the first; zero: per rule, or a user is proven
	user   string
	rest   bool // all for whom there was no room
}

// A meter is one count. Its fields are guarded by its shard's mu. When it is
// open for nobody and its buckets are full, it is as good as a new one.
type meter struct {
	shard    *meterShard
	open     int // what is in progress, whether it is limited or not
	requests bucket
	bytes    bucket
}

func (m *meter) idle(now int64) bool { return m.open == 0 && m.requests.full(now) && m.bytes.full(now) }

// keyOf is what l counts a client's request by a rule under.
func keyOf(l *policy.Limits, rule string, c policy.Client) meterKey {
	k := meterKey{per: l.Per, name: l.Name}
	switch {
	case l.Per == policy.PerRule:
		k.name = rule
	case l.Per == policy.PerUser && c.User != "":
		k.user = c.User
	default:
		k.client = c.Addr
		if c.Addr.Is6() { // one machine has a /64 of its own to choose addresses from (RFC 7721 §1)
			if p, err := c.Addr.Prefix(64); err == nil {
				k.client = p.Addr()
			}
		}
	}
	return k
}

// clock is at, as buckets have it. It goes by the monotonic clock.
func (s *meters) clock(at time.Time) int64 {
	s.once.Do(func() {
		s.began = at.Add(-time.Hour) // who else was here at the same moment may have looked at the clock before
		s.seed = maphash.MakeSeed()
	})
	return int64(at.Sub(s.began))
}

// enter counts one more in progress. When the limits do not let it in, h is nil,
// reached says which, and wait after how long it may try again; nothing was counted then.
func (s *meters) enter(l *policy.Limits, rule string, c policy.Client, at time.Time) (h *hold, reached string, wait time.Duration) {
	now := s.clock(at)
	k := keyOf(l, rule, c)
	shard := &s.shards[s.hash(k)%meterShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	m := shard.meter(k, now)
	if l.Concurrent > 0 && m.open >= l.Concurrent {
		return nil, limitConcurrent, time.Second // nobody knows when one ends
	}
	if l.Rate.Count > 0 {
		each := max(int64(l.Rate.Period)/int64(l.Rate.Count), 1)
		depth := each * min(int64(l.Burst), maxDepth/each)
		if wait := m.requests.take(now, each, depth); wait > 0 {
			return nil, limitRate, time.Duration(wait)
		}
	}
	m.open++
	return &hold{meters: s, meter: m, limits: l}, "", 0
}

// maxDepth keeps times that are added to the clock from overflowing.
const maxDepth = 1 << 61 // 73 years

func (s *meters) hash(k meterKey) uint64 {
	addr := k.client.As16()
	return maphash.String(s.seed, k.name) ^ maphash.String(s.seed, k.user)<<1 ^ maphash.Bytes(s.seed, addr[:])<<2
}

// meter finds the meter for k or makes it. s.mu is held.
func (s *meterShard) meter(k meterKey, now int64) *meter {
	if m := s.of[k]; m != nil {
		return m
	}
	if s.of == nil {
		s.of, s.most = make(map[meterKey]*meter), 16
	}
	if len(s.of) >= s.most && (s.most < maxMeters || now-s.swept >= sweepRest) {
		s.sweep(now)
	}
	if len(s.of) >= maxMeters {
		k = meterKey{per: k.per, name: k.name, rest: true}
		if m := s.of[k]; m != nil {
			return m
		}
	}
	m := &meter{shard: s}
	s.of[k] = m
	return m
}

// sweep forgets the meters that are as good as new. What is left may double
// until it is done again, so that it costs each newcomer little.
func (s *meterShard) sweep(now int64) {
	for k, m := range s.of {
		if m.idle(now) {
			delete(s.of, k)
		}
	}
	s.most = min(max(2*len(s.of), 16), maxMeters)
	s.swept = now
}

// A hold is the place that a request, or a tunnel, has in a meter.
type hold struct {
	meters *meters
	meter  *meter
	limits *policy.Limits
	left   atomic.Bool
	paced  atomic.Int64 // how long bytes have waited, in ns
}

// release gives the place to the next. Once is enough, and more does no harm. A
// nil hold has none.
func (h *hold) release() {
	if h == nil || h.left.Swap(true) {
		return
	}
	h.meter.shard.mu.Lock()
	defer h.meter.shard.mu.Unlock()
	h.meter.open--
}

// tunnelPace is pace, where there is a bandwidth; nil otherwise.
func (h *hold) tunnelPace() func(int) (int, time.Duration) {
	if h == nil || h.limits.Bandwidth == 0 {
		return nil
	}
	return h.pace
}

// bandwidthDepth is how much may pass at once after a pause, as time.
const bandwidthDepth = int64(time.Second / 8)

// piece is how many bytes pass at most before others have their turn: so few
// that they come at a steady pace.
func (h *hold) piece() int { return int(min(max(h.limits.Bandwidth/16, 1<<10), 64<<10)) }

// pace says how many of n bytes may pass next, at least one, and after how long.
// They are taken for passed.
func (h *hold) pace(n int) (int, time.Duration) {
	rate := h.limits.Bandwidth
	if rate <= 0 {
		return n, 0
	}
	n = min(n, h.piece())
	cost := (int64(n)*int64(time.Second) + rate - 1) / rate
	now := h.meters.clock(time.Now())
	h.meter.shard.mu.Lock()
	wait := time.Duration(h.meter.bytes.borrow(now, cost, bandwidthDepth))
	h.meter.shard.mu.Unlock()
	if wait < time.Millisecond { // it is not forgotten: the next has to wait for it as well
		return n, 0
	}
	return n, wait
}
