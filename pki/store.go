// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import "io"

// A store keeps rows in buckets. It is all that the authority needs of a
// database, so that one that several machines share can take the place of the
// file. smallstep's own interface is made from it by nosql.
type store interface {
	// View runs f on a state of the store that does not change meanwhile.
	View(f func(tx) error) error
	// Change runs f alone: no change that f has not seen comes between what
	// it reads and what it writes. All of it is durable when Change returns
	// nil, and none of it has happened when it returns an error. A store that
	// finds conflicts afterwards may run f again.
	Change(f func(tx) error) error
	// Snapshot writes all of one moment to w, while others go on.
	Snapshot(w io.Writer) (int64, error)
	Close() error
}

// A tx reads and writes within View or Change, and is of no use after it.
// Buckets come into being with their first row.
type tx interface {
	// Get returns nil when there is no such row. The value is good until the
	// transaction ends and must not be changed. Empty values are not nil.
	Get(bucket, key string) ([]byte, error)
	Put(bucket, key string, value []byte) error
	Delete(bucket, key string) error // no error when there is no such row
	// Each calls f for each row whose key is greater than after, in the order
	// of keys, until it returns false. f must not write to the bucket.
	Each(bucket, after string, f func(key string, value []byte) bool) error
}

// The buckets of this package. Those of smallstep begin with acme_ or have
// the names of its db package.
const (
	bucketCA      = "ca"           // format, kek, settings
	bucketKeys    = "keys"         // sealed private keys
	bucketRoots   = "roots"        //
	bucketIssuers = "issuers"      //
	bucketIssued  = "certificates" // what was issued, by serial number
	bucketRevoked = "revoked"      // by issuer and serial number
	bucketCRL     = "crl_numbers"  // the last number of a CRL, by issuer
	bucketLastCRL = "crls"         // that CRL itself
	bucketSecrets = "secrets"      // sealed
)
