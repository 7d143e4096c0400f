// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h3

import (
	"strconv"
	"sync"
	"time"
)

// An Origin is one as it is met under one trust: what it says to those who verify it
// in one way is not told to those who do in another.
type Origin struct {
	Trust, Host string
	Port        uint16
}

// Known remembers which origins have HTTP/3, and with which of them it came to
// nothing lately. The zero value is ready; it may be used by many goroutines at once.
// It forgets with the process, and has room for maxKnown origins.
type Known struct {
	mu      sync.Mutex
	origins map[Origin]entry
}

type entry struct {
	until  time.Time // as the origin said; zero: it did not
	broken time.Time // not to be tried before
	pause  time.Duration
}

const (
	maxKnown = 10_000
	maxAge   = 7 * 24 * time.Hour // however long an origin says

	// An alternative that does not work is left alone for a while (RFC 7838 §2.4), and
	// for longer each time.
	firstPause = 5 * time.Minute
	maxPause   = 2 * time.Hour
)

// Hear notes what o said by Alt-Svc at the time now, in an answer that had been kept by
// somebody for as long as its Age says. It stands for all that o has said before.
func (k *Known) Hear(o Origin, altSvc, age string, now time.Time) {
	life := min(offered(altSvc, o.Port), maxAge)
	if n, err := strconv.ParseUint(age, 10, 31); age != "" && err == nil {
		life -= time.Duration(n) * time.Second
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.origins[o]
	switch {
	case life > 0:
		e.until = now.Add(life)
	case !ok:
		return
	default:
		e.until = time.Time{}
	}
	k.set(o, e, now)
}

// Has reports whether o is to be asked by HTTP/3. told says that it is known of o in
// some other way, as by the DNS.
func (k *Known) Has(o Origin, told bool, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.origins[o]
	if !ok {
		return told
	}
	return (told || now.Before(e.until)) && !now.Before(e.broken)
}

// Broke notes that o could not be met by HTTP/3.
func (k *Known) Broke(o Origin, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.origins[o]
	if now.Before(e.broken) { // others have found that out at the same time
		return
	}
	e.pause = min(max(2*e.pause, firstPause), maxPause)
	e.broken = now.Add(e.pause)
	k.set(o, e, now)
}

// Works notes that o was met by HTTP/3.
func (k *Known) Works(o Origin) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, ok := k.origins[o]; ok && e.pause > 0 {
		e.pause, e.broken = 0, time.Time{}
		k.origins[o] = e
	}
}

// set enters e and makes room for it. k.mu is held.
func (k *Known) set(o Origin, e entry, now time.Time) {
	if k.origins == nil {
		k.origins = make(map[Origin]entry)
	}
	if _, ok := k.origins[o]; !ok && len(k.origins) >= maxKnown {
		for other, e := range k.origins {
			if now.After(e.until) && now.After(e.broken) {
				delete(k.origins, other)
			}
		}
		for other := range k.origins { // any will do: it says so again
			if len(k.origins) <= maxKnown-maxKnown/10 {
				break
			}
			delete(k.origins, other)
		}
	}
	k.origins[o] = e
}
