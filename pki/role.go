// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/x509"
	"fmt"
	"time"
)

// A Domain is a root, and all who trust it.
type Domain uint8

// The zero Domain is none.
const (
	Edge     Domain = iota + 1 // trusted by clients of the gateway
	Identity                   // trusted by the gateway and by origins
)

func (d Domain) String() string {
	switch d {
	case Edge:
		return "edge"
	case Identity:
		return "identity"
	}
	return "none"
}

// ParseDomain reads what String writes.
func ParseDomain(s string) (Domain, error) {
	for _, d := range []Domain{Edge, Identity} {
		if s == d.String() {
			return d, nil
		}
	}
	return 0, fmt.Errorf("no root is named %q: there are edge and identity", s)
}

// MarshalText and UnmarshalText make a Domain a word in JSON.
func (d Domain) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d *Domain) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDomain(string(b))
	return err
}

// A Role is what an issuer signs for. The zero Role is none.
type Role uint8

// Server and Client sign what is asked for, and each of their certificates is
// on record. Intercept and Delegated sign by a [Minter], in memory only.
const (
	Server    Role = iota + 1 // edge: listeners and internal services
	Intercept                 // edge: leaves shown to clients in place of an origin's
	Client                    // identity: users and devices
	Delegated                 // identity: the gateway toward an origin, in a user's name
)

// Roles are all roles.
var Roles = []Role{Server, Intercept, Client, Delegated}

func (r Role) String() string {
	switch r {
	case Server:
		return "server"
	case Intercept:
		return "intercept"
	case Client:
		return "client"
	case Delegated:
		return "delegated"
	}
	return "none"
}

// ParseRole reads what String writes.
func ParseRole(s string) (Role, error) {
	for _, r := range Roles {
		if s == r.String() {
			return r, nil
		}
	}
	return 0, fmt.Errorf("no issuer is named %q: there are server, intercept, client and delegated", s)
}

// MarshalText and UnmarshalText make a Role a word in JSON.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (r *Role) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRole(string(b))
	return err
}

// Domain returns whose root the issuer is certified by.
func (r Role) Domain() Domain {
	switch r {
	case Server, Intercept:
		return Edge
	case Client, Delegated:
		return Identity
	}
	return 0
}

// Usual and MaxLife return how long a certificate of the role is good for
// unless asked otherwise, and at most.
func (r Role) Usual() time.Duration { return r.lives()[0] }

// MaxLife: see Usual.
func (r Role) MaxLife() time.Duration { return r.lives()[1] }

func (r Role) lives() [2]time.Duration {
	const day = 24 * time.Hour
	switch r {
	case Server, Client:
		return [2]time.Duration{90 * day, 398 * day}
	case Intercept:
		return [2]time.Duration{7 * day, 7 * day}
	case Delegated:
		return [2]time.Duration{10 * time.Minute, time.Hour}
	}
	return [2]time.Duration{}
}

// usage is the one extended key usage of the role.
func (r Role) usage() x509.ExtKeyUsage {
	if r.Domain() == Edge {
		return x509.ExtKeyUsageServerAuth
	}
	return x509.ExtKeyUsageClientAuth
}
