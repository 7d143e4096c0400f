// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Certificates find out whom client certificates prove a client to be. But for
// what is remembered they are immutable.
type Certificates struct {
	authorities []*Authority
	crls        *CRLs

	mu    sync.Mutex
	known map[[32]byte]*verified // by the SHA-256 of what the client showed
}

// A verified certificate is remembered: it comes with every request of its
// connection, and of those that resume it.
type verified struct {
	by      *Authority
	proof   certProof
	chain   []*x509.Certificate
	lists   [][]*crl // of the issuers of chain
	expires time.Time
}

const (
	maxCerts = 8192 // that are remembered
	maxChain = 8    // certificates that a client may show
)

// NewCertificates is for the authorities given; crls, which may be nil, are asked
// about every certificate of a chain. An error says which authorities could vouch
// for each other's users.
func NewCertificates(all []*Authority, crls *CRLs) (*Certificates, error) {
	if err := consistent(all); err != nil {
		return nil, err
	}
	return &Certificates{authorities: all, crls: crls, known: make(map[[32]byte]*verified)}, nil
}

// Ask makes cfg, of a listener, ask clients for a certificate. They need not have
// one. Whether it verifies is found out for each request, also of a resumed
// session, and not in the handshake: an alert would tell neither the client nor
// the log what is wrong, and a revoked certificate would go on until its
// connection ends.
func Ask(cfg *tls.Config) { cfg.ClientAuth = tls.RequestClientCert }

// verify finds out what the certificates that a client has shown prove at a time.
// The handshake has proved that it has the key of the first.
func (c *Certificates) verify(shown []*x509.Certificate, now time.Time) (certProof, error) {
	if len(shown) > maxChain {
		return certProof{}, &certError{"too many certificates were shown"}
	}
	h := sha256.New()
	for _, x := range shown {
		h.Write(x.Raw)
	}
	key := [32]byte(h.Sum(nil))
	c.mu.Lock()
	v := c.known[key]
	c.mu.Unlock()
	if v == nil || !now.Before(v.expires) || !v.rooted() {
		var err error
		if v, err = c.chain(shown, now); err != nil {
			return certProof{}, err
		}
		c.remember(key, v)
	}
	for i, x := range v.chain {
		if v.by.Revoked != nil && v.by.Revoked(x) {
			return certProof{}, errRevoked
		}
		if err := judge(x, v.lists[i], now); err != nil {
			return certProof{}, err
		}
	}
	return v.proof, nil
}

// rooted reports whether the root of the chain is still one that is trusted.
func (v *verified) rooted() bool {
	root := v.chain[len(v.chain)-1]
	for _, r := range v.by.Roots() {
		if bytes.Equal(r.Raw, root.Raw) {
			return true
		}
	}
	return false
}

// chain verifies a certificate for client authentication, by one authority after
// the other.
func (c *Certificates) chain(shown []*x509.Certificate, now time.Time) (*verified, error) {
	var why error
	for _, a := range c.authorities {
		between := x509.NewCertPool()
		for _, x := range shown[1:] {
			between.AddCert(x)
		}
		if a.Between != nil {
			for _, x := range a.Between() {
				between.AddCert(x)
			}
		}
		roots := x509.NewCertPool()
		for _, r := range a.Roots() {
			roots.AddCert(r)
		}
		chains, err := shown[0].Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
		if err != nil {
			if why == nil || !isUnknown(err) {
				why = err
			}
			continue
		}
		v := &verified{by: a, chain: chains[0], expires: shown[0].NotAfter}
		for i, x := range v.chain {
			v.lists = append(v.lists, c.crls.of(v.chain[min(i+1, len(v.chain)-1)]))
			if x.NotAfter.Before(v.expires) {
				v.expires = x.NotAfter
			}
		}
		v.proof, err = a.prove(shown[0], c.authorities)
		return v, err
	}
	return nil, &certError{explain(why)}
}

func isUnknown(err error) bool {
	var unknown x509.UnknownAuthorityError
	return errors.As(err, &unknown)
}

// explain says why a certificate does not verify, for its owner.
func explain(err error) string {
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil || isUnknown(err):
		return "the certificate is of no CA that this gateway knows clients by"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate, or one above it, is not valid now: " + invalid.Detail
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return "the certificate is not one for clients (clientAuth)"
	}
	return fmt.Sprintf("the certificate does not verify: %v", err)
}

func (c *Certificates) remember(key [32]byte, v *verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.known { // any: it costs somebody a verification
		if len(c.known) < maxCerts {
			break
		}
		delete(c.known, k)
	}
	c.known[key] = v
}

// users reports whether a certificate can prove a user.
func (c *Certificates) users() bool {
	if c == nil {
		return false
	}
	for _, a := range c.authorities {
		if a.Own || a.User != NoUser {
			return true
		}
	}
	return false
}
