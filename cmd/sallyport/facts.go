// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"sallyport/policy"
)

// An unfindableError says what a policy depends on that the gateway does not have,
// or cannot find out about its clients. Another policy would not help: the flags are wrong.
type unfindableError struct{ text string }

func (e *unfindableError) Error() string { return e.text }

// findable refuses a policy that depends on what this gateway cannot find out
// about its clients. Such rules would never match: those that allow would be
// useless, and those that deny would let through whom they were written for.
func (a *active) findable(p *policy.Policy) error {
	var b strings.Builder
	for _, n := range p.Needs() {
		hint := "and nothing can find that out"
		if a.missing != nil {
			hint = a.missing(n.Fact)
		}
		if hint == "" {
			continue
		}
		fmt.Fprintf(&b, "\n  %s:%d:%d: %s depends on %s: %s", n.File, n.Line, n.Col, n.What, factNames[n.Fact], hint)
	}
	if b.Len() == 0 {
		return nil
	}
	return &unfindableError{a.path + " depends on what this gateway does not have, or cannot find out about its clients, so it is not run:" + b.String()}
}

var factNames = map[policy.Fact]string{
	policy.FactUser:  "who the client is (user)",
	policy.FactGroup: "the client's groups (group)",
	policy.FactCert:  "the client's certificate (cert)",
	policy.FactClaim: "the client's token (claim)",
	policy.FactTLS:   "TLS between client and gateway (client_leg)",
	policy.FactCA:    "certificates that the gateway mints (mode: intercept)",

	policy.FactDelegated: "certificates that the gateway mints for users (client_cert: mint)",
}
