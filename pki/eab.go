// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/smallstep/certificates/acme"
)

// An EAB is an external account binding: a key that lets whoever has it make one
// ACME account (RFC 8555 §7.3.4).
type EAB struct {
	KeyID     string    `json:"kid"`
	Reference string    `json:"reference"` // what its maker calls it
	Created   time.Time `json:"created"`
	Bound     time.Time `json:"bound,omitzero"`   // when the account was made; zero: not yet
	Account   string    `json:"account,omitzero"` // and which it is
}

type eabRow struct {
	Reference string    `json:"reference"`
	Created   time.Time `json:"created"`
	Bound     time.Time `json:"bound,omitzero"`
	Account   string    `json:"account,omitempty"`
}

func eabSecret(kid string) string { return "acme-eab/" + kid }

// NewEAB makes a key for one account. reference says who gets it, in up to 100
// printable letters. The key is for HMAC-SHA-256, is given as base64url without
// padding to ACME clients, and is kept sealed until it has been used.
func (ca *CA) NewEAB(ctx context.Context, reference string) (kid string, key []byte, err error) {
	if reference == "" || len(reference) > 100 || !printable(reference) {
		return "", nil, fmt.Errorf("making an external account key for %q: say who gets it in up to 100 printable letters", reference)
	}
	kid, key = newID(), make([]byte, 32)
	rand.Read(key)
	if err := ca.Secrets().Put(ctx, eabSecret(kid), key); err != nil {
		return "", nil, fmt.Errorf("keeping an external account key: %w", err)
	}
	err = ca.store.Change(func(t tx) error {
		return put(t, bucketACMEEAB, kid, eabRow{Reference: reference, Created: ca.now().UTC()})
	})
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("keeping an external account key: %w", err), ca.Secrets().Delete(ctx, eabSecret(kid)))
	}
	return kid, key, nil
}

// EABs returns all external account keys, used or not.
func (ca *CA) EABs(context.Context) (list []EAB, err error) {
	err = ca.store.View(func(t tx) error {
		list = nil
		var bad error
		err := t.Each(bucketACMEEAB, "", func(kid string, _ []byte) bool {
			row, _, err := get[eabRow](t, bucketACMEEAB, kid)
			if err != nil {
				bad = err
				return false
			}
			list = append(list, EAB{KeyID: kid, Reference: row.Reference, Created: row.Created, Bound: row.Bound, Account: row.Account})
			return true
		})
		return errors.Join(err, bad)
	})
	return list, err
}

// ErrNoEAB is the answer for a key that there is not.
var ErrNoEAB = errors.New("there is no external account key of this id")

// RemoveEAB takes a key back. Where keys are required the account that was made
// with it gets no more certificates; those it has stay good until they end or are
// revoked.
func (ca *CA) RemoveEAB(ctx context.Context, kid string) error {
	err := ca.store.Change(func(t tx) error {
		if _, ok, err := get[eabRow](t, bucketACMEEAB, kid); err != nil || !ok {
			return errors.Join(err, unless(ok, ErrNoEAB))
		}
		return t.Delete(bucketACMEEAB, kid)
	})
	if err != nil {
		return fmt.Errorf("removing the external account key %s: %w", clip(kid), err)
	}
	if err := ca.Secrets().Delete(ctx, eabSecret(kid)); err != nil && !errors.Is(err, ErrNoSecret) {
		return fmt.Errorf("removing the external account key %s: %w", clip(kid), err)
	}
	return nil
}

func unless(ok bool, err error) error {
	if ok {
		return nil
	}
	return err
}

// unauthorized is a refusal that clients do not repeat, as they do with a 500:
// smallstep erases the key of a binding that was used, and then says 500 because
// it has none.
func unauthorized(format string, a ...any) error {
	return problem(acme.ErrorUnauthorizedType, http.StatusForbidden, format, a...)
}

// bindEAB gives a key to its account, once.
func bindEAB(t tx, kid, account string, now time.Time) error {
	row, ok, err := get[eabRow](t, bucketACMEEAB, kid)
	switch {
	case err != nil:
		return err
	case !ok:
		return unauthorized("there is no external account key %s", clip(kid))
	case row.Account != "":
		return unauthorized("the external account key %s has been used; ask for another", clip(kid))
	}
	row.Account, row.Bound = account, now
	return put(t, bucketACMEEAB, kid, row)
}

// GetExternalAccountKey notes in the request which key it is verified with, for
// CreateAccount.
func (d *acmeDB) GetExternalAccountKey(ctx context.Context, prov, kid string) (*acme.ExternalAccountKey, error) {
	row, ok, err := find[eabRow](d, bucketACMEEAB, kid)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, unauthorized("there is no external account key %s", clip(kid))
	case row.Account != "":
		return nil, unauthorized("the external account key %s has been used; ask for another", clip(kid))
	}
	key, err := d.secrets.Get(ctx, eabSecret(kid))
	if errors.Is(err, ErrNoSecret) { // used or removed this very moment
		return nil, unauthorized("the external account key %s is used or removed; ask for another", clip(kid))
	}
	if err != nil {
		return nil, internal(err)
	}
	asked(ctx).eab = kid
	return &acme.ExternalAccountKey{ID: kid, ProvisionerID: prov, Reference: row.Reference, HmacKey: key, CreatedAt: row.Created}, nil
}

// UpdateExternalAccountKey has nothing left to do: CreateAccount has bound it.
func (d *acmeDB) UpdateExternalAccountKey(context.Context, string, *acme.ExternalAccountKey) error {
	return nil
}

// GetExternalAccountKeyByAccountID is asked at each order where keys are
// required: accounts of before that, and those whose key was removed, get none.
func (d *acmeDB) GetExternalAccountKeyByAccountID(_ context.Context, prov, account string) (*acme.ExternalAccountKey, error) {
	acc, ok, err := find[accountRow](d, bucketACMEAccounts, account)
	if err != nil {
		return nil, err
	}
	if !ok || acc.EAB == "" {
		return nil, unauthorized("this server wants accounts with an external account key; make a new account with one")
	}
	row, ok, err := find[eabRow](d, bucketACMEEAB, acc.EAB)
	if err != nil {
		return nil, err
	}
	if !ok || row.Account != account {
		return nil, unauthorized("the external account key of this account was removed")
	}
	return &acme.ExternalAccountKey{ID: acc.EAB, ProvisionerID: prov, Reference: row.Reference, AccountID: account, BoundAt: row.Bound}, nil
}

var errEABElsewhere = errors.New("external account keys are made and removed by the operator only")

// CreateExternalAccountKey and the others are for smallstep's admin API, which is
// not here.
func (d *acmeDB) CreateExternalAccountKey(context.Context, string, string) (*acme.ExternalAccountKey, error) {
	return nil, errEABElsewhere
}

func (d *acmeDB) GetExternalAccountKeys(context.Context, string, string, int) ([]*acme.ExternalAccountKey, string, error) {
	return nil, "", errEABElsewhere
}

func (d *acmeDB) GetExternalAccountKeyByReference(context.Context, string, string) (*acme.ExternalAccountKey, error) {
	return nil, errEABElsewhere
}

func (d *acmeDB) DeleteExternalAccountKey(context.Context, string, string) error {
	return errEABElsewhere
}
