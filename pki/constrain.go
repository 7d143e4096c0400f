// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Names are the hosts that an issuer signs for. A DNS name stands for itself and
// all below it (RFC 5280 §4.2.1.10). The zero value is none.
type Names struct {
	AnyDNS bool           // every DNS name, and DNS is not looked at
	AnyIP  bool           // every address, and IP is not looked at
	DNS    []string       // zones, in lower case; what no certificate can be for is left out
	IP     []netip.Prefix // networks
	NotDNS []string       // zones of which it signs for no name, whatever stands above
	NotIP  []netip.Prefix // networks likewise
}

// A constrained issuer lives two weeks, so that in the first of them, after
// which its successor signs, a leaf is good for its seven days.
const constrainedLife = 14 * 24 * time.Hour

// mostConstrained is how many constrained issuers are remembered, for those who
// ask for their CRLs: the last ones. Each change of names makes one.
const mostConstrained = 64

// constrained are the issuers that were made for names. They are in memory
// alone, with their keys: a process that starts makes others.
type constrained struct {
	mu      sync.Mutex
	minters []*Minter // the one asked for last first, two at most

	among   sync.Mutex // may be taken with mu, not the other way round
	issuers []*issuer  // the older first
}

// Constrain returns a minter of certificates for hosts, those that n names and
// that the authority's settings do not exclude. They are signed by an issuer of
// its own, certified by the edge root like the one on record, with name
// constraints that are critical: whoever verifies a certificate for any other
// name refuses it, also if the issuer's key was stolen. It is made here, and
// again in time before it expires and when the issuer on record or the root has
// been replaced.
//
// For names that were asked for lately it is the same minter as then. An
// imported issuer is not ours to constrain: it signs itself, and the minter
// alone holds to the names.
func (ca *CA) Constrain(n Names) (*Minter, error) {
	n = n.clean()
	text, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("constraining the %s issuer: %w", Intercept, err)
	}
	c := &ca.constrained
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.IndexFunc(c.minters, func(m *Minter) bool { return m.names.text == string(text) })
	if at < 0 {
		m := newMinter(ca, Intercept)
		m.names = &constraint{Names: n, text: string(text)}
		c.minters, at = append(c.minters, m), len(c.minters)
	}
	m := c.minters[at]
	c.minters = append([]*Minter{m}, slices.Delete(c.minters, at, at+1)...)
	c.minters = c.minters[:min(len(c.minters), 2)]
	if _, err := m.names.issuer(ca, ca.state.Load(), ca.now()); err != nil {
		return nil, err
	}
	return m, nil
}

// clean leaves out what a certificate cannot say and nobody can mint for, and
// puts the rest in order.
func (n Names) clean() Names {
	dns := func(zones []string) []string {
		zones = slices.DeleteFunc(slices.Clone(zones), func(z string) bool { return validDNS(z) != nil })
		slices.Sort(zones)
		return slices.Compact(zones)
	}
	ip := func(nets []netip.Prefix) []netip.Prefix {
		nets = slices.DeleteFunc(slices.Clone(nets), func(p netip.Prefix) bool { return !p.IsValid() })
		for i := range nets {
			nets[i] = nets[i].Masked()
		}
		slices.SortFunc(nets, netip.Prefix.Compare)
		return slices.Compact(nets)
	}
	n.DNS, n.NotDNS, n.IP, n.NotIP = dns(n.DNS), dns(n.NotDNS), ip(n.IP), ip(n.NotIP)
	return n
}

// nowhere is a zone that no host is in (RFC 6761 §6.4). Constraints are kept by
// kind of name, and none of a kind means that every name of it is permitted:
// who signs for no DNS name is permitted this one.
const nowhere = "invalid"

// constrain writes n into a certificate.
func (n Names) constrain(t *x509.Certificate) {
	t.PermittedDNSDomains, t.PermittedIPRanges = nil, nil
	if !n.AnyDNS {
		if t.PermittedDNSDomains = n.DNS; len(n.DNS) == 0 {
			t.PermittedDNSDomains = []string{nowhere}
		}
	}
	t.ExcludedDNSDomains = slices.Concat(t.ExcludedDNSDomains, n.NotDNS)
	slices.Sort(t.ExcludedDNSDomains)
	t.ExcludedDNSDomains = slices.Compact(t.ExcludedDNSDomains)
	not := n.NotIP
	switch {
	case n.AnyIP:
	case len(n.IP) > 0:
		t.PermittedIPRanges = ranges(n.IP)
	default:
		not = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	}
	t.ExcludedIPRanges = ranges(not)
	t.PermittedDNSDomainsCritical = true
}

func ranges(nets []netip.Prefix) (out []*net.IPNet) {
	for _, p := range nets {
		out = append(out, &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	return out
}

// A constraint is the names of a minter, with the issuer that is constrained to them.
type constraint struct {
	Names
	text string // the same for the same names

	mu    sync.Mutex
	now   *issuer
	of    *issuer   // that is on record, in whose place it signs
	renew time.Time // when its successor is made
}

// issuer returns the issuer that signs. A minter waits for the making of one
// only where there is none that is good: half a millisecond, without the disk.
func (n *constraint) issuer(ca *CA, s *state, now time.Time) (*issuer, error) {
	base := s.issuer(Intercept)
	n.mu.Lock()
	defer n.mu.Unlock()
	same := n.of != nil && sameIssuer(n.of, base)
	if same && now.Before(n.renew) {
		return n.now, nil
	}
	next, err := ca.makeConstrained(s, base, n.Names, now)
	switch {
	case err == nil:
		n.now, n.of, n.renew = next, base, now.Add(next.until.Sub(now)/2)
		if next.transient {
			ca.constrained.remember(next)
		}
	case same && now.Before(n.now.until):
		ca.log("the %s issuer that is constrained by the policy is not renewed, and expires at %v: %v", Intercept, n.now.until, err)
		n.renew = now.Add(time.Hour)
	default:
		return nil, fmt.Errorf("making an %s issuer that is constrained: %w", Intercept, err)
	}
	return n.now, nil
}

// Issuer returns the issuer by which the minter signs, and whether it has a
// certificate of its own that is constrained; if not, it is the one on record.
func (m *Minter) Issuer() (i Issuer, constrained bool, err error) {
	s := m.ca.state.Load()
	by := s.issuer(m.role)
	if m.names != nil {
		if by, err = m.names.issuer(m.ca, s, m.ca.now()); err != nil {
			return Issuer{}, false, err
		}
	}
	return by.told(), by.transient, nil
}

// sameIssuer reports whether two are one generation below the same roots.
func sameIssuer(a, b *issuer) bool {
	return slices.EqualFunc(a.chain, b.chain, (*x509.Certificate).Equal)
}

// makeConstrained makes an issuer, with a key of its own, or the imported one
// with names that it holds to.
func (ca *CA) makeConstrained(s *state, base *issuer, n Names, now time.Time) (*issuer, error) {
	if base.imported != nil {
		i := *base
		i.held = &x509.Certificate{ExcludedDNSDomains: s.settings.Exclude}
		n.constrain(i.held)
		return &i, nil
	}
	by := s.root(Intercept.Domain(), stageCurrent)
	var i *issuer
	err := ca.store.View(func(t tx) error {
		byKey, err := ca.kek.key(t, by.name(), by.generation)
		if err != nil {
			return err
		}
		key, err := newKey()
		if err != nil {
			return err
		}
		c := s.settings.issuerTemplate(Intercept, base.generation, now)
		c.Subject.SerialNumber = SerialText(c.SerialNumber)[:8] // no two issuers have one name
		c.NotAfter = now.Add(min(constrainedLife, s.settings.IssuerLife))
		n.constrain(c)
		made, err := certify(c, by.cert, key.Public(), byKey)
		if err != nil {
			return err
		}
		i = newIssuer(Intercept, base.generation, append([]*x509.Certificate{made}, base.chain[1:]...), key)
		i.transient = true
		return nil
	})
	return i, err
}

// remember keeps an issuer for those who ask for its CRL.
func (c *constrained) remember(i *issuer) {
	c.among.Lock()
	defer c.among.Unlock()
	c.issuers = slices.DeleteFunc(c.issuers, func(old *issuer) bool { return !old.until.After(i.cert().NotBefore) })
	if c.issuers = append(c.issuers, i); len(c.issuers) > mostConstrained {
		c.issuers = slices.Delete(c.issuers, 0, len(c.issuers)-mostConstrained)
	}
}

// issuers are all that have signed something that may still be good: those on
// record, and those that were constrained.
func (ca *CA) issuers() []*issuer {
	c := &ca.constrained
	c.among.Lock()
	defer c.among.Unlock()
	return slices.Concat(ca.state.Load().issuers, c.issuers)
}
