// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sallyport/pki"
)

// Stages of a root.
const (
	rootNext     = "next" // made and published; nothing is signed under it yet
	rootCurrent  = "current"
	rootPrevious = "previous" // still trusted
	rootImported = "imported" // a company's
)

// clientsTime is how long a new root is to be public before the one before it
// is retired: those who trust roots get theirs by hand or by management.
const clientsTime = 30 * day

// stageOf tells where in a rotation a root is. The current one has signed the
// issuers that are in use.
func stageOf(d pki.Domain, root *x509.Certificate, issuers []pki.Issuer) string {
	signed := false
	for _, i := range issuers {
		if i.Role.Domain() != d || i.Imported {
			if i.Imported && i.Role.Domain() == d && signs(root, i.Chain) {
				return rootImported
			}
			continue
		}
		if i.Chain[0].CheckSignatureFrom(root) == nil {
			if i.Current {
				return rootCurrent
			}
			signed = true
		}
	}
	if signed {
		return rootPrevious
	}
	return rootNext
}

func signs(root *x509.Certificate, chain []*x509.Certificate) bool {
	return chain[len(chain)-1].CheckSignatureFrom(root) == nil
}

// A caRotateIssuer names the issuer that is to have a successor.
type caRotateIssuer struct {
	Role string `json:"role"`
}

func (a *admin) caRotateIssuer(c *adminCall) (any, error) {
	var in caRotateIssuer
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	role, err := pki.ParseRole(in.Role)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	ca, err := a.ca.get()
	if err != nil {
		return nil, err
	}
	err = a.changing(c, auditEntry{Source: "ca rotate-issuer", Subject: in.Role + " issuer"}, func(*auditEntry) error {
		return ca.RotateIssuer(c.Context(), role)
	})
	if err != nil {
		return nil, err
	}
	return issuersIn(ca, role), a.follow(c)
}

// follow has the listener show certificates of the issuer that signs now. That
// it cannot undoes nothing.
func (a *admin) follow(c *adminCall) error {
	if a.rotated == nil {
		return nil
	}
	if err := a.rotated(c.Context()); err != nil {
		return fmt.Errorf("it was done, and the listener shows its certificates of before until they can be renewed: %w", err)
	}
	return nil
}

// issuersIn are the generations of one role.
func issuersIn(ca *pki.CA, role pki.Role) []caIssuer {
	out := []caIssuer{}
	for _, i := range issuersOf(ca) {
		if i.Role == role.String() {
			out = append(out, i)
		}
	}
	return out
}

// A caRotateRoot is one step for one root.
type caRotateRoot struct {
	Domain string `json:"domain"`
	Step   string `json:"step"`
	Force  bool   `json:"force,omitempty"`
}

func (a *admin) caRotateRoot(c *adminCall) (any, error) {
	var in caRotateRoot
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	domain, err := pki.ParseDomain(in.Domain)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	step, err := pki.ParseStep(in.Step)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	ca, err := a.ca.get()
	if err != nil {
		return nil, err
	}
	if step == pki.Retire && !in.Force {
		if err := tooEarly(c, ca, domain); err != nil {
			return nil, err
		}
	}
	err = a.changing(c, auditEntry{Source: "ca rotate-root", Subject: in.Domain + " root, " + in.Step}, func(*auditEntry) error {
		return ca.RotateRoot(c.Context(), domain, step)
	})
	if err != nil {
		return nil, err
	}
	return rootsOf(ca, domain), a.follow(c)
}

// tooEarly refuses to retire a root that somebody may still need.
func tooEarly(c *adminCall, ca *pki.CA, d pki.Domain) error {
	issuers := ca.Issuers()
	var previous, current *x509.Certificate
	for _, r := range ca.Roots(d) {
		switch stageOf(d, r, issuers) {
		case rootPrevious:
			previous = r
		case rootCurrent:
			current = r
		}
	}
	if previous == nil || current == nil {
		return nil // it is not the turn of this step, which the CA tells
	}
	old := make(map[string]bool) // key identifiers of issuers under the root before
	for _, i := range issuers {
		old[fmt.Sprintf("%x", i.Chain[0].SubjectKeyId)] = i.Chain[0].CheckSignatureFrom(previous) == nil
	}
	var n int
	last, now := time.Time{}, time.Now()
	err := ca.Records(c.Context(), func(r pki.Record) bool {
		if old[r.Issuer] && r.Revoked.IsZero() && now.Before(r.NotAfter) {
			n++
			if r.NotAfter.After(last) {
				last = r.NotAfter
			}
		}
		return true
	})
	var why []string
	if n > 0 {
		why = append(why, fmt.Sprintf("%s under the old root would be void, the last is good until %s", count(n, "certificate that was signed", "certificates that were signed"), last.Format(time.DateOnly)))
	}
	if now.Sub(current.NotBefore) < clientsTime {
		why = append(why, fmt.Sprintf("the new root was made on %s, less than 30 days ago, and whoever has not got it yet trusts nothing of this CA afterwards", current.NotBefore.Format(time.DateOnly)))
	}
	if err == nil && len(why) > 0 {
		err = fmt.Errorf("it is too early to retire the old %s root: %s; --force does it all the same", d, strings.Join(why, "; "))
	}
	return err
}

func (a *admin) caBackup(c *adminCall, w io.Writer) error {
	ca, err := a.ca.get()
	if err != nil {
		return err
	}
	return a.changing(c, auditEntry{Source: "ca backup"}, func(*auditEntry) error { return ca.Backup(c.Context(), w) })
}

func (a *admin) caRestore(c *adminCall) (any, error) {
	if a.ca.exists() {
		return nil, fmt.Errorf("there is a CA in %s already: restore into another state directory", a.ca.dir())
	}
	err := a.changing(c, auditEntry{Source: "ca restore"}, func(*auditEntry) error { return a.ca.restore(c.Body) })
	if err != nil {
		return nil, err
	}
	return a.caStatus(c)
}

// restore makes the CA of a backup.
func (s *caSlot) restore(r io.Reader) error {
	p, err := s.read()
	if err != nil {
		return fmt.Errorf("a backup has no passphrase, and is opened with the one it was made under: %w", err)
	}
	defer clear(p.Text)
	err = pki.Restore(s.dir(), p.Text, r)
	if errors.Is(err, pki.ErrPassphrase) {
		err = fmt.Errorf("%w: %s; give the right file with --passphrase-file", err, p.From)
	}
	return errors.Join(err, s.own())
}

// A caImport is a company's issuer, and its key in the clear: over a socket
// that only this user and root can read.
type caImport struct {
	Role  string `json:"role"`
	Chain string `json:"chain"` // PEM: the issuer, those above it, the root
	Key   []byte `json:"key"`   // PKCS#8
}

func (a *admin) caImport(c *adminCall) (any, error) {
	var in caImport
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	defer clear(in.Key)
	role, err := pki.ParseRole(in.Role)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	chain, err := parseChain([]byte(in.Chain))
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(in.Key)
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, errors.New("the key cannot be read, or does not sign") // the parser's text could have some of it
	}
	ca, err := a.ca.get()
	if err != nil {
		return nil, err
	}
	about := in.Role + " issuer"
	if len(chain) > 0 {
		about += ": " + chain[0].Subject.String()
	}
	err = a.changing(c, auditEntry{Source: "ca import", Subject: about}, func(*auditEntry) error {
		return ca.Import(c.Context(), role, chain, signer)
	})
	if err != nil {
		return nil, err
	}
	return issuersIn(ca, role), a.follow(c)
}

// parseChain reads all certificates of a PEM text.
func parseChain(text []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return chain, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(chain)+1, err)
		}
		chain = append(chain, c)
	}
}
