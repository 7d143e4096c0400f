// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
)

// A Contract is what a decision means for the bytes: the row of the trade-off
// table, with the names of the rule's own profile and certificate. It is
// empty for a denial, where no bytes leave.
type Contract struct {
	OriginAuth string `json:"origin_auth"` // who authenticates to the origin
	Readers    string `json:"readers"`     // who can read the bytes
	ClientSees string `json:"client_sees"` // whose certificate the client sees
	ClientLeg  string `json:"client_leg"`  // what is spoken between client and gateway
	OriginLeg  string `json:"origin_leg"`  // what is spoken between gateway and origin

	// Adds names the fields that the gateway puts into requests, and the secrets in
	// them; "": none, or it does not see the requests.
	Adds string `json:"adds,omitempty"`
}

// Contract says what d means for the bytes.
func (d Decision) Contract() Contract {
	c := d.plainContract()
	if d.Mode != Deny && d.Mode != Tunnel {
		c.Adds = d.Rule.adds()
	}
	if !d.clientTLS || d.Mode == Deny {
		return c
	}
	c.ClientSees = "the gateway's own"
	switch d.Mode {
	case Originate:
		c.ClientLeg = "HTTP inside TLS to the gateway"
		if d.kind == Connect {
			c.ClientLeg = "CONNECT inside TLS to the gateway, then plain HTTP in it"
		}
	case Relay:
		c.ClientLeg, c.Readers = "HTTP inside TLS to the gateway", "client, gateway, and everybody on the origin's wire"
	case Tunnel:
		c.ClientLeg, c.ClientSees = "CONNECT inside TLS to the gateway, then the client's own TLS", "the gateway's own, then the origin's"
	case Intercept:
		c.ClientLeg, c.ClientSees = "CONNECT inside TLS to the gateway, then TLS that ends there too", "the gateway's own, then a leaf minted by its CA"
	}
	return c
}

// plainContract is that of a client that speaks no TLS to the gateway itself.
func (d Decision) plainContract() Contract {
	switch d.Mode {
	case Originate:
		c := Contract{
			OriginAuth: d.Rule.gatewayAuth(),
			Readers:    "client, gateway, origin",
			ClientSees: "none",
			ClientLeg:  "plain HTTP",
			OriginLeg:  d.Rule.verifiedTLS(),
		}
		if d.kind == Connect {
			c.ClientLeg = "CONNECT, then plain HTTP"
		}
		return c
	case Tunnel:
		return Contract{
			OriginAuth: "the client itself",
			Readers:    "client and origin only",
			ClientSees: "the origin's",
			ClientLeg:  "CONNECT, then the client's own TLS",
			OriginLeg:  "the same bytes",
		}
	case Intercept:
		return Contract{
			OriginAuth: d.Rule.gatewayAuth(),
			Readers:    "client, gateway, origin",
			ClientSees: "a leaf minted by the gateway's CA",
			ClientLeg:  "CONNECT, then TLS that ends at the gateway",
			OriginLeg:  d.Rule.verifiedTLS(),
		}
	case Relay:
		return Contract{
			OriginAuth: "nobody",
			Readers:    "everybody on both wires",
			ClientSees: "none",
			ClientLeg:  "plain HTTP",
			OriginLeg:  "plain HTTP",
		}
	}
	return Contract{}
}

func (r *Rule) gatewayAuth() string {
	if r == nil || r.Origin == nil || r.Origin.ClientCert == nil {
		return "the gateway, without a certificate"
	}
	name := r.Origin.ClientCert.Name()
	if like := r.Origin.ClientCert.Mint.describe(r.Name); like != "" {
		name += ": " + like
	}
	return fmt.Sprintf("the gateway (client certificate %s)", name)
}

// adds is the fields that r sets in requests, as people say it: Authorization
// from secret "model-key", X-Team. No value is told.
func (r *Rule) adds() string {
	if r == nil {
		return ""
	}
	var fields []string
	for _, v := range r.Request.Set {
		field := v.Name
		if names := v.Secrets(); len(names) > 0 {
			for i, n := range names {
				names[i] = fmt.Sprintf("%q", n)
			}
			field += " from secret " + strings.Join(names, " and ")
		}
		fields = append(fields, field)
	}
	return strings.Join(fields, ", ")
}

func (r *Rule) verifiedTLS() string {
	if r == nil || r.Origin == nil {
		return "TLS, verified by the gateway (system roots)"
	}
	what := "TLS"
	if r.Origin.ECH == ECHRequire {
		what = "TLS with Encrypted Client Hello"
	}
	return fmt.Sprintf("%s, verified by the gateway (origin profile %q)", what, r.Origin.Name)
}

// Name is what to call the certificate in front of people.
func (c *ClientCert) Name() string {
	if c.Secret != "" {
		return fmt.Sprintf("%q", c.Secret)
	}
	if c.Minted {
		return "minted for the user"
	}
	return c.Cert + c.PKCS12
}
