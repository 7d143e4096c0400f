// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import "sync"

// A ring has the records of what was minted last.
type ring struct {
	mu   sync.Mutex
	last [1024]Record
	n    int // how many were ever added
}

func (r *ring) add(v Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[r.n%len(r.last)] = v
	r.n++
}

// Minted calls f for each of the last 1024 certificates that were minted by
// this process, the newest first, until it returns false.
func (ca *CA) Minted(f func(Record) bool) {
	r := &ca.minted
	r.mu.Lock()
	var all []Record
	for n := r.n - 1; n >= 0 && n >= r.n-len(r.last); n-- {
		all = append(all, r.last[n%len(r.last)])
	}
	r.mu.Unlock()
	for _, v := range all {
		if !f(v) {
			return
		}
	}
}
