// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"

	"sallyport/pki"
	"sallyport/policy"
)

// A caMints is what the gateway that runs can mint for the policy in force.
type caMints struct {
	Hosts       policy.Interceptable `json:"hosts"`
	Own         []string             `json:"own,omitempty"` // the gateway's names, for which it mints nothing
	Constrained bool                 `json:"constrained"`   // by the issuer's certificate; else by the gateway alone
	Issuer      *caIssuer            `json:"issuer,omitempty"`
	Error       string               `json:"error,omitempty"` // why there is no issuer
}

// mintsOf tells what m mints; nil for none.
func mintsOf(m *minting, ca *pki.CA) *caMints {
	if m == nil {
		return nil
	}
	out := &caMints{Hosts: m.hosts, Own: m.own}
	by, err := m.by(ca)
	if err == nil {
		var i pki.Issuer
		if i, out.Constrained, err = by.Issuer(); err == nil {
			out.Issuer = issuerOf(i)
		}
	}
	if err != nil {
		out.Error = err.Error()
	}
	return out
}

// print tells what can be minted; nothing of a nil one.
func (m *caMints) print(w io.Writer) {
	if m == nil {
		return
	}
	hosts := m.Hosts.String()
	if len(m.Own) > 0 {
		hosts += "; not " + strings.Join(m.Own, ", ") + ", the gateway's own"
	}
	fmt.Fprintf(w, "under the policy in force, certificates can be minted for: %s\n", visible(hosts))
	switch {
	case m.Error != "":
		fmt.Fprintf(w, "none is, because there is no issuer for that: %s\n", visible(m.Error))
	case !m.Constrained:
		fmt.Fprintln(w, "the gateway alone holds to that: the intercept issuer was imported, and its certificate is as it came")
	}
}
