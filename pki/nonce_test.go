// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestNonceIsTakenOnce(t *testing.T) {
	n := newNonces(time.Now)
	nonce := n.make()
	if err := n.spend(nonce); err != nil {
		t.Fatalf("the first use: %v", err)
	}
	if err := n.spend(nonce); !errors.Is(err, errNonceSpent) {
		t.Fatalf("the second use: %v", err)
	}
	for name, nonce := range map[string]string{
		"empty":               "",
		"short":               nonce[:42],
		"long":                nonce + "A",
		"padded":              nonce + "=",
		"of another alphabet": strings.Repeat("+", 43),
		"changed":             "A" + n.make()[1:42] + "A",
		"of another server":   newNonces(time.Now).make(),
	} {
		if err := n.spend(nonce); !errors.Is(err, errNonceForm) {
			t.Errorf("one that is %s: %v", name, err)
		}
	}
}

// The last character of 43 has two bits that are not used: without care a spent
// nonce would be another one in three other spellings.
func TestNonceSpelledOtherwise(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	n := newNonces(time.Now)
	nonce := n.make()
	if err := n.spend(nonce); err != nil {
		t.Fatal(err)
	}
	for i := range alphabet {
		if err := n.spend(nonce[:42] + alphabet[i:i+1]); err == nil {
			t.Errorf("a spent nonce is good again when it ends in %q", alphabet[i])
		}
	}
	if err := n.spend(nonce[:20] + "\n" + nonce[20:42]); err == nil {
		t.Error("a line break is skipped")
	}
}

func TestNonceReplayRace(t *testing.T) {
	n := newNonces(time.Now)
	for range 200 {
		nonce := n.make()
		var taken atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if n.spend(nonce) == nil {
					taken.Add(1)
				}
			})
		}
		wg.Wait()
		if taken.Load() != 1 {
			t.Fatalf("a nonce was taken %d times", taken.Load())
		}
	}
}

func TestNonceAges(t *testing.T) {
	now := time.Now()
	n := newNonces(func() time.Time { return now })
	first := n.make()
	now = now.Add(nonceLife - time.Second)
	second := n.make()
	now = now.Add(nonceLife - time.Second)
	if err := n.spend(second); err != nil {
		t.Errorf("a nonce of %v: %v", nonceLife-time.Second, err)
	}
	now = now.Add(nonceLife)
	if err := n.spend(first); !errors.Is(err, errNonceForm) {
		t.Errorf("a nonce of %v: %v", 3*nonceLife-2*time.Second, err)
	}
	if err := n.spend(second); !errors.Is(err, errNonceForm) {
		t.Errorf("a spent nonce whose key was dropped: %v", err)
	}
	// A server that slept knows nothing that was good before.
	third := n.make()
	now = now.Add(24 * time.Hour)
	if err := n.spend(third); !errors.Is(err, errNonceForm) {
		t.Errorf("a nonce of a day: %v", err)
	}
	// A clock set back makes nothing live longer.
	fourth := n.make()
	now = now.Add(-time.Hour)
	if err := n.spend(fourth); !errors.Is(err, errNonceForm) {
		t.Errorf("a nonce of the future: %v", err)
	}
}

// What is remembered is bounded, and a replay is refused whatever was forgotten.
func TestNonceFlood(t *testing.T) {
	n := newNonces(time.Now)
	n.limit = 100
	var all []string
	for range 1000 {
		nonce := n.make()
		all = append(all, nonce)
		if err := n.spend(nonce); err != nil {
			t.Fatal(err)
		}
		if held := len(n.keys[0].spent) + len(n.keys[1].spent); held > 2*n.limit {
			t.Fatalf("%d spent nonces are held", held)
		}
	}
	for _, nonce := range all {
		if n.spend(nonce) == nil {
			t.Fatal("a spent nonce was good again")
		}
	}
}

func FuzzNonce(f *testing.F) {
	n := newNonces(time.Now)
	f.Add("")
	f.Add(newNonces(time.Now).make())
	f.Add(strings.Repeat("A", 43))
	f.Fuzz(func(t *testing.T, s string) {
		if n.spend(s) == nil {
			t.Fatalf("%q was taken, and nobody made it", s)
		}
	})
}

func BenchmarkNonce(b *testing.B) {
	n := newNonces(time.Now)
	for b.Loop() {
		if err := n.spend(n.make()); err != nil {
			b.Fatal(err)
		}
	}
}
