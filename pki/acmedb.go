// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/smallstep/certificates/acme"
	"go.step.sm/crypto/jose"
)

// The buckets of the ACME server. All rows are JSON.
const (
	bucketACMEAccounts = "acme_accounts"
	bucketACMEKeys     = "acme_keys" // thumbprint of an account's key → account
	bucketACMEAuthz    = "acme_authz"
	bucketACMEOrders   = "acme_orders" // by account and order
	bucketACMECerts    = "acme_certs"  // by serial number
	bucketACMEEAB      = "acme_eab"
)

const (
	acmeOrderLife   = time.Hour // of an order and its authorizations; challenges are answered by machines
	acmeOrders      = 300       // of one account within acmeOrderLife
	acmeIdentifiers = 100       // of one order
	acmeContacts    = 10        // of one account

	// What the network may write: so much at once, and one more every so often. A
	// row is half a kilobyte.
	acmeAccounts     = 200
	acmeAccountEvery = 5 * time.Second
	acmeAuthzs       = 1000
	acmeAuthzEvery   = time.Second / 2

	acmeUnused = 24 * time.Hour       // an account that never ordered is forgotten after
	acmeIdle   = 400 * 24 * time.Hour // and one that has not ordered since
)

// acmeDB is smallstep's acme.DB on a store. Theirs has faults that their
// interface lets us mend: a failed challenge leaves its authorization pending, so
// that clients wait for what cannot come (defect 4); nothing is ever deleted and
// each nonce is a row (defect 5); of two updates at once, a finished order may be
// the one that is lost; external account keys are in clear. Here every update is
// one transaction, nothing that is final changes, and an authorization holds its
// challenges.
type acmeDB struct {
	store   store
	secrets Secrets
	nonces  *nonces
	targets targets
	now     func() time.Time

	accounts, authzs pace
}

// A pace is how much the network has made of something lately (GCRA).
type pace struct {
	mu   sync.Mutex
	used time.Time // when none of it will count any more
}

// take reports whether one more may be made: burst at once, and one every so
// often.
func (p *pace) take(now time.Time, burst int, every time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used.Before(now) {
		p.used = now
	}
	if p.used.Sub(now) > time.Duration(burst-1)*every {
		return false
	}
	p.used = p.used.Add(every)
	return true
}

var _ acme.DB = (*acmeDB)(nil)

// problem makes an error that is told to the client, with an HTTP status.
func problem(kind acme.ProblemType, status int, format string, a ...any) error {
	e := acme.NewError(kind, format, a...)
	e.Status, e.Detail = status, fmt.Sprintf(format, a...)
	return e
}

func busy(format string, a ...any) error {
	return problem(acme.ErrorRateLimitedType, http.StatusTooManyRequests, format, a...)
}

func notFound(what, id string) error {
	return problem(acme.ErrorMalformedType, http.StatusNotFound, "there is no %s %s", what, clip(id))
}

// newID returns 26 letters and digits that cannot be guessed.
func newID() string { return strings.ToLower(rand.Text()) }

// get reads a row; false: there is none.
func get[T any](t tx, bucket, key string) (row T, ok bool, err error) {
	b, err := t.Get(bucket, key)
	if err != nil || b == nil {
		return row, false, err
	}
	if err := json.Unmarshal(b, &row); err != nil {
		return row, false, fmt.Errorf("reading %s/%s: %w", bucket, key, err)
	}
	return row, true, nil
}

func put(t tx, bucket, key string, row any) error {
	b, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("writing %s/%s: %w", bucket, key, err)
	}
	return t.Put(bucket, key, b)
}

// find is get by itself.
func find[T any](d *acmeDB, bucket, key string) (row T, ok bool, err error) {
	err = d.store.View(func(t tx) error {
		row, ok, err = get[T](t, bucket, key)
		return err
	})
	return row, ok, internal(err)
}

// change is a transaction whose errors are problems.
func (d *acmeDB) change(f func(tx) error) error { return internal(d.store.Change(f)) }

// internal makes an error of the store a problem that tells nothing but that.
func internal(err error) error {
	var e *acme.Error
	if err == nil || errors.As(err, &e) || acme.IsErrNotFound(err) {
		return err
	}
	return acme.WrapErrorISE(err, "the store")
}

type accountRow struct {
	Key         *jose.JSONWebKey `json:"key"`
	Contact     []string         `json:"contact,omitempty"`
	Status      acme.Status      `json:"status"`
	Provisioner string           `json:"provisioner"`
	EAB         string           `json:"eab,omitempty"` // the key it is bound to
	Created     time.Time        `json:"created"`
	Used        time.Time        `json:"used,omitzero"` // the last order
}

func (d *acmeDB) CreateNonce(context.Context) (acme.Nonce, error) {
	return acme.Nonce(d.nonces.make()), nil
}

func (d *acmeDB) DeleteNonce(_ context.Context, n acme.Nonce) error {
	if err := d.nonces.spend(string(n)); err != nil {
		return problem(acme.ErrorBadNonceType, http.StatusBadRequest, "the nonce is refused: %v", err)
	}
	return nil
}

// CreateAccount binds the account to the external account key that the request
// was verified with, in the same transaction: of two who use one key at once, one
// has an account.
func (d *acmeDB) CreateAccount(ctx context.Context, acc *acme.Account) error {
	if err := checkContacts(acc.Contact); err != nil {
		return err
	}
	thumb, err := acme.KeyToID(acc.Key)
	if err != nil {
		return err
	}
	// It takes nothing but a key to have an account, and each is a row.
	if !asked(ctx).own && !d.accounts.take(d.now(), acmeAccounts, acmeAccountEvery) {
		return busy("too many new accounts; try again in a minute")
	}
	acc.ID = newID()
	row := accountRow{
		Key: acc.Key, Contact: acc.Contact, Status: acc.Status,
		Provisioner: acc.ProvisionerID, Created: d.now(), EAB: asked(ctx).eab,
	}
	err = d.change(func(t tx) error {
		if _, ok, err := get[string](t, bucketACMEKeys, thumb); err != nil {
			return err
		} else if ok {
			return problem(acme.ErrorMalformedType, http.StatusConflict, "there is an account with this key already")
		}
		if row.EAB != "" {
			if err := bindEAB(t, row.EAB, acc.ID, row.Created); err != nil {
				return err
			}
		}
		if err := put(t, bucketACMEKeys, thumb, acc.ID); err != nil {
			return err
		}
		return put(t, bucketACMEAccounts, acc.ID, row)
	})
	if err == nil && row.EAB != "" {
		err = d.secrets.Delete(ctx, eabSecret(row.EAB)) // it has done what it was for
	}
	return err
}

func checkContacts(contacts []string) error {
	if len(contacts) > acmeContacts {
		return problem(acme.ErrorInvalidContactType, http.StatusBadRequest, "there are more than %d contacts", acmeContacts)
	}
	for _, c := range contacts {
		addr, ok := strings.CutPrefix(c, "mailto:")
		if !ok {
			return problem(acme.ErrorUnsupportedContactType, http.StatusBadRequest, "the contact %s is no mailto: address", clip(c))
		}
		if len(addr) > 254 || !strings.Contains(addr, "@") || strings.ContainsAny(addr, "?,") || !printable(addr) {
			return problem(acme.ErrorInvalidContactType, http.StatusBadRequest, "the contact %s is not one mail address", clip(c))
		}
	}
	return nil
}

// GetAccount finds accounts that were made where the request has come: those of
// the gateway itself are none of the network's. They have no location, because
// that is under whatever own name they are asked for.
func (d *acmeDB) GetAccount(ctx context.Context, id string) (*acme.Account, error) {
	row, ok, err := find[accountRow](d, bucketACMEAccounts, id)
	if err != nil {
		return nil, err
	}
	if !ok || row.Provisioner != asked(ctx).provisioner() {
		return nil, acme.ErrNotFound
	}
	return &acme.Account{ID: id, Key: row.Key, Contact: row.Contact, Status: row.Status, ProvisionerID: row.Provisioner}, nil
}

func (d *acmeDB) GetAccountByKeyID(ctx context.Context, thumb string) (*acme.Account, error) {
	id, ok, err := find[string](d, bucketACMEKeys, thumb)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, acme.ErrNotFound
	}
	return d.GetAccount(ctx, id)
}

func (d *acmeDB) UpdateAccount(_ context.Context, acc *acme.Account) error {
	if err := checkContacts(acc.Contact); err != nil {
		return err
	}
	return d.change(func(t tx) error {
		row, ok, err := get[accountRow](t, bucketACMEAccounts, acc.ID)
		if err != nil {
			return err
		}
		if !ok {
			return acme.ErrNotFound
		}
		if row.Status != acme.StatusValid { // an account that was deactivated stays so
			return problem(acme.ErrorUnauthorizedType, http.StatusUnauthorized, "the account is deactivated")
		}
		row.Contact, row.Status = acc.Contact, acc.Status
		return put(t, bucketACMEAccounts, acc.ID, row)
	})
}

// changeKey gives an account another key (RFC 8555 §7.3.5). It returns the
// account that has the new key already, or "".
func (d *acmeDB) changeKey(id string, from, to *jose.JSONWebKey) (taken string, err error) {
	oldThumb, err := acme.KeyToID(from)
	if err != nil {
		return "", err
	}
	newThumb, err := acme.KeyToID(to)
	if err != nil {
		return "", err
	}
	err = d.change(func(t tx) error {
		taken = ""
		has, ok, err := get[string](t, bucketACMEKeys, newThumb)
		if err != nil {
			return err
		}
		if ok {
			taken = has
			return nil
		}
		row, ok, err := get[accountRow](t, bucketACMEAccounts, id)
		if err != nil {
			return err
		}
		if now, ok2, err := get[string](t, bucketACMEKeys, oldThumb); err != nil {
			return err
		} else if !ok || !ok2 || now != id {
			return errors.New("the account has another key by now")
		}
		row.Key = to
		return errors.Join(
			t.Delete(bucketACMEKeys, oldThumb),
			put(t, bucketACMEKeys, newThumb, id),
			put(t, bucketACMEAccounts, id, row))
	})
	return taken, err
}
