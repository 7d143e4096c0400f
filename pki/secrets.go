// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"fmt"
)

// Secrets are small secrets of others, sealed like the authority's own keys:
// what autocert has in its cache.
type Secrets struct{ ca *CA }

// Secrets returns the secrets that are kept with the authority.
func (ca *CA) Secrets() Secrets { return Secrets{ca} }

// Get returns a secret, or ErrNoSecret; ErrSealed if somebody has tampered
// with it.
func (s Secrets) Get(ctx context.Context, name string) (clear []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.ca.store.View(func(t tx) error {
		b, err := t.Get(bucketSecrets, name)
		if err != nil {
			return err
		}
		if b == nil {
			return ErrNoSecret
		}
		clear, err = s.ca.kek.open(bucketSecrets, name, 0, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading secret %q: %w", name, err)
	}
	return clear, nil
}

// Put keeps a secret in place of what had its name. It is on the disk when Put
// returns.
func (s Secrets) Put(ctx context.Context, name string, clear []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if name == "" || len(name) > 1024 || len(clear) > 1<<20 {
		return fmt.Errorf("keeping secret %q: want a name of 1 to 1024 bytes, and a mebibyte at most", name)
	}
	sealed := s.ca.kek.seal(bucketSecrets, name, 0, clear)
	if err := s.ca.store.Change(func(t tx) error { return t.Put(bucketSecrets, name, sealed) }); err != nil {
		return fmt.Errorf("keeping secret %q: %w", name, err)
	}
	return nil
}

// Delete forgets a secret, if there is one.
func (s Secrets) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.ca.store.Change(func(t tx) error { return t.Delete(bucketSecrets, name) }); err != nil {
		return fmt.Errorf("forgetting secret %q: %w", name, err)
	}
	return nil
}
