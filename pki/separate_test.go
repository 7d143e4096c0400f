// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"testing"
	"time"
)

// parsed is the chain of what a minter made.
func parsed(t testing.TB, c *tls.Certificate, err error) []*x509.Certificate {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var out []*x509.Certificate
	for _, der := range c.Certificate {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, x)
	}
	return out
}

// No certificate made for one purpose passes for another: every kind, against
// either root and either use, in Go and in OpenSSL. Even a key of an issuer in
// the wrong hands does not make a certificate for the other use.
func TestPurposesAreSeparate(t *testing.T) {
	ca := memoryCA(t, Settings{Permit: []string{"corp.test"}, Exclude: []string{"bank.test"}}, Options{})
	s := ca.state.Load()
	mint, err := ca.Minter(Intercept).Host("www.test", 0)
	intercepted := parsed(t, mint, err)
	mint, err = ca.Minter(Delegated).User(Delegation{User: "alice", Email: "alice@corp.test"})
	delegated := parsed(t, mint, err)
	chains := map[Role][]*x509.Certificate{
		Server: issueServer(t, ca, "www.corp.test"), Client: issueClient(t, ca, "alice"), Intercept: intercepted, Delegated: delegated,
	}
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, r := range Roles {
		for _, d := range []Domain{Edge, Identity} {
			for n, eku := range both {
				want := d == r.Domain() && eku == r.usage()
				name := fmt.Sprintf("%s, %s root, %s", r, d, eku)
				check(t, name, chains[r], eku, want, ca.Roots(d)[0])
				// The issuer's key, used by a thief.
				for _, stolenEKU := range [][]x509.ExtKeyUsage{{eku}, both, {x509.ExtKeyUsageAny}} {
					if want && stolenEKU[0] == x509.ExtKeyUsageAny {
						continue // OpenSSL takes it for no use
					}
					names := &x509.Certificate{DNSNames: []string{"x.corp.test"}}
					stolen := steal(t, s.issuer(r), names, stolenEKU)
					check(t, fmt.Sprintf("%s, stolen key, leaf %v", name, stolenEKU), stolen, both[n], want, ca.Roots(d)[0])
				}
			}
		}
	}
	// A leaf is no issuer, and no issuer stands below an issuer.
	for name, middle := range map[string]*x509.Certificate{
		"a leaf that signs":         {DNSNames: []string{"x.corp.test"}},
		"an issuer below an issuer": {IsCA: true, KeyUsage: x509.KeyUsageCertSign},
	} {
		chain := steal(t, s.issuer(Server), middle, both[:1])
		i := newIssuer(Server, 1, chain, leafKeys[string(chain[0].Raw)])
		check(t, name, steal(t, i, &x509.Certificate{DNSNames: []string{"x.corp.test"}}, both[:1]), both[0], false, ca.Roots(Edge)[0])
	}
}

func check(t *testing.T, name string, chain []*x509.Certificate, eku x509.ExtKeyUsage, want bool, root *x509.Certificate) {
	t.Helper()
	if err := verify(chain, eku, time.Now(), root); (err == nil) != want {
		t.Errorf("%s: Go says %v, want verified: %v", name, err, want)
	}
	if err := opensslVerify(t, chain, eku, root); (err == nil) != want {
		t.Errorf("%s: OpenSSL says %v, want verified: %v", name, err, want)
	}
}

// leafKeys are the keys of what steal made.
var leafKeys = map[string]*ecdsa.PrivateKey{}

// steal signs with an issuer's key and asks no gate.
func steal(t testing.TB, i *issuer, names *x509.Certificate, eku []x509.ExtKeyUsage) []*x509.Certificate {
	t.Helper()
	key := mustKey(t)
	c := *names
	c.SerialNumber, c.BasicConstraintsValid, c.ExtKeyUsage = newSerial(), true, eku
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	if c.KeyUsage == 0 {
		c.KeyUsage = x509.KeyUsageDigitalSignature
	}
	der, err := x509.CreateCertificate(rand.Reader, &c, i.cert(), key.Public(), i.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	leafKeys[string(leaf.Raw)] = key
	return append([]*x509.Certificate{leaf}, i.chain...)
}

// Names outside an issuer's constraints are refused by the gate, and by all
// who verify if the key was stolen.
func TestNamesAreConstrained(t *testing.T) {
	ca := memoryCA(t, Settings{Permit: []string{".corp.test"}, Exclude: []string{"gw.test"}}, Options{})
	s := ca.state.Load()
	req, _ := csr(t, x509.CertificateRequest{})
	for _, c := range []struct {
		role Role
		name string
		want bool
	}{
		{Server, "corp.test", true},
		{Server, "www.corp.test", true},
		{Server, "*.corp.test", true},
		{Server, "corp.test.evil.test", false},
		{Server, "evilcorp.test", false},
		{Server, "www.example.org", false},
		{Intercept, "www.example.org", true},
		{Intercept, "gw.test", false},
		{Intercept, "a.gw.test", false},
		{Intercept, "notgw.test", true},
	} {
		gate := func() (err error) {
			if c.role == Server {
				_, err = ca.Issue(t.Context(), Request{Role: Server, CSR: req, DNS: []string{c.name}})
			} else {
				_, err = ca.Minter(Intercept).Host(c.name, 0)
			}
			return err
		}
		if err := gate(); (err == nil) != c.want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%s, %s: the gate says %v", c.role, c.name, err)
		}
		stolen := steal(t, s.issuer(c.role), &x509.Certificate{DNSNames: []string{c.name}}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth})
		check(t, fmt.Sprintf("%s, %s, stolen key", c.role, c.name), stolen, x509.ExtKeyUsageServerAuth, c.want, ca.Roots(Edge)[0])
	}
}

// What the gate lets through, Go verifies; what it holds back, Go refuses:
// for all constraints that a company's issuer may have.
func FuzzConstraints(f *testing.F) {
	for _, names := range []string{"www.corp.test", "*.corp.test", "corp.test", "10.0.0.1", "::1", "a@corp.test", "spiffe://corp.test/user/a"} {
		for _, c := range []string{"corp.test", ".corp.test", "www.corp.test", "", "10.0.0.0/8", "::/0", "a@corp.test", "*.corp.test"} {
			f.Add(names, c, "x.test")
		}
	}
	root := mustKey(f)
	f.Fuzz(func(t *testing.T, name, permitted, excluded string) {
		if !printable(name + permitted + excluded) {
			t.Skip()
		}
		leaf := &x509.Certificate{SerialNumber: newSerial(), BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour)}
		constrained := &x509.Certificate{
			SerialNumber: newSerial(), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
			NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		}
		ip, ipErr := netip.ParseAddr(name)
		u, urlErr := url.Parse(name)
		switch {
		case ipErr == nil && ip.Zone() == "":
			leaf.IPAddresses = []net.IP{ip.Unmap().AsSlice()}
			constrained.PermittedIPRanges, constrained.ExcludedIPRanges = prefix(permitted), prefix(excluded)
		case urlErr == nil && u.Scheme == "spiffe" && validDNS(u.Host) == nil:
			leaf.URIs = []*url.URL{u}
			constrained.PermittedURIDomains, constrained.ExcludedURIDomains = some(permitted), some(excluded)
		case validEmail(name) == nil:
			leaf.EmailAddresses = []string{name}
			constrained.PermittedEmailAddresses, constrained.ExcludedEmailAddresses = some(permitted), some(excluded)
		case validDNS(name) == nil:
			leaf.DNSNames = []string{name}
			constrained.PermittedDNSDomains, constrained.ExcludedDNSDomains = some(permitted), some(excluded)
		default:
			t.Skip()
		}
		der, err := x509.CreateCertificate(rand.Reader, constrained, constrained, root.Public(), root)
		if err != nil {
			t.Skip()
		}
		issuer, err := x509.ParseCertificate(der)
		if err != nil {
			t.Skip() // a constraint that cannot be read
		}
		der, err = x509.CreateCertificate(rand.Reader, leaf, issuer, root.Public(), root)
		if err != nil {
			t.Skip()
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Skip()
		}
		out := outside(c, []*x509.Certificate{issuer})
		_, err = c.Verify(x509.VerifyOptions{Roots: pool(issuer), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if out == "" && err != nil {
			t.Errorf("%q, permitted %q, excluded %q: the gate lets it through, Go says %v", name, permitted, excluded, err)
		}
		if out != "" && err == nil {
			t.Errorf("%q, permitted %q, excluded %q: the gate holds it back, Go verifies", name, permitted, excluded)
		}
	})
}

func some(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func prefix(s string) []*net.IPNet {
	_, n, err := net.ParseCIDR(s)
	if err != nil {
		return nil
	}
	return []*net.IPNet{n}
}
