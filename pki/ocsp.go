// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"
)

const (
	ocspBytes = 2 << 10 // of a request; one for a single certificate has about 120
	ocspLife  = time.Hour
	ocspHeld  = 8 << 10 // answers that are kept, of 300 bytes
)

var errOCSPRequest = errors.New("it is no OCSP request for one certificate")

// ocspAnswers are answers as they were signed last.
type ocspAnswers struct {
	mu sync.Mutex
	by map[string]heldOCSP // by issuer, serial number and hash
	of uint64              // the state of revocations they were made from
}

type heldOCSP struct {
	der      []byte
	from, to time.Time // thisUpdate and nextUpdate
	known    bool
}

// ocsp answers a request in DER (RFC 6960). Answers are signed by the issuer
// itself (§4.2.2.2): a responder of its own would need a certificate for signing
// answers, which an issuer that is held to one purpose cannot give, and whose key
// nobody could revoke.
//
// One certificate is answered for, the first that is asked about. A nonce is not
// repeated: answers are made once and given to everybody, as RFC 5019 §4 has it.
// For certificates of others the answer is "unauthorized", for one that was never
// issued "unknown".
func (ca *CA) ocsp(der []byte) (heldOCSP, error) {
	req, err := parseOCSP(der)
	if err != nil {
		return heldOCSP{}, err
	}
	i := ca.issuerOf(req)
	if i == nil {
		return heldOCSP{}, ErrNoIssuer
	}
	id := fmt.Sprintf("%s/%x/%d", i.skid, req.SerialNumber, req.HashAlgorithm)
	now := ca.now()
	rev := ca.revoked.revision()
	a := &ca.answers
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.by == nil || a.of != rev || len(a.by) >= ocspHeld {
		a.by, a.of = map[string]heldOCSP{}, rev
	}
	if h, ok := a.by[id]; ok && now.Before(h.to.Add(-ocspLife/2)) && now.After(h.from) {
		return h, nil
	}
	h, err := ca.signOCSP(i, req, now)
	if err != nil {
		return heldOCSP{}, fmt.Errorf("answering for %s of %s: %w", SerialText(req.SerialNumber), i.skid, err)
	}
	if h.known { // of what nobody issued there is no end
		a.by[id] = h
	}
	return h, nil
}

func (ca *CA) signOCSP(i *issuer, req *ocsp.Request, now time.Time) (h heldOCSP, err error) {
	h = heldOCSP{from: now.Add(-time.Minute), to: now.Add(ocspLife)}
	t := ocsp.Response{
		Status: ocsp.Unknown, SerialNumber: req.SerialNumber,
		ThisUpdate: h.from, NextUpdate: h.to, IssuerHash: req.HashAlgorithm,
	}
	v, revoked := ca.revoked.one(i.skid, req.SerialNumber)
	if h.known, err = ca.knows(i, req.SerialNumber); err != nil {
		return h, err
	}
	switch {
	case revoked:
		h.known = true
		t.Status, t.RevokedAt, t.RevocationReason = ocsp.Revoked, v.At, v.Reason
	case h.known:
		t.Status = ocsp.Good
	}
	h.der, err = ocsp.CreateResponse(i.cert(), i.cert(), t, i.key)
	return h, err
}

// knows reports whether an issuer has issued a serial number. What is minted is
// not on record, and good as long as nobody says otherwise.
func (ca *CA) knows(i *issuer, serial *big.Int) (bool, error) {
	if i.role == Intercept || i.role == Delegated {
		return true, nil
	}
	r, _, err := ca.find(serial)
	if errors.Is(err, ErrUnknownSerial) {
		return false, nil
	}
	return err == nil && r.Issuer == i.skid, err
}

// parseOCSP reads a request of a stranger.
func parseOCSP(der []byte) (*ocsp.Request, error) {
	if len(der) == 0 || len(der) > ocspBytes {
		return nil, errOCSPRequest
	}
	req, err := ocsp.ParseRequest(der)
	if err != nil || req.SerialNumber == nil || req.SerialNumber.Sign() <= 0 || req.SerialNumber.BitLen() > 160 || !req.HashAlgorithm.Available() {
		return nil, errOCSPRequest
	}
	return req, nil
}

// issuerOf finds the issuer that a request names by hashes of its name and key.
func (ca *CA) issuerOf(req *ocsp.Request) *issuer {
	for _, i := range ca.issuers() {
		var spki struct {
			Algorithm pkix.AlgorithmIdentifier
			Key       asn1.BitString
		}
		if _, err := asn1.Unmarshal(i.cert().RawSubjectPublicKeyInfo, &spki); err != nil {
			continue
		}
		h := req.HashAlgorithm.New()
		h.Write(spki.Key.RightAlign())
		if !bytes.Equal(h.Sum(nil), req.IssuerKeyHash) {
			continue
		}
		h.Reset()
		h.Write(i.cert().RawSubject)
		if bytes.Equal(h.Sum(nil), req.IssuerNameHash) {
			return i
		}
	}
	return nil
}
