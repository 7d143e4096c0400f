// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"time"

	"sallyport/certs"
)

// A Certificate is an x509.Certificate described; its JSON is part of what
// docs/certificates.md promises.
type Certificate struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Serial    string    `json:"serial"` // hexadecimal
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	State     string    `json:"state"` // "valid", "expired", "not yet valid"
	Left      int64     `json:"seconds_left"`

	DNS    []string `json:"dns,omitempty"`
	IPs    []string `json:"ips,omitempty"`
	Emails []string `json:"emails,omitempty"`
	URIs   []string `json:"uris,omitempty"`
	SPIFFE string   `json:"spiffe,omitempty"` // the one of URIs that is a SPIFFE ID

	Key        string   `json:"key"`       // "ECDSA P-256"
	Signature  string   `json:"signature"` // "ECDSA-SHA256"
	CA         bool     `json:"ca"`
	PathLength *int     `json:"path_length,omitempty"`
	KeyUsages  []string `json:"key_usages,omitempty"`
	Usages     []string `json:"usages,omitempty"` // extended key usages; none: good for all
	Permitted  []string `json:"permitted,omitempty"`
	Excluded   []string `json:"excluded,omitempty"`
	Critical   []string `json:"unknown_critical,omitempty"`
	MustStaple bool     `json:"must_staple,omitempty"`
	SelfIssued bool     `json:"self_issued,omitempty"`

	SubjectKey   string `json:"subject_key_id,omitempty"`
	AuthorityKey string `json:"authority_key_id,omitempty"`
	SHA256       string `json:"sha256"` // of the certificate
	Pin          string `json:"pin"`    // of its key, as a policy's `pins:` has it

	CRLs    []string `json:"crls,omitempty"`
	OCSP    []string `json:"ocsp,omitempty"`
	Issuers []string `json:"issuer_urls,omitempty"`
	SCTs    int      `json:"scts,omitempty"`
}

// States of a certificate.
const (
	Valid       = "valid"
	Expired     = "expired"
	NotYetValid = "not yet valid"
)

// Describe describes c as it is at now.
func Describe(c *x509.Certificate, now time.Time) Certificate {
	sum := sha256.Sum256(c.Raw)
	d := Certificate{
		Subject: c.Subject.String(), Issuer: c.Issuer.String(), Serial: fmt.Sprintf("%x", c.SerialNumber),
		NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), State: Valid, Left: int64(c.NotAfter.Sub(now) / time.Second),
		DNS: c.DNSNames, Emails: c.EmailAddresses,
		Key: KeyKind(c.PublicKey), Signature: c.SignatureAlgorithm.String(), CA: c.BasicConstraintsValid && c.IsCA,
		KeyUsages: keyUsageNames(c.KeyUsage), Usages: certs.Usages(c), MustStaple: certs.MustStaple(c),
		SelfIssued: string(c.RawSubject) == string(c.RawIssuer),
		SubjectKey: hex.EncodeToString(c.SubjectKeyId), AuthorityKey: hex.EncodeToString(c.AuthorityKeyId),
		SHA256: hex.EncodeToString(sum[:]), Pin: certs.Pin(c),
		CRLs: c.CRLDistributionPoints, OCSP: c.OCSPServer, Issuers: c.IssuingCertificateURL, SCTs: countSCTs(c),
	}
	switch {
	case now.After(c.NotAfter):
		d.State = Expired
	case now.Before(c.NotBefore):
		d.State = NotYetValid
	}
	for _, ip := range c.IPAddresses {
		d.IPs = append(d.IPs, ip.String())
	}
	for _, u := range c.URIs {
		d.URIs = append(d.URIs, u.String())
		if u.Scheme == "spiffe" {
			d.SPIFFE = u.String()
		}
	}
	if d.CA && (c.MaxPathLen > 0 || c.MaxPathLenZero) {
		n := c.MaxPathLen
		d.PathLength = &n
	}
	for _, id := range c.UnhandledCriticalExtensions {
		d.Critical = append(d.Critical, id.String())
	}
	d.Permitted = constraints(c.PermittedDNSDomains, c.PermittedIPRanges, c.PermittedEmailAddresses, c.PermittedURIDomains)
	d.Excluded = constraints(c.ExcludedDNSDomains, c.ExcludedIPRanges, c.ExcludedEmailAddresses, c.ExcludedURIDomains)
	return d
}

func constraints(dns []string, ips []*net.IPNet, emails, uris []string) (all []string) {
	for _, n := range dns {
		if n == "" {
			n = "every name"
		}
		all = append(all, "DNS "+n)
	}
	for _, n := range ips {
		all = append(all, "IP "+n.String())
	}
	for _, n := range emails {
		all = append(all, "email "+n)
	}
	for _, n := range uris {
		all = append(all, "URI "+n)
	}
	return all
}

// Name is what people call c: its subject, or its first name when it has none.
func (c *Certificate) Name() string {
	for _, s := range append([]string{c.Subject, c.SPIFFE}, append(c.DNS, c.IPs...)...) {
		if s != "" {
			return s
		}
	}
	return "serial " + c.Serial
}

// Request describes a certificate request.
type Request struct {
	Subject   string   `json:"subject"`
	DNS       []string `json:"dns,omitempty"`
	IPs       []string `json:"ips,omitempty"`
	Emails    []string `json:"emails,omitempty"`
	URIs      []string `json:"uris,omitempty"`
	Key       string   `json:"key"`
	Signature string   `json:"signature"`
	Signed    bool     `json:"signed"` // by the key it is for
}

// DescribeRequest describes r.
func DescribeRequest(r *x509.CertificateRequest) Request {
	d := Request{
		Subject: r.Subject.String(), DNS: r.DNSNames, Emails: r.EmailAddresses,
		Key: KeyKind(r.PublicKey), Signature: r.SignatureAlgorithm.String(), Signed: r.CheckSignature() == nil,
	}
	for _, ip := range r.IPAddresses {
		d.IPs = append(d.IPs, ip.String())
	}
	for _, u := range r.URIs {
		d.URIs = append(d.URIs, u.String())
	}
	return d
}

// List describes a certificate revocation list.
type List struct {
	Issuer     string    `json:"issuer"`
	Number     string    `json:"number,omitempty"`
	ThisUpdate time.Time `json:"this_update"`
	NextUpdate time.Time `json:"next_update,omitzero"`
	Current    bool      `json:"current"` // at the time it was described
	Signature  string    `json:"signature"`
	Authority  string    `json:"authority_key_id,omitempty"`
	Count      int       `json:"count"`
	Revoked    []Revoked `json:"revoked"` // at most MaxRevoked
}

// Revoked is one entry of a List.
type Revoked struct {
	Serial string    `json:"serial"`
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
}

// MaxRevoked is how many entries of a list are described; some have a million.
const MaxRevoked = 100

// DescribeList describes l as it is at now.
func DescribeList(l *x509.RevocationList, now time.Time) List {
	d := List{
		Issuer: l.Issuer.String(), ThisUpdate: l.ThisUpdate.UTC(), NextUpdate: l.NextUpdate.UTC(),
		Current:   !now.Before(l.ThisUpdate) && (l.NextUpdate.IsZero() || !now.After(l.NextUpdate)),
		Signature: l.SignatureAlgorithm.String(), Authority: hex.EncodeToString(l.AuthorityKeyId),
		Count: len(l.RevokedCertificateEntries), Revoked: []Revoked{},
	}
	if l.Number != nil {
		d.Number = l.Number.String()
	}
	for _, e := range l.RevokedCertificateEntries[:min(MaxRevoked, d.Count)] {
		d.Revoked = append(d.Revoked, Revoked{fmt.Sprintf("%x", e.SerialNumber), e.RevocationTime.UTC(), certs.ReasonName(e.ReasonCode)})
	}
	return d
}

// Names are all names of c.
func (c *Certificate) Names() []string { return slices.Concat(c.DNS, c.IPs, c.Emails, c.URIs) }
