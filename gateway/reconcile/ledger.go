// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Ledger remembers of the cookies that clients keep under their own names, and that
// were set with Secure, that they are such: for a client whose second cookie, which
// says so, got lost. It has neither names nor values, but hashes that nobody can make
// without its seed, and the same cookie of another client is another. The zero Ledger
// is empty and ready, and so is a nil one, which stays empty; any number of goroutines
// may use it at once.
type Ledger struct {
	some  atomic.Bool // there was something in it
	mu    sync.Mutex
	seed  maphash.Seed
	until map[uint64]int64 // Unix seconds
}

const (
	// remembered is for how long after it was last set or sent a cookie is
	// remembered. Clients forget theirs without a word, and may then have one of that
	// name from the same host in the clear.
	remembered = 7 * 24 * time.Hour

	mostRemembered = 100_000
)

type remembering struct {
	client string
	place
	cookie string
}

// empty reports whether nothing was ever in it: then nobody has to be named.
func (l *Ledger) empty() bool { return l == nil || !l.some.Load() }

// note remembers the cookie until remembered from now, or until end if that comes first.
func (l *Ledger) note(client Client, p place, name string, end, now time.Time) {
	if l == nil {
		return
	}
	if last := now.Add(remembered); end.After(last) {
		end = last
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until == nil {
		l.seed, l.until = maphash.MakeSeed(), make(map[uint64]int64)
		l.some.Store(true)
	}
	if len(l.until) >= mostRemembered {
		l.clear(now)
	}
	l.until[maphash.Comparable(l.seed, remembering{client.ClientName(), p, name})] = end.Unix()
}

// clear makes room: of what is over, and then of any tenth, so that whoever fills
// it loses the most. l.mu is held.
func (l *Ledger) clear(now time.Time) {
	for h, end := range l.until {
		if end <= now.Unix() {
			delete(l.until, h)
		}
	}
	for h := range l.until {
		if len(l.until) <= mostRemembered-mostRemembered/10 {
			break
		}
		delete(l.until, h)
	}
}

// forget: the cookie is over, or is not Secure any more.
func (l *Ledger) forget(client Client, p place, name string) {
	if l.empty() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.until, maphash.Comparable(l.seed, remembering{client.ClientName(), p, name}))
}

// has reports whether the client's cookie of that name, sent to host, is one that was
// set with Secure. With again it is remembered anew from now.
func (l *Ledger) has(client Client, host, name string, now time.Time, again bool) (has bool) {
	if l.empty() {
		return false
	}
	who := client.ClientName()
	l.mu.Lock()
	defer l.mu.Unlock()
	for labels := range 2 + strings.Count(host, ".") {
		p, ok := placeIn(host, labels)
		if !ok {
			break
		}
		h := maphash.Comparable(l.seed, remembering{who, p, name})
		if l.until[h] <= now.Unix() {
			continue
		}
		has = true
		if again {
			l.until[h] = now.Add(remembered).Unix()
		}
	}
	return has
}
