// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"
)

const (
	crlLife = 24 * time.Hour
	// crlFresh is the age at which a list is signed anew although nobody was
	// revoked: whoever fetches one can use it for half a day at least.
	crlFresh = crlLife / 2
)

// ErrNoIssuer is the answer for a key identifier that is none of this
// authority's issuers'.
var ErrNoIssuer = errors.New("no issuer has this key identifier")

// crls are the lists as they were signed last.
type crls struct {
	mu sync.Mutex
	by map[string]heldCRL
}

type heldCRL struct {
	der  []byte
	list *x509.RevocationList
	of   uint64 // the state of revocations it was made from
}

// CRL returns the revocation list of an issuer of any generation that has not
// expired (RFC 5280 §5), in DER; issuer is its subject key identifier in
// hexadecimal. It names what was revoked before the call. Lists are signed when
// they are asked for, are good for a day, and have numbers that only rise, also
// over restarts. It is ErrNoIssuer for others.
func (ca *CA) CRL(issuer string) ([]byte, error) {
	h, err := ca.crl(issuer)
	if err != nil {
		return nil, fmt.Errorf("making the revocation list of %s: %w", clip(issuer), err)
	}
	return h.der, nil
}

func (ca *CA) crl(skid string) (heldCRL, error) {
	i := issuerBy(ca.issuers(), skid)
	if i == nil {
		return heldCRL{}, ErrNoIssuer
	}
	ca.crls.mu.Lock()
	defer ca.crls.mu.Unlock()
	now := ca.now()
	rev := ca.revoked.revision()
	if h, ok := ca.crls.by[skid]; ok && h.of == rev && h.fresh(now) {
		return h, nil
	}
	entries := ca.revokedEntries(skid, now)
	h := heldCRL{of: rev}
	if i.transient { // neither it nor its numbers outlive the process
		number := big.NewInt(1)
		if last := ca.crls.by[skid].list; last != nil {
			number.Add(number, last.Number)
		}
		der, list, err := signCRL(i, number, entries, now)
		if err != nil {
			return heldCRL{}, err
		}
		h.der, h.list = der, list
		ca.crls.keep(skid, h)
		return h, nil
	}
	err := ca.store.Change(func(t tx) (err error) {
		if h.der, err = t.Get(bucketLastCRL, skid); err != nil {
			return err
		}
		if h.der = keep(h.der); h.der != nil {
			if h.list, err = x509.ParseRevocationList(h.der); err == nil && h.fresh(now) && sameEntries(h.list.RevokedCertificateEntries, entries) {
				return nil
			}
		}
		number, err := nextNumber(t, skid)
		if err != nil {
			return err
		}
		if h.der, h.list, err = signCRL(i, number, entries, now); err != nil {
			return err
		}
		return errors.Join(t.Put(bucketCRL, skid, []byte(number.String())), t.Put(bucketLastCRL, skid, h.der))
	})
	if err != nil {
		return heldCRL{}, err
	}
	ca.crls.keep(skid, h)
	return h, nil
}

// keep is for whoever holds c.mu.
func (c *crls) keep(skid string, h heldCRL) {
	if c.by == nil {
		c.by = map[string]heldCRL{}
	}
	c.by[skid] = h
}

func (h heldCRL) fresh(now time.Time) bool {
	return now.Before(h.list.NextUpdate.Add(crlFresh-crlLife)) && !now.Before(h.list.ThisUpdate)
}

// nextNumber is one more than that of the last list (RFC 5280 §5.2.3).
func nextNumber(t tx, skid string) (*big.Int, error) {
	b, err := t.Get(bucketCRL, skid)
	if err != nil {
		return nil, err
	}
	n := new(big.Int)
	if b != nil {
		if _, ok := n.SetString(string(b), 10); !ok {
			return nil, fmt.Errorf("the number of the last revocation list of %s is %q", skid, b)
		}
	}
	return n.Add(n, big.NewInt(1)), nil
}

// revokedEntries are what a list has to name: the certificates of an issuer that
// are revoked and would be good otherwise, or were at the time of the last list.
func (ca *CA) revokedEntries(skid string, now time.Time) []x509.RevocationListEntry {
	var out []x509.RevocationListEntry
	for serial, v := range ca.revoked.of(skid) {
		n, ok := new(big.Int).SetString(serial, 16)
		if !ok || v.NotAfter.Add(crlLife).Before(now) {
			continue
		}
		out = append(out, x509.RevocationListEntry{SerialNumber: n, RevocationTime: v.At.UTC(), ReasonCode: v.Reason})
	}
	slices.SortFunc(out, func(a, b x509.RevocationListEntry) int { return a.SerialNumber.Cmp(b.SerialNumber) })
	return out
}

func sameEntries(a, b []x509.RevocationListEntry) bool {
	return slices.EqualFunc(a, b, func(a, b x509.RevocationListEntry) bool {
		return a.SerialNumber.Cmp(b.SerialNumber) == 0 && a.ReasonCode == b.ReasonCode && a.RevocationTime.Equal(b.RevocationTime)
	})
}

// signCRL signs a list with an issuer's key.
//
// The list is the whole one of its issuer, for all reasons and all kinds of
// certificates, and says so by having no issuing distribution point: that
// extension narrows a list (RFC 5280 §5.2.5), is critical, and would have to name
// the very URL in the certificate, so that a list of after the URL was changed
// would be none for the certificates of before. Lists of two generations differ in
// issuer, authority key identifier and signature.
func signCRL(i *issuer, number *big.Int, revoked []x509.RevocationListEntry, now time.Time) ([]byte, *x509.RevocationList, error) {
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number:                    number,
		RevokedCertificateEntries: revoked,
		ThisUpdate:                now.Add(-time.Minute), // clocks differ
		NextUpdate:                now.Add(crlLife),
	}, i.cert(), i.key)
	if err != nil {
		return nil, nil, err
	}
	list, err := x509.ParseRevocationList(der)
	return der, list, err
}
