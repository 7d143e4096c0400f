// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"crypto/x509"
	"fmt"
	"time"

	"golang.org/x/crypto/ocsp"

	"sallyport/certs"
)

// A Staple is a stapled OCSP response described.
type Staple struct {
	Status     string    `json:"status"` // "good", "revoked", "unknown", "unreadable"
	Reason     string    `json:"reason,omitempty"`
	Revoked    time.Time `json:"revoked,omitzero"`
	ThisUpdate time.Time `json:"this_update,omitzero"`
	NextUpdate time.Time `json:"next_update,omitzero"`
	Current    bool      `json:"current"`
	Signed     bool      `json:"signed"` // by the issuer that came along, or whom it named
}

// DescribeStaple describes an OCSP response about the first of chain.
func DescribeStaple(der []byte, chain []*x509.Certificate, now time.Time) Staple {
	r, err := ocsp.ParseResponse(der, nil)
	if err != nil {
		return Staple{Status: "unreadable", Reason: err.Error()}
	}
	s := Staple{ThisUpdate: r.ThisUpdate.UTC(), NextUpdate: r.NextUpdate.UTC(), Current: r.NextUpdate.IsZero() || !now.After(r.NextUpdate)}
	switch r.Status {
	case ocsp.Good:
		s.Status = "good"
	case ocsp.Revoked:
		s.Status, s.Revoked, s.Reason = "revoked", r.RevokedAt.UTC(), certs.ReasonName(r.RevocationReason)
	default:
		s.Status = "unknown"
	}
	for _, issuer := range chain[min(1, len(chain)):] {
		if _, err := ocsp.ParseResponseForCert(der, chain[0], issuer); err == nil {
			s.Signed = true
			break
		}
	}
	return s
}

// Text is s in a line.
func (s Staple) Text() string {
	t := s.Status
	if s.Reason != "" {
		t += " (" + s.Reason + ")"
	}
	if !s.NextUpdate.IsZero() {
		t += fmt.Sprintf(", until %s", s.NextUpdate.Format("2006-01-02 15:04 UTC"))
	}
	if !s.Current && s.Status != "unreadable" {
		t += ": TOO OLD"
	}
	return t
}
