// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// leaf judges what is asked of the leaf alone.
func (q *Question) leaf() (fs []Finding) {
	c := q.Chain[0]
	if q.Name != "" && c.VerifyHostname(hostname(q.Name)) != nil {
		what := fmt.Sprintf("is for %s, not for %s", names(c), printable(q.Name))
		if len(c.DNSNames)+len(c.IPAddresses) == 0 {
			what = fmt.Sprintf("names no host, so it is not for %s; its subject does not count (RFC 9525 §2)", printable(q.Name))
		}
		fs = append(fs, Finding{Code: "name", Link: 0, What: what, Next: "use one of its names, or have it issued again with this one"})
	}
	if q.Key != nil {
		k, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
		if !ok || !k.Equal(q.Key) {
			f := Finding{Code: "key", Link: 0, What: "has another key than the one given", Next: "find the key that it was issued for, or have it issued again for this one"}
			if i := slices.IndexFunc(q.Chain, func(c *x509.Certificate) bool {
				k, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
				return ok && k.Equal(q.Key)
			}); i > 0 {
				f.What += fmt.Sprintf("; the key given belongs to certificate %d, %s", i+1, called(q.Chain[i]))
				f.Next = "put that certificate first"
			}
			fs = append(fs, f)
		}
	}
	return fs
}

// names lists what hosts a certificate is for.
func names(c *x509.Certificate) string {
	var all []string
	for _, n := range c.DNSNames {
		all = append(all, printable(n))
	}
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) > maxNames {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:maxNames], ", "), len(all)-maxNames)
	}
	return strings.Join(all, ", ")
}

// hostname writes a name the way VerifyHostname wants it.
func hostname(name string) string {
	name = serverName(name)
	if ip, err := netip.ParseAddr(name); err == nil && ip.Is6() {
		return "[" + name + "]"
	}
	return name
}

// revoked asks the CRLs and the staple about every certificate of the way.
func (q *Question) revoked(way []*x509.Certificate) (fs []Finding) {
	used := make([]bool, len(q.CRLs))
	for i := 0; i < len(way)-1; i++ {
		for n, l := range q.CRLs {
			// An issuer that was rotated has the same name and another key.
			if string(l.RawIssuer) != string(way[i+1].RawSubject) || l.CheckSignatureFrom(way[i+1]) != nil {
				continue
			}
			used[n] = true
			fs = append(fs, q.listed(i, way[i], l)...)
		}
	}
	for n, l := range q.CRLs {
		if !used[n] {
			fs = append(fs, Finding{
				Code: "crl_other", Link: -1, Warning: true, What: fmt.Sprintf("the CRL of %s is of no issuer of this chain, or not signed by its key", quote(l.Issuer.String())),
				Next: "take the one that the certificate names; sallyport cert inspect shows where it is",
			})
		}
	}
	return append(fs, q.stapled(way)...)
}

func (q *Question) listed(i int, c *x509.Certificate, l *x509.RevocationList) (fs []Finding) {
	for _, e := range l.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(c.SerialNumber) == 0 && !e.RevocationTime.After(q.At) {
			fs = append(fs, revokedFinding(i, "the CRL", date(e.RevocationTime), e.ReasonCode))
		}
	}
	if !l.NextUpdate.IsZero() && q.At.After(l.NextUpdate) {
		fs = append(fs, Finding{
			Code: "crl_old", Link: i, Warning: true, What: fmt.Sprintf("was looked up in a CRL that was to be replaced by %s", date(l.NextUpdate)),
			Next: "fetch a new one",
		})
	}
	return fs
}

func revokedFinding(i int, by, when string, reason int) Finding {
	return Finding{
		Code: "revoked", Link: i, What: fmt.Sprintf("was revoked on %s, says %s (%s)", when, by, ReasonName(reason)),
		Next: "do not use it any more: have a new one issued, for a new key",
	}
}

// stapled judges the staple, and that there is one where there has to be.
func (q *Question) stapled(way []*x509.Certificate) []Finding {
	must := mustStaple(way)
	if q.Staple == nil {
		if must && q.Handshake {
			return []Finding{{
				Code: "no_staple", Link: 0, What: "says that its server staples an OCSP response, and it did not (RFC 7633)",
				Next: "switch stapling on at the server",
			}}
		}
		return nil
	}
	bad := func(what, next string) []Finding {
		return []Finding{{Code: "bad_staple", Link: 0, Warning: !must, What: what, Next: next}}
	}
	if len(way) < 2 {
		return bad("has a stapled OCSP response, which cannot be checked without its issuer", "")
	}
	a, err := readOCSP(q.Staple, way[0], way[1], q.At)
	switch {
	case err != nil:
		return bad("has a stapled OCSP response that does not count: "+err.Error(), "look at the server's stapling")
	case a.revoked:
		return []Finding{revokedFinding(0, "the stapled OCSP response", date(a.at), a.reason)}
	}
	return nil
}

// unused tells of certificates that came along and are not on the way.
func (q *Question) unused(way []*x509.Certificate) []Finding {
	var left []*x509.Certificate
	seen := make(map[string]bool)
	for _, c := range slices.Concat(way, q.Chain) {
		if !seen[string(c.Raw)] {
			left = append(left, c)
		}
		seen[string(c.Raw)] = true
	}
	left = left[min(len(way), len(left)):]
	if len(left) == 0 {
		return nil
	}
	what := called(left[0]) + " came along and is not part of the chain"
	if len(left) > 1 {
		what = fmt.Sprintf("%s and %d more came along and are not part of the chain", called(left[0]), len(left)-1)
	}
	return []Finding{{Code: "unused", Link: -1, Warning: true, What: what, Next: "take it out, unless some clients need it"}}
}

// called is what to call a certificate by.
func called(c *x509.Certificate) string {
	switch s := c.Subject.String(); {
	case s != "":
		return quote(s)
	case len(c.DNSNames) > 0:
		return quote(c.DNSNames[0])
	case len(c.URIs) > 0:
		return quote(c.URIs[0].String())
	}
	return fmt.Sprintf("the certificate with serial %x", c.SerialNumber)
}
