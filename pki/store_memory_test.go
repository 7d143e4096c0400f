// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/smallstep/nosql/database"
)

// A memoryStore is a store for tests, without a disk. A change that fails is
// undone row by row.
type memoryStore struct {
	mu   sync.RWMutex
	rows map[string]map[string][]byte
}

func newMemory() *memoryStore { return &memoryStore{rows: map[string]map[string][]byte{}} }

func (s *memoryStore) View(f func(tx) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return f(&memoryTx{s: s})
}

func (s *memoryStore) Change(f func(tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &memoryTx{s: s, writes: true}
	err := f(t)
	if err != nil {
		for _, u := range slices.Backward(t.undo) {
			u()
		}
	}
	return err
}

func (s *memoryStore) Snapshot(io.Writer) (int64, error) { return 0, database.ErrOpNotSupported }

func (s *memoryStore) Close() error { return nil }

type memoryTx struct {
	s      *memoryStore
	writes bool
	undo   []func()
}

func (t *memoryTx) Get(bucket, key string) ([]byte, error) { return t.s.rows[bucket][key], nil }

func (t *memoryTx) Put(bucket, key string, value []byte) error {
	b := t.bucket(bucket, key)
	b[key] = append([]byte{}, value...)
	return nil
}

func (t *memoryTx) Delete(bucket, key string) error {
	delete(t.bucket(bucket, key), key)
	return nil
}

// bucket returns a bucket and remembers what is in a row that is to change.
func (t *memoryTx) bucket(bucket, key string) map[string][]byte {
	if !t.writes {
		panic("a change within View")
	}
	b := t.s.rows[bucket]
	if b == nil {
		b = map[string][]byte{}
		t.s.rows[bucket] = b
	}
	old, was := b[key]
	t.undo = append(t.undo, func() {
		if was {
			b[key] = old
		} else {
			delete(b, key)
		}
	})
	return b
}

func (t *memoryTx) Each(bucket, after string, f func(string, []byte) bool) error {
	b := t.s.rows[bucket]
	for _, k := range slices.Sorted(maps.Keys(b)) {
		if k > after && !f(k, b[k]) {
			break
		}
	}
	return nil
}
