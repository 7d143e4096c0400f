// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// staple makes an OCSP response about cert that a signs.
func (a *authority) staple(cert *authority, status int, change ...func(*ocsp.Response)) []byte {
	r := ocsp.Response{
		Status: status, SerialNumber: cert.cert.SerialNumber, IssuerHash: crypto.SHA1,
		ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
		RevokedAt: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC), RevocationReason: ocsp.KeyCompromise,
	}
	for _, c := range change {
		c(&r)
	}
	by, issuer := a, a
	if r.Certificate != nil {
		for x := range delegates {
			if x.cert == r.Certificate {
				by = x
			}
		}
	}
	der, err := ocsp.CreateResponse(issuer.cert, by.cert, r, by.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// delegates are those whose certificates staple embeds.
var delegates = map[*authority]bool{}

func delegate(x *authority) func(*ocsp.Response) {
	delegates[x] = true
	return func(r *ocsp.Response) { r.Certificate = x.cert }
}

func mustStapleTemplate(names ...string) x509.Certificate {
	c := serverTemplate(names...)
	value, err := asn1.Marshal([]int{5})
	if err != nil {
		panic(err)
	}
	c.ExtraExtensions = []pkix.Extension{{Id: tlsFeature, Value: value}}
	return c
}

func responder(by *authority, usage ...x509.ExtKeyUsage) *authority {
	return issue(by.t, by, x509.Certificate{Subject: subject("Responder"), ExtKeyUsage: usage})
}

// TestStaples: only who may and for whom it is about has a say, in each mode.
func TestStaples(t *testing.T) {
	root, twin := newRoot(t, "Root"), newRoot(t, "Root")
	leaf, other := root.server(host), root.server(host)
	must := issue(t, root, mustStapleTemplate(host))
	signing := responder(root, x509.ExtKeyUsageOCSPSigning)
	server := responder(root, x509.ExtKeyUsageServerAuth)
	foreign := responder(twin, x509.ExtKeyUsageOCSPSigning)
	old := issue(t, root, x509.Certificate{
		Subject: subject("Responder"), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour),
	})
	sameSerial := serverTemplate(host)
	third := newRoot(t, "Third")
	impostor := issue(t, third, sameSerial)
	impostor.cert.SerialNumber = must.cert.SerialNumber
	const revokedText = `was revoked on 2026-01-02 03:04 UTC (keyCompromise), says the stapled OCSP response: the origin must get another`
	const demands = `demands that the origin staples a good OCSP response (must-staple): `
	for name, tt := range map[string]struct {
		cert   *authority
		staple []byte
		want   string
	}{
		"none":                              {leaf, nil, ""},
		"good":                              {leaf, root.staple(leaf, ocsp.Good), ""},
		"revoked":                           {leaf, root.staple(leaf, ocsp.Revoked), revokedText},
		"revoked, by a delegate":            {leaf, root.staple(leaf, ocsp.Revoked, delegate(signing)), revokedText},
		"unknown":                           {leaf, root.staple(leaf, ocsp.Unknown), ""},
		"must, none":                        {must, nil, demands + "it staples none: the origin must turn OCSP stapling on"},
		"must, good":                        {must, root.staple(must, ocsp.Good), ""},
		"must, good, by a delegate":         {must, root.staple(must, ocsp.Good, delegate(signing)), ""},
		"must, good, with the issuer":       {must, root.staple(must, ocsp.Good, delegate(root)), ""},
		"must, revoked":                     {must, root.staple(must, ocsp.Revoked), revokedText},
		"must, unknown":                     {must, root.staple(must, ocsp.Unknown), demands + "the OCSP responder does not know the certificate"},
		"must, try later":                   {must, ocsp.TryLaterErrorResponse, demands + `the OCSP responder answers "try later"`},
		"must, garbage":                     {must, []byte("x"), demands + "the OCSP response cannot be used"},
		"must, another certificate's":       {must, root.staple(other, ocsp.Good), demands + "the OCSP response cannot be used: no response matching"},
		"must, same serial, another issuer": {must, third.staple(impostor, ocsp.Good, delegate(signing)), demands + "the OCSP response is about a certificate of another issuer"},
		"must, twin of the issuer":          {must, twin.staple(must, ocsp.Good), demands + "the OCSP response is about a certificate of another issuer"},
		"must, by a leaf":                   {must, root.staple(must, ocsp.Good, delegate(server)), demands + "the OCSP response is signed by somebody who may not sign OCSP responses"},
		"must, by itself":                   {must, root.staple(must, ocsp.Good, delegate(must)), demands + "the OCSP response is signed by somebody who may not sign OCSP responses"},
		"must, by a stranger":               {must, root.staple(must, ocsp.Good, delegate(foreign)), demands + "the OCSP response is signed by somebody the certificate's issuer did not certify"},
		"must, by an expired delegate":      {must, root.staple(must, ocsp.Good, delegate(old)), demands + "the OCSP response is signed with an expired certificate"},
		"must, over": {must, root.staple(must, ocsp.Good, func(r *ocsp.Response) {
			r.ThisUpdate, r.NextUpdate = time.Now().Add(-48*time.Hour), time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
		}), demands + "the OCSP response held until 2026-01-02 03:04 UTC"},
		"must, early": {must, root.staple(must, ocsp.Good, func(r *ocsp.Response) {
			r.ThisUpdate, r.NextUpdate = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		}), demands + "the OCSP response holds from "},
		"must, endless": {must, root.staple(must, ocsp.Good, func(r *ocsp.Response) { r.NextUpdate = time.Time{} }), demands + "the OCSP response does not say until when it holds"},
		"must, damaged": {must, damaged(root.staple(must, ocsp.Good)), demands + "the OCSP response is not signed by the certificate's issuer"},
		// What nobody may say does not count, for better or worse.
		"revoked, by a leaf": {leaf, root.staple(leaf, ocsp.Revoked, delegate(server)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			cert := tt.cert.with()
			cert.OCSPStaple = tt.staple
			o := serve(t, &tls.Config{Certificates: []tls.Certificate{cert}})
			_, err := o.connect(t, load(t, Profile{Roots: []string{root.certFile()}}).Config(host))
			checkDescribed(t, err, tt.want)
		})
	}
}

func TestHugeOCSP(t *testing.T) { // crypto/tls would not take it either
	root := newRoot(t, "Root")
	_, err := readOCSP(make([]byte, maxOCSP+1), root.server(host).cert, root.cert, time.Now())
	if err == nil || err.Error() != "the OCSP response has more than 64 KiB" {
		t.Error(err)
	}
}

func damaged(der []byte) []byte {
	der[len(der)-1] ^= 1
	return der
}

// TestMustStaple: what the issuer's certificate demands, it demands
// for those it issues (RFC 7633 §4.2.2); nonsense demands everything.
func TestMustStaple(t *testing.T) {
	ext := func(value ...byte) []*x509.Certificate {
		return []*x509.Certificate{{}, {Extensions: []pkix.Extension{{Id: tlsFeature, Value: value}}}}
	}
	for name, tt := range map[string]struct {
		chain []*x509.Certificate
		want  bool
	}{
		"no":                {[]*x509.Certificate{{}}, false},
		"status_request":    {ext(0x30, 3, 2, 1, 5), true},
		"status_request_v2": {ext(0x30, 3, 2, 1, 17), true},
		"another feature":   {ext(0x30, 3, 2, 1, 6), false},
		"none":              {ext(0x30, 0), false},
		"nonsense":          {ext(0x31), true},
		"more behind it":    {ext(0x30, 0, 0), true},
	} {
		if got := mustStaple(tt.chain); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestStapleHoldsOnResumption: what was stapled to the first handshake is
// looked at again, and its time ends.
func TestStapleHoldsOnResumption(t *testing.T) {
	root := newRoot(t, "Root")
	leaf := issue(t, root, mustStapleTemplate(host))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cert := leaf.with()
		cert.OCSPStaple = root.staple(leaf, ocsp.Good)
		o := serve(t, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: version})
		trust := load(t, Profile{Roots: []string{root.certFile()}})
		for i, resumed := range []bool{false, true} {
			cs, err := o.connect(t, trust.Config(host))
			if err != nil || cs.DidResume != resumed {
				t.Fatalf("connection %d: resumed %t, %v", i, cs.DidResume, err)
			}
		}
		cfg := trust.Config(host)
		verify := cfg.VerifyConnection
		cfg.VerifyConnection = func(cs tls.ConnectionState) error {
			if !cs.DidResume || len(cs.OCSPResponse) == 0 {
				t.Errorf("%s: resumed %t, with %d bytes of staple", tls.VersionName(version), cs.DidResume, len(cs.OCSPResponse))
			}
			cs.OCSPResponse = root.staple(leaf, ocsp.Revoked) // it comes from the session's own memory
			return verify(cs)
		}
		_, err := o.connect(t, cfg)
		checkDescribed(t, err, "says the stapled OCSP response")
	}
}

// TestStapleOfAnOldSession: when the time of what a session remembers is over
// the origin is asked anew, and a whole handshake has what it staples now.
func TestStapleOfAnOldSession(t *testing.T) {
	root := newRoot(t, "Root")
	leaf := issue(t, root, mustStapleTemplate(host))
	cert := leaf.with()
	cert.OCSPStaple = root.staple(leaf, ocsp.Good)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		o := serve(t, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: version})
		trust := load(t, Profile{Roots: []string{root.certFile()}})
		cfg := trust.Config(host)
		verify := cfg.VerifyConnection
		cfg.VerifyConnection = func(cs tls.ConnectionState) error {
			if cs.DidResume { // later
				cs.OCSPResponse = root.staple(leaf, ocsp.Good, func(r *ocsp.Response) { r.NextUpdate = time.Now().Add(-time.Minute) })
			}
			return verify(cs)
		}
		for i, want := range []bool{true, false, true} {
			_, err := o.connect(t, cfg)
			var status *StatusError
			if (err == nil) != want || !want && (!errors.As(err, &status) || !status.Again()) {
				t.Errorf("%s, connection %d: %v", tls.VersionName(version), i, err)
			}
		}
	}
}

func TestNoChain(t *testing.T) {
	err := load(t, Profile{}).Config(host).VerifyConnection(tls.ConnectionState{})
	if err == nil || !strings.Contains(err.Error(), "no verified chain") {
		t.Error(err)
	}
}

func FuzzStaple(f *testing.F) {
	root := newRoot(f, "Root")
	leaf := root.server(host)
	signing := responder(root, x509.ExtKeyUsageOCSPSigning)
	for _, seed := range [][]byte{
		root.staple(leaf, ocsp.Good), root.staple(leaf, ocsp.Revoked), root.staple(leaf, ocsp.Good, delegate(signing)),
		ocsp.TryLaterErrorResponse,
	} {
		f.Add(seed, 0, byte(0))
		f.Add(seed, len(seed)/2, byte(1))
	}
	stranger := newRoot(f, "Stranger")
	f.Fuzz(func(t *testing.T, der []byte, at int, flip byte) {
		if len(der) > 0 {
			der[uint(at)%uint(len(der))] ^= flip
		}
		// Nobody who does not know a key of this run can say anything.
		if a, err := readOCSP(der, leaf.cert, stranger.cert, time.Now()); err == nil {
			t.Errorf("a stranger's word counts: %+v", a)
		}
		a, err := readOCSP(der, leaf.cert, root.cert, time.Now())
		if err == nil && !a.holds(time.Now()) {
			t.Errorf("%+v", a)
		}
	})
}
