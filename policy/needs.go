// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
)

// A Fact is something that rules may depend on and that not every gateway has, or
// can find out about its clients.
type Fact uint8

const (
	FactUser      Fact = iota // who it is
	FactGroup                 // of which groups
	FactCert                  // the names in its certificate
	FactClaim                 // what its token claims
	FactTLS                   // that it speaks TLS to the gateway
	FactCA                    // that the gateway can mint certificates for hosts
	FactDelegated             // that the gateway can mint certificates for users, to be shown to origins
)

func (f Fact) String() string {
	switch f {
	case FactUser:
		return "user"
	case FactGroup:
		return "group"
	case FactCert:
		return "cert"
	case FactClaim:
		return "claim"
	case FactTLS:
		return "client_leg: tls"
	case FactCA:
		return "mode: intercept"
	case FactDelegated:
		return "client_cert: mint"
	}
	return fmt.Sprintf("fact %d", uint8(f))
}

// A Need is a fact that a policy depends on, with the first place where it does.
type Need struct {
	Fact Fact
	What string // what depends on it: rule "x"
	File string // as in a Diagnostic
	Line int    // from 1
	Col  int    // from 1, in characters
}

// Needs are the facts that the rules of p depend on, each once, in the order of
// Fact. A gateway that lacks one must not run p: what is not proven does not
// match, and a deny that waits for it would never deny.
func (p *Policy) Needs() []Need { return slices.Clone(p.needs) }

// need notes that n depends on a fact.
func (c *compiler) need(f Fact, n *node, what string) {
	if n != nil {
		c.needs = append(c.needs, Need{f, what, c.reporter.file, n.line, n.col})
	}
}

// needClients notes what s asks clients to prove.
func (c *compiler) needClients(s *clientSet, n *node, what string) {
	for i := range s.alts {
		a := &s.alts[i]
		for f, values := range map[Fact][]string{FactUser: a.users, FactGroup: a.groups, FactCert: a.certs, FactClaim: a.claims} {
			if values != nil {
				c.need(f, n, what)
			}
		}
	}
}

// firstNeeds are those of all files, each fact once.
func firstNeeds(files []*compiler) []Need {
	var first []Need
	for _, c := range files {
		for _, n := range c.needs {
			i := slices.IndexFunc(first, func(o Need) bool { return o.Fact == n.Fact })
			switch {
			case i < 0:
				first = append(first, n)
			case first[i].File == n.File && (n.Line < first[i].Line || n.Line == first[i].Line && n.Col < first[i].Col):
				first[i] = n
			}
		}
	}
	slices.SortFunc(first, func(a, b Need) int { return int(a.Fact) - int(b.Fact) })
	return first
}
