// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"net/http"

	"github.com/smallstep/certificates/acme"
	"github.com/smallstep/certificates/api/render"
	"go.step.sm/crypto/jose"
)

// keyChange gives an account another key (RFC 8555 §7.3.5), for which smallstep
// has 501 only. A request signed with the old key holds one signed with the new.
func (s *ACME) keyChange(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	l := &linker{}
	s.begin(w, r)
	acc, to, err := s.readKeyChange(ctx, r)
	if err != nil {
		render.Error(w, r, err)
		return
	}
	taken, err := s.db.changeKey(acc.ID, acc.Key, to)
	switch {
	case err != nil:
		render.Error(w, r, err)
	case taken != "":
		w.Header().Set("Location", l.GetLink(ctx, acme.AccountLinkType, taken))
		render.Error(w, r, problem(acme.ErrorMalformedType, http.StatusConflict, "another account has this key"))
	default:
		acc.Key = to
		l.LinkAccount(ctx, acc)
		w.Header().Set("Location", l.GetLink(ctx, acme.AccountLinkType, acc.ID))
		render.JSON(w, r, acc)
	}
}

// readKeyChange returns the account that is asked for and its new key, when both
// keys have signed.
func (s *ACME) readKeyChange(ctx context.Context, r *http.Request) (*acme.Account, *jose.JSONWebKey, error) {
	url := (&linker{}).GetLink(ctx, acme.KeyChangeLinkType)
	acc, kid, payload, err := s.readSigned(ctx, r, url)
	if err != nil {
		return nil, nil, err
	}
	to, err := readNewKey(payload, url, kid, acc.Key)
	return acc, to, err
}

// readNewKey returns the key that has signed inner, a request for account, which
// has the key from.
func readNewKey(inner []byte, url, account string, from *jose.JSONWebKey) (*jose.JSONWebKey, error) {
	jws, head, err := parseSigned(string(inner))
	if err != nil {
		return nil, err
	}
	to := head.JSONWebKey
	if head.ExtraHeaders["url"] != url || to == nil || !to.Valid() || !to.IsPublic() || head.Nonce != "" {
		return nil, malformed("the inner signature needs the url of the outer one and a jwk, and no nonce")
	}
	if k, ok := to.Key.(*rsa.PublicKey); ok && k.Size() < 256 {
		return nil, problem(acme.ErrorBadPublicKeyType, http.StatusBadRequest, "RSA keys have 2048 bits at least")
	}
	payload, err := jws.Verify(to)
	if err != nil {
		return nil, malformed("the inner signature is not one of the new key")
	}
	var p struct {
		Account string           `json:"account"`
		OldKey  *jose.JSONWebKey `json:"oldKey"`
	}
	if err := json.Unmarshal(payload, &p); err != nil || p.OldKey == nil {
		return nil, malformed("the inner payload is no key change")
	}
	old, err1 := acme.KeyToID(p.OldKey)
	now, err2 := acme.KeyToID(from)
	if err1 != nil || err2 != nil || old != now || p.Account != account {
		return nil, malformed("the inner payload is not about this account and its key")
	}
	if to.KeyID, err = acme.KeyToID(to); err != nil {
		return nil, malformed("the new key cannot be read")
	}
	return to, nil
}
