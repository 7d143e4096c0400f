// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto"
	"crypto/x509"
	"time"
)

// A Question is a chain of certificates that ExplainChain judges. The zero
// values of its fields ask for less, except for Roots and Usage: without them
// it is asked whether this machine's system trusts the chain for a server.
type Question struct {
	Chain []*x509.Certificate // the leaf, then whatever else came with it, in any order
	Roots []*x509.Certificate // what is trusted; nil: the system's roots, empty: nothing
	Usage x509.ExtKeyUsage    // what the leaf is to be good for; 0, which is Any, stands for ServerAuth
	Name  string              // host or address it is to be good for; "": any
	At    time.Time           // when; zero: now
	Key   crypto.PublicKey    // the public half of the key that it is to belong to; nil: not asked

	CRLs      []*x509.RevocationList // those not of this chain are told of, and do nothing
	Staple    []byte                 // OCSP response (RFC 6960) for the leaf; nil: none
	Handshake bool                   // the chain came in a TLS handshake, where a staple could have come as well
}

// A Finding is one thing that is wrong with a chain, or worth a word.
type Finding struct {
	Code    string // what it is, for programs; see docs/certificates.md
	Link    int    // which certificate of the Verdict's Path; -1: none of them
	Warning bool   // the chain holds all the same
	What    string // in words, about that certificate; text that a certificate chose is quoted
	Next    string // what to do about it; "" when there is nothing
}

// A Verdict is what ExplainChain found. The zero Verdict trusts nothing.
type Verdict struct {
	Trusted bool // the chain holds for everything that was asked
	// Path leads from the leaf as far up as could be found. When the chain does
	// not hold, it is the way on which the least is wrong.
	Path     []*x509.Certificate
	Root     bool // the last of Path is trusted by itself
	Findings []Finding
}

// Failed returns the findings that are no warnings.
func (v Verdict) Failed() (fs []Finding) {
	for _, f := range v.Findings {
		if !f.Warning {
			fs = append(fs, f)
		}
	}
	return fs
}

// ExplainChain judges a chain as crypto/x509 does (RFC 5280 §6), says what is
// wrong with it, all at once, and what to do. It reads nothing but the system's
// roots, fetches nothing, and never trusts what crypto/x509 does not trust. Any
// number of goroutines may call it.
func ExplainChain(q Question) Verdict {
	if len(q.Chain) == 0 {
		return Verdict{Findings: []Finding{{Code: "empty", Link: -1, What: "there is no certificate", Next: "name a file or a host that has one"}}}
	}
	if q.At.IsZero() {
		q.At = time.Now()
	}
	if q.Usage == x509.ExtKeyUsageAny {
		q.Usage = x509.ExtKeyUsageServerAuth
	}
	w := newWays(q)
	w.walk(q.Chain[:1:1])
	v := Verdict{Path: w.best, Root: w.trusted, Findings: w.findings}
	v.Findings = append(v.Findings, q.leaf()...)
	v.Findings = append(v.Findings, q.revoked(v.Path)...)
	v.Findings = append(v.Findings, q.unused(v.Path)...)
	if len(v.Failed()) == 0 {
		if f := q.ask(v); f != nil {
			v.Findings = append(v.Findings, *f)
		}
	}
	v.Trusted = len(v.Failed()) == 0
	return v
}

// ask lets crypto/x509 have the last word: what it does not trust is not
// trusted, whether or not we know why.
func (q *Question) ask(v Verdict) *Finding {
	opts := x509.VerifyOptions{
		Roots: rootSet(q.Roots).pool(), Intermediates: x509.NewCertPool(),
		CurrentTime: q.At, KeyUsages: []x509.ExtKeyUsage{q.Usage},
	}
	if q.Roots != nil && opts.Roots == nil {
		opts.Roots = x509.NewCertPool()
	}
	if q.Name != "" {
		opts.DNSName = hostname(q.Name)
	}
	for _, c := range v.Path[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := q.Chain[0].Verify(opts)
	if err == nil {
		return nil
	}
	return &Finding{Code: "other", Link: 0, What: "is not trusted: " + printable(err.Error()), Next: "ask its issuer"}
}
