// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

// What the gate refuses, whoever asks. Each row is a good template made bad.
func TestGateRefuses(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	key := mustKey(t).Public()
	uri := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	raw := func(last int) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, last}, Value: []byte{5, 0}}}
		}
	}
	for _, c := range []struct {
		role Role
		name string
		edit func(*x509.Certificate)
		want string // "": it is signed
	}{
		{Server, "as it is", func(c *x509.Certificate) {}, ""},
		{Server, "a CA", func(c *x509.Certificate) { c.IsCA = true }, "a certificate that could sign others"},
		{Server, "a pathlen", func(c *x509.Certificate) { c.MaxPathLenZero = true }, "a certificate that could sign others"},
		{Server, "signs certificates", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }, "a certificate that could sign others"},
		{Server, "signs CRLs", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }, "a certificate that could sign others"},
		{Server, "no use", func(c *x509.Certificate) { c.ExtKeyUsage = nil }, "extended key usages []: the server issuer signs for serverAuth alone"},
		{Server, "any use", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }, "extended key usages [anyExtendedKeyUsage]: the server issuer signs for serverAuth alone"},
		{Server, "an unknown use", func(c *x509.Certificate) { c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, []int{1, 2, 3}) }, "extended key usages [serverAuth]: the server issuer signs for serverAuth alone"},
		{Server, "OCSP", func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) }, "extended key usages [serverAuth OCSPSigning]: the server issuer signs for serverAuth alone"},
		{Server, "raw key usage", raw(15), "extension 2.5.29.15 was encoded elsewhere"},
		{Server, "raw names", raw(17), "extension 2.5.29.17 was encoded elsewhere"},
		{Server, "raw constraints", raw(19), "extension 2.5.29.19 was encoded elsewhere"},
		{Server, "raw name constraints", raw(30), "extension 2.5.29.30 was encoded elsewhere"},
		{Server, "raw uses", raw(37), "extension 2.5.29.37 was encoded elsewhere"},
		{Server, "raw subject", func(c *x509.Certificate) { c.RawSubject = []byte{0x30, 0} }, "a subject that was encoded elsewhere"},
		{Server, "odd subject", func(c *x509.Certificate) { c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{}} }, "a subject that was encoded elsewhere"},
		{Server, "no name", func(c *x509.Certificate) { c.DNSNames = nil }, "a server's certificate has DNS names and addresses, one at least, and nothing else"},
		{Server, "an email", func(c *x509.Certificate) { c.EmailAddresses = []string{"a@x.test"} }, "a server's certificate has DNS names and addresses, one at least, and nothing else"},
		{Server, "a user", func(c *x509.Certificate) {
			c.URIs = []*url.URL{spiffe("sallyport.internal", kindUser, "alice")}
		}, "a server's certificate has DNS names and addresses, one at least, and nothing else"},
		{Server, "another common name", func(c *x509.Certificate) { c.Subject.CommonName = "alice" }, `common name "alice", which is none of its names`},
		{Server, "an address", func(c *x509.Certificate) {
			c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)}
			c.Subject.CommonName = "192.0.2.1"
		}, ""},
		{Server, "no address", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4zero} }, "0.0.0.0 is no address of a server"},
		{Server, "capitals", func(c *x509.Certificate) { c.DNSNames = []string{"WWW.test"} }, `"WWW.test" is no DNS name in lower case`},
		{Server, "a null", func(c *x509.Certificate) { c.DNSNames = []string{"www.test\x00.evil.test"} }, `"www.test\x00.evil.test" is no DNS name in lower case`},
		{Server, "a dot behind", func(c *x509.Certificate) { c.DNSNames = []string{"www.test."} }, `"www.test." is no DNS name in lower case`},
		{Server, "a number", func(c *x509.Certificate) { c.DNSNames = []string{"127.1"} }, `"127.1" reads like an address`},
		{Server, "all of it", func(c *x509.Certificate) { c.DNSNames = []string{"*"} }, `"*" is no DNS name in lower case`},
		{Server, "a whole zone", func(c *x509.Certificate) { c.DNSNames = []string{"*.test"} }, `"*.test" is no DNS name`},
		{Server, "a wildcard within", func(c *x509.Certificate) { c.DNSNames = []string{"a.*.test"} }, `"a.*.test" is no DNS name in lower case`},
		{Server, "too many names", func(c *x509.Certificate) {
			for n := range 101 {
				c.DNSNames = append(c.DNSNames, fmt.Sprintf("n%d.test", n))
			}
		}, "more than 100 names"},
		{Client, "as it is", func(c *x509.Certificate) {}, ""},
		{Client, "no user", func(c *x509.Certificate) { c.URIs = nil }, "a client's certificate has one SPIFFE ID, an email address at most, and no other names"},
		{Client, "two users", func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs[0]) }, "a client's certificate has one SPIFFE ID, an email address at most, and no other names"},
		{Client, "a server", func(c *x509.Certificate) { c.DNSNames = []string{"www.test"} }, "a client's certificate has one SPIFFE ID, an email address at most, and no other names"},
		{Client, "another's domain", func(c *x509.Certificate) { c.URIs = []*url.URL{uri("spiffe://evil.test/user/alice")} }, "SPIFFE ID spiffe://evil.test/user/alice: want spiffe://sallyport.internal/user/NAME or /device/NAME"},
		{Client, "another kind", func(c *x509.Certificate) { c.URIs = []*url.URL{uri("spiffe://sallyport.internal/admin/alice")} }, "SPIFFE ID spiffe://sallyport.internal/admin/alice: want spiffe://sallyport.internal/user/NAME or /device/NAME"},
		{Client, "a path", func(c *x509.Certificate) { c.URIs = []*url.URL{uri("spiffe://sallyport.internal/user/a/b")} }, `SPIFFE ID spiffe://sallyport.internal/user/a/b: name "a/b": want letters, digits and . _ - @ only`},
		{Client, "a question", func(c *x509.Certificate) { c.URIs = []*url.URL{uri("spiffe://sallyport.internal/user/alice?x")} }, `SPIFFE ID spiffe://sallyport.internal/user/alice?x: name "alice?x": want letters, digits and . _ - @ only`},
		{Client, "a web page", func(c *x509.Certificate) { c.URIs = []*url.URL{uri("https://sallyport.internal/user/alice")} }, "SPIFFE ID https://sallyport.internal/user/alice: want spiffe://sallyport.internal/user/NAME or /device/NAME"},
		{Client, "another common name", func(c *x509.Certificate) { c.Subject.CommonName = "root" }, `common name "root" beside the SPIFFE ID of "alice"`},
		{Client, "no email", func(c *x509.Certificate) { c.EmailAddresses = []string{"alice"} }, `"alice" is no email address`},
		{Delegated, "as it is", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Minute) }, ""},
		{Delegated, "for an hour", func(c *x509.Certificate) {}, ""},
		{Delegated, "for longer", func(c *x509.Certificate) { c.NotAfter = c.NotAfter.Add(time.Second) }, "a life of 1h1m1s: the delegated issuer signs for 1h0m0s at most"},
		{Intercept, "for a client", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "extended key usages [clientAuth]: the intercept issuer signs for serverAuth alone"},
	} {
		want := serverWant(ca, "www.test")
		if c.role.Domain() == Identity {
			want.DNSNames, want.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			fillClient(want, ca.Settings(), kindUser, "alice", "")
		}
		now := time.Now()
		want.NotBefore, want.NotAfter = now.Add(-time.Minute), now.Add(time.Hour)
		c.edit(want)
		s := ca.state.Load()
		_, der, err := s.issuer(c.role).sign(s.settings, want, key, now)
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != "refused: "+c.want || !errors.Is(err, ErrRefused) || der != nil) {
			t.Errorf("%s, %s:\ngot  %v\nwant %s", c.role, c.name, err, c.want)
		}
	}
}

func TestGateWantsStrongKeys(t *testing.T) {
	rsaKey := func(bits, e int) crypto.PublicKey {
		return &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), bits-1, 1), E: e}
	}
	ecKey := func(c elliptic.Curve) crypto.PublicKey {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k.Public()
	}
	ed, _, _ := ed25519.GenerateKey(nil)
	for name, c := range map[string]struct {
		key  crypto.PublicKey
		want bool
	}{
		"P-224": {ecKey(elliptic.P224()), false}, "P-256": {ecKey(elliptic.P256()), true}, "P-384": {ecKey(elliptic.P384()), true},
		"Ed25519": {ed, true}, "RSA 1024": {rsaKey(1024, 65537), false}, "RSA 2048": {rsaKey(2048, 65537), true},
		"RSA 16384": {rsaKey(16384, 65537), false}, "RSA with 3": {rsaKey(2048, 3), false}, "none": {nil, false},
	} {
		if err := strong(c.key); (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Requests that Issue refuses before anything is signed.
func TestIssueRefuses(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	req, _ := csr(t, x509.CertificateRequest{})
	forged := *req
	forged.Signature = append([]byte{}, req.Signature...)
	forged.PublicKey = mustKey(t).Public()
	for _, c := range []struct {
		name string
		r    Request
		want string
	}{
		{"no role", Request{CSR: req}, "issuing a none certificate: refused: certificates of the none issuer are minted, not asked for"},
		{"a minted role", Request{Role: Delegated, CSR: req, User: "alice"}, "issuing a delegated certificate: refused: certificates of the delegated issuer are minted, not asked for"},
		{"no request", Request{Role: Client, User: "alice"}, "issuing a client certificate: refused: no signing request"},
		{"another's key", Request{Role: Client, CSR: &forged, User: "alice"}, "issuing a client certificate: refused: the signing request does not prove that somebody has its key: x509: ECDSA verification failure"},
		{"nobody", Request{Role: Client, CSR: req}, "issuing a client certificate: refused: want a user or a device, and no DNS names or addresses, for a client's certificate"},
		{"two", Request{Role: Client, CSR: req, User: "alice", Device: "laptop"}, "issuing a client certificate: refused: want a user or a device, and no DNS names or addresses, for a client's certificate"},
		{"a client with a name", Request{Role: Client, CSR: req, User: "alice", DNS: []string{"x.test"}}, "issuing a client certificate: refused: want a user or a device, and no DNS names or addresses, for a client's certificate"},
		{"a server with a user", Request{Role: Server, CSR: req, DNS: []string{"x.test"}, User: "alice"}, "issuing a server certificate: refused: a user, device or email address for a server's certificate"},
		{"a server without a name", Request{Role: Server, CSR: req}, "issuing a server certificate: refused: a server's certificate has DNS names and addresses, one at least, and nothing else"},
		{"a strange user", Request{Role: Client, CSR: req, User: "a/../b"}, `issuing a client certificate: refused: SPIFFE ID spiffe://sallyport.internal/user/a/../b: name "a/../b": want letters, digits and . _ - @ only`},
		{"a zone", Request{Role: Server, CSR: req, IP: []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}}, "issuing a server certificate: refused: fe80::1%eth0 is no address of a server"},
		{"for long", Request{Role: Client, CSR: req, User: "alice", Life: 10000 * time.Hour}, "issuing a client certificate: refused: a life of 10000h1m0s: the client issuer signs for 9552h0m0s at most"},
	} {
		if _, err := ca.Issue(t.Context(), c.r); err == nil || err.Error() != c.want || !errors.Is(err, ErrRefused) {
			t.Errorf("%s:\ngot  %v\nwant %s", c.name, err, c.want)
		}
	}
	ca.Records(t.Context(), func(r Record) bool { t.Errorf("on record: %+v", r); return true })
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		s    Settings
		want string
	}{
		{Settings{}, ""},
		{Settings{Name: "Corp Ltd", TrustDomain: "corp.test", URL: "http://[::1]:3128", Permit: []string{".corp.test", "*.b.test"}}, ""},
		{Settings{Name: strings.Repeat("x", 41)}, "name"},
		{Settings{Name: "a\nb"}, "name"},
		{Settings{TrustDomain: "Corp.test"}, "trust domain"},
		{Settings{TrustDomain: "*.corp.test"}, "trust domain"},
		{Settings{URL: "https://ca.test"}, "url"},
		{Settings{URL: "http://ca.test/crl"}, "url"},
		{Settings{URL: "http://u@ca.test"}, "url"},
		{Settings{Permit: []string{"corp..test"}}, "zone"},
		{Settings{Exclude: []string{"10.0.0.1"}}, "zone"},
		{Settings{IssuerLife: time.Minute}, "lives"},
		{Settings{RootLife: 48 * time.Hour, IssuerLife: 49 * time.Hour}, "lives"},
		{Settings{RootLife: -time.Hour}, "lives"},
	} {
		_, err := c.s.complete()
		if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.s, err, c.want)
		}
	}
}
