// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/certificates/authority/provisioner"
	"go.step.sm/crypto/x509util"
)

// The numbers are those of the list of what smallstep does as it comes. That
// of 1 is in store_test.go.

// Defect 2: without a template, smallstep copies a signing request: one that
// asked for CA:TRUE got it, and names in a raw extension were not held against
// anything.
func TestDefect2RequestIsNotCopied(t *testing.T) {
	ca := memoryCA(t, Settings{Permit: []string{"corp.test"}}, Options{})
	ctx := context.Background()
	req := hostile(t)
	for _, r := range []Request{
		{Role: Server, CSR: req, DNS: []string{"www.corp.test"}},
		{Role: Client, CSR: req, User: "alice"},
	} {
		chain, err := ca.Issue(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		c := chain[0]
		if c.IsCA || c.KeyUsage != x509.KeyUsageDigitalSignature || len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != r.Role.usage() || len(c.UnknownExtKeyUsage) > 0 {
			t.Errorf("%s: it got CA %v, usages %v, %v", r.Role, c.IsCA, c.KeyUsage, c.ExtKeyUsage)
		}
		if text := string(c.Raw); strings.Contains(text, "evil") || strings.Contains(c.Subject.String(), "root") {
			t.Errorf("%s: it says %q, %v", r.Role, c.Subject, namesOf(c))
		}
	}
	// Whoever asks smallstep without a template is stopped by the gate.
	for _, role := range []Role{Server, Client} {
		a, err := ca.authority(role)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.SignWithContext(ctx, req, provisioner.SignOptions{}); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", role, err)
		}
	}
	// A raw name beside a good one is refused for itself.
	plain, _ := csr(t, x509.CertificateRequest{})
	a, _ := ca.authority(Server)
	smuggle := modifier(func(c *x509.Certificate) {
		*c = *serverWant(ca, "www.corp.test")
		c.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 17}, Value: []byte{0x30, 13, 0x82, 11, 'e', 'v', 'i', 'l', '.', 'e', 'x', 'a', 'm', 'p', 'l'}}}
	})
	if _, err := a.SignWithContext(ctx, plain, provisioner.SignOptions{}, smuggle); err == nil || plainText(err) != "refused: extension 2.5.29.17 was encoded elsewhere" {
		t.Errorf("a raw name: %v", err)
	}
}

type modifier func(*x509.Certificate)

func (m modifier) Modify(c *x509.Certificate, _ provisioner.SignOptions) error {
	m(c)
	return nil
}

func plainText(err error) string { return plain(err).Error() }

// serverWant is a template that the server issuer signs.
func serverWant(ca *CA, names ...string) *x509.Certificate {
	return &x509.Certificate{
		DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: ca.now().Add(-time.Minute), NotAfter: ca.now().Add(time.Hour),
	}
}

// Defect 3: smallstep's usual template makes every server's certificate one
// for clients too.
func TestDefect3ServerIsNoClient(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	req, _ := csr(t, x509.CertificateRequest{DNSNames: []string{"www.test"}})
	a, err := ca.authority(Server)
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.SignWithContext(context.Background(), req, provisioner.SignOptions{},
		template{x509util.DefaultLeafTemplate, x509util.CreateTemplateData("www.test", []string{"www.test"})},
		modifier(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now(), time.Now().Add(time.Hour) }))
	if err == nil || plainText(err) != "refused: extended key usages [serverAuth clientAuth]: the server issuer signs for serverAuth alone" {
		t.Errorf("smallstep's usual template: %v", err)
	}
	c := issueServer(t, ca, "www.test")
	if err := verify(c, x509.ExtKeyUsageServerAuth, time.Now(), ca.Roots(Edge)...); err != nil {
		t.Error(err)
	}
	for _, d := range []Domain{Edge, Identity} {
		if err := verify(c, x509.ExtKeyUsageClientAuth, time.Now(), ca.Roots(d)...); err == nil {
			t.Errorf("a server's certificate is a client's under the %s root", d)
		}
	}
}

type template struct {
	text string
	data x509util.TemplateData
}

func (o template) Options(provisioner.SignOptions) []x509util.Option {
	return []x509util.Option{x509util.WithTemplate(o.text, o.data)}
}

// Defect 6: a leaf outlived its issuer; without a validity it was good for no
// time at all; after a rotation names were judged by the issuer before; and
// smallstep renewed what it had no reason to.
func TestDefect6LeafEndsWithItsIssuer(t *testing.T) {
	at := &clock{time.Now()}
	ca := memoryCA(t, Settings{IssuerLife: 30 * 24 * time.Hour}, Options{Now: at.now})
	for _, wait := range []time.Duration{0, 20 * 24 * time.Hour} {
		at.at = at.at.Add(wait)
		for _, chain := range [][]*x509.Certificate{issueServer(t, ca, "www.test"), issueClient(t, ca, "alice")} {
			if !chain[0].NotAfter.Equal(chain[1].NotAfter) {
				t.Errorf("%v on: the leaf ends %v, its issuer %v", wait, chain[0].NotAfter, chain[1].NotAfter)
			}
		}
		if c, err := ca.Minter(Intercept).Host("www.test", 0); err != nil {
			t.Error(err)
		} else if leaf, _ := x509.ParseCertificate(c.Certificate[0]); leaf.NotAfter.After(ca.state.Load().issuer(Intercept).until) {
			t.Error("a minted leaf outlives its issuer")
		}
	}
	at.at = at.at.Add(15 * 24 * time.Hour)
	req, _ := csr(t, x509.CertificateRequest{})
	_, err := ca.Issue(context.Background(), Request{Role: Server, CSR: req, DNS: []string{"www.test"}})
	if !errors.Is(err, ErrRefused) || !strings.HasSuffix(err.Error(), "rotate it") {
		t.Errorf("under an issuer that has expired: %v", err)
	}
	if _, err := ca.Minter(Delegated).User(Delegation{User: "alice"}); !errors.Is(err, ErrRefused) {
		t.Errorf("minted under an issuer that has expired: %v", err)
	}
}

func TestDefect6NoValidity(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	a, err := ca.authority(Server)
	if err != nil {
		t.Fatal(err)
	}
	req, _ := csr(t, x509.CertificateRequest{})
	now := time.Now()
	for name, m := range map[string]modifier{
		"none":      func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Time{}, time.Time{} },
		"no end":    func(c *x509.Certificate) { c.NotAfter = time.Time{} },
		"no time":   func(c *x509.Certificate) { c.NotAfter = c.NotBefore },
		"backwards": func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(time.Hour), now },
		"past":      func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-2*time.Minute), now.Add(-time.Minute) },
		"too long":  func(c *x509.Certificate) { c.NotAfter = now.Add(Server.MaxLife() + time.Minute) },
		"for long": func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = now.Add(-Server.MaxLife()), now.Add(Server.MaxLife()-time.Hour)
		},
	} {
		_, err := a.SignWithContext(context.Background(), req, provisioner.SignOptions{}, modifier(func(c *x509.Certificate) {
			*c = *serverWant(ca, "www.test")
			m(c)
		}))
		if !errors.Is(err, ErrRefused) {
			t.Errorf("validity %q: %v", name, err)
		}
	}
	if _, err := ca.Issue(context.Background(), Request{Role: Server, CSR: req, DNS: []string{"www.test"}, Life: -time.Hour}); !errors.Is(err, ErrRefused) {
		t.Errorf("a negative life: %v", err)
	}
}

func TestDefect6CurrentIssuerJudges(t *testing.T) {
	ca := memoryCA(t, Settings{Permit: []string{"corp.test"}}, Options{})
	ctx := context.Background()
	req, _ := csr(t, x509.CertificateRequest{})
	ask := func(name string) error {
		_, err := ca.Issue(ctx, Request{Role: Server, CSR: req, DNS: []string{name}})
		return err
	}
	if ask("www.corp.test") != nil || ask("www.other.test") == nil {
		t.Fatal("the first issuer is not constrained")
	}
	stale, err := ca.authority(Server)
	if err != nil {
		t.Fatal(err)
	}
	rotateTo := func(zone string) {
		t.Helper()
		err := ca.alter(func(x tx, s *state) error {
			settings := s.settings
			settings.Permit = []string{zone}
			return putJSON(x, bucketCA, "settings", settings)
		})
		if err := errors.Join(err, ca.RotateIssuer(ctx, Server)); err != nil {
			t.Fatal(err)
		}
	}
	rotateTo("other.test")
	if ask("www.corp.test") == nil || ask("www.other.test") != nil {
		t.Error("names are judged by the issuer before")
	}
	// An authority that somebody still has in hand is no way around that.
	_, err = stale.SignWithContext(ctx, req, provisioner.SignOptions{}, modifier(func(c *x509.Certificate) { *c = *serverWant(ca, "www.corp.test") }))
	if err == nil || plainText(err) != "refused: www.corp.test is outside the names that the server issuer, generation 2, is constrained to" {
		t.Errorf("the authority before: %v", err)
	}
}

func TestDefect6NothingIsRenewed(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	for _, role := range []Role{Server, Client} {
		chain := issueClient(t, ca, "alice")
		if role == Server {
			chain = issueServer(t, ca, "www.test")
		}
		a, err := ca.authority(role)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.Renew(chain[0]); err == nil {
			t.Errorf("%s: renewed to %v", role, namesOf(got[0]))
		}
		if got, err := a.Rekey(chain[0], mustKey(t).Public()); err == nil {
			t.Errorf("%s: rekeyed to %v", role, namesOf(got[0]))
		}
	}
	n := 0
	ca.Records(context.Background(), func(Record) bool { n++; return true })
	if n != 3 { // alice twice
		t.Errorf("%d on record, want those asked for", n)
	}
}
