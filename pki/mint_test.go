// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestMint(t *testing.T) {
	ca := memoryCA(t, Settings{URL: "http://ca.test:80"}, Options{})
	for _, c := range []struct {
		host, cn string
		names    []string
	}{
		{"www.test", "www.test", []string{"www.test"}},
		{"192.0.2.7", "", []string{"192.0.2.7"}},
		{"2001:db8::7", "", []string{"2001:db8::7"}},
		{strings.Repeat("a.", 40) + "test", "", []string{strings.Repeat("a.", 40) + "test"}}, // no common name is that long
	} {
		mint, err := ca.Minter(Intercept).Host(c.host, 0)
		chain := parsed(t, mint, err)
		if got := namesOf(chain[0]); fmt.Sprint(got) != fmt.Sprint(c.names) || chain[0].Subject.CommonName != c.cn {
			t.Errorf("%s: %v, %q", c.host, got, chain[0].Subject.CommonName)
		}
		if err := verify(chain, x509.ExtKeyUsageServerAuth, time.Now(), ca.Roots(Edge)...); err != nil {
			t.Error(err)
		}
		if life := time.Until(chain[0].NotAfter); life > 7*24*time.Hour {
			t.Errorf("good for %v", life)
		}
		if n := chain[0].SerialNumber.BitLen(); n < 64 || n > 128 {
			t.Errorf("a serial number of %d bits", n)
		}
	}
	mint, err := ca.Minter(Delegated).User(Delegation{User: "alice", Email: "alice@corp.test"})
	chain := parsed(t, mint, err)
	if life := time.Until(chain[0].NotAfter); life > 10*time.Minute || len(chain[0].CRLDistributionPoints) > 0 {
		t.Errorf("delegated for %v, CRL %v", life, chain[0].CRLDistributionPoints)
	}
	if err := verify(chain, x509.ExtKeyUsageClientAuth, time.Now(), ca.Roots(Identity)...); err != nil {
		t.Error(err)
	}
	for name, mint := range map[string]func() (*tls.Certificate, error){
		"a wrong name": func() (*tls.Certificate, error) { return ca.Minter(Intercept).Host("WWW.test", 0) },
		"no name":      func() (*tls.Certificate, error) { return ca.Minter(Intercept).Host("", 0) },
		"a user":       func() (*tls.Certificate, error) { return ca.Minter(Delegated).User(Delegation{User: "../root"}) },
		"an email": func() (*tls.Certificate, error) {
			return ca.Minter(Delegated).User(Delegation{User: "alice", Email: "a b@x.test"})
		},
		"the other's":        func() (*tls.Certificate, error) { return ca.Minter(Delegated).Host("www.test", 0) },
		"a user by hosts'":   func() (*tls.Certificate, error) { return ca.Minter(Intercept).User(Delegation{User: "alice"}) },
		"a role that is not": func() (*tls.Certificate, error) { return ca.Minter(Server).Host("www.test", 0) },
	} {
		if c, err := mint(); !errors.Is(err, ErrRefused) || c != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	n := 0
	ca.Minted(func(r Record) bool { n++; return true })
	if n != 5 {
		t.Errorf("%d remembered", n)
	}
	// They are in no database.
	ca.Records(t.Context(), func(r Record) bool { t.Errorf("on record: %v", r); return true })
}

// Many who ask for the same get one certificate; none gets another's.
func TestMintOnce(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	m := ca.Minter(Intercept)
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]map[*tls.Certificate]bool{}
	for n := range 64 {
		all.Go(func() {
			host := fmt.Sprintf("h%d.test", n%4)
			c, err := m.Host(host, 0)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if seen[host] == nil {
				seen[host] = map[*tls.Certificate]bool{}
			}
			seen[host][c] = true
		})
	}
	all.Wait()
	for host, certs := range seen {
		if len(certs) != 1 {
			t.Errorf("%s was minted %d times", host, len(certs))
		}
		for c := range certs {
			if leaf, _ := x509.ParseCertificate(c.Certificate[0]); leaf.DNSNames[0] != host {
				t.Errorf("%s got that of %s", host, leaf.DNSNames[0])
			}
		}
	}
}

// What is kept is given out until a quarter of its life is left, or the
// authority has changed; the key is one for all of a day.
func TestMintKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := memoryCA(t, Settings{}, Options{})
		m := ca.Minter(Intercept)
		get := func(host string) *tls.Certificate {
			t.Helper()
			c, err := m.Host(host, 0)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		a, b := get("a.test"), get("b.test")
		if a == b || a.PrivateKey != b.PrivateKey {
			t.Error("two hosts of one day: one certificate, or two keys")
		}
		time.Sleep(25 * time.Hour)
		if get("a.test") != a || get("c.test").PrivateKey == a.PrivateKey {
			t.Error("after a day: another certificate, or the key of the day before")
		}
		time.Sleep(5 * 24 * time.Hour)
		again := get("a.test")
		if again == a {
			t.Error("given out with less than a quarter of its life left")
		}
		if err := ca.RotateIssuer(t.Context(), Intercept); err != nil {
			t.Fatal(err)
		}
		if get("a.test") == again {
			t.Error("given out after the issuer was rotated")
		}
	})
}

// A crawler that asks for every name there is takes no more than its room.
func TestMintForgets(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	m := ca.Minter(Intercept)
	first, err := m.Host("first.test", 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &m.shards[0]
	now, at := ca.state.Load(), time.Now()
	for n := range 3 * mostMinted / 32 {
		if e, mine := s.entry(mintKey{name: fmt.Sprint(n)}, now, at); mine {
			close(e.ready)
		}
	}
	if n := len(s.by); n > mostMinted/32 {
		t.Errorf("%d are kept", n)
	}
	if again, err := m.Host("first.test", 0); err != nil || len(again.Certificate) != len(first.Certificate) {
		t.Errorf("%v", err)
	}
}

// What is kept costs no memory to give out again.
func TestMintHitAllocatesNothing(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	m, d := ca.Minter(Intercept), ca.Minter(Delegated)
	m.Host("www.test", 0)
	d.User(Delegation{User: "alice", Email: "alice@corp.test"})
	if n := testing.AllocsPerRun(100, func() {
		m.Host("www.test", 0)
		d.User(Delegation{User: "alice", Email: "alice@corp.test"})
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
