// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"
)

func certificates(t *testing.T, crls *CRLs, all ...*Authority) *Certificates {
	t.Helper()
	c, err := NewCertificates(all, crls)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Each CA proves the names of its own name space, and no certificate with
// another name proves anything.
func TestNameSpaces(t *testing.T) {
	own, corp, lab, cn, stranger := newTestCA(t, "own"), newTestCA(t, "corp"), newTestCA(t, "lab"), newTestCA(t, "cn"), newTestCA(t, "corp")
	c := certificates(t, nil,
		&Authority{Name: "the gateway's CA", Roots: own.roots, Own: true, TrustDomain: "gw.internal"},
		&Authority{Name: "corp.pem", Roots: corp.roots, User: ByEmail, Domains: []string{"corp.test"}},
		&Authority{Name: "lab.pem", Roots: lab.roots, User: BySPIFFE, Domains: []string{"lab.test", "lab2.test"}},
		&Authority{Name: "cn.pem", Roots: cn.roots, User: ByCommonName, Domains: []string{"cn.test"}},
	)
	const unknown = "your client certificate is not accepted: the certificate is of no CA that this gateway knows clients by"
	for name, x := range map[string]struct {
		cert *x509.Certificate
		want string
	}{
		"the gateway's user":                  {own.issue("", "spiffe://gw.internal/user/eva", "eva@corp.test"), "user:eva cert:eva@corp.test cert:spiffe://gw.internal/user/eva"},
		"the gateway's device":                {own.issue("", "spiffe://gw.internal/device/eva"), "cert:spiffe://gw.internal/device/eva"},
		"a name below the user":               {own.issue("", "spiffe://gw.internal/user/eva/x"), "cert:spiffe://gw.internal/user/eva/x"},
		"another trust domain":                {own.issue("", "spiffe://other.test/user/eva"), "cert:spiffe://other.test/user/eva"},
		"two users":                           {own.issue("", "spiffe://gw.internal/user/eva", "spiffe://gw.internal/user/bob"), "your client certificate is not accepted: the certificate names more than one user"},
		"an escaped name":                     {own.issue("", "spiffe://gw.internal/user/a%3Ab"), "your client certificate is not accepted: the certificate names a user by a name that no user has"},
		"an address":                          {corp.issue("bob", "eva@corp.test"), "user:eva@corp.test cert:eva@corp.test"},
		"an address below":                    {corp.issue("bob", "eva@Mail.CORP.test", "HOST.corp.test"), "user:eva@mail.corp.test cert:eva@mail.corp.test cert:host.corp.test"},
		"no address":                          {corp.issue("eva@corp.test"), ""},
		"an address of others":                {corp.issue("", "eva@lab.test"), `your client certificate is not accepted: the certificate has the name "eva@lab.test", which corp.pem was not given: it may vouch for corp.test and below`},
		"an address nearly theirs":            {corp.issue("", "eva@xcorp.test"), `your client certificate is not accepted: the certificate has the name "eva@xcorp.test", which corp.pem was not given: it may vouch for corp.test and below`},
		"an address at two":                   {corp.issue("", "eva@lab.test@corp.test"), "user:eva@lab.test@corp.test cert:eva@lab.test@corp.test"},
		"the gateway's user by another CA":    {corp.issue("", "spiffe://gw.internal/user/eva"), `your client certificate is not accepted: the certificate has the name "spiffe://gw.internal/user/eva", which corp.pem cannot vouch for: it is in the trust domain of the gateway's own CA`},
		"the gateway's user, spelt otherwise": {corp.issue("", "spiffe://GW.internal/user/eva"), `your client certificate is not accepted: the certificate has the name "spiffe://GW.internal/user/eva", which corp.pem cannot vouch for: it is in the trust domain of the gateway's own CA`},
		"one good name and one bad":           {corp.issue("", "eva@corp.test", "www.lab.test"), `your client certificate is not accepted: the certificate has the name "www.lab.test", which corp.pem was not given: it may vouch for corp.test and below`},
		"a URI":                               {lab.issue("", "SPIFFE://Lab2.test/user/eva"), "user:spiffe://lab2.test/user/eva cert:spiffe://lab2.test/user/eva"},
		"a URI that is no SPIFFE ID":          {lab.issue("", "https://lab.test/eva"), "cert:https://lab.test/eva"},
		"a URI with a user":                   {lab.issue("", "spiffe://gw.internal@lab.test/user/eva"), `your client certificate is not accepted: the certificate has the URI "spiffe://gw.internal@lab.test/user/eva", which is no name`},
		"a common name":                       {cn.issue("eva"), "user:eva"},
		"a common name that is none":          {cn.issue("eva\n"), "your client certificate is not accepted: the certificate names a user by a name that no user has"},
		"a common name with another's SAN":    {cn.issue("eva", "eva@corp.test"), `your client certificate is not accepted: the certificate has the name "eva@corp.test", which cn.pem was not given: it may vouch for cn.test and below`},
		"no CA that is known":                 {stranger.issue("", "eva@corp.test"), unknown},
		"a server's certificate":              {corp.issueFor(x509.ExtKeyUsageServerAuth, noon.Add(time.Hour), "", "eva@corp.test"), "your client certificate is not accepted: the certificate is not one for clients (clientAuth)"},
		"one that has expired":                {corp.issueFor(x509.ExtKeyUsageClientAuth, noon.Add(-time.Second), "", "eva@corp.test"), "your client certificate is not accepted: the certificate, or one above it, is not valid now: current time 2026-01-05T12:00:00Z is after 2026-01-05T11:59:59Z"},
		"a self-signed one":                   {newTestCA(t, "eva").cert, unknown},
	} {
		got, err := prover(Sources{Certificates: c}).Prove(Request{From: there, TLS: shown(x.cert)})
		text := strings.TrimPrefix(strings.TrimPrefix(got.Client.String(), "10.1.2.3"), " ")
		if err != nil {
			text = err.Error()
		}
		if text != x.want {
			t.Errorf("%s:\n got %s\nwant %s", name, text, x.want)
		}
		if err == nil && (got.Still == nil || got.MayAsk != (got.Client.User == "")) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// Who shows none is told to.
	got, err := prover(Sources{Certificates: c}).Prove(Request{From: there, TLS: shown()})
	if err != nil || !got.MayAsk || got.Challenges != nil || !strings.Contains(got.Instead, "--proxy-cert") {
		t.Errorf("%+v %v", got, err)
	}
}

// CAs that could claim each other's users are not taken together.
func TestOverlappingAuthorities(t *testing.T) {
	a := func(name string, user NameKind, domains ...string) *Authority {
		return &Authority{Name: name, User: user, Domains: domains, Roots: func() []*x509.Certificate { return nil }}
	}
	own := &Authority{Name: "own", Own: true, TrustDomain: "gw.internal"}
	for want, all := range map[string][]*Authority{
		"":  {own, a("a", ByEmail)},
		" ": {own, a("a", ByEmail, "a.test"), a("b", ByCommonName, "b.test")},
		"a and b could each vouch for the other's names: say which domains are whose":        {a("a", NoUser), a("b", NoUser)},
		"a could vouch for the names of the other client CAs: say which domains are its own": {a("a", NoUser), a("b", NoUser, "b.test")},
		"a and b could each vouch for names in x.corp.test":                                  {a("a", NoUser, "x.corp.test"), a("b", NoUser, "corp.test")},
		"a and b both name users by common names, which have no domain: only one can":        {a("a", ByCommonName, "a.test"), a("b", ByCommonName, "b.test")},
	} {
		_, err := NewCertificates(all, nil)
		if got := fmt.Sprint(err); strings.TrimSpace(want) == "" && err != nil || strings.TrimSpace(want) != "" && got != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A certificate that was revoked proves nothing from then on, also on a
// connection that is open and in a session that is resumed: there the same
// certificates are shown again.
func TestRevokedCertificates(t *testing.T) {
	ca, other := newTestCA(t, "corp"), newTestCA(t, "other")
	good, bad := ca.issue("", "eva@corp.test"), ca.issue("", "bob@corp.test")
	authority := &Authority{Name: "corp.pem", Roots: ca.roots, User: ByEmail}
	lists := func(ders ...[]byte) (all *CRLs) {
		for _, der := range ders {
			c, err := ReadCRLs("crl", der)
			if err != nil {
				t.Fatal(err)
			}
			all = all.With(c)
		}
		return all
	}
	p := prover(Sources{Certificates: certificates(t, nil, authority)})
	before, err := p.Prove(Request{From: there, TLS: shown(bad)})
	if err != nil {
		t.Fatal(err)
	}
	const revoked = "your client certificate is not accepted: the certificate has been revoked"
	for name, c := range map[string]struct {
		crls *CRLs
		bad  string
		good string
	}{
		"revoked":                  {lists(ca.revoke(noon.Add(time.Hour), bad)), revoked, "<nil>"},
		"in one of two lists":      {lists(ca.revoke(noon.Add(time.Hour), bad), ca.revoke(noon.Add(2*time.Hour))), revoked, "<nil>"},
		"another's list":           {lists(other.revoke(noon.Add(time.Hour), bad)), "<nil>", "<nil>"},
		"out of date, and revoked": {lists(ca.revoke(noon.Add(-time.Second), bad)), revoked, "your client certificate is not accepted: whether the certificate has been revoked is not known: the list of its issuer was to be renewed by 2026-01-05T11:59:59Z"},
	} {
		p.Use(Sources{Certificates: certificates(t, c.crls, authority)})
		if _, err := before.Still(); fmt.Sprint(err) != c.bad {
			t.Errorf("%s: Still: %v", name, err)
		}
		for cert, want := range map[*x509.Certificate]string{bad: c.bad, good: c.good} {
			for range 2 {
				if _, err := p.Prove(Request{From: there, TLS: shown(cert)}); fmt.Sprint(err) != want {
					t.Errorf("%s: %v, want %s", name, err, want)
				}
			}
		}
	}
	// By a function, as the gateway's own CA has.
	gone := map[string]bool{}
	own := &Authority{Name: "own", Own: true, TrustDomain: "corp.test", Roots: ca.roots, Revoked: func(c *x509.Certificate) bool { return gone[c.SerialNumber.String()] }}
	p.Use(Sources{Certificates: certificates(t, nil, own)})
	still, err := p.Prove(Request{From: there, TLS: shown(bad)})
	if err != nil {
		t.Fatal(err)
	}
	gone[bad.SerialNumber.String()] = true
	if _, err := still.Still(); fmt.Sprint(err) != revoked {
		t.Errorf("%v", err)
	}
	if _, err := p.Prove(Request{From: there, TLS: shown(bad)}); fmt.Sprint(err) != revoked {
		t.Errorf("%v", err)
	}
	// A root that is trusted no longer takes what was remembered with it.
	roots := ca.roots()
	authority.Roots = func() []*x509.Certificate { return roots }
	p.Use(Sources{Certificates: certificates(t, nil, authority)})
	if _, err := p.Prove(Request{From: there, TLS: shown(good)}); err != nil {
		t.Fatal(err)
	}
	roots = other.roots()
	if _, err := p.Prove(Request{From: there, TLS: shown(good)}); err == nil {
		t.Error("a root that was taken out is trusted")
	}
}

// A certificate and a password that prove two users prove none; that they prove
// one, or a device and its user, is fine.
func TestTwoProofs(t *testing.T) {
	own := newTestCA(t, "own")
	p := prover(Sources{
		Passwords:    users(nil, "eva", "secret", "bob", "other"),
		Certificates: certificates(t, nil, &Authority{Name: "own", Roots: own.roots, Own: true, TrustDomain: "gw.internal"}),
	})
	eva, laptop := own.issue("", "spiffe://gw.internal/user/eva"), own.issue("", "spiffe://gw.internal/device/laptop-7")
	_, err := p.Prove(Request{From: there, TLS: shown(eva), Fields: fields(basic("bob", "other"))})
	r := refusal(t, err)
	if r.Why != Forbidden || r.Msg != "the certificate and the password are of two users: leave one away" || r.Error() != `the certificate is of user "eva" and the password of user "bob"` {
		t.Errorf("%+v", r)
	}
	for want, r := range map[string]Request{
		"10.1.2.3 user:eva cert:spiffe://gw.internal/user/eva":        {TLS: shown(eva), Fields: fields(basic("eva", "secret"))},
		"10.1.2.3 user:bob cert:spiffe://gw.internal/device/laptop-7": {TLS: shown(laptop), Fields: fields(basic("bob", "other"))},
	} {
		r.From = there
		got, err := p.Prove(r)
		if err != nil || got.Client.String() != want {
			t.Errorf("%s %v, want %s", got.Client, err, want)
		}
	}
	// A device that has shown who it is can still be asked for its user.
	if got, err := p.Prove(Request{From: there, TLS: shown(laptop)}); err != nil || !got.MayAsk || len(got.Challenges) != 1 {
		t.Errorf("%+v %v", got, err)
	}
}

func FuzzReadCRLs(f *testing.F) {
	ca := newTestCA(f, "ca")
	f.Add(ca.revoke(noon, ca.cert))
	f.Add([]byte("-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ReadCRLs("crl", text)
		if err == nil {
			_ = c.Stale(noon)
			_ = judge(ca.cert, c.of(ca.cert), noon)
		}
	})
}
