// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"sync"

	"github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/authority/config"
	"github.com/smallstep/certificates/authority/provisioner"
	"github.com/smallstep/certificates/cas/apiv1"
	"github.com/smallstep/certificates/db"
)

// signing is a smallstep authority for a role, made when it is first needed:
// most commands need none.
type signing struct {
	mu        sync.Mutex
	authority *authority.Authority
	closed    bool
}

// authority returns smallstep's authority for a role: Server or Client. It is
// that of the current state, and no longer to be kept than a request takes.
func (ca *CA) authority(r Role) (*authority.Authority, error) {
	n := map[Role]int{Server: 0, Client: 1}
	at, ok := n[r]
	if !ok {
		return nil, refuse("certificates of the %s issuer are minted, not asked for", r)
	}
	s := ca.state.Load()
	g := &s.signing[at]
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.authority != nil {
		return g.authority, nil
	}
	a, err := ca.newAuthority(s, r)
	if err != nil {
		return nil, fmt.Errorf("starting the %s authority: %w", r, err)
	}
	g.authority = a
	return a, nil
}

func (ca *CA) newAuthority(s *state, r Role) (*authority.Authority, error) {
	provisioners := ca.provisioners(s, r)
	i := s.issuer(r)
	a, err := authority.NewEmbedded(
		authority.WithConfig(&config.Config{
			AuthorityConfig: &config.AuthConfig{Provisioners: provisioners},
		}),
		authority.WithX509RootCerts(s.root(r.Domain(), stageCurrent).cert),
		authority.WithX509IntermediateCerts(i.chain...),
		authority.WithX509CAService(&gate{ca, r}),
		authority.WithDatabase(&authorityDB{&db.DB{DB: nosql{ca.store}}, ca}),
		authority.WithQuietInit(),
	)
	if err != nil {
		return nil, err
	}
	// smallstep logs that a provisioner does not work, and goes on without it.
	for _, p := range provisioners {
		got, err := a.LoadProvisionerByName(p.GetName())
		if err != nil {
			return nil, err
		}
		if u, ok := got.(provisioner.Uninitialized); ok {
			return nil, u.Reason
		}
	}
	return a, nil
}

// provisioners are the ways other than Issue by which a role's authority takes
// requests.
func (ca *CA) provisioners(*state, Role) provisioner.List { return nil }

// close ends the authorities of a state that is no longer in force. Requests
// they are at come to their end.
func (s *state) close() {
	for n := range s.signing {
		g := &s.signing[n]
		g.mu.Lock()
		if g.authority != nil && !g.closed {
			g.authority.CloseForReload()
			g.closed = true
		}
		g.mu.Unlock()
	}
}

// A gate is where smallstep comes for a signature (its
// CertificateAuthorityService). It signs with the issuer that is current when
// it is asked, and has the certificate on record before anybody has it.
type gate struct {
	ca   *CA
	role Role
}

func (g *gate) CreateCertificate(r *apiv1.CreateCertificateRequest) (*apiv1.CreateCertificateResponse, error) {
	if r.CSR == nil {
		return nil, refuse("no signing request")
	}
	by := ""
	if p := r.Provisioner; p != nil {
		by = p.Name
		if p.ID != callerID {
			by = p.Type + " " + p.Name
		}
	}
	s := g.ca.state.Load()
	i := s.issuer(g.role)
	c, err := g.ca.issue(s, i, r.Template, r.CSR.PublicKey, by)
	if err != nil {
		return nil, err
	}
	return &apiv1.CreateCertificateResponse{Certificate: c, CertificateChain: i.chain}, nil
}

// RenewCertificate refuses: smallstep renews what it finds in an old
// certificate, and asks nobody whether that may still be. Whoever wants a new
// certificate asks for one.
func (g *gate) RenewCertificate(*apiv1.RenewCertificateRequest) (*apiv1.RenewCertificateResponse, error) {
	return nil, refuse("no certificate is renewed from an old one: ask for a new one")
}

// RevokeCertificate does nothing: authorityDB does it.
func (g *gate) RevokeCertificate(*apiv1.RevokeCertificateRequest) (*apiv1.RevokeCertificateResponse, error) {
	return &apiv1.RevokeCertificateResponse{}, nil
}

// authorityDB is smallstep's database with its records of certificates in ours.
type authorityDB struct {
	*db.DB
	ca *CA
}

func (d *authorityDB) IsRevoked(serial string) (bool, error) {
	r, _, err := d.ca.findDecimal(serial)
	if errors.Is(err, ErrUnknownSerial) {
		return false, nil
	}
	return !r.Revoked.IsZero(), err
}

func (d *authorityDB) Revoke(i *db.RevokedCertificateInfo) error {
	n, ok := new(big.Int).SetString(i.Serial, 10)
	if !ok {
		return ErrUnknownSerial
	}
	by := "ACME"
	if !i.ACME {
		by = "authority"
	}
	err := d.ca.revoke(n, i.ReasonCode, by)
	if errors.Is(err, ErrRevoked) {
		return db.ErrAlreadyExists
	}
	return err
}

func (d *authorityDB) GetCertificate(serial string) (*x509.Certificate, error) {
	_, c, err := d.ca.findDecimal(serial)
	return c, err
}

// StoreCertificateChain does nothing: the gate has it on record already.
func (d *authorityDB) StoreCertificateChain(provisioner.Interface, ...*x509.Certificate) error {
	return nil
}

// StoreRenewedCertificate refuses, like RenewCertificate.
func (d *authorityDB) StoreRenewedCertificate(*x509.Certificate, ...*x509.Certificate) error {
	return refuse("no certificate is renewed from an old one: ask for a new one")
}

// GetRevokedCertificates refuses: smallstep would make one CRL for all issuers.
func (d *authorityDB) GetRevokedCertificates() (*[]db.RevokedCertificateInfo, error) {
	return nil, db.ErrNotImplemented
}
