// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/smallstep/certificates/acme"
	"github.com/smallstep/certificates/api/render"
	"go.step.sm/crypto/jose"
)

// keyChange gives an account another key (RFC 8555 §7.3.5), for which smallstep
// has 501 only. A request signed with the old key holds one signed with the new.
func (s *ACME) keyChange(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	w.Header().Set("Replay-Nonce", s.db.nonces.make())
	w.Header().Set("Cache-Control", "no-store")
	l := &linker{}
	w.Header().Set("Link", "<"+l.GetLink(ctx, acme.DirectoryLinkType)+`>;rel="index"`)
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

func malformed(format string, a ...any) error {
	return problem(acme.ErrorMalformedType, http.StatusBadRequest, format, a...)
}

// readKeyChange returns the account that is asked for and its new key, when both
// keys have signed.
func (s *ACME) readKeyChange(ctx context.Context, r *http.Request) (*acme.Account, *jose.JSONWebKey, error) {
	if r.Header.Get("Content-Type") != "application/jose+json" {
		return nil, nil, malformed("the content type is not application/jose+json")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, nil, malformed("the request did not come whole")
	}
	outer, head, err := parseSigned(string(body))
	if err != nil {
		return nil, nil, err
	}
	url := (&linker{}).GetLink(ctx, acme.KeyChangeLinkType)
	if err := s.db.DeleteNonce(ctx, acme.Nonce(head.Nonce)); err != nil {
		return nil, nil, err
	}
	if head.ExtraHeaders["url"] != url || head.KeyID == "" || head.JSONWebKey != nil {
		return nil, nil, malformed("the outer signature needs the url of this request and a kid")
	}
	id, ok := strings.CutPrefix(head.KeyID, (&linker{}).GetLink(ctx, acme.AccountLinkType, ""))
	acc, err := s.db.GetAccount(ctx, id)
	switch {
	case !ok || acme.IsErrNotFound(err):
		return nil, nil, problem(acme.ErrorAccountDoesNotExistType, http.StatusBadRequest, "there is no account %s", clip(head.KeyID))
	case err != nil:
		return nil, nil, err
	case acc.Status != acme.StatusValid:
		return nil, nil, problem(acme.ErrorUnauthorizedType, http.StatusUnauthorized, "the account is deactivated")
	}
	payload, err := outer.Verify(acc.Key)
	if err != nil {
		return nil, nil, malformed("the outer signature is not one of the account's key")
	}
	to, err := readNewKey(payload, url, head.KeyID, acc.Key)
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

// parseSigned reads what ACME lets a JWS be (RFC 8555 §6.2).
func parseSigned(s string) (*jose.JSONWebSignature, jose.Header, error) {
	jws, err := jose.ParseJWS(s)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, jose.Header{}, malformed("it is not a JWS with one signature")
	}
	sig := jws.Signatures[0]
	if u := sig.Unprotected; u.KeyID != "" || u.JSONWebKey != nil || u.Algorithm != "" || u.Nonce != "" || len(u.ExtraHeaders) > 0 {
		return nil, jose.Header{}, malformed("a header is not protected by the signature")
	}
	switch sig.Protected.Algorithm {
	case jose.ES256, jose.ES384, jose.ES512, jose.EdDSA, jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512:
	default:
		return nil, jose.Header{}, problem(acme.ErrorBadSignatureAlgorithmType, http.StatusBadRequest, "the algorithm %s is not for ACME", clip(sig.Protected.Algorithm))
	}
	return jws, sig.Protected, nil
}
