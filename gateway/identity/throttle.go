// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"net/netip"
	"sync"
	"time"
)

// A throttle counts what went wrong for each client. The zero value is ready.
type throttle struct {
	mu   sync.Mutex
	full map[netip.Addr]time.Time // when the client has all its attempts back
}

// A client has so many attempts at once, and gets one back in each interval.
// Addresses of an IPv6 /64 are one client.
const (
	attempts   = 10
	attemptGap = 5 * time.Second
	maxClients = 1 << 16
)

func clientOf(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// blocked is how long the client has to wait for its next attempt.
func (t *throttle) blocked(a netip.Addr, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	full := t.full[t.counted(clientOf(a))]
	if !full.After(now) { // nor is the zero time, which is too far away to count
		return 0
	}
	return max(0, full.Sub(now)-(attempts-1)*attemptGap)
}

// failed takes an attempt from the client.
func (t *throttle) failed(a netip.Addr, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.full == nil {
		t.full = make(map[netip.Addr]time.Time)
	}
	if len(t.full) >= maxClients {
		for c, full := range t.full {
			if !now.Before(full) {
				delete(t.full, c)
			}
		}
	}
	c := t.counted(clientOf(a))
	full := t.full[c]
	if full.Before(now) {
		full = now
	}
	if most := now.Add(attempts * attemptGap); full.After(most) { // several at once
		full = most
	}
	t.full[c] = full.Add(attemptGap)
}

// counted is under whom a client is counted: when there are too many, those who
// come on top are counted together, without address.
func (t *throttle) counted(c netip.Addr) netip.Addr {
	if _, ok := t.full[c]; !ok && len(t.full) >= maxClients {
		return netip.Addr{}
	}
	return c
}
