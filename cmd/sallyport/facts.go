// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"

	"sallyport/policy"
)

// findable refuses a policy that depends on what this gateway cannot find out
// about its clients. Such rules would never match: those that allow would be
// useless, and those that deny would let through whom they were written for.
func (a *active) findable(p *policy.Policy) error {
	var b strings.Builder
	for _, n := range p.Needs() {
		if a.finds != nil && a.finds(n.Fact) {
			continue
		}
		fmt.Fprintf(&b, "\n  %s:%d:%d: %s depends on %s", n.File, n.Line, n.Col, n.What, unknown[n.Fact])
	}
	if b.Len() == 0 {
		return nil
	}
	return errors.New(a.path + " depends on what this gateway cannot find out about its clients, so it is not started with it:" + b.String())
}

// unknown says what a fact is, and what it takes to find it out.
var unknown = map[policy.Fact]string{
	policy.FactUser:  "who the client is (user)",
	policy.FactGroup: "the client's groups (group)",
	policy.FactCert:  "the client's certificate (cert)",
	policy.FactClaim: "the client's token (claim)",
	policy.FactTLS:   "TLS between client and gateway (client_leg)",
}
