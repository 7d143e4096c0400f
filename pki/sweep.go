// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"encoding/json"
	"time"

	"github.com/smallstep/certificates/acme"
)

// acmeSweeps are the buckets of the ACME server. smallstep deletes nothing, ever
// (defect 5).
func acmeSweeps() []swept {
	return []swept{
		{bucket: bucketACMEAuthz, expired: func(v []byte, now time.Time) bool {
			var row authzRow
			return json.Unmarshal(v, &row) == nil && now.After(row.Expires.Add(acmeOrderLife))
		}},
		{bucket: bucketACMEOrders, expired: func(v []byte, now time.Time) bool {
			var row orderRow
			return json.Unmarshal(v, &row) == nil && now.After(row.Expires.Add(acmeOrderLife))
		}},
		{bucket: bucketACMECerts, expired: func(v []byte, now time.Time) bool {
			var row certRow
			return json.Unmarshal(v, &row) == nil && now.After(row.End)
		}},
		{bucket: bucketACMEAccounts, expired: idle, also: forgetKey},
	}
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

// forgetKey takes an account out of the index of keys.
func forgetKey(t tx, value []byte) error {
	var row accountRow
	if err := json.Unmarshal(value, &row); err != nil {
		return err
	}
	thumb, err := acme.KeyToID(row.Key)
	if err != nil {
		return err
	}
	return t.Delete(bucketACMEKeys, thumb)
}
