// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"sync"
)

// turns lets one at a time in for each key. The zero value is ready.
type turns struct {
	mu sync.Mutex
	at map[string]*turn
}

type turn struct {
	in  chan struct{} // full: somebody is in
	use int           // who is in or waits
}

// enter waits for its turn, or for the end of ctx. The caller calls leave.
func (t *turns) enter(ctx context.Context, key string) (leave func(), err error) {
	t.mu.Lock()
	if t.at == nil {
		t.at = map[string]*turn{}
	}
	w := t.at[key]
	if w == nil {
		w = &turn{in: make(chan struct{}, 1)}
		t.at[key] = w
	}
	w.use++
	t.mu.Unlock()
	select {
	case w.in <- struct{}{}:
		return func() { <-w.in; t.drop(key, w) }, nil
	case <-ctx.Done():
		t.drop(key, w)
		return nil, ctx.Err()
	}
}

func (t *turns) drop(key string, w *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.use--; w.use == 0 {
		delete(t.at, key)
	}
}
