// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"
)

// constrain returns a minter for names.
func constrain(t testing.TB, ca *CA, n Names) *Minter {
	t.Helper()
	m, err := ca.Constrain(n)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func nets(t testing.TB, texts ...string) (out []netip.Prefix) {
	t.Helper()
	for _, s := range texts {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// A certificate for a name outside the constraint is refused by the gate; and by
// Go and OpenSSL where it was made on purpose, with the issuer's key and no gate.
func TestNamesOutsideTheConstraintAreRefused(t *testing.T) {
	ca := memoryCA(t, Settings{Exclude: []string{"gw.test"}}, Options{})
	root := ca.Roots(Edge)[0]
	for what, c := range map[string]struct {
		names   Names
		in, out []string
	}{
		"one zone": {
			Names{DNS: []string{"corp.test"}},
			[]string{"corp.test", "www.corp.test"},
			[]string{"example.org", "corp.test.evil.test", "evilcorp.test", "192.0.2.7", "2001:db8::7", "test"},
		},
		"a zone with another excluded, and names that no certificate has": {
			Names{DNS: []string{"test", "-a.example", "UPPER.example"}, NotDNS: []string{"bank.test", "-b.test"}},
			[]string{"www.test", "notbank.test"},
			[]string{"bank.test", "www.bank.test", "gw.test", "www.gw.test", "upper.example"},
		},
		"everything but": {
			Names{AnyDNS: true, AnyIP: true, NotDNS: []string{"bank.test"}, NotIP: nets(t, "192.0.2.0/24")},
			[]string{"www.example.org", "10.0.0.1", "2001:db8::7"},
			[]string{"www.bank.test", "192.0.2.7", "gw.test"},
		},
		"addresses": {
			Names{IP: nets(t, "192.0.2.0/24")},
			[]string{"192.0.2.7"},
			[]string{"192.0.3.7", "2001:db8::7", "www.test", "intranet"},
		},
		"addresses of both kinds, and any name": {
			Names{AnyDNS: true, IP: nets(t, "192.0.2.7/32", "2001:db8::/32")},
			[]string{"192.0.2.7", "2001:db8::7", "www.test"},
			[]string{"192.0.2.8", "2001:db9::7"},
		},
		"nothing": {Names{}, nil, []string{"www.test", "192.0.2.7", "::1", "10.0.0.1"}},
	} {
		m := constrain(t, ca, c.names)
		tell := func(host string, want bool) {
			t.Helper()
			cert, err := m.Host(host, 0)
			if (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
				t.Errorf("%s: %s: the gate says %v", what, host, err)
			}
			if err == nil {
				check(t, what+": "+host, parsed(t, cert, nil), x509.ExtKeyUsageServerAuth, true, root)
			}
			made := &x509.Certificate{DNSNames: []string{host}}
			if ip := net.ParseIP(host); ip != nil {
				made = &x509.Certificate{IPAddresses: []net.IP{ip}}
			}
			stolen := steal(t, m.names.now, made, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth})
			check(t, what+": "+host+", made on purpose", stolen, x509.ExtKeyUsageServerAuth, want, root)
		}
		for _, host := range c.in {
			tell(host, true)
		}
		for _, host := range c.out {
			tell(host, false)
		}
		i := m.names.now.cert()
		if !i.PermittedDNSDomainsCritical || !i.MaxPathLenZero || i.MaxPathLen != 0 {
			t.Errorf("%s: constraints that are not critical, or an issuer of issuers", what)
		}
	}
}

// Changes of the policy that come back to names of before do not make an issuer
// each; and none of them is on the disk.
func TestConstrainForTheSameNames(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	a, b := Names{DNS: []string{"a.test", "b.test"}}, Names{DNS: []string{"c.test"}}
	first := constrain(t, ca, a)
	one, err := first.Host("a.test", 0)
	if err != nil {
		t.Fatal(err)
	}
	if constrain(t, ca, b) == first {
		t.Error("one minter for two names")
	}
	again := constrain(t, ca, Names{DNS: []string{"b.test", "a.test", "a.test"}})
	if same, _ := again.Host("a.test", 0); again != first || same != one {
		t.Error("another minter, or another certificate, for the same names")
	}
	if n := len(ca.issuers()); n != len(Roles)+2 {
		t.Errorf("%d issuers", n)
	}
	for n := range 3 * mostConstrained {
		constrain(t, ca, Names{DNS: []string{fmt.Sprintf("n%d.test", n)}})
	}
	if n := len(ca.issuers()); n != len(Roles)+mostConstrained {
		t.Errorf("%d issuers after %d changes", n, 3*mostConstrained)
	}
	if n := len(ca.Issuers()); n != len(Roles) {
		t.Errorf("%d issuers on record", n)
	}
	if _, err := first.Host("b.test", 0); err != nil { // of a generation that is at its end
		t.Error(err)
	}
}

// What is minted can be looked up wherever it says: its issuer, the CRL and OCSP.
func TestConstrainedIssuersArePublished(t *testing.T) {
	ca := memoryCA(t, Settings{URL: "http://ca.test:80"}, Options{})
	mint, err := constrain(t, ca, Names{DNS: []string{"a.test"}}).Host("a.test", 0)
	chain := parsed(t, mint, err)
	leaf, issuer := chain[0], chain[1]
	get := func(url string) []byte {
		t.Helper()
		rec := httptest.NewRecorder()
		ca.Publish().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, url, nil))
		if rec.Code != http.StatusOK {
			t.Fatalf("%s: %d", url, rec.Code)
		}
		return rec.Body.Bytes()
	}
	if !bytes.Equal(get(leaf.IssuingCertificateURL[0]), issuer.Raw) {
		t.Error("another issuer")
	}
	list, err := x509.ParseRevocationList(get(leaf.CRLDistributionPoints[0]))
	if err != nil || list.CheckSignatureFrom(issuer) != nil || len(list.RevokedCertificateEntries) != 0 {
		t.Error(list, err)
	}
	if !bytes.Equal(get(leaf.CRLDistributionPoints[0]), list.Raw) {
		t.Error("another list each time")
	}
	h, err := ca.ocsp(requestOf(t, chain))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := ocsp.ParseResponseForCert(h.der, leaf, issuer); err != nil || r.Status != ocsp.Good {
		t.Error(r, err)
	}
	_ = ca.store.View(func(x tx) error {
		for _, bucket := range []string{bucketCRL, bucketLastCRL} {
			if b, err := x.Get(bucket, skidOf(issuer)); b != nil || err != nil {
				t.Errorf("%s has %q, %v", bucket, b, err)
			}
		}
		return nil
	})
	out, err := openssl(t, "verify", "-crl_check", "-no-CApath", "-no-CAstore", "-CAfile", write(t, "root.pem", pemOf(ca.Roots(Edge)...)),
		"-untrusted", write(t, "issuer.pem", pemOf(issuer)), "-CRLfile", write(t, "list.der", list.Raw), write(t, "leaf.pem", pemOf(leaf)))
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// An issuer is replaced while it is good for leaves of seven days, and whatever
// has been replaced above it.
func TestConstrainedIssuersAreReplacedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := memoryCA(t, Settings{}, Options{})
		m := constrain(t, ca, Names{DNS: []string{"test"}})
		roots := ca.Roots(Edge)
		seen, n := map[string]bool{}, 0
		look := func(what string, fresh bool) {
			t.Helper()
			n++
			mint, err := m.Host(fmt.Sprintf("h%d.test", n), 0)
			chain := parsed(t, mint, err)
			if left := time.Until(chain[0].NotAfter); left != 7*24*time.Hour {
				t.Errorf("%s: good for %v", what, left)
			}
			if err := verify(chain, x509.ExtKeyUsageServerAuth, time.Now(), roots...); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if id := skidOf(chain[1]); seen[id] == fresh {
				t.Errorf("%s: a new issuer: %v", what, !seen[id])
			} else {
				seen[id] = true
			}
		}
		look("the first", true)
		time.Sleep(6 * 24 * time.Hour)
		look("after six days", false)
		time.Sleep(25 * time.Hour)
		look("after more than seven", true)
		look("after that", false)
		if err := ca.SetURL("http://ca.test"); err != nil {
			t.Fatal(err)
		}
		look("with another URL", false)
		if err := ca.RotateIssuer(t.Context(), Intercept); err != nil {
			t.Fatal(err)
		}
		look("when the issuer was rotated", true)
		for _, step := range []Step{Prepare, Switch, Retire} {
			if err := ca.RotateRoot(t.Context(), Edge, step); err != nil {
				t.Fatal(err)
			}
			if step == Retire { // who trusts the next alone
				roots = ca.Roots(Edge)
			}
			look("root, "+step.String(), step != Prepare)
		}
	})
}

// An issuer that cannot be made refuses the names, and one that is good goes on.
func TestConstrainWithoutTheRootsKey(t *testing.T) {
	c := &clock{time.Now()}
	var told []string
	ca := memoryCA(t, Settings{}, Options{Now: c.now, Log: func(f string, a ...any) { told = append(told, fmt.Sprintf(f, a...)) }})
	m := constrain(t, ca, Names{DNS: []string{"test"}})
	root := ca.state.Load().root(Edge, stageCurrent)
	if err := ca.store.Change(func(t tx) error { return t.Delete(bucketKeys, numbered(root.name(), root.generation)) }); err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Constrain(Names{DNS: []string{"other"}}); err == nil || !strings.HasPrefix(err.Error(), "making an intercept issuer that is constrained: ") {
		t.Error(err)
	}
	for day := range 14 {
		if _, err := m.Host(fmt.Sprintf("h%d.test", day), 0); err != nil {
			t.Errorf("day %d: %v", day, err)
		}
		c.at = c.at.Add(24*time.Hour - time.Second)
	}
	if len(told) == 0 || len(told) > 8 || !strings.Contains(told[0], "is not renewed, and expires at") {
		t.Error(told)
	}
	c.at = c.at.Add(time.Hour)
	if _, err := m.Host("late.test", 0); err == nil {
		t.Error("minted by an issuer that has expired")
	}
}

// A company's issuer is not ours to constrain: the gate holds to the names.
func TestConstrainAnImportedIssuer(t *testing.T) {
	ca := memoryCA(t, Settings{Exclude: []string{"gw.test"}}, Options{})
	root := sub(t, nil, "corp root", nil)
	issuing := sub(t, root, "corp interception", nil)
	if err := ca.Import(t.Context(), Intercept, []*x509.Certificate{issuing.cert, root.cert}, issuing.key); err != nil {
		t.Fatal(err)
	}
	m := constrain(t, ca, Names{DNS: []string{"test"}, NotDNS: []string{"bank.test"}})
	for host, want := range map[string]bool{"www.test": true, "www.bank.test": false, "example.org": false, "192.0.2.7": false, "gw.test": false} {
		cert, err := m.Host(host, 0)
		if (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", host, err)
		}
		if err == nil && !parsed(t, cert, nil)[1].Equal(issuing.cert) {
			t.Errorf("%s: signed by another", host)
		}
	}
	if n := len(ca.issuers()); n != len(Roles)+1 {
		t.Errorf("%d issuers", n)
	}
}

// Many mint while names change and issuers are replaced.
func TestConstrainAtOnce(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for k := range 20 {
				zone := fmt.Sprintf("z%d.test", k%3)
				m, err := ca.Constrain(Names{DNS: []string{zone}})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := m.Host(fmt.Sprintf("h%d.%s", n, zone), 0); err != nil {
					t.Error(err)
				}
				if n == 0 && k%5 == 0 {
					if err := ca.RotateIssuer(t.Context(), Intercept); err != nil {
						t.Error(err)
					}
				}
				m.names.mu.Lock()
				id := m.names.now.skid
				m.names.mu.Unlock()
				if _, err := ca.CRL(id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
