// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/x509"
	"slices"
	"time"
)

const (
	maxWay   = 10  // certificates on a way; nobody's chain is that long
	maxSteps = 400 // certificates looked at: many that issue each other have a factorial of ways
	maxTries = 64  // signatures checked for one of them: a file can hold thousands of one name
)

// ways looks for the way from a leaf to a root on which the least is wrong.
type ways struct {
	q     *Question
	sent  map[string][]*x509.Certificate // by subject
	roots map[string][]*x509.Certificate // by subject; nil: the system's
	steps int

	best     []*x509.Certificate
	trusted  bool
	findings []Finding
}

func newWays(q Question) *ways {
	w := &ways{q: &q, sent: make(map[string][]*x509.Certificate)}
	for _, c := range q.Chain[1:] {
		w.sent[string(c.RawSubject)] = append(w.sent[string(c.RawSubject)], c)
	}
	if q.Roots != nil {
		w.roots = make(map[string][]*x509.Certificate)
		for _, c := range q.Roots {
			w.roots[string(c.RawSubject)] = append(w.roots[string(c.RawSubject)], c)
		}
	}
	return w
}

// walk goes up from the last certificate of way in every possible direction.
func (w *ways) walk(way []*x509.Certificate) {
	w.steps++
	top := way[len(way)-1]
	anchors, self := w.anchors(top)
	if self {
		w.judge(way, true)
		return
	}
	up := w.above(way, anchors)
	if len(up) == 0 || len(way) == maxWay {
		w.judge(way, false)
		return
	}
	for _, c := range up {
		if w.steps >= maxSteps || w.trusted && !hasFailed(w.findings) {
			return
		}
		w.walk(append(way[:len(way):len(way)], c))
	}
}

// above is what may have issued the last of way, by name and key: roots first.
func (w *ways) above(way, anchors []*x509.Certificate) (up []*x509.Certificate) {
	top, tries := way[len(way)-1], 0
	for _, c := range likelyFirst(top, slices.Concat(anchors, w.sent[string(top.RawIssuer)])) {
		if slices.ContainsFunc(way, c.Equal) || slices.ContainsFunc(up, c.Equal) {
			continue
		}
		if tries++; tries > maxTries {
			break
		}
		if signed(top, c) || unverifiable(top) {
			up = append(up, c)
		}
	}
	return up
}

// likelyFirst puts those in front whose key c names as its issuer's.
func likelyFirst(c *x509.Certificate, issuers []*x509.Certificate) []*x509.Certificate {
	if len(issuers) <= maxTries || len(c.AuthorityKeyId) == 0 {
		return issuers
	}
	var likely, others []*x509.Certificate
	for _, i := range issuers {
		if bytes.Equal(i.SubjectKeyId, c.AuthorityKeyId) {
			likely = append(likely, i)
		} else {
			others = append(others, i)
		}
	}
	return append(likely, others...)
}

// anchors returns the trusted certificates that may have issued c, and whether
// c is trusted itself.
func (w *ways) anchors(c *x509.Certificate) (up []*x509.Certificate, self bool) {
	if w.roots != nil {
		self = slices.ContainsFunc(w.roots[string(c.RawSubject)], c.Equal)
		return w.roots[string(c.RawIssuer)], self
	}
	// The system's pool cannot be looked into. It is asked, at a time at which
	// the certificate is valid, for whom it would name as its issuer.
	for _, at := range []time.Time{w.q.At, c.NotAfter, c.NotBefore} {
		chains, _ := c.Verify(x509.VerifyOptions{CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		for _, chain := range chains {
			if len(chain) == 1 {
				return nil, true
			}
			up = append(up, chain[1])
		}
		if len(chains) > 0 {
			break
		}
	}
	return up, false
}

// judge keeps way when less is wrong on it than on those before.
func (w *ways) judge(way []*x509.Certificate, trusted bool) {
	fs := w.q.links(way, trusted)
	if !trusted {
		fs = append(fs, w.top(way))
	}
	if w.best == nil || failures(fs) < failures(w.findings) {
		w.best, w.trusted, w.findings = way, trusted, fs
	}
}

// signed reports whether parent's key made c's signature.
func signed(c, parent *x509.Certificate) bool {
	// Not CheckSignatureFrom: whether parent may is another question.
	return parent.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// unverifiable: with an algorithm that crypto/x509 does not compute any more.
func unverifiable(c *x509.Certificate) bool {
	return c.SignatureAlgorithm == x509.MD5WithRSA || c.SignatureAlgorithm == x509.MD2WithRSA
}

func failures(fs []Finding) (n int) {
	for _, f := range fs {
		if !f.Warning {
			n++
		}
	}
	return n
}

func hasFailed(fs []Finding) bool { return failures(fs) > 0 }
