// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"
)

// Revoke declares a certificate void from now on, for a reason of RFC 5280
// §5.3.1: 0 unspecified, 1 key compromised, 3 affiliation changed, 4
// superseded, 5 ceased, 9 privilege withdrawn. It is on the disk, and in
// force for Revoked, when Revoke returns. A serial number that is not on
// record is ErrUnknownSerial, one that is revoked already ErrRevoked.
func (ca *CA) Revoke(ctx context.Context, serial *big.Int, reason int, by string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := ca.revoke(serial, reason, by); err != nil {
		return fmt.Errorf("revoking %s: %w", SerialText(serial), err)
	}
	return nil
}

func (ca *CA) revoke(serial *big.Int, reason int, by string) error {
	if !slices.Contains([]int{0, 1, 3, 4, 5, 9}, reason) {
		return refuse("reason %d: want 0, 1, 3, 4, 5 or 9 of RFC 5280 §5.3.1", reason)
	}
	if serial == nil || serial.Sign() <= 0 || serial.BitLen() > 160 {
		return ErrUnknownSerial
	}
	var row issuedRow
	err := ca.store.Change(func(t tx) (err error) {
		if row, err = issued(t, serial); err != nil {
			return err
		}
		if !row.Revoked.IsZero() {
			return fmt.Errorf("%w, at %v", ErrRevoked, row.Revoked)
		}
		row.Revoked, row.Reason, row.RevokedBy = ca.now().UTC().Truncate(time.Second), reason, by
		if err := putJSON(t, bucketIssued, row.Serial, row); err != nil {
			return err
		}
		return putJSON(t, bucketRevoked, row.Issuer+"/"+row.Serial, revocation{row.Revoked, reason, row.NotAfter})
	})
	if err != nil {
		return err
	}
	ca.revoked.add(row.Issuer, row.Serial, revocation{row.Revoked, reason, row.NotAfter})
	return nil
}

// Revoked tells whether a certificate is revoked, from memory: for use in
// every handshake (tls.Config.VerifyConnection, which resumption runs too, and
// VerifyPeerCertificate does not). Certificates of other authorities are not.
func (ca *CA) Revoked(c *x509.Certificate) bool {
	return ca.revoked.has(c)
}

type revocation struct {
	At       time.Time
	Reason   int
	NotAfter time.Time // of the certificate; after it no CRL has to name it
}

// revocations are all that are in the store, by issuer and serial number.
type revocations struct {
	mu  sync.RWMutex
	by  map[string]map[string]revocation
	rev uint64 // how often one was added
}

// revision tells one state of the revocations from another: what is read after
// it has all that it counts.
func (r *revocations) revision() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.rev
}

func (r *revocations) load(t tx) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by = map[string]map[string]revocation{}
	var broken error
	err := t.Each(bucketRevoked, "", func(key string, value []byte) bool {
		var v revocation
		issuer, serial, ok := strings.Cut(key, "/")
		if broken = json.Unmarshal(value, &v); broken != nil || !ok {
			broken = fmt.Errorf("revocation %s cannot be read: %w", key, broken)
			return false
		}
		r.put(issuer, serial, v)
		return true
	})
	if err == nil {
		err = broken
	}
	return err
}

func (r *revocations) put(issuer, serial string, v revocation) {
	if r.by[issuer] == nil {
		r.by[issuer] = map[string]revocation{}
	}
	r.by[issuer][serial] = v
	r.rev++
}

func (r *revocations) add(issuer, serial string, v revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(issuer, serial, v)
}

func (r *revocations) has(c *x509.Certificate) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.by) == 0 {
		return false
	}
	_, ok := r.by[fmt.Sprintf("%x", c.AuthorityKeyId)][SerialText(c.SerialNumber)]
	return ok
}

// of returns the revoked certificates of an issuer, by serial number, for its
// CRL; and one of them, for OCSP.
func (r *revocations) of(skid string) map[string]revocation {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make(map[string]revocation, len(r.by[skid]))
	for k, v := range r.by[skid] {
		out[k] = v
	}
	return out
}

func (r *revocations) one(skid string, serial *big.Int) (revocation, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	v, ok := r.by[skid][SerialText(serial)]
	return v, ok
}

// forget takes out what the sweep has deleted.
func (r *revocations) forget(key string) {
	issuer, serial, _ := strings.Cut(key, "/")
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.by[issuer], serial)
}
