// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// A Minter signs certificates for the moment, and keeps them in memory: one
// for each host or user, until a quarter of its life is left or the authority
// has changed. They share a private key, which is replaced every day and
// leaves the process never. They are not on record in ca.db, which would take
// a write to the disk for each, but see [CA.Minted]. All methods may be called
// at once by many; those who want the same wait for one.
type Minter struct {
	ca     *CA
	role   Role
	names  *constraint // that the issuer is constrained to; nil: the one on record signs
	seed   maphash.Seed
	shards [32]shard

	key    atomic.Pointer[leafKey]
	making sync.Mutex // held by who makes the next key
}

type leafKey struct {
	signer crypto.Signer
	until  time.Time
}

// mostMinted is how many certificates a minter keeps: some 15 MB.
const mostMinted = 8192

// Minter returns the minter of a role: Intercept or Delegated. It is nil for
// others, and a nil one mints nothing.
func (ca *CA) Minter(r Role) *Minter {
	switch r {
	case Intercept:
		return ca.minters[0]
	case Delegated:
		return ca.minters[1]
	}
	return nil
}

func newMinter(ca *CA, r Role) *Minter {
	m := &Minter{ca: ca, role: r, seed: maphash.MakeSeed()}
	for n := range m.shards {
		m.shards[n].by = map[mintKey]*minted{}
	}
	return m
}

// Host returns a certificate for a host: a DNS name in lower case or an
// address. It is good for life, or seven days if that is less or life is zero,
// and ErrRefused if the issuer is constrained not to sign it. The minter must be
// that of Intercept.
func (m *Minter) Host(host string, life time.Duration) (*tls.Certificate, error) {
	if m == nil || m.role != Intercept {
		return nil, refuse("minting a certificate for a host: this minter does not")
	}
	return m.get(mintKey{name: host, life: life})
}

// A Delegation is whom a certificate toward an origin is for, and what it says
// beside the user's name.
type Delegation struct {
	User  string        // up to 64 of letters, digits and . _ - @
	Email string        // "": none
	Unit  string        // organizational unit of the subject; "": none
	Path  string        // of the SPIFFE ID, without the slash at its beginning; "": user/USER
	Life  time.Duration // from a minute to an hour; zero: ten minutes
}

// User returns a certificate for a user toward an origin. It is ErrRefused when
// d does not name the one user and no other, wherever it is read. The minter must
// be that of Delegated.
func (m *Minter) User(d Delegation) (*tls.Certificate, error) {
	if m == nil || m.role != Delegated {
		return nil, refuse("minting a certificate for a user: this minter does not")
	}
	return m.get(mintKey{name: d.User, email: d.Email, unit: d.Unit, path: d.Path, life: d.Life})
}

// A mintKey has everything in it that a certificate is made of (law 7).
type mintKey struct {
	name, email string
	unit, path  string
	life        time.Duration // zero: the role's
}

func (m *Minter) get(k mintKey) (*tls.Certificate, error) {
	now, s := m.ca.now(), m.ca.state.Load()
	e, mine := m.shards[maphash.Comparable(m.seed, k)%uint64(len(m.shards))].entry(k, s, now)
	if !mine {
		<-e.ready
		return e.cert, e.err
	}
	defer close(e.ready)
	e.cert, e.until, e.err = m.mint(k, s, now)
	if e.err != nil {
		e.err = fmt.Errorf("minting a certificate for %q: %w", k.name, e.err)
		e.until = time.Time{} // the next who asks tries again
	}
	return e.cert, e.err
}

func (m *Minter) mint(k mintKey, s *state, now time.Time) (*tls.Certificate, time.Time, error) {
	key, err := m.leafKey(now)
	if err != nil {
		return nil, now, err
	}
	i := s.issuer(m.role)
	if m.names != nil {
		if i, err = m.names.issuer(m.ca, s, now); err != nil {
			return nil, now, err
		}
	}
	t, der, err := i.sign(s.settings, m.template(k, s, now), key.Public(), now)
	if err != nil {
		return nil, now, err
	}
	m.ca.minted.add(record(i, t, "", now))
	c := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	for _, up := range i.chain {
		c.Certificate = append(c.Certificate, up.Raw)
	}
	if m.role == Delegated { // whoever shows it looks into it
		if c.Leaf, err = x509.ParseCertificate(der); err != nil {
			return nil, now, err
		}
	}
	return c, t.NotAfter.Add(-t.NotAfter.Sub(now) / 4), nil
}

func (m *Minter) template(k mintKey, s *state, now time.Time) *x509.Certificate {
	t := &x509.Certificate{
		NotBefore:   now.Add(-earlyLeaf),
		NotAfter:    now.Add(m.role.Usual()),
		ExtKeyUsage: []x509.ExtKeyUsage{m.role.usage()},
	}
	if m.role == Delegated {
		if k.life != 0 {
			t.NotAfter = now.Add(k.life)
		}
		k.fill(t, s.settings)
		return t
	}
	if k.life > 0 && k.life < m.role.Usual() {
		t.NotAfter = now.Add(k.life)
	}
	if ip, err := netip.ParseAddr(k.name); err == nil && ip.Zone() == "" {
		t.IPAddresses = []net.IP{ip.Unmap().AsSlice()}
	} else {
		t.DNSNames = []string{k.name}
	}
	if len(k.name) <= 64 && len(t.DNSNames) > 0 {
		t.Subject = pkix.Name{CommonName: k.name}
	}
	return t
}

// fill says who t is for. The gate judges it.
func (k mintKey) fill(t *x509.Certificate, s Settings) {
	fillClient(t, s, kindUser, k.name, k.email)
	if k.path != "" {
		t.URIs = []*url.URL{{Scheme: "spiffe", Host: s.TrustDomain, Path: "/" + k.path}}
	}
	if k.unit != "" {
		t.Subject.OrganizationalUnit = []string{k.unit}
	}
}

// leafKey returns the key of the day.
func (m *Minter) leafKey(now time.Time) (crypto.Signer, error) {
	if k := m.key.Load(); k != nil && now.Before(k.until) {
		return k.signer, nil
	}
	m.making.Lock()
	defer m.making.Unlock()
	if k := m.key.Load(); k != nil && now.Before(k.until) {
		return k.signer, nil
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	m.key.Store(&leafKey{key, now.Add(24 * time.Hour)})
	return key, nil
}

// minted is one certificate in its shard's list, or the making of it.
type minted struct {
	key        mintKey
	state      *state
	ready      chan struct{} // closed when the rest is there
	cert       *tls.Certificate
	err        error
	until      time.Time
	prev, next *minted
}

// A shard is a part of what a minter keeps, by when it was last asked for.
type shard struct {
	mu   sync.Mutex
	by   map[mintKey]*minted
	list minted // a ring; next is the one asked for last
}

// entry returns what there is for a key; mine if there is nothing that is
// good, and the caller is the one to make it.
func (s *shard) entry(k mintKey, now *state, at time.Time) (e *minted, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list.next == nil {
		s.list.next, s.list.prev = &s.list, &s.list
	}
	if e = s.by[k]; e != nil {
		e.unlink()
		if e.good(now, at) {
			e.link(&s.list)
			return e, false
		}
	}
	e = &minted{key: k, state: now, ready: make(chan struct{})}
	s.by[k] = e
	e.link(&s.list)
	if len(s.by) > mostMinted/32 {
		last := s.list.prev
		last.unlink()
		delete(s.by, last.key)
	}
	return e, true
}

// good tells whether an entry is still of use: it is being made, or its
// certificate was made under the present state and is not to expire soon.
func (e *minted) good(now *state, at time.Time) bool {
	if e.state != now {
		return false
	}
	select {
	case <-e.ready:
		return at.Before(e.until)
	default:
		return true
	}
}

func (e *minted) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

func (e *minted) link(list *minted) {
	e.prev, e.next = list, list.next
	list.next.prev, list.next = e, e
}
