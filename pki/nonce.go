// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"sync"
	"time"
)

const (
	// nonceLife is how long a key makes nonces. A nonce is good for that long at
	// least, and for twice that long at most.
	nonceLife = 10 * time.Minute
	// nonceSpent bounds the memory of one key: two keys with as many uses are
	// 5 MiB.
	nonceSpent = 1 << 16
)

var (
	errNonceForm  = errors.New("it is not one of this server's, or too old")
	errNonceSpent = errors.New("it has been used before")
)

// nonces makes and takes the anti-replay nonces of RFC 8555 §6.5. Making one
// writes nothing: it is random bytes and their MAC. smallstep's own write a row
// for each answer, for whoever asks, and delete none that is not used (defect 5
// of the CA library).
//
// What was spent is remembered beside the key that made it, in memory, and both
// are dropped together. The key is therefore of this process and nowhere else: a
// key that outlived the process would let its spent nonces be used again. Clients
// that meet another key than they had a nonce of are told badNonce and repeat
// their request (RFC 8555 §6.5).
//
// Its methods may be called by many goroutines at once.
type nonces struct {
	now   func() time.Time
	limit int // uses that one key remembers

	mu   sync.Mutex
	keys [2]nonceKey // that in use, and the one before it
}

type nonceKey struct {
	mac   []byte // empty: there is none
	since time.Time
	spent map[[16]byte]struct{}
}

func newNonces(now func() time.Time) *nonces {
	return &nonces{now: now, limit: nonceSpent}
}

// make returns a new nonce of 43 characters.
func (n *nonces) make() string {
	var b [32]byte
	rand.Read(b[:16]) // does not fail (Go 1.24)
	n.mu.Lock()
	k := n.current()
	n.mu.Unlock()
	copy(b[16:], nonceMAC(k.mac, b[:16]))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// spend takes a nonce that make returned, once.
func (n *nonces) spend(nonce string) error {
	var b [33]byte
	if len(nonce) != 43 {
		return errNonceForm
	}
	// Strict: a nonce is spent as bytes, and must not come again spelled otherwise.
	if l, err := base64.RawURLEncoding.Strict().Decode(b[:], []byte(nonce)); err != nil || l != 32 {
		return errNonceForm
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.current()
	for i := range n.keys {
		k := &n.keys[i]
		if len(k.mac) == 0 || !hmac.Equal(nonceMAC(k.mac, b[:16]), b[16:32]) {
			continue
		}
		id := [16]byte(b[:16])
		if _, ok := k.spent[id]; ok {
			return errNonceSpent
		}
		k.spent[id] = struct{}{}
		return nil
	}
	return errNonceForm
}

// current returns the key in use, which it replaces when it is old or has seen
// as much as it may remember: a flood shortens the life of nonces and costs no
// memory. n.mu is held.
func (n *nonces) current() nonceKey {
	now := n.now()
	k := &n.keys[0]
	age := now.Sub(k.since)
	if len(k.mac) != 0 && age >= 0 && age < nonceLife && len(k.spent) < n.limit {
		return *k
	}
	if age >= 2*nonceLife || age < 0 {
		n.keys[0] = nonceKey{} // nothing that old is good any more
	}
	n.keys[1] = n.keys[0]
	mac := make([]byte, 32)
	rand.Read(mac)
	n.keys[0] = nonceKey{mac: mac, since: now, spent: map[[16]byte]struct{}{}}
	return n.keys[0]
}

func nonceMAC(key, b []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(b)
	return h.Sum(nil)[:16]
}
