// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/smallstep/certificates/acme"
	"github.com/smallstep/certificates/api/render"
	"go.step.sm/crypto/jose"
)

func malformed(format string, a ...any) error {
	return problem(acme.ErrorMalformedType, http.StatusBadRequest, format, a...)
}

// begin writes what every answer has.
func (s *ACME) begin(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Replay-Nonce", s.db.nonces.make())
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Link", "<"+(&linker{}).GetLink(r.Context(), acme.DirectoryLinkType)+`>;rel="index"`)
}

// readSigned returns the account that has signed a request to url, what it calls
// itself, and what was signed.
func (s *ACME) readSigned(ctx context.Context, r *http.Request, url string) (acc *acme.Account, kid string, payload []byte, err error) {
	if r.Header.Get("Content-Type") != "application/jose+json" {
		return nil, "", nil, malformed("the content type is not application/jose+json")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, "", nil, malformed("the request did not come whole")
	}
	jws, head, err := parseSigned(string(body))
	if err != nil {
		return nil, "", nil, err
	}
	if err := s.db.DeleteNonce(ctx, acme.Nonce(head.Nonce)); err != nil {
		return nil, "", nil, err
	}
	if head.ExtraHeaders["url"] != url || head.KeyID == "" || head.JSONWebKey != nil {
		return nil, "", nil, malformed("the signature needs the url of this request and a kid")
	}
	id, ok := strings.CutPrefix(head.KeyID, (&linker{}).GetLink(ctx, acme.AccountLinkType, ""))
	acc, err = s.db.GetAccount(ctx, id)
	switch {
	case !ok || acme.IsErrNotFound(err):
		return nil, "", nil, problem(acme.ErrorAccountDoesNotExistType, http.StatusBadRequest, "there is no account %s", clip(head.KeyID))
	case err != nil:
		return nil, "", nil, err
	case acc.Status != acme.StatusValid:
		return nil, "", nil, problem(acme.ErrorUnauthorizedType, http.StatusUnauthorized, "the account is deactivated")
	}
	if payload, err = jws.Verify(acc.Key); err != nil {
		return nil, "", nil, malformed("the signature is not one of the account's key")
	}
	return acc, head.KeyID, payload, nil
}

// authorization shows an authorization, or ends it when its account wants no more
// of it (RFC 8555 §7.5.2), which smallstep does not know.
func (s *ACME) authorization(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	s.begin(w, r)
	l, id := &linker{}, chi.URLParam(r, "authzID")
	url := l.GetLink(ctx, acme.AuthzLinkType, id)
	az, err := s.readAuthorization(ctx, r, url, id)
	if err != nil {
		render.Error(w, r, err)
		return
	}
	l.LinkAuthorization(ctx, az)
	w.Header().Set("Location", url)
	render.JSON(w, r, az)
}

func (s *ACME) readAuthorization(ctx context.Context, r *http.Request, url, id string) (*acme.Authorization, error) {
	acc, _, payload, err := s.readSigned(ctx, r, url)
	if err != nil {
		return nil, err
	}
	az, err := s.db.GetAuthorization(ctx, id)
	if err != nil {
		return nil, err
	}
	if az.AccountID != acc.ID {
		return nil, notFound("authorization", id)
	}
	if len(payload) > 0 {
		var p struct {
			Status acme.Status `json:"status"`
		}
		if json.Unmarshal(payload, &p) != nil || p.Status != acme.StatusDeactivated {
			return nil, malformed("an authorization can be deactivated and nothing else")
		}
		if err := s.db.deactivate(id); err != nil {
			return nil, err
		}
		az.Status = acme.StatusDeactivated
		return az, nil
	}
	if err := az.UpdateStatus(ctx, s.db); err != nil {
		return nil, internal(err)
	}
	return az, nil
}

// deactivate ends an authorization that has not ended, also one that was proved.
// To its order, and to whoever looks again, it is invalid.
func (d *acmeDB) deactivate(id string) error {
	return d.change(func(t tx) error {
		row, ok, err := get[authzRow](t, bucketACMEAuthz, id)
		if err != nil || !ok {
			return errors.Join(err, notFoundUnless(ok, "authorization", id))
		}
		row.Status = acme.StatusInvalid
		return put(t, bucketACMEAuthz, id, row)
	})
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
