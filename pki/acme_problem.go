// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/smallstep/certificates/acme"
	"github.com/smallstep/certificates/api/render"
)

const acmeErrors = "urn:ietf:params:acme:error:"

// writeProblem answers with a problem document (RFC 9457, that was RFC 7807).
func writeProblem(w http.ResponseWriter, status int, kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(acme.Error{Type: acmeErrors + kind, Detail: detail})
}

// amend is called with each error before it is written, and corrects it: some of
// what smallstep calls an error of the server is one of the client, which would
// repeat it for ever, and some says nothing that helps.
func (s *ACME) amend(w http.ResponseWriter, r *http.Request, err error) {
	var e *acme.Error
	if !errors.As(err, &e) {
		s.ca.log("ACME %s %s: %v", r.Method, r.URL.Path, err)
		return
	}
	if e.Status >= 500 {
		blame(e, r.URL.Path)
	}
	switch {
	case e.Status >= 500:
		s.ca.log("ACME %s %s: %v", r.Method, r.URL.Path, e)
	case e.Status == http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "300")
	}
	if e.Status < 500 && e.Err != nil && !strings.Contains(e.Err.Error(), e.Detail) {
		e.Detail += ": " + short(e.Err.Error())
	}
}

// blame finds out whether an error is the client's.
func blame(e *acme.Error, path string) {
	set := func(kind acme.ProblemType, status int) {
		n := acme.NewError(kind, "")
		e.Type, e.Detail, e.Status = n.Type, n.Detail, status
	}
	var coded render.StatusCodedError
	var p *acme.Error
	switch {
	case e.Err == nil:
	case errors.Is(e.Err, ErrRefused) && strings.HasSuffix(path, "/revoke-cert"):
		set(acme.ErrorBadRevocationReasonType, http.StatusBadRequest)
		e.Err = plain(e.Err)
	case errors.Is(e.Err, ErrRefused): // by the gate
		set(acme.ErrorBadCSRType, http.StatusBadRequest)
		e.Err = plain(e.Err)
	case errors.As(e.Err, &p) && p.Status < 500:
		e.Type, e.Detail, e.Status = p.Type, p.Detail, p.Status
	case errors.As(e.Err, &coded) && coded.StatusCode() >= 400 && coded.StatusCode() < 500: // by the authority
		set(acme.ErrorBadCSRType, http.StatusBadRequest)
	case strings.Contains(e.Err.Error(), "externalAccountBinding"):
		set(acme.ErrorUnauthorizedType, http.StatusForbidden)
		e.Err = errors.New("the external account binding is not signed with its key")
	case strings.HasPrefix(e.Err.Error(), "error unmarshaling payload"):
		set(acme.ErrorMalformedType, http.StatusBadRequest)
	}
}

// short cuts a text that may have parts of a request in it.
func short(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}
