// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// kept is for how long a certificate stays on record after it has expired.
const kept = 90 * 24 * time.Hour

// A swept bucket has rows that are of no use after a time.
type swept struct {
	bucket  string
	expired func(value []byte, now time.Time) bool
	also    func(t tx, value []byte) error // deletes what points at the row; nil: nothing does
}

// sweeps are the buckets whose rows say themselves when they are of no use.
func sweeps() []swept {
	return []swept{
		{bucket: bucketIssued, expired: func(value []byte, now time.Time) bool {
			var r issuedRow
			return json.Unmarshal(value, &r) == nil && now.After(r.NotAfter.Add(kept))
		}},
		{bucket: bucketRevoked, expired: func(value []byte, now time.Time) bool {
			var r revocation
			return json.Unmarshal(value, &r) == nil && now.After(r.NotAfter.Add(kept))
		}},
		{bucket: "used_ott", expired: func(value []byte, now time.Time) bool {
			return now.After(tokenEnd(string(value)).Add(kept))
		}},
	}
}

// expiryBatch is how many rows are looked at in one change, so that others who
// write wait for a moment only.
const expiryBatch = 1000

// Sweep deletes rows that are of no use any more: certificates, revocations
// and used tokens 90 days after they have expired, what the ACME server holds
// of orders and accounts when nobody can use it, and issuers that have expired.
// It returns how many. See Run.
func (ca *CA) Sweep(ctx context.Context) (int, error) {
	n := 0
	for _, s := range append(sweeps(), acmeSweeps()...) {
		k, err := ca.sweep(ctx, s)
		n += k
		if err != nil {
			return n, fmt.Errorf("sweeping %s: %w", s.bucket, err)
		}
	}
	k, err := ca.sweepIssuers()
	if err != nil {
		return n, fmt.Errorf("sweeping issuers: %w", err)
	}
	return n + k, nil
}

// Run sweeps now and every hour, until ctx is done.
func (ca *CA) Run(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if n, err := ca.Sweep(ctx); err != nil && ctx.Err() == nil {
			ca.log("%v", err)
		} else if n > 0 {
			ca.log("%d rows of the certification authority that were of no use any more are deleted", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sweep looks through a bucket and deletes what has expired, if that is still
// what is there when it comes to it.
func (ca *CA) sweep(ctx context.Context, s swept) (total int, err error) {
	now := ca.now()
	for after, more := "", true; more; {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		var keys []string
		from := after
		err := ca.store.View(func(t tx) (err error) {
			keys, after, more, err = stale(t, s, from, now)
			return err
		})
		if err != nil {
			return total, err
		}
		if len(keys) == 0 {
			continue
		}
		var gone []string
		err = ca.store.Change(func(t tx) error {
			gone = nil
			for _, k := range keys {
				v, err := t.Get(s.bucket, k)
				if err != nil {
					return err
				}
				if v == nil || !s.expired(v, now) {
					continue
				}
				if s.also != nil {
					if err := s.also(t, v); err != nil {
						return err
					}
				}
				if err := t.Delete(s.bucket, k); err != nil {
					return err
				}
				gone = append(gone, k)
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		for _, k := range gone {
			if s.bucket == bucketRevoked {
				ca.revoked.forget(k)
			}
		}
		total += len(gone)
	}
	return total, nil
}

// stale finds the expired among the next rows, and where to go on.
func stale(t tx, s swept, after string, now time.Time) (keys []string, last string, more bool, err error) {
	seen := 0
	last = after
	err = t.Each(s.bucket, after, func(key string, value []byte) bool {
		seen++
		last = key
		if s.expired(value, now) {
			keys = append(keys, key)
		}
		return seen < expiryBatch
	})
	return keys, last, seen == expiryBatch, err
}

// sweepIssuers forgets the generations that have expired, with their keys.
func (ca *CA) sweepIssuers() (n int, err error) {
	now := ca.now()
	old := func(i *issuer) bool { return !i.current && now.After(i.cert().NotAfter) }
	for _, i := range ca.state.Load().issuers {
		if old(i) {
			n++
		}
	}
	if n == 0 {
		return 0, nil
	}
	n = 0
	err = ca.alter(func(t tx, s *state) (err error) {
		for _, i := range s.issuers {
			if old(i) {
				n++
				err = errors.Join(err,
					t.Delete(bucketIssuers, numbered(i.role.String(), i.generation)),
					t.Delete(bucketKeys, numbered(i.name(), i.generation)),
					t.Delete(bucketCRL, i.skid))
			}
		}
		return err
	})
	return n, err
}

// tokenEnd reads when a one-time token expires. It was verified when it was
// used; one that cannot be read is kept until somebody looks.
func tokenEnd(token string) time.Time {
	never := time.Unix(1<<40, 0)
	part := strings.Split(token, ".")
	if len(part) != 3 {
		return never
	}
	b, err := base64.RawURLEncoding.DecodeString(part[1])
	var claims struct{ Exp float64 }
	if err != nil || json.Unmarshal(b, &claims) != nil || claims.Exp <= 0 || claims.Exp > 1<<40 {
		return never
	}
	return time.Unix(int64(claims.Exp), 0)
}
