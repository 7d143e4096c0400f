// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"sallyport/pki"
)

// What the admin says of a CA: the JSON that commands print with --json.

// A caStatus is what there is.
type caStatus struct {
	Directory   string     `json:"directory"`
	Name        string     `json:"name"`
	TrustDomain string     `json:"trust_domain"`
	URL         string     `json:"url,omitempty"`    // where certificates say that CRLs, OCSP and issuers are
	Permit      []string   `json:"permit,omitempty"` // DNS zones of server certificates
	Passphrase  string     `json:"passphrase"`       // the file it was read from
	Beside      bool       `json:"passphrase_beside,omitempty"`
	Roots       []caCert   `json:"roots"`
	Issuers     []caIssuer `json:"issuers"`
	Mints       *caMints   `json:"mints,omitempty"`
	Issued      int        `json:"issued"` // server and client certificates that have not been swept away
	Valid       int        `json:"valid"`  // of these, now
	Revoked     int        `json:"revoked"`
}

// A caCert is a certificate in short.
type caCert struct {
	Domain    string    `json:"domain,omitempty"` // edge, identity: of a root
	Subject   string    `json:"subject"`
	SHA256    string    `json:"sha256"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Stage     string    `json:"stage,omitempty"` // next, current, previous, imported: of a root
	PEM       string    `json:"pem,omitempty"`
}

// A caIssuer is one generation of an issuer.
type caIssuer struct {
	Role       string    `json:"role"`
	Generation int       `json:"generation"`
	Current    bool      `json:"current"`
	Imported   bool      `json:"imported,omitempty"`
	KeyID      string    `json:"key_id"`    // subject key identifier
	NotAfter   time.Time `json:"not_after"` // of the first in its chain to expire
	RotateBy   time.Time `json:"rotate_by"`
	caCert
}

func certOf(c *x509.Certificate) caCert {
	sum := sha256.Sum256(c.Raw)
	return caCert{Subject: c.Subject.String(), SHA256: hex.EncodeToString(sum[:]), NotBefore: c.NotBefore, NotAfter: c.NotAfter}
}

func issuersOf(ca *pki.CA) []caIssuer {
	out := []caIssuer{}
	for _, i := range ca.Issuers() {
		out = append(out, *issuerOf(i))
	}
	return out
}

func issuerOf(i pki.Issuer) *caIssuer {
	return &caIssuer{
		Role: i.Role.String(), Generation: i.Generation, Current: i.Current, Imported: i.Imported,
		KeyID: hex.EncodeToString(i.Chain[0].SubjectKeyId), NotAfter: i.NotAfter.UTC(), RotateBy: i.RotateBy.UTC(),
		caCert: certOf(i.Chain[0]),
	}
}

func rootsOf(ca *pki.CA, domains ...pki.Domain) []caCert {
	out, issuers := []caCert{}, ca.Issuers()
	for _, d := range domains {
		for _, c := range ca.Roots(d) {
			r := certOf(c)
			r.Domain, r.Stage, r.PEM = d.String(), stageOf(d, c, issuers), pemOf(c)
			out = append(out, r)
		}
	}
	return out
}

func pemOf(chain ...*x509.Certificate) string {
	var b bytes.Buffer
	for _, c := range chain {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a buffer takes everything
	}
	return b.String()
}

// caRoutes are what can be asked of the CA. What changes it is in the audit
// log before it is done, and what came of it after.
func (a *admin) caRoutes() {
	a.handle("GET /v1/ca", a.caStatus)
	a.handle("POST /v1/ca/init", a.caInit)
	a.handle("GET /v1/ca/roots", func(*adminCall) (any, error) {
		ca, err := a.ca.get()
		if err != nil {
			return nil, err
		}
		return rootsOf(ca, pki.Edge, pki.Identity), nil
	})
	a.handle("POST /v1/ca/issue", a.caIssue)
	a.handle("GET /v1/ca/records", a.caRecords)
	a.handle("POST /v1/ca/revoke", a.caRevoke)
	a.handle("GET /v1/ca/crl", a.caCRLs)
	a.caEABRoutes()
	a.handle("POST /v1/ca/rotate-issuer", a.caRotateIssuer)
	a.handle("POST /v1/ca/rotate-root", a.caRotateRoot)
	a.handle("POST /v1/ca/import", a.caImport)
	a.stream("GET /v1/ca/backup", a.caBackup)
	a.receive("POST /v1/ca/restore", a.caRestore)
}

func (a *admin) caStatus(c *adminCall) (any, error) {
	ca, err := a.ca.get()
	if err != nil {
		return nil, err
	}
	s := ca.Settings()
	out := caStatus{
		Directory: a.ca.dir(), Name: s.Name, TrustDomain: s.TrustDomain, URL: s.URL, Permit: s.Permit,
		Passphrase: a.ca.passphrase.From, Beside: a.ca.passphrase.Beside,
		Roots: rootsOf(ca, pki.Edge, pki.Identity), Issuers: issuersOf(ca),
	}
	if a.minting != nil {
		out.Mints = mintsOf(a.minting(), ca)
	}
	now := time.Now()
	return out, ca.Records(c.Context(), func(r pki.Record) bool {
		out.Issued++
		switch {
		case !r.Revoked.IsZero():
			out.Revoked++
		case now.Before(r.NotAfter):
			out.Valid++
		}
		return true
	})
}

// A caInit is what a CA is made with.
type caInit struct {
	Name        string   `json:"name,omitempty"`
	TrustDomain string   `json:"trust_domain,omitempty"`
	URL         string   `json:"url,omitempty"`
	Permit      []string `json:"permit,omitempty"`
	Passphrase  string   `json:"passphrase_file,omitempty"` // refused unless it is the one that this process was given
}

func (a *admin) caInit(c *adminCall) (any, error) {
	var in caInit
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Passphrase != "" && in.Passphrase != a.ca.passphraseFile {
		return nil, errors.New("the gateway that runs on this state directory was not started with this --passphrase-file: stop it first, or leave the flag out")
	}
	if a.ca.exists() {
		return nil, fmt.Errorf("there is a CA in %s already; sallyport ca status shows it", a.ca.dir())
	}
	err := a.changing(c, auditEntry{Source: "ca init", Subject: in.Name}, func(*auditEntry) error {
		return a.ca.init(pki.Settings{Name: in.Name, TrustDomain: in.TrustDomain, URL: in.URL, Permit: in.Permit})
	})
	if err != nil {
		return nil, err
	}
	return a.caStatus(c)
}

// changing does what changes the CA. Nothing is done that the audit log cannot
// take; what came of it is logged as well, and a log that fails then does not
// undo it.
func (a *admin) changing(c *adminCall, e auditEntry, do func(*auditEntry) error) error {
	e.Author, e.Result = c.by, resultAccepted
	if err := a.audit(e); err != nil {
		return fmt.Errorf("nothing was done, because the audit log cannot be written: %w", err)
	}
	err := do(&e)
	e.Result = resultDone
	if err != nil {
		e.Result = resultFailed
		e.failure(err)
	} else if a.changed != nil {
		a.changed()
	}
	if lost := a.audit(e); lost != nil {
		if err == nil {
			return fmt.Errorf("it was done, and the audit log does not have the end of it (%s): %w", e.what(), lost)
		}
	}
	return err
}

// audit writes a line to the audit log of the state directory.
func (a *admin) audit(e auditEntry) error {
	archive, err := openArchive(a.state)
	if err != nil {
		return err
	}
	defer archive.root.Close()
	return archive.locked(func() error { return archive.log(e) })
}
