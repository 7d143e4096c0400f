// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A state is what the authority is at one time. It does not change; another
// takes its place, and with it the smallstep authorities that were built on it
// (smallstep's judge names by the issuer they were built with).
type state struct {
	settings Settings
	roots    []*root
	issuers  []*issuer  // every generation, the older first
	signing  [2]signing // by role: server, client
}

// A root is trusted by a domain.
type root struct {
	domain     Domain
	generation int
	stage      string
	cert       *x509.Certificate
	cross      *x509.Certificate // this root's key, certified by the root before; nil when that was retired
}

// The stages of a root.
const (
	stageNext     = "next"     // published, and signs nothing yet
	stageCurrent  = "current"  //
	stagePrevious = "previous" // still trusted, and signs nothing more
)

func (r *root) name() string { return "root/" + r.domain.String() }

// An issuer is one generation of a role. Only gate.go makes certificates with
// its key, and only crl.go and ocsp.go sign anything else.
type issuer struct {
	role       Role
	generation int
	current    bool
	imported   *x509.Certificate   // the root of a company whose issuer this is; nil: our own
	transient  bool                // made by Constrain, and not on record
	held       *x509.Certificate   // has constraints that the chain does not have; nil: none
	chain      []*x509.Certificate // the issuer, and what else leads to a root
	key        crypto.Signer
	skid       string // subject key identifier, in hex: how others name the issuer
	until      time.Time
}

func newIssuer(r Role, generation int, chain []*x509.Certificate, key crypto.Signer) *issuer {
	i := &issuer{role: r, generation: generation, current: true, chain: chain, key: key}
	i.skid = hex.EncodeToString(chain[0].SubjectKeyId)
	i.until = chain[0].NotAfter
	for _, c := range chain {
		if c.NotAfter.Before(i.until) {
			i.until = c.NotAfter
		}
	}
	return i
}

func (i *issuer) name() string { return "issuer/" + i.role.String() }

// cert is the issuer's own certificate.
func (i *issuer) cert() *x509.Certificate { return i.chain[0] }

// issuer returns the current issuer of a role; nil for none.
func (s *state) issuer(r Role) *issuer {
	for _, i := range s.issuers {
		if i.role == r && i.current {
			return i
		}
	}
	return nil
}

// issuerBy returns the issuer of a subject key identifier in hex; nil if it is
// none of ours.
func (s *state) issuerBy(skid string) *issuer { return issuerBy(s.issuers, skid) }

func issuerBy(all []*issuer, skid string) *issuer {
	for _, i := range all {
		if i.skid == skid {
			return i
		}
	}
	return nil
}

// root returns a domain's root of a stage; nil for none.
func (s *state) root(d Domain, stage string) *root {
	for _, r := range s.roots {
		if r.domain == d && r.stage == stage {
			return r
		}
	}
	return nil
}

// What the rows of roots and issuers hold.
type rootRow struct {
	Domain     Domain
	Generation int
	Stage      string
	Cert       []byte
	Cross      []byte `json:",omitempty"`
}

type issuerRow struct {
	Role       Role
	Generation int
	Current    bool     `json:",omitempty"`
	Imported   []byte   `json:",omitempty"`
	Chain      [][]byte // the issuer first
}

func (r *root) put(t tx) error {
	w := rootRow{Domain: r.domain, Generation: r.generation, Stage: r.stage, Cert: r.cert.Raw}
	if r.cross != nil {
		w.Cross = r.cross.Raw
	}
	return putJSON(t, bucketRoots, numbered(r.domain.String(), r.generation), w)
}

func (i *issuer) put(t tx) error {
	w := issuerRow{Role: i.role, Generation: i.generation, Current: i.current}
	if i.imported != nil {
		w.Imported = i.imported.Raw
	}
	for _, c := range i.chain {
		w.Chain = append(w.Chain, c.Raw)
	}
	return putJSON(t, bucketIssuers, numbered(i.role.String(), i.generation), w)
}

func putJSON(t tx, bucket, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return t.Put(bucket, key, b)
}

// loadState reads everything but what was issued.
func loadState(t tx, k *kek) (*state, error) {
	s := &state{}
	b, err := t.Get(bucketCA, "settings")
	if err == nil {
		err = json.Unmarshal(b, &s.settings)
	}
	if err != nil {
		return nil, fmt.Errorf("its settings: %w", err)
	}
	var first error
	note := func(err error) bool {
		first = err
		return err == nil
	}
	err = t.Each(bucketRoots, "", func(key string, value []byte) bool {
		r, err := readRoot(value)
		s.roots = append(s.roots, r)
		return note(err)
	})
	if err = errors.Join(err, first); err != nil {
		return nil, fmt.Errorf("its roots: %w", err)
	}
	err = t.Each(bucketIssuers, "", func(key string, value []byte) bool {
		i, err := readIssuer(t, k, value)
		s.issuers = append(s.issuers, i)
		return note(err)
	})
	if err = errors.Join(err, first); err != nil {
		return nil, fmt.Errorf("its issuers: %w", err)
	}
	for _, r := range Roles {
		if s.issuer(r) == nil || s.root(r.Domain(), stageCurrent) == nil {
			return nil, fmt.Errorf("there is no %s issuer, or no root for it", r)
		}
	}
	return s, nil
}

func readRoot(value []byte) (*root, error) {
	var w rootRow
	if err := json.Unmarshal(value, &w); err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(w.Cert)
	if err != nil {
		return nil, err
	}
	r := &root{domain: w.Domain, generation: w.Generation, stage: w.Stage, cert: c}
	if w.Cross != nil {
		r.cross, err = x509.ParseCertificate(w.Cross)
	}
	return r, err
}

func readIssuer(t tx, k *kek, value []byte) (*issuer, error) {
	var w issuerRow
	if err := json.Unmarshal(value, &w); err != nil {
		return nil, err
	}
	chain, err := x509.ParseCertificates(bytes.Join(w.Chain, nil))
	if err != nil || len(chain) == 0 {
		return nil, fmt.Errorf("the chain of %s, generation %d: %w", w.Role, w.Generation, errors.Join(err))
	}
	i := newIssuer(w.Role, w.Generation, chain, nil)
	i.current = w.Current
	if i.key, err = k.key(t, i.name(), i.generation); err != nil {
		return nil, err
	}
	if !goesWith(i.key, i.cert()) {
		return nil, fmt.Errorf("the key of %s, generation %d, is not that of its certificate", w.Role, w.Generation)
	}
	if w.Imported != nil {
		i.imported, err = x509.ParseCertificate(w.Imported)
	}
	return i, err
}

// goesWith tells whether a key is that of a certificate.
func goesWith(key crypto.Signer, c *x509.Certificate) bool {
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(c.PublicKey)
}
