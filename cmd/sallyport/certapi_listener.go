// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/certs"
	"sallyport/pki"
)

// A certText is certificates that are held here.
type certText struct {
	PEM string `json:"pem"`
}

// certPEM finds what cert inspect and cert verify call listener, listener:NAME
// and store:WHAT.
func (a *admin) certPEM(c *adminCall) (any, error) {
	what := c.URL.Query().Get("what")
	no := func(format string, args ...any) error { return &exitError{exitFailed, fmt.Errorf(format, args...)} }
	if name, ok := strings.CutPrefix(what, "listener"); ok {
		name = strings.TrimPrefix(name, ":")
		if a.keeper == nil {
			return nil, no("no gateway with TLS at its listener runs on %s", line(a.state))
		}
		for _, s := range a.keeper.List() {
			if s.Cert != nil && (name == "" || s.Label == name || s.Cert.VerifyHostname(name) == nil) {
				return certText{pemOf(append([]*x509.Certificate{s.Cert}, a.above(s.Cert)...)...)}, nil
			}
		}
		return nil, no("the gateway has no certificate for %s; sallyport cert list shows those it has", line(name))
	}
	name := strings.TrimPrefix(what, "store:")
	ca, err := a.ca.get()
	if err != nil {
		return nil, err
	}
	if d, err := pki.ParseDomain(name); err == nil {
		return certText{pemOf(ca.Roots(d)...)}, nil
	}
	if r, err := pki.ParseRole(name); err == nil {
		for _, i := range ca.Issuers() {
			if i.Role == r && i.Current {
				return certText{pemOf(i.Chain...)}, nil
			}
		}
	}
	_, x, err := ca.Find(name)
	if err != nil {
		return nil, no("the CA has issued nothing with the serial number %s; store:edge, store:identity and store:ROLE are its roots and issuers", line(name))
	}
	return certText{pemOf(append([]*x509.Certificate{x}, a.above(x)...)...)}, nil
}

// above is what the CA has between c and its root.
func (a *admin) above(c *x509.Certificate) []*x509.Certificate {
	if !a.ca.exists() {
		return nil
	}
	ca, err := a.ca.get()
	if err != nil {
		return nil
	}
	for _, i := range ca.Issuers() {
		if signed := i.Chain[0].CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); signed == nil {
			return i.Chain
		}
	}
	return nil
}

// A certRenewal asks for, and tells of, a renewal.
type certRenewal struct {
	Name      string    `json:"name"`
	OldSerial string    `json:"old_serial,omitempty"`
	OldAfter  time.Time `json:"old_not_after,omitzero"`
	Serial    string    `json:"serial,omitempty"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	Error     string    `json:"error,omitempty"`
}

// renewPatience is how long one renewal may take: an authority may be far, and slow.
const renewPatience = 2 * time.Minute

// certRenew has certificates of the listener renewed now, or read again; no
// names: all.
func (a *admin) certRenew(c *adminCall) (any, error) {
	var names []string
	if err := c.decode(&names); err != nil {
		return nil, err
	}
	if a.keeper == nil {
		return nil, &exitError{exitFailed, errors.New("this gateway has no TLS at its listener, and nothing to renew")}
	}
	if len(names) == 0 {
		for _, s := range a.keeper.List() {
			names = append(names, s.Label)
		}
	}
	out := []certRenewal{}
	for _, name := range names {
		r := certRenewal{Name: name}
		if s := a.kept(name); s != nil && s.Cert != nil {
			r.OldSerial, r.OldAfter = fmt.Sprintf("%x", s.Cert.SerialNumber), s.Cert.NotAfter.UTC()
		}
		ctx, cancel := context.WithTimeout(c.Context(), renewPatience)
		if err := a.keeper.Renew(ctx, name); err != nil {
			r.Error = strings.TrimPrefix(err.Error(), "certs: ")
		}
		cancel()
		if s := a.kept(name); s != nil && s.Cert != nil {
			r.Serial, r.NotAfter = fmt.Sprintf("%x", s.Cert.SerialNumber), s.Cert.NotAfter.UTC()
		}
		out = append(out, r)
	}
	return out, nil
}

// kept is what the keeper knows of the certificate that Renew calls name.
func (a *admin) kept(name string) *certs.Status {
	list := a.keeper.List()
	for i, s := range list {
		if s.Label == name {
			return &list[i]
		}
	}
	for i, s := range list {
		if s.Cert != nil && s.Cert.VerifyHostname(name) == nil {
			return &list[i]
		}
	}
	return nil
}
