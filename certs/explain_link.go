// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// links judges each certificate of a way and what it may do for those below.
func (q *Question) links(way []*x509.Certificate, trusted bool) (fs []Finding) {
	for i, c := range way {
		root := trusted && i == len(way)-1
		fs = append(fs, q.dates(i, c)...)
		fs = append(fs, q.usage(i, c)...)
		fs = append(fs, strength(i, c, root)...)
		if len(c.UnhandledCriticalExtensions) > 0 {
			fs = append(fs, Finding{
				Code: "critical_extension", Link: i,
				What: fmt.Sprintf("has a critical extension that is not understood, %s", c.UnhandledCriticalExtensions[0]),
				Next: "ask its issuer for one without it",
			})
		}
		if i > 0 {
			fs = append(fs, mayIssue(i, way)...)
		}
	}
	return append(fs, q.constraints(way)...)
}

func (q *Question) dates(i int, c *x509.Certificate) []Finding {
	who := "ask its authority for a new one"
	if i == 0 {
		who = "renew it"
	}
	switch {
	case q.At.After(c.NotAfter):
		return []Finding{{Code: "expired", Link: i, What: fmt.Sprintf("expired on %s, %s before", date(c.NotAfter), span(q.At.Sub(c.NotAfter))), Next: who}}
	case q.At.Before(c.NotBefore):
		return []Finding{{
			Code: "not_yet_valid", Link: i, What: fmt.Sprintf("is not valid before %s, %s later", date(c.NotBefore), span(c.NotBefore.Sub(q.At))),
			Next: "wait, or set the clock right",
		}}
	}
	return nil
}

// usage holds every certificate of the way to what the leaf is to be good for,
// as RFC 5280 §4.2.1.12 does not ask for and everybody does.
func (q *Question) usage(i int, c *x509.Certificate) []Finding {
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) || slices.Contains(c.ExtKeyUsage, q.Usage) {
		return nil
	}
	want := UsageName(q.Usage)
	f := Finding{Code: "usage", Link: i, What: fmt.Sprintf("is not for %s: it is for %s only", want, strings.Join(Usages(c), ", "))}
	f.Next = "use one with " + want
	if i > 0 {
		f.What = fmt.Sprintf("issues no certificates for %s: only for %s", want, strings.Join(Usages(c), ", "))
		f.Next = "use one of an authority that may issue for " + want
	}
	return []Finding{f}
}

// strength is about algorithms. A root's signature of itself is not looked at.
func strength(i int, c *x509.Certificate, root bool) (fs []Finding) {
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		if !root {
			fs = append(fs, Finding{
				Code: "weak_signature", Link: i, What: fmt.Sprintf("is signed with %s, which can be forged", c.SignatureAlgorithm),
				Next: "have it issued again, with SHA-256",
			})
		}
	}
	if k, ok := c.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() < 2048 {
		fs = append(fs, Finding{
			Code: "weak_key", Link: i, Warning: k.N.BitLen() >= 1024, What: fmt.Sprintf("has an RSA key of %d bits, which is too short", k.N.BitLen()),
			Next: "have it issued again, for a key of at least 2048 bits or P-256",
		})
	}
	return fs
}

// mayIssue asks whether way[i] may have issued the one below it.
func mayIssue(i int, way []*x509.Certificate) (fs []Finding) {
	c, below := way[i], called(way[i-1])
	switch {
	case c.Version == 3 && !c.BasicConstraintsValid || c.BasicConstraintsValid && !c.IsCA:
		fs = append(fs, Finding{
			Code: "not_authority", Link: i, What: "has signed " + below + " without being an authority (CA:FALSE)",
			Next: "do not trust it: have the certificate issued by an authority",
		})
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		fs = append(fs, Finding{
			Code: "key_usage", Link: i, What: "has signed " + below + " with a key that is not for signing certificates (no keyCertSign)",
			Next: "have the authority issued again with keyCertSign",
		})
	}
	if n := i - 1; c.BasicConstraintsValid && c.MaxPathLen >= 0 && n > c.MaxPathLen {
		fs = append(fs, Finding{
			Code: "path_length", Link: i,
			What: fmt.Sprintf("allows %s between it and the leaf, and there %s", authorities(c.MaxPathLen), isAre(n)),
			Next: "have the leaf issued by an authority higher up, or this one issued again with a larger path length",
		})
	}
	return fs
}

func authorities(n int) string {
	switch n {
	case 0:
		return "no further authority"
	case 1:
		return "one further authority"
	}
	return fmt.Sprintf("%d further authorities", n)
}

func isAre(n int) string {
	if n == 1 {
		return "is one"
	}
	return fmt.Sprintf("are %d", n)
}

// constraints finds the certificate whose name constraints the leaf breaks, by
// letting crypto/x509 verify ever longer parts of the way.
func (q *Question) constraints(way []*x509.Certificate) []Finding {
	from, to := way[0].NotBefore, way[0].NotAfter
	below := x509.NewCertPool()
	for i := 1; i < len(way); i++ {
		if way[i].NotBefore.After(from) {
			from = way[i].NotBefore
		}
		if way[i].NotAfter.Before(to) {
			to = way[i].NotAfter
		}
		if to.Before(from) {
			return nil // never valid together: that is told
		}
		root := x509.NewCertPool()
		root.AddCert(way[i])
		_, err := way[0].Verify(x509.VerifyOptions{
			Roots: root, Intermediates: below, CurrentTime: to, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		var invalid x509.CertificateInvalidError
		if errors.As(err, &invalid) && invalid.Reason == x509.CANotAuthorizedForThisName {
			return []Finding{{
				Code: "name_constraint", Link: i, What: "may not issue for that name: " + printable(invalid.Detail),
				Next: "use a name that it may issue for, or another authority",
			}}
		}
		below.AddCert(way[i])
	}
	return nil
}

// top says why nothing above the last of way is trusted.
func (w *ways) top(way []*x509.Certificate) Finding {
	i, c := len(way)-1, way[len(way)-1]
	f := Finding{Code: "untrusted_root", Link: i}
	switch {
	case len(way) == maxWay || w.steps >= maxSteps:
		return Finding{Code: "too_long", Link: i, What: "is where looking for a root was given up: too many certificates issue each other", Next: "leave only the chain in the file"}
	case bytes.Equal(c.RawSubject, c.RawIssuer) && signed(c, c):
		f.What, f.Next = "is a root that is not trusted", "if it should be, name its file with --roots, or under `roots` of a trust profile"
		if i == 0 {
			f.Code, f.What = "self_signed", "is self-signed and not trusted"
		}
		if len(w.roots[string(c.RawSubject)]) > 0 {
			f.What += "; a trusted one has the same name and another key"
		}
		return f
	}
	issuer := quote(c.Issuer.String())
	if others := slices.Concat(w.sent[string(c.RawIssuer)], w.roots[string(c.RawIssuer)]); len(others) > 0 && !bytes.Equal(c.RawSubject, c.RawIssuer) {
		return Finding{
			Code: "bad_signature", Link: i, What: fmt.Sprintf("was not signed by the key of %s, whose name it gives as its issuer's", called(others[0])),
			Next: "take the issuer's certificate of the right generation; if there is none, the certificate was altered",
		}
	}
	f.Code = "missing_issuer"
	f.What = fmt.Sprintf("was issued by %s, which is neither trusted nor did its certificate come along", issuer)
	f.Next = "put the certificate of that issuer behind it; if the issuer is a root, name it with --roots"
	if len(c.IssuingCertificateURL) > 0 {
		f.Code = "missing_intermediate"
		f.Next = fmt.Sprintf("put the certificate of that issuer behind it: it can be had at %s", quote(c.IssuingCertificateURL[0]))
	}
	return f
}

// span is a duration for people, in its largest unit.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	unit, name := time.Second, "second"
	switch {
	case d >= 2*365*day:
		unit, name = 365*day, "year"
	case d >= 2*day:
		unit, name = day, "day"
	case d >= 2*time.Hour:
		unit, name = time.Hour, "hour"
	case d >= 2*time.Minute:
		unit, name = time.Minute, "minute"
	}
	if n := d / unit; n != 1 {
		return fmt.Sprintf("%d %ss", n, name)
	}
	return "1 " + name
}
