// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// A PinError means that a chain was verified but none of its certificates has
// a pinned key.
type PinError struct {
	Host string
	Got  []string // the chain's keys as curl writes pins, sha256//…, the origin's own first
}

func (e *PinError) Error() string {
	if len(e.Got) == 0 {
		return fmt.Sprintf("certs: %s: no verified chain to find a pin in", e.Host)
	}
	return fmt.Sprintf("certs: %s: none of its keys is pinned: it has %s: if that is the right origin, pin the last of them, its root's, or the first, its own",
		e.Host, strings.Join(e.Got, " "))
}

// Cause is the error's type in RFC 9209 §2.3.
func (e *PinError) Cause() string { return "tls_certificate_error" }

// checkPins runs after the chains were verified, and runs again on a resumed
// session, whose chains crypto/tls remembers.
func (t *Trust) checkPins(host string, chains [][]*x509.Certificate) error {
	if len(t.pins) == 0 {
		return nil
	}
	e := &PinError{Host: host}
	for _, chain := range chains {
		for _, c := range chain {
			spki := sha256.Sum256(c.RawSubjectPublicKeyInfo)
			if slices.Contains(t.pins, spki) {
				return nil
			}
			if s := pinText(spki); !slices.Contains(e.Got, s) {
				e.Got = append(e.Got, s)
			}
		}
	}
	return e
}

func pinText(spki [32]byte) string {
	return "sha256//" + base64.StdEncoding.EncodeToString(spki[:])
}
