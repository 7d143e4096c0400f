// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sallyport/pki"
	"sallyport/policy"
)

// A minting is how certificates are made under one policy: by an issuer that is
// constrained to the hosts that the policy can intercept. It may be used by many
// at once.
type minting struct {
	slot  *caSlot
	hosts policy.Interceptable // that the policy can intercept
	own   []string             // names of the gateway itself
	names pki.Names            // what the two come to
	now   atomic.Pointer[minter]
}

// A minter is that of a CA which is open.
type minter struct {
	*pki.Minter
	ca *pki.CA
}

// minting is what mints under p. Where the CA is open the issuer is made now, and
// the policy is not put into force without it; else with the first CONNECT that
// is intercepted, which is refused if it cannot be. It is nil for a policy that
// intercepts nothing. own are the gateway's own names, for which nothing is
// minted whatever the policy says.
func (s *caSlot) minting(p *policy.Policy, own []string) (*minting, error) {
	i := p.Interceptable()
	if i.None() {
		return nil, nil
	}
	m := &minting{slot: s, hosts: i, names: pki.Names{AnyDNS: i.AnyName, AnyIP: i.AnyAddr, DNS: i.Names, IP: i.Nets, NotDNS: i.NotNames, NotIP: i.NotNets}}
	for _, name := range own {
		if obtainable(name) {
			m.own = append(m.own, strings.ToLower(name))
		}
	}
	m.names.NotDNS = slices.Concat(m.names.NotDNS, m.own)
	if ca := s.opened(); ca != nil {
		if _, err := m.by(ca); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *minting) by(ca *pki.CA) (*minter, error) {
	if by := m.now.Load(); by != nil && by.ca == ca {
		return by, nil
	}
	made, err := ca.Constrain(m.names)
	if err != nil {
		return nil, err
	}
	by := &minter{made, ca}
	m.now.Store(by)
	return by, nil
}

// mint makes a certificate to be shown in place of a host's, for
// gateway.Generation.
func (m *minting) mint(host string, life time.Duration) (*tls.Certificate, error) {
	ca, err := m.slot.get()
	if err != nil {
		return nil, err
	}
	by, err := m.by(ca)
	if err != nil {
		return nil, err
	}
	return by.Host(host, life)
}
