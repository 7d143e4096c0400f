// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// issueServer and issueClient issue what most tests want.
func issueServer(t testing.TB, ca *CA, names ...string) []*x509.Certificate {
	t.Helper()
	req, _ := csr(t, x509.CertificateRequest{})
	chain, err := ca.Issue(context.Background(), Request{Role: Server, CSR: req, DNS: names})
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func issueClient(t testing.TB, ca *CA, user string) []*x509.Certificate {
	t.Helper()
	req, _ := csr(t, x509.CertificateRequest{})
	chain, err := ca.Issue(context.Background(), Request{Role: Client, CSR: req, User: user})
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// verify is what a peer that trusts roots does with a chain.
func verify(chain []*x509.Certificate, eku x509.ExtKeyUsage, at time.Time, roots ...*x509.Certificate) error {
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: pool(roots...), Intermediates: pool(chain[1:]...), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{eku},
	})
	return err
}

// Clients that trust the old root only, and those that trust the new root
// only, verify whatever is served at every step, as do those that trust both.
func TestRotateRoot(t *testing.T) {
	for _, d := range []Domain{Edge, Identity} {
		t.Run(d.String(), func(t *testing.T) {
			ca, dir := diskCA(t, Settings{})
			ctx := context.Background()
			issue, eku := func() []*x509.Certificate { return issueServer(t, ca, "gw.test") }, x509.ExtKeyUsageServerAuth
			if d == Identity {
				issue, eku = func() []*x509.Certificate { return issueClient(t, ca, "alice") }, x509.ExtKeyUsageClientAuth
			}
			hold := func(name string, chain []*x509.Certificate, want bool, roots ...*x509.Certificate) {
				t.Helper()
				if err := verify(chain, eku, time.Now(), roots...); (err == nil) != want {
					t.Errorf("%s: Go says %v, want verified: %v", name, err, want)
				}
				if err := opensslVerify(t, chain, eku, roots...); (err == nil) != want {
					t.Errorf("%s: OpenSSL says %v, want verified: %v", name, err, want)
				}
			}
			step := func(s Step) {
				t.Helper()
				for range 2 { // done twice, it is done once
					if err := ca.RotateRoot(ctx, d, s); err != nil {
						t.Fatal(err)
					}
					ca.Close()
					ca = reopen(t, dir)
				}
			}
			refused := func(s Step, want string) {
				t.Helper()
				err := ca.RotateRoot(ctx, d, s)
				if !errors.Is(err, ErrOrder) || err.Error() != want {
					t.Errorf("step %s: %v\nwant %s", s, err, want)
				}
			}
			name := "rotating the " + d.String() + " root, step "

			before := issue()
			old := ca.Roots(d)
			refused(Switch, name+"switch: not the next step of a root rotation: prepare it first")
			refused(Retire, name+"retire: not the next step of a root rotation: prepare it first")

			step(Prepare)
			both := ca.Roots(d)
			if len(both) != 2 || !both[1].Equal(old[0]) {
				t.Fatalf("%d roots after prepare", len(both))
			}
			refused(Retire, name+"retire: not the next step of a root rotation: switch to the next root first")
			hold("prepared, old root", issue(), true, old[0])

			step(Switch)
			after := issue()
			if !slices.EqualFunc(ca.Roots(d), both, (*x509.Certificate).Equal) {
				t.Error("the published roots are others after switch")
			}
			refused(Prepare, name+"prepare: not the next step of a root rotation: the root of the rotation before is still trusted: retire it first")
			for name, chain := range map[string][]*x509.Certificate{"issued before": before, "issued after": after} {
				hold("switched, "+name+", old root", chain, true, old[0])
				hold("switched, "+name+", both roots", chain, true, both...)
			}
			hold("switched, issued after, new root", after, true, both[0])
			hold("switched, issued before, new root", before, false, both[0])

			// An issuer rotated between the steps is as good.
			role := map[Domain]Role{Edge: Server, Identity: Client}[d]
			if err := ca.RotateIssuer(ctx, role); err != nil {
				t.Fatal(err)
			}
			hold("rotated, old root", issue(), true, old[0])
			hold("rotated, new root", issue(), true, both[0])

			step(Retire)
			last := issue()
			if got := ca.Roots(d); len(got) != 1 || !got[0].Equal(both[0]) || len(last) != 2 {
				t.Errorf("%d roots, a chain of %d after retire", len(got), len(last))
			}
			hold("retired, new root", last, true, both[0])
			hold("retired, old root", last, false, old[0])
			refused(Switch, name+"switch: not the next step of a root rotation: prepare it first")
			// And round again.
			step(Prepare)
			step(Switch)
			step(Retire)
			hold("round again", issue(), true, ca.Roots(d)...)
		})
	}
}

func TestRotateIssuer(t *testing.T) {
	ca, dir := diskCA(t, Settings{})
	ctx := context.Background()
	first := issueClient(t, ca, "alice")
	if err := ca.Revoke(ctx, first[0].SerialNumber, 4, ""); err != nil {
		t.Fatal(err)
	}
	for n := 2; n < 4; n++ {
		if err := ca.RotateIssuer(ctx, Client); err != nil {
			t.Fatal(err)
		}
		c := issueClient(t, ca, "alice")
		if r, _, err := ca.Find(SerialText(c[0].SerialNumber)); err != nil || r.Generation != n {
			t.Errorf("signed by generation %d, %v, want %d", r.Generation, err, n)
		}
		if c[1].Equal(first[1]) {
			t.Error("the chain is the old one")
		}
		for _, chain := range [][]*x509.Certificate{first, c} {
			if err := verify(chain, x509.ExtKeyUsageClientAuth, time.Now(), ca.Roots(Identity)...); err != nil {
				t.Error(err)
			}
		}
	}
	ca.Close()
	ca = reopen(t, dir)
	var got []int
	for _, i := range ca.Issuers() {
		if i.Role == Client {
			got = append(got, i.Generation)
			if i.Current != (i.Generation == 3) {
				t.Errorf("generation %d current: %v", i.Generation, i.Current)
			}
		}
	}
	if !slices.Equal(got, []int{1, 2, 3}) || !ca.Revoked(first[0]) {
		t.Errorf("generations %v, revoked: %v", got, ca.Revoked(first[0]))
	}
}

// While issuers and roots are rotated others issue, mint and ask what is
// revoked: whatever they get verifies, and is on record by the issuer that
// signed it.
func TestRotateUnderLoad(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	ctx := t.Context()
	old := map[Domain]*x509.Certificate{Edge: ca.Roots(Edge)[0], Identity: ca.Roots(Identity)[0]}
	req, _ := csr(t, x509.CertificateRequest{})
	stop := make(chan struct{})
	var all sync.WaitGroup
	work := func(r Role, get func(n int) ([]*x509.Certificate, error)) {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				chain, err := get(n)
				if err == nil {
					err = verify(chain, r.usage(), time.Now(), old[r.Domain()])
				}
				if err == nil && (r == Server || r == Client) {
					_, c, found := ca.Find(SerialText(chain[0].SerialNumber))
					if err = found; err == nil && (!c.Equal(chain[0]) || ca.Revoked(c) || c.CheckSignatureFrom(chain[1]) != nil) {
						err = errors.New("another is on record, or it is revoked")
					}
				}
				if err != nil {
					t.Errorf("%s: %v", r, err)
					return
				}
			}
		})
	}
	minted := func(r Role, f func(n int) (*tls.Certificate, error)) {
		work(r, func(n int) ([]*x509.Certificate, error) {
			c, err := f(n)
			if err != nil {
				return nil, err
			}
			var der []byte
			for _, b := range c.Certificate {
				der = append(der, b...)
			}
			return x509.ParseCertificates(der)
		})
	}
	work(Server, func(int) ([]*x509.Certificate, error) {
		return ca.Issue(ctx, Request{Role: Server, CSR: req, DNS: []string{"www.test"}})
	})
	work(Client, func(int) ([]*x509.Certificate, error) {
		return ca.Issue(ctx, Request{Role: Client, CSR: req, User: "alice"})
	})
	minted(Intercept, func(n int) (*tls.Certificate, error) {
		return ca.Minter(Intercept).Host(fmt.Sprintf("h%d.test", n%5), 0)
	})
	minted(Delegated, func(n int) (*tls.Certificate, error) {
		return ca.Minter(Delegated).User(Delegation{User: fmt.Sprintf("u%d", n%5)})
	})
	for n := range 5 {
		for _, r := range Roles {
			if err := ca.RotateIssuer(ctx, r); err != nil {
				t.Error(err)
			}
		}
		for _, d := range []Domain{Edge, Identity} {
			if step := []Step{Prepare, Prepare, Switch, Switch, Switch}[n]; ca.RotateRoot(ctx, d, step) != nil {
				t.Errorf("step %v of the %v root", step, d)
			}
		}
	}
	close(stop)
	all.Wait()
}
