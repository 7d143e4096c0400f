// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/x509"
	"time"
)

// Roots returns what a domain is asked to trust, the newest first: one root,
// two while roots are rotated, and the roots of companies whose issuers were
// imported.
func (ca *CA) Roots(d Domain) []*x509.Certificate {
	return ca.state.Load().trusted(d, func(i *issuer) *x509.Certificate { return i.imported })
}

// Anchors is Roots for who verifies with Go: in place of a company's root,
// which may have certified others, it has the imported issuer itself.
func (ca *CA) Anchors(d Domain) []*x509.Certificate {
	return ca.state.Load().trusted(d, (*issuer).cert)
}

func (s *state) trusted(d Domain, imported func(*issuer) *x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	add := func(c *x509.Certificate) {
		for _, o := range out {
			if o.Equal(c) {
				return
			}
		}
		out = append(out, c)
	}
	for n := range s.roots {
		if r := s.roots[len(s.roots)-1-n]; r.domain == d {
			add(r.cert)
		}
	}
	for _, i := range s.issuers {
		if i.role.Domain() == d && i.imported != nil {
			add(imported(i))
		}
	}
	return out
}

// An Issuer is one generation of what signs for a role.
type Issuer struct {
	Role       Role
	Generation int // from 1
	Current    bool
	Imported   bool                // a company's, not our own
	Chain      []*x509.Certificate // the issuer first, the root not among them
	NotAfter   time.Time           // of the first in its chain to expire
	RotateBy   time.Time           // when less is left than certificates should be good for
}

// Issuers returns every generation that has not expired, by role, the older
// first.
func (ca *CA) Issuers() []Issuer {
	var out []Issuer
	s := ca.state.Load()
	for _, r := range Roles {
		for _, i := range s.issuers {
			if i.role == r {
				out = append(out, i.told())
			}
		}
	}
	return out
}

// told is an issuer without its key.
func (i *issuer) told() Issuer {
	return Issuer{
		Role: i.role, Generation: i.generation, Current: i.current, Imported: i.imported != nil,
		Chain: i.chain, NotAfter: i.until, RotateBy: i.rotateBy(),
	}
}

// rotateBy is a sixth of the life before its end.
func (i *issuer) rotateBy() time.Time {
	return i.until.Add(-i.until.Sub(i.cert().NotBefore) / 6)
}
