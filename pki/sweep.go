// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"encoding/json"
	"time"

	"github.com/smallstep/certificates/acme"
)

// sweepBatch bounds a transaction, so that nobody waits long for one.
const sweepBatch = 500

// sweep deletes the rows that nobody can use any more and returns how many that
// were. smallstep deletes nothing, ever (defect 5).
func (d *acmeDB) sweep() (int, error) {
	now := d.now()
	total := 0
	for _, b := range []struct {
		name string
		dead func(value []byte) bool
	}{
		{bucketACMEAuthz, func(v []byte) bool { return ended(v, now.Add(-acmeOrderLife)) }},
		{bucketACMEOrders, func(v []byte) bool { return ended(v, now.Add(-acmeOrderLife)) }},
		{bucketACMECerts, func(v []byte) bool { return ended(v, now) }},
	} {
		n, err := d.sweepBucket(b.name, b.dead, func(t tx, key string) error { return t.Delete(b.name, key) })
		total += n
		if err != nil {
			return total, err
		}
	}
	n, err := d.sweepBucket(bucketACMEAccounts, func(v []byte) bool { return idle(v, now) }, deleteAccount)
	return total + n, err
}

// ended reports whether a row says that it ended before t.
func ended(value []byte, t time.Time) bool {
	var row struct {
		Expires time.Time `json:"expires"`
		End     time.Time `json:"end"`
	}
	if json.Unmarshal(value, &row) != nil {
		return false
	}
	end := row.Expires
	if end.IsZero() {
		end = row.End
	}
	return !end.IsZero() && end.Before(t)
}

// idle reports whether nobody misses an account: it has never ordered, or not in
// longer than a certificate lives. One that was deactivated or is bound stays:
// its key must not make an account again, and its binding is the operator's.
func idle(value []byte, now time.Time) bool {
	var row accountRow
	if json.Unmarshal(value, &row) != nil || row.EAB != "" || row.Status != acme.StatusValid {
		return false
	}
	if row.Used.IsZero() {
		return row.Created.Before(now.Add(-acmeUnused))
	}
	return row.Used.Before(now.Add(-acmeIdle))
}

func deleteAccount(t tx, id string) error {
	row, ok, err := get[accountRow](t, bucketACMEAccounts, id)
	if err != nil || !ok {
		return err
	}
	thumb, err := acme.KeyToID(row.Key)
	if err != nil {
		return err
	}
	if err := t.Delete(bucketACMEKeys, thumb); err != nil {
		return err
	}
	return t.Delete(bucketACMEAccounts, id)
}

// sweepBucket looks at all rows of a bucket, and again at those it deletes, in
// the transaction that deletes them: an account may have ordered meanwhile.
func (d *acmeDB) sweepBucket(bucket string, dead func([]byte) bool, remove func(tx, string) error) (int, error) {
	total, after := 0, ""
	for {
		var keys []string
		seen := 0
		err := d.store.View(func(t tx) error {
			return t.Each(bucket, after, func(key string, value []byte) bool {
				after = key
				if dead(value) {
					keys = append(keys, key)
				}
				seen++
				return seen < 20*sweepBatch && len(keys) < sweepBatch
			})
		})
		if err != nil || seen == 0 {
			return total, err
		}
		if len(keys) == 0 {
			continue
		}
		n := 0
		err = d.store.Change(func(t tx) error {
			n = 0
			for _, key := range keys {
				value, err := t.Get(bucket, key)
				if err != nil {
					return err
				}
				if value == nil || !dead(value) {
					continue
				}
				if err := remove(t, key); err != nil {
					return err
				}
				n++
			}
			return nil
		})
		total += n
		if err != nil {
			return total, err
		}
	}
}
