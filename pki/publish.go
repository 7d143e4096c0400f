// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

// How long others may keep what they fetched. A revocation is therefore known
// everywhere after ten minutes at the latest, where it is looked for.
const (
	keepRoots   = time.Hour
	keepRevoked = 10 * time.Minute
)

// Publish returns a handler for what everybody may have, by GET and HEAD:
//
//	/roots.pem, /edge.pem, /identity.pem   the roots that are trusted, in PEM
//	/ca/ID.crt                             an issuer or root, in DER
//	/crl/ID.crl                            the revocation list of an issuer, in DER
//	/ocsp/REQUEST, and POST to /ocsp       whether a certificate is revoked (RFC 6960)
//
// ID is a subject key identifier in hexadecimal. What is not one of these is 404.
// It is served over plain HTTP, or nobody could check the certificate of who
// serves it (RFC 5280 §8), and nothing before it may clean paths: an OCSP request
// in base64 may have // in it.
func (ca *CA) Publish() http.Handler { return published{ca} }

type published struct{ ca *CA }

// Published reports whether what Publish returns has anything at such a path, or may
// come to have.
func Published(path string) bool {
	switch dir, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/"); dir {
	case "roots.pem", "edge.pem", "identity.pem", "crl", "ca", "ocsp":
		return true
	}
	return false
}

func (p published) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	dir, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case path == "/roots.pem":
		p.roots(w, r, Edge, Identity)
	case path == "/edge.pem":
		p.roots(w, r, Edge)
	case path == "/identity.pem":
		p.roots(w, r, Identity)
	case dir == "crl" && strings.HasSuffix(name, ".crl"):
		p.crl(w, r, strings.TrimSuffix(name, ".crl"))
	case dir == "ca" && strings.HasSuffix(name, ".crt"):
		p.certificate(w, r, strings.TrimSuffix(name, ".crt"))
	case dir == "ocsp":
		p.ocsp(w, r, name)
	default:
		http.NotFound(w, r)
	}
}

func (p published) roots(w http.ResponseWriter, r *http.Request, domains ...Domain) {
	var out bytes.Buffer
	for _, d := range domains {
		for _, c := range p.ca.Roots(d) {
			pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
		}
	}
	serveBytes(w, r, "application/x-pem-file", out.Bytes(), time.Time{}, keepRoots)
}

func (p published) certificate(w http.ResponseWriter, r *http.Request, skid string) {
	s := p.ca.state.Load()
	var all []*x509.Certificate
	for _, i := range p.ca.issuers() {
		all = append(all, i.cert())
	}
	for _, root := range s.roots {
		all = append(all, root.cert)
	}
	for _, c := range all {
		if hex.EncodeToString(c.SubjectKeyId) == skid {
			serveBytes(w, r, "application/pkix-cert", c.Raw, time.Time{}, keepRoots)
			return
		}
	}
	http.NotFound(w, r)
}

func (p published) crl(w http.ResponseWriter, r *http.Request, skid string) {
	h, err := p.ca.crl(skid)
	switch {
	case errors.Is(err, ErrNoIssuer):
		http.NotFound(w, r)
	case err != nil:
		p.ca.log("making the revocation list of %s: %v", skid, err)
		http.Error(w, "the revocation list cannot be made now", http.StatusServiceUnavailable)
	default:
		serveBytes(w, r, "application/pkix-crl", h.der, h.list.ThisUpdate, keepRevoked)
	}
}

// ocsp takes a request by POST, or in base64 as the rest of the path (RFC 6960
// appendix A.1).
func (p published) ocsp(w http.ResponseWriter, r *http.Request, rest string) {
	var req []byte
	switch {
	case r.Method == http.MethodPost && rest == "":
		// One byte more than allowed, which parseOCSP refuses.
		req, _ = io.ReadAll(io.LimitReader(r.Body, ocspBytes+1))
	case rest != "" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		if len(rest) <= base64.StdEncoding.EncodedLen(ocspBytes) {
			req, _ = base64.StdEncoding.DecodeString(rest)
		}
	case rest != "":
		notAllowed(w, "GET, HEAD")
		return
	default:
		notAllowed(w, "POST")
		return
	}
	h, err := p.ca.ocsp(req)
	const kind = "application/ocsp-response"
	switch {
	case errors.Is(err, errOCSPRequest):
		serveAnswer(w, r, kind, ocsp.MalformedRequestErrorResponse)
	case errors.Is(err, ErrNoIssuer):
		serveAnswer(w, r, kind, ocsp.UnauthorizedErrorResponse)
	case err != nil:
		p.ca.log("OCSP: %v", err)
		serveAnswer(w, r, kind, ocsp.InternalErrorErrorResponse)
	case !h.known || r.Method == http.MethodPost:
		serveAnswer(w, r, kind, h.der)
	default:
		w.Header().Set("Expires", h.to.UTC().Format(http.TimeFormat))
		serveBytes(w, r, kind, h.der, h.from, keepRevoked)
	}
}

// serveAnswer serves what nobody is to keep. Errors of OCSP are answers as well,
// with the status 200 (RFC 6960 appendix A.2).
func serveAnswer(w http.ResponseWriter, r *http.Request, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

func serveBytes(w http.ResponseWriter, r *http.Request, kind string, body []byte, modified time.Time, keep time.Duration) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		notAllowed(w, "GET, HEAD")
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d, no-transform, must-revalidate", int(keep.Seconds())))
	h.Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(body)))
	http.ServeContent(w, r, "", modified, bytes.NewReader(body))
}

func notAllowed(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	http.Error(w, "the method is not one of "+allow, http.StatusMethodNotAllowed)
}

// clip shortens what a stranger sent, for a message.
func clip(s string) string {
	if len(s) > 64 {
		return fmt.Sprintf("%q…", s[:64])
	}
	return fmt.Sprintf("%q", s)
}
