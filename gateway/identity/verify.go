// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// A verifier holds passwords to their hashes. That is slow on purpose, so it
// remembers what was right, computes few at once, and no more for clients that
// keep being wrong. Its zero value is ready.
type verifier struct {
	once  sync.Once
	key   [32]byte      // of this process
	slots chan struct{} // one for each computation that may go on

	mu      sync.Mutex
	known   map[[32]byte]time.Time // credentials that were right, until when that is believed
	waiting int                    // for a slot

	failures throttle
}

const (
	maxKnown  = 8192             // credentials that are remembered
	believed  = 10 * time.Minute // how long
	maxQueue  = 64               // requests that wait for a computation
	queueTime = 5 * time.Second  // and how long
)

var (
	errWrong  = errors.New("no user has this name and this password")
	errBusy   = errors.New("too many passwords are being verified")
	errTooFew = errors.New("too many wrong passwords came from this client")
)

func (v *verifier) setUp() {
	_, _ = rand.Read(v.key[:]) // which ends the program rather than fail
	v.slots = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
	v.known = make(map[[32]byte]time.Time)
}

// verify reports, by a nil error, whether a password is the user's. wait says
// when it may be tried again, with errTooFew and errBusy.
//
// Whether the user exists does not show in how long it takes: for a name that
// nobody has, the hash of some user is computed, of the same one each time.
func (v *verifier) verify(p *Passwords, from netip.Addr, user, password string, now time.Time) (wait time.Duration, err error) {
	v.once.Do(v.setUp)
	h := p.users[user]
	key := v.sum(h, user, password)
	if h != nil && v.remembered(key, now) {
		return 0, nil
	}
	if wait := v.failures.blocked(from, now); wait > 0 {
		return wait, errTooFew
	}
	if !v.enter() {
		return time.Second, errBusy
	}
	defer func() { <-v.slots }()
	if wait := v.failures.blocked(from, now); wait > 0 { // by what was computed meanwhile
		return wait, errTooFew
	}
	if h != nil && v.remembered(key, now) { // by a request that came at the same time
		return 0, nil
	}
	compared := h
	if h == nil {
		if len(p.names) == 0 {
			return 0, errWrong
		}
		compared = p.users[p.names[binary.BigEndian.Uint64(v.nameSum(user))%uint64(len(p.names))]]
	}
	if right := compared.check(password); !right || h == nil {
		v.failures.failed(from, now)
		return 0, errWrong
	}
	v.remember(key, now)
	return 0, nil
}

// sum names credentials with the very hash they were right for, so that a
// changed password is not remembered under another. Nothing can be guessed from
// it without the key.
func (v *verifier) sum(h *hash, user, password string) (sum [32]byte) {
	m := hmac.New(sha256.New, v.key[:])
	if h != nil {
		m.Write(h.sum[:])
	}
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(user)))
	m.Write(length[:])
	m.Write([]byte(user))
	m.Write([]byte(password))
	m.Sum(sum[:0])
	return sum
}

func (v *verifier) nameSum(user string) []byte {
	m := hmac.New(sha256.New, v.key[:])
	m.Write([]byte(user))
	return m.Sum(nil)
}

func (v *verifier) remembered(key [32]byte, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	until, ok := v.known[key]
	return ok && now.Before(until)
}

func (v *verifier) remember(key [32]byte, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.known) >= maxKnown {
		for k, until := range v.known {
			if !now.Before(until) {
				delete(v.known, k)
			}
		}
	}
	for k := range v.known { // any: it costs somebody a computation
		if len(v.known) < maxKnown {
			break
		}
		delete(v.known, k)
	}
	v.known[key] = now.Add(believed)
}

// enter waits for a slot; false when there are too many who do.
func (v *verifier) enter() bool {
	select {
	case v.slots <- struct{}{}:
		return true
	default:
	}
	v.mu.Lock()
	if v.waiting >= maxQueue {
		v.mu.Unlock()
		return false
	}
	v.waiting++
	v.mu.Unlock()
	t := time.NewTimer(queueTime)
	defer t.Stop()
	ok := false
	select {
	case v.slots <- struct{}{}:
		ok = true
	case <-t.C:
	}
	v.mu.Lock()
	v.waiting--
	v.mu.Unlock()
	return ok
}
