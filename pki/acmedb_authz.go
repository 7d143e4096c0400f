// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/smallstep/certificates/acme"
)

type challengeRow struct {
	ID        string             `json:"id"`
	Type      acme.ChallengeType `json:"type"`
	Status    acme.Status        `json:"status"`
	Validated string             `json:"validated,omitempty"`
	Error     *acme.Error        `json:"error,omitempty"`
}

type authzRow struct {
	Account    string          `json:"account"`
	Identifier acme.Identifier `json:"identifier"`
	Status     acme.Status     `json:"status"`
	Token      string          `json:"token"`
	Expires    time.Time       `json:"expires"`
	Challenges []challengeRow  `json:"challenges"`
}

// judge derives what the challenges say: one that is met makes the authorization
// valid, otherwise one that failed makes it invalid for good (RFC 8555 §7.1.6).
func (a *authzRow) judge() {
	if a.Status != acme.StatusPending {
		return
	}
	for _, c := range a.Challenges {
		switch c.Status {
		case acme.StatusValid:
			a.Status = acme.StatusValid
			return
		case acme.StatusInvalid:
			a.Status = acme.StatusInvalid
		}
	}
}

func (a *authzRow) challenge(id string) *challengeRow {
	for i := range a.Challenges {
		if a.Challenges[i].ID == id {
			return &a.Challenges[i]
		}
	}
	return nil
}

// CreateChallenge names the challenge; CreateAuthorization writes it. It is the
// first that is asked about an identifier, and refuses those that nobody here
// would validate.
func (d *acmeDB) CreateChallenge(ctx context.Context, ch *acme.Challenge) error {
	if err := d.targets.refuses(ch.Value); err != nil {
		return rejected(err)
	}
	if a := asked(ctx); a.own != d.targets.isOwn(ch.Value) {
		return rejected(&told{text: ch.Value + ": the gateway's own names are for itself, and it is for no others"})
	}
	ch.ID = newID()
	return nil
}

func rejected(err error) error {
	text := "it is refused"
	if t := (*told)(nil); errors.As(err, &t) {
		text = t.text
	}
	return problem(acme.ErrorRejectedIdentifierType, http.StatusForbidden, "%s", text)
}

func (d *acmeDB) CreateAuthorization(ctx context.Context, az *acme.Authorization) error {
	a := asked(ctx)
	if a.authzs++; a.authzs > acmeIdentifiers {
		return malformed("the order has more than %d identifiers", acmeIdentifiers)
	}
	if az.Identifier.Type != acme.DNS && az.Identifier.Type != acme.IP {
		return problem(acme.ErrorUnsupportedIdentifierType, http.StatusBadRequest, "an identifier is a dns name or an ip address")
	}
	if len(az.Challenges) == 0 { // a wildcard
		return problem(acme.ErrorRejectedIdentifierType, http.StatusForbidden, "*.%s: wildcards are proved by dns-01, which this server does not offer", az.Identifier.Value)
	}
	if !a.own && !d.authzs.take(d.now(), acmeAuthzs, acmeAuthzEvery) {
		return busy("too many new orders; try again in a minute")
	}
	az.ID = newID()
	az.ExpiresAt = d.now().Add(acmeOrderLife).UTC().Truncate(time.Second)
	row := authzRow{Account: az.AccountID, Identifier: az.Identifier, Status: az.Status, Token: az.Token, Expires: az.ExpiresAt}
	for _, c := range az.Challenges {
		row.Challenges = append(row.Challenges, challengeRow{ID: c.ID, Type: c.Type, Status: acme.StatusPending})
	}
	return d.change(func(t tx) error { return put(t, bucketACMEAuthz, az.ID, row) })
}

func (d *acmeDB) GetAuthorization(_ context.Context, id string) (*acme.Authorization, error) {
	row, ok, err := find[authzRow](d, bucketACMEAuthz, id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notFound("authorization", id)
	}
	row.judge()
	az := &acme.Authorization{
		ID: id, AccountID: row.Account, Identifier: row.Identifier, Status: row.Status,
		Token: row.Token, ExpiresAt: row.Expires,
	}
	for _, c := range row.Challenges {
		az.Challenges = append(az.Challenges, row.acme(id, c))
	}
	return az, nil
}

func (a *authzRow) acme(id string, c challengeRow) *acme.Challenge {
	return &acme.Challenge{
		ID: c.ID, AccountID: a.Account, AuthorizationID: id, Value: a.Identifier.Value, Token: a.Token,
		Type: c.Type, Status: c.Status, ValidatedAt: c.Validated, Error: c.Error,
	}
}

// UpdateAuthorization has nothing to write but what ends it.
func (d *acmeDB) UpdateAuthorization(_ context.Context, az *acme.Authorization) error {
	return d.change(func(t tx) error {
		row, ok, err := get[authzRow](t, bucketACMEAuthz, az.ID)
		if err != nil || !ok {
			return errors.Join(err, notFoundUnless(ok, "authorization", az.ID))
		}
		if row.Status != acme.StatusPending {
			az.Status = row.Status
			return nil
		}
		row.Status = az.Status
		return put(t, bucketACMEAuthz, az.ID, row)
	})
}

func notFoundUnless(ok bool, what, id string) error {
	if ok {
		return nil
	}
	return notFound(what, id)
}

// GetAuthorizationsByAccountID is not asked for by any handler.
func (d *acmeDB) GetAuthorizationsByAccountID(context.Context, string) ([]*acme.Authorization, error) {
	return nil, errors.New("authorizations are not listed by account")
}

// GetChallenge finds a challenge in its own authorization only: the one in the
// URL is the client's word. One of an authorization that has ended is not
// pending, whatever its row says, so that nobody can have it looked at again.
func (d *acmeDB) GetChallenge(_ context.Context, id, authz string) (*acme.Challenge, error) {
	row, ok, err := find[authzRow](d, bucketACMEAuthz, authz)
	if err != nil {
		return nil, err
	}
	c := row.challenge(id)
	if !ok || c == nil {
		return nil, notFound("challenge", id)
	}
	row.judge()
	ended := row.Status != acme.StatusPending || d.now().After(row.Expires)
	if ended && c.Status == acme.StatusPending {
		c.Status = acme.StatusInvalid
	}
	return row.acme(authz, *c), nil
}

// UpdateChallenge writes the outcome of a validation, which ends the challenge:
// smallstep lets one that failed be pending when the other side could not be
// reached, and clients poll until they give up (defect 4).
func (d *acmeDB) UpdateChallenge(_ context.Context, ch *acme.Challenge) error {
	if ch.Error != nil {
		ch.Status = acme.StatusInvalid
		ch.Error = challengeError(ch)
	}
	return d.change(func(t tx) error {
		row, ok, err := get[authzRow](t, bucketACMEAuthz, ch.AuthorizationID)
		if err != nil {
			return err
		}
		c := row.challenge(ch.ID)
		if !ok || c == nil {
			return notFound("challenge", ch.ID)
		}
		row.judge()
		if row.Status != acme.StatusPending || c.Status != acme.StatusPending {
			ch.Status, ch.Error = c.Status, c.Error // somebody was faster
			return nil
		}
		c.Status, c.Error, c.Validated = ch.Status, ch.Error, ch.ValidatedAt
		row.judge()
		return put(t, bucketACMEAuthz, ch.AuthorizationID, row)
	})
}

// challengeError says why a challenge failed, in words of this package: what
// smallstep's errors wrap has parts of what the other side has answered.
func challengeError(ch *acme.Challenge) *acme.Error {
	if t := (*told)(nil); errors.As(ch.Error.Err, &t) {
		e := acme.NewError(acme.ErrorConnectionType, "%s", t.text)
		e.Detail = t.text
		return e
	}
	e := acme.NewError(acme.ErrorIncorrectResponseType, "the answer does not prove control of %s", ch.Value)
	switch ch.Type {
	case acme.HTTP01:
		e.Detail = ch.Value + " did not answer with the key authorization of this challenge"
	case acme.TLSALPN01:
		e.Detail = ch.Value + " did not show the certificate of this challenge (acme-tls/1)"
	}
	return e
}
