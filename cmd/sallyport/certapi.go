// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/certs"
	"sallyport/certs/inspect"
	"sallyport/pki"
)

// A certEntry is one certificate, or pin, of a list; its JSON is in
// docs/certificates.md.
type certEntry struct {
	Kind    string   `json:"kind"`
	Name    string   `json:"name"`
	Where   string   `json:"where,omitempty"` // the file it is in, or who issues it
	Stage   string   `json:"stage,omitempty"` // of roots and issuers: next, current, previous, imported
	Origins []string `json:"origins,omitempty"`
	Rules   []string `json:"rules,omitempty"`
	Matches []string `json:"matches,omitempty"` // of a pin: the certificates whose key it is

	Subject   string    `json:"subject,omitempty"`
	Names     []string  `json:"names,omitempty"`
	Serial    string    `json:"serial,omitempty"`
	SHA256    string    `json:"sha256,omitempty"`
	Pin       string    `json:"pin,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"` // zero: not known
	State     string    `json:"state,omitempty"`
	Left      int64     `json:"seconds_left,omitempty"`

	NextRenew time.Time `json:"next_renew,omitzero"`
	Error     string    `json:"error,omitempty"` // why there is none, or why it is not renewed
	By        string    `json:"by,omitempty"`    // who asked for it
	Revoked   time.Time `json:"revoked,omitzero"`
	Reason    string    `json:"reason,omitempty"`
}

// Kinds of entries.
const (
	kindListener   = "listener"
	kindRoot       = "root"
	kindIssuer     = "issuer"
	kindIssued     = "issued"
	kindClientCA   = "client CA"
	kindMet        = "origin"
	kindOrigin     = "origin client"
	kindOriginRoot = "origin root"
	kindPin        = "pin"
)

// fill puts into e what c says.
func (e certEntry) fill(c *x509.Certificate, now time.Time) certEntry {
	d := inspect.Describe(c, now)
	e.Subject, e.Names, e.Serial, e.SHA256, e.Pin = d.Subject, d.Names(), d.Serial, d.SHA256, d.Pin
	e.NotBefore, e.NotAfter, e.State, e.Left = d.NotBefore, d.NotAfter, d.State, d.Left
	if e.Name == "" {
		e.Name = d.Name()
	}
	return e
}

// lasting reports whether it matters when e expires.
func (e *certEntry) lasting() bool {
	return !e.NotAfter.IsZero() && e.Revoked.IsZero() && e.Stage != "previous"
}

// keptEntries is what the admin of a state directory says of certificates.
type keptEntries struct {
	Running      bool        `json:"running"` // a gateway answers
	Certificates []certEntry `json:"certificates"`
	Warnings     []string    `json:"warnings,omitempty"`
}

// certRoutes are what can be asked of the certificates that are held here.
func (a *admin) certRoutes() {
	a.handle("GET /v1/certs", a.certList)
	a.handle("GET /v1/certs/pem", a.certPEM)
	a.handle("POST /v1/certs/renew", a.certRenew)
}

// of has a answer for a gateway that runs: its listener, who its clients are, and
// the origins that it has met.
func (a *admin) of(f *front, who *identities, seen *observers, now *active) {
	a.serving, a.keeper, a.origins, a.rotated = true, f.keeper, seen.expiry.List, f.rotated
	a.minting = func() *minting { return now.now.Load().mints }
	for _, text := range who.o.clientCAs {
		file, _, _ := strings.Cut(text, ",")
		a.clientCAs = append(a.clientCAs, file)
	}
	a.handle("GET /v1/origins/expiring", func(*adminCall) (any, error) { return seen.expiry.List(), nil })
	a.handle("GET /v1/handshakes", func(*adminCall) (any, error) { return seen.failed.List(), nil })
}

func (a *admin) certList(c *adminCall) (any, error) {
	now, q := time.Now(), c.URL.Query()
	out := keptEntries{Running: a.serving, Certificates: []certEntry{}}
	add := func(es ...certEntry) { out.Certificates = append(out.Certificates, es...) }
	if a.keeper != nil {
		for _, s := range a.keeper.List() {
			add(listenerEntry(s, now))
		}
	}
	if a.origins != nil {
		for _, o := range a.origins() {
			add(originEntry(o, now))
		}
	}
	for _, f := range a.clientCAs {
		es, err := fileEntries(kindClientCA, f, now)
		if err != nil {
			out.Warnings = append(out.Warnings, err.Error())
		}
		add(es...)
	}
	if !a.ca.exists() {
		return out, nil
	}
	ca, err := a.ca.get()
	if err != nil {
		out.Warnings = append(out.Warnings, "the CA: "+err.Error())
		return out, nil
	}
	for _, r := range rootsOf(ca, pki.Edge, pki.Identity) {
		for _, x := range parsePEM(r.PEM) {
			add(certEntry{Kind: kindRoot, Name: r.Domain, Stage: r.Stage}.fill(x, now))
		}
	}
	for _, i := range ca.Issuers() {
		e := certEntry{Kind: kindIssuer, Name: fmt.Sprintf("%s %d", i.Role, i.Generation), Stage: "previous"}
		if i.Current {
			e.Stage = "current"
		}
		add(e.fill(i.Chain[0], now))
	}
	if q.Get("issued") != "" {
		es, err := issuedEntries(c.Context(), ca, q.Get("user"), q.Get("revoked") != "", now)
		if err != nil {
			return nil, err
		}
		add(es...)
	}
	return out, nil
}

func originEntry(o expiring, now time.Time) certEntry {
	e := certEntry{
		Kind: kindMet, Name: o.Origin, Where: fmt.Sprintf("met %s", o.Last.UTC().Format(certTime)), Subject: o.Subject, Serial: o.Serial,
		NotAfter: o.NotAfter.UTC(), State: inspect.Valid, Left: int64(o.NotAfter.Sub(now) / time.Second),
	}
	if now.After(o.NotAfter) {
		e.State = inspect.Expired
	}
	return e
}

func listenerEntry(s certs.Status, now time.Time) certEntry {
	e := certEntry{Kind: kindListener, Name: s.Label, Where: s.Source, NextRenew: s.NextRenew.UTC()}
	if s.NextRenew.IsZero() {
		e.NextRenew = time.Time{}
	}
	if s.Err != nil {
		e.Error = s.Err.Error()
	}
	if s.Cert != nil {
		e = e.fill(s.Cert, now)
	}
	return e
}

// maxIssued is how many certificates that were issued are listed.
const maxIssued = 10000

// issuedEntries are the certificates on record, of one user or of all.
func issuedEntries(ctx context.Context, ca *pki.CA, user string, revoked bool, now time.Time) (es []certEntry, err error) {
	of := "/user/" + user
	err = ca.Records(ctx, func(r pki.Record) bool {
		if revoked && r.Revoked.IsZero() {
			return true
		}
		if user != "" && !slices.ContainsFunc(r.Names, func(n string) bool { return strings.HasPrefix(n, "spiffe://") && strings.HasSuffix(n, of) }) {
			return true
		}
		e := certEntry{
			Kind: kindIssued, Name: r.Subject, Where: fmt.Sprintf("%s %d", r.Role, r.Generation), Names: r.Names, Serial: r.Serial,
			NotBefore: r.NotBefore.UTC(), NotAfter: r.NotAfter.UTC(), State: inspect.Valid, Left: int64(r.NotAfter.Sub(now) / time.Second), By: r.By,
		}
		if e.Name == "" && len(r.Names) > 0 {
			e.Name = r.Names[0]
		}
		switch {
		case now.After(r.NotAfter):
			e.State = inspect.Expired
		case now.Before(r.NotBefore):
			e.State = inspect.NotYetValid
		}
		if !r.Revoked.IsZero() {
			e.State, e.Revoked, e.Reason = "revoked", r.Revoked.UTC(), certs.ReasonName(r.Reason)
		}
		es = append(es, e)
		return len(es) < maxIssued
	})
	return es, err
}
