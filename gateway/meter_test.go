// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/policy"
)

func clientAt(addr string) policy.Client { return policy.Client{Addr: netip.MustParseAddr(addr)} }

// count is how many meters there are.
func (s *meters) count() (n int) {
	for i := range s.shards {
		n += len(s.shards[i].of)
	}
	return n
}

func TestWhoIsCountedTogether(t *testing.T) {
	perRule := &policy.Limits{Name: "l"}
	perClient := &policy.Limits{Name: "l", Per: policy.PerClient}
	perUser := &policy.Limits{Name: "l", Per: policy.PerUser}
	eva := policy.Client{Addr: netip.MustParseAddr("10.0.0.1"), User: "eva"}
	evaElsewhere := policy.Client{Addr: netip.MustParseAddr("10.0.0.2"), User: "eva"}
	adam := policy.Client{Addr: netip.MustParseAddr("10.0.0.1"), User: "adam"}
	type asked struct {
		l    *policy.Limits
		rule string
		c    policy.Client
	}
	for _, tt := range []struct {
		a, b     asked
		together bool
	}{
		{asked{perRule, "r", clientAt("10.0.0.1")}, asked{perRule, "r", clientAt("10.0.0.2")}, true},
		{asked{perRule, "r", clientAt("10.0.0.1")}, asked{perRule, "s", clientAt("10.0.0.1")}, false},
		{asked{perClient, "r", clientAt("10.0.0.1")}, asked{perClient, "s", clientAt("10.0.0.1")}, true},
		{asked{perClient, "r", clientAt("10.0.0.1")}, asked{perClient, "r", clientAt("10.0.0.2")}, false},
		{asked{perClient, "r", eva}, asked{perClient, "r", adam}, true},
		{asked{perClient, "r", clientAt("10.0.0.1")}, asked{&policy.Limits{Name: "m", Per: policy.PerClient}, "r", clientAt("10.0.0.1")}, false},
		{asked{perClient, "r", clientAt("2001:db8:0:1::1")}, asked{perClient, "r", clientAt("2001:db8:0:1:ffff::2")}, true},
		{asked{perClient, "r", clientAt("2001:db8:0:1::1")}, asked{perClient, "r", clientAt("2001:db8:0:2::1")}, false},
		{asked{perUser, "r", eva}, asked{perUser, "r", evaElsewhere}, true},
		{asked{perUser, "r", eva}, asked{perUser, "r", adam}, false},
		{asked{perUser, "r", clientAt("10.0.0.1")}, asked{perUser, "r", clientAt("10.0.0.1")}, true},
		{asked{perUser, "r", clientAt("10.0.0.1")}, asked{perUser, "r", eva}, false},
		{asked{perUser, "r", clientAt("10.0.0.1")}, asked{perUser, "r", clientAt("10.0.0.2")}, false},
		{asked{perUser, "r", clientAt("10.0.0.1")}, asked{perClient, "r", clientAt("10.0.0.1")}, false},
		{asked{perClient, "r", policy.Client{}}, asked{perClient, "r", policy.Client{}}, true},
		// A user may call himself anything.
		{asked{perUser, "r", policy.Client{User: "10.0.0.1"}}, asked{perUser, "r", clientAt("10.0.0.1")}, false},
	} {
		if got := keyOf(tt.a.l, tt.a.rule, tt.a.c) == keyOf(tt.b.l, tt.b.rule, tt.b.c); got != tt.together {
			t.Errorf("%+v and %+v are counted together: %v", tt.a, tt.b, got)
		}
	}
}

func TestConcurrentUsesUpNoRate(t *testing.T) {
	var s meters
	l := &policy.Limits{Name: "l", Concurrent: 1, Rate: policy.Rate{Count: 2, Period: time.Hour}, Burst: 2}
	now := time.Now()
	first, _, _ := s.enter(l, "r", clientAt("10.0.0.1"), now)
	for range 10 {
		if h, reached, wait := s.enter(l, "r", clientAt("10.0.0.1"), now); h != nil || reached != limitConcurrent || wait != time.Second {
			t.Fatalf("%v, %s, %v", h, reached, wait)
		}
	}
	first.release()
	first.release() // more than once does no harm
	second, reached, _ := s.enter(l, "r", clientAt("10.0.0.1"), now)
	if second == nil {
		t.Fatalf("the second: %s", reached)
	}
	if h, _, _ := s.enter(l, "r", clientAt("10.0.0.1"), now); h != nil {
		t.Error("two releases of one place made room for two")
	}
	second.release()
	if h, reached, wait := s.enter(l, "r", clientAt("10.0.0.1"), now); h != nil || reached != limitRate || wait != 30*time.Minute {
		t.Errorf("%v, %s, %v", h, reached, wait)
	}
	var none *hold
	none.release()
}

// TestExtremeRates: nothing overflows, at either end of what a policy may say.
func TestExtremeRates(t *testing.T) {
	for _, tt := range []struct {
		rate   policy.Rate
		burst  int
		passes int // of a hundred at once
	}{
		{policy.Rate{Count: 1_000_000, Period: time.Second}, 1_000_000, 100},
		{policy.Rate{Count: 1_000_000, Period: time.Second}, 1, 1},
		{policy.Rate{Count: 1, Period: 24 * time.Hour}, 1, 1},
		{policy.Rate{Count: 1, Period: 24 * time.Hour}, 1_000_000, 100}, // 2,738 years to fill
		{policy.Rate{Count: 3, Period: 24 * time.Hour}, 50, 50},
	} {
		var s meters
		l := &policy.Limits{Name: "l", Rate: tt.rate, Burst: tt.burst}
		now, passed := time.Now(), 0
		for range 100 {
			h, _, wait := s.enter(l, "r", clientAt("10.0.0.1"), now)
			if h != nil {
				passed++
			} else if wait <= 0 || wait > tt.rate.Period {
				t.Errorf("%v, burst %d: wait %v", tt.rate, tt.burst, wait)
			}
		}
		if passed != tt.passes {
			t.Errorf("%v, burst %d: %d of 100 at once", tt.rate, tt.burst, passed)
		}
		if h, _, _ := s.enter(l, "r", clientAt("10.0.0.1"), now.Add(1000*time.Hour)); h == nil {
			t.Errorf("%v, burst %d: nothing after a thousand hours", tt.rate, tt.burst)
		}
	}
}

func nth(i int) policy.Client {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], uint32(i))
	return policy.Client{Addr: netip.AddrFrom4(a)}
}

// TestIdleClientsAreForgotten: as many clients as there are addresses, one after
// the other, need no more room than those of a moment.
func TestIdleClientsAreForgotten(t *testing.T) {
	var s meters
	l := &policy.Limits{Name: "l", Rate: policy.Rate{Count: 10, Period: time.Second}, Burst: 10, Concurrent: 2, Per: policy.PerClient}
	now := time.Now()
	for i := range 1_000_000 {
		h, reached, _ := s.enter(l, "r", nth(i), now)
		if h == nil {
			t.Fatalf("client %d: %s", i, reached)
		}
		h.release()
		now = now.Add(time.Millisecond) // each counts for a tenth of a second: a hundred at a time
	}
	if n := s.count(); n > 2_000 {
		t.Errorf("%d meters are kept", n)
	}
}

// TestFloodOfClients: those for whom there is no room are let through together
// as one is, the others by themselves; and when they have gone, so have the meters.
func TestFloodOfClients(t *testing.T) {
	var s meters
	l := &policy.Limits{Name: "l", Rate: policy.Rate{Count: 1, Period: time.Hour}, Burst: 1, Per: policy.PerClient}
	now := time.Now()
	open, _, _ := s.enter(l, "r", clientAt("192.0.2.1"), now)
	passed := 0
	for i := range 300_000 {
		if h, _, _ := s.enter(l, "r", nth(i), now); h != nil {
			passed++
			h.release()
		}
	}
	if n := s.count(); n > meterShards*(maxMeters+1) || passed > n {
		t.Errorf("%d meters, %d clients let through", n, passed)
	}
	if h, _, _ := s.enter(l, "r", clientAt("192.0.2.1"), now); h != nil {
		t.Error("a flood has made room for a client that had used up its rate")
	}
	now = now.Add(2 * time.Hour)
	for i := range 1000 { // every shard has a newcomer
		if h, reached, _ := s.enter(l, "r", clientAt(fmt.Sprintf("198.51.%d.%d", 100+i/256, i%256)), now); h == nil {
			t.Fatalf("after the flood: %s", reached)
		} else {
			h.release()
		}
	}
	if n := s.count(); n > 2*1000 {
		t.Errorf("%d meters are left of the flood", n)
	}
	if open.meter.open != 1 || s.shards[s.hash(keyOf(l, "r", clientAt("192.0.2.1")))%meterShards].of[keyOf(l, "r", clientAt("192.0.2.1"))] != open.meter {
		t.Error("who is open was forgotten")
	}
}

// TestManyAreCountedExactly counts exactly, whoever comes and goes at the same time.
func TestManyAreCountedExactly(t *testing.T) {
	var s meters
	l := &policy.Limits{Name: "l", Concurrent: 3, Bandwidth: policy.MaxBandwidth, Per: policy.PerClient}
	var all sync.WaitGroup
	var open [4]struct {
		sync.Mutex
		n, most int
	}
	for g := range 32 {
		all.Go(func() {
			for i := range 500 {
				who := (g + i) % len(open)
				o := &open[who]
				h, _, _ := s.enter(l, "r", nth(who), time.Now())
				if h == nil {
					continue
				}
				o.Lock()
				o.n++
				o.most = max(o.most, o.n)
				o.Unlock()
				h.pace(1000)
				o.Lock()
				o.n--
				o.Unlock()
				h.release()
			}
		})
	}
	all.Wait()
	for i := range open {
		if open[i].most > 3 {
			t.Errorf("client %d had %d open", i, open[i].most)
		}
	}
	for i := range s.shards {
		for k, m := range s.shards[i].of {
			if m.open != 0 {
				t.Errorf("%+v: %d are left open", k, m.open)
			}
		}
	}
}

// TestPace: bytes take the time they should, in pieces that come steadily.
func TestPace(t *testing.T) {
	for _, tt := range []struct {
		rate, bytes int64
		holders     int
	}{
		{policy.MinBandwidth, 20_000, 1},
		{1_000_000, 10_000_000, 1},
		{2_500_000, 25_000_000, 7},
		{125_000_000, 1_000_000_000, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			var s meters
			l := &policy.Limits{Name: "l", Bandwidth: tt.rate}
			start := time.Now()
			var all sync.WaitGroup
			for range tt.holders {
				h, _, _ := s.enter(l, "r", clientAt("10.0.0.1"), start)
				all.Go(func() {
					defer h.release()
					for left := tt.bytes / int64(tt.holders); left > 0; {
						n, wait := h.pace(int(min(left, 128<<10)))
						if n < 1 || n > h.piece() {
							t.Fatalf("%d bytes at once", n)
						}
						if longest := time.Duration(int64(h.piece())*second/tt.rate) + 2*time.Millisecond; tt.holders == 1 && wait > longest {
							t.Fatalf("a pause of %v, want at most %v", wait, longest)
						}
						time.Sleep(wait)
						left -= int64(n)
					}
				})
			}
			all.Wait()
			want := time.Duration(float64(tt.bytes) / float64(tt.rate) * float64(time.Second))
			took := time.Since(start)
			if took < want-time.Duration(bandwidthDepth)-50*time.Millisecond || took > want+50*time.Millisecond {
				t.Errorf("%d bytes at %d/s took %v, want %v", tt.bytes, tt.rate, took, want)
			}
		})
	}
}

// TestCountingAllocatesNothing but the place itself.
func TestCountingAllocatesNothing(t *testing.T) {
	var s meters
	l := &policy.Limits{Name: "some-limits", Rate: policy.Rate{Count: 1, Period: time.Hour}, Burst: 1, Per: policy.PerUser}
	c := policy.Client{Addr: netip.MustParseAddr("2001:db8::1"), User: "eva"}
	now := time.Now()
	s.enter(l, "r", c, now)
	if n := testing.AllocsPerRun(100, func() { s.enter(l, "r", c, now) }); n != 0 {
		t.Errorf("a refusal: %v", n)
	}
	l.Rate, l.Bandwidth = policy.Rate{}, policy.MaxBandwidth
	if n := testing.AllocsPerRun(100, func() {
		h, _, _ := s.enter(l, "r", c, now)
		h.pace(1000)
		h.release()
	}); n > 1 {
		t.Errorf("an entry: %v", n)
	}
}
