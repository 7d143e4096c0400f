// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sallyport/gateway/h1"
)

// noon is the time of all tests that have one.
var noon = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

var (
	here  = netip.MustParseAddrPort("127.0.0.1:4000")
	there = netip.MustParseAddrPort("10.1.2.3:4000")
)

func fields(values ...string) h1.Fields {
	f := h1.Fields{{Name: []byte("Host"), Value: []byte("a"), ID: h1.Host}}
	for _, v := range values {
		f = append(f, h1.Field{Name: []byte("Proxy-Authorization"), Value: []byte(v), ID: h1.ProxyAuthorization})
	}
	return f
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// users are passwords that are kept as they are, and counted when they are
// compared.
func users(counted *int, pairs ...string) *Passwords {
	p := &Passwords{users: make(map[string]*hash)}
	for i := 0; i < len(pairs); i += 2 {
		want := pairs[i+1]
		h := &hash{check: func(password string) bool {
			if counted != nil {
				*counted++
			}
			return password == want
		}}
		copy(h.sum[:], want)
		p.users[pairs[i]] = h
		p.names = append(p.names, pairs[i])
	}
	return p
}

// jwks is a set of public keys, by their ids.
func jwks(t testing.TB, keys ...jose.JSONWebKey) []byte {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signed is a token.
func signed(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, payload any) string {
	t.Helper()
	o := &jose.SignerOptions{}
	if kid != "" {
		o = o.WithHeader("kid", kid)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	text, ok := payload.(string)
	if !ok {
		b, err := json.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	j, err := s.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out, err := j.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A testCA issues what it is told to.
type testCA struct {
	t    testing.TB
	cert *x509.Certificate
	key  crypto.Signer
	last int64
}

func newTestCA(t testing.TB, name string) *testCA {
	ca := &testCA{t: t, key: ecKey(t), last: 1}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(240 * time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId: []byte(name),
	}
	ca.cert = ca.sign(template, template, ca.key.Public())
	return ca
}

func (ca *testCA) sign(template, parent *x509.Certificate, key crypto.PublicKey) *x509.Certificate {
	ca.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return c
}

// issue makes a client's certificate with names: those with a scheme are URIs,
// those with an @ addresses, and the others DNS names.
func (ca *testCA) issue(cn string, names ...string) *x509.Certificate {
	return ca.issueFor(x509.ExtKeyUsageClientAuth, noon.Add(time.Hour), cn, names...)
}

func (ca *testCA) issueFor(use x509.ExtKeyUsage, until time.Time, cn string, names ...string) *x509.Certificate {
	ca.last++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(ca.last), Subject: pkix.Name{CommonName: cn}, ExtKeyUsage: []x509.ExtKeyUsage{use},
		NotBefore: noon.Add(-time.Hour), NotAfter: until,
	}
	for _, n := range names {
		u, err := url.Parse(n)
		switch {
		case err == nil && u.Scheme != "":
			c.URIs = append(c.URIs, u)
		case err == nil && len(n) > 0 && containsAt(n):
			c.EmailAddresses = append(c.EmailAddresses, n)
		default:
			c.DNSNames = append(c.DNSNames, n)
		}
	}
	return ca.sign(c, ca.cert, ecKey(ca.t).Public())
}

func containsAt(s string) bool {
	for _, c := range s {
		if c == '@' {
			return true
		}
	}
	return false
}

// revoke is a list of certificates that are not to be believed.
func (ca *testCA) revoke(until time.Time, certs ...*x509.Certificate) []byte {
	ca.t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: noon.Add(-time.Minute), NextUpdate: until}
	for _, c := range certs {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: noon.Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, ca.cert, ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	return der
}

func (ca *testCA) roots() []*x509.Certificate { return []*x509.Certificate{ca.cert} }

func shown(c ...*x509.Certificate) *tls.ConnectionState {
	return &tls.ConnectionState{PeerCertificates: c}
}
