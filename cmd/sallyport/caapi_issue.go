// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"sallyport/pki"
)

// A caIssue asks for a certificate. What it is to say stands here; of the
// signing request only the key counts.
type caIssue struct {
	Source string       `json:"source"` // the command, for the audit log
	CSR    string       `json:"csr"`    // PEM
	User   string       `json:"user,omitempty"`
	Device string       `json:"device,omitempty"`
	Email  string       `json:"email,omitempty"`
	DNS    []string     `json:"dns,omitempty"`
	IP     []netip.Addr `json:"ip,omitempty"`
	Life   string       `json:"life,omitempty"` // as Go writes durations
}

// about is whom or what the certificate is for.
func (in *caIssue) about() string {
	names := in.DNS
	for _, ip := range in.IP {
		names = append(names[:len(names):len(names)], ip.String())
	}
	switch {
	case in.User != "":
		return "user " + in.User
	case in.Device != "":
		return "device " + in.Device
	}
	return "server " + strings.Join(names, ", ")
}

// A caIssued is a certificate that was issued.
type caIssued struct {
	Serial     string    `json:"serial"`
	Role       string    `json:"role"`
	Generation int       `json:"generation"` // of the issuer
	Subject    string    `json:"subject"`
	Names      []string  `json:"names"`
	NotBefore  time.Time `json:"not_before"`
	NotAfter   time.Time `json:"not_after"`
	Chain      string    `json:"chain,omitempty"` // PEM: the certificate and what leads to its root
	Root       string    `json:"root,omitempty"`  // PEM
	// Of a record:
	Issued  time.Time  `json:"issued,omitzero"`
	By      string     `json:"by,omitempty"`
	Revoked *time.Time `json:"revoked,omitempty"`
	Reason  string     `json:"reason,omitempty"`
}

func (a *admin) caIssue(c *adminCall) (any, error) {
	var in caIssue
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(in.CSR))
	if block == nil {
		return nil, errors.New("this is no signing request in PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the signing request: %w", err)
	}
	q := pki.Request{Role: pki.Client, CSR: csr, User: in.User, Device: in.Device, Email: in.Email, DNS: in.DNS, IP: in.IP, By: c.by.String()}
	if in.User == "" && in.Device == "" {
		q.Role = pki.Server
	}
	if in.Life != "" {
		if q.Life, err = time.ParseDuration(in.Life); err != nil {
			return nil, err
		}
	}
	ca, err := a.ca.get()
	if err != nil {
		return nil, err
	}
	var out caIssued
	err = a.changing(c, auditEntry{Source: cmp.Or(in.Source, "ca issue"), Subject: in.about()}, func(e *auditEntry) error {
		chain, err := ca.Issue(c.Context(), q)
		if err != nil {
			return err
		}
		e.Serial = pki.SerialText(chain[0].SerialNumber)
		r, _, err := ca.Find(e.Serial)
		if err != nil {
			return err
		}
		out = issuedOf(r)
		out.Chain = pemOf(chain...)
		if roots := ca.Roots(q.Role.Domain()); len(roots) > 0 {
			out.Root = pemOf(roots[0])
		}
		return nil
	})
	return out, err
}

func issuedOf(r pki.Record) caIssued {
	out := caIssued{
		Serial: r.Serial, Role: r.Role.String(), Generation: r.Generation, Subject: r.Subject, Names: append([]string{}, r.Names...),
		NotBefore: r.NotBefore.UTC(), NotAfter: r.NotAfter.UTC(), Issued: r.Issued, By: r.By,
	}
	if !r.Revoked.IsZero() {
		out.Revoked, out.Reason = &r.Revoked, reasonText(r.Reason)
	}
	return out
}

// maxRecords bounds an answer with records.
const maxRecords = 1000

// caRecords answers with the newest certificates that are valid and begin with
// the digits prefix.
func (a *admin) caRecords(c *adminCall) (any, error) {
	ca, err := a.ca.get()
	if err != nil {
		return nil, err
	}
	prefix, now, out := strings.ToLower(c.URL.Query().Get("prefix")), time.Now(), []caIssued{}
	err = ca.Records(c.Context(), func(r pki.Record) bool {
		if strings.HasPrefix(r.Serial, prefix) && r.Revoked.IsZero() && now.Before(r.NotAfter) {
			out = append(out, issuedOf(r))
		}
		return len(out) < maxRecords
	})
	return out, err
}

// reasons are those of RFC 5280 §5.3.1 that a certificate can be revoked for.
var reasons = []struct {
	name   string
	number int
}{
	{"unspecified", 0},
	{"keyCompromise", 1},
	{"affiliationChanged", 3},
	{"superseded", 4},
	{"cessationOfOperation", 5},
	{"privilegeWithdrawn", 9},
}

func reasonText(n int) string {
	for _, r := range reasons {
		if r.number == n {
			return r.name
		}
	}
	return fmt.Sprint(n)
}

// parseReason reads a reason in any case.
func parseReason(s string) (int, error) {
	var names []string
	for _, r := range reasons {
		if strings.EqualFold(s, r.name) {
			return r.number, nil
		}
		names = append(names, r.name)
	}
	return 0, &exitError{exitUsage, fmt.Errorf("--reason %s: there are %s", s, strings.Join(names, ", "))}
}

// A caRevoke names a certificate and why it is void.
type caRevoke struct {
	Serial string `json:"serial"`
	Reason int    `json:"reason"`
}

func (a *admin) caRevoke(c *adminCall) (any, error) {
	var in caRevoke
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	n, err := pki.ParseSerial(in.Serial)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	ca, err := a.ca.get()
	if err != nil {
		return nil, err
	}
	serial := pki.SerialText(n)
	r, _, err := ca.Find(serial)
	switch {
	case errors.Is(err, pki.ErrUnknownSerial):
		return nil, &exitError{exitNegative, fmt.Errorf("no certificate with the serial number %s was issued by this CA", serial)}
	case err != nil:
		return nil, err
	case !r.Revoked.IsZero():
		return nil, &exitError{exitNegative, fmt.Errorf("%s of %s is revoked already, since %s: %s", serial, r.Subject, r.Revoked.Format(time.RFC3339), reasonText(r.Reason))}
	}
	about := fmt.Sprintf("%s, %s", cmp.Or(r.Subject, strings.Join(r.Names, ", ")), reasonText(in.Reason))
	err = a.changing(c, auditEntry{Source: "ca revoke", Subject: about, Serial: serial}, func(*auditEntry) error {
		return ca.Revoke(c.Context(), n, in.Reason, c.by.String())
	})
	if err != nil {
		return nil, err
	}
	r, _, err = ca.Find(serial)
	return issuedOf(r), err
}
