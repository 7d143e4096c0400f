// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"
)

// What a delegated certificate says beside the user's name, and how long.
func TestDelegation(t *testing.T) {
	ca := memoryCA(t, Settings{TrustDomain: "corp.test", Name: "Corp"}, Options{})
	for _, c := range []struct {
		d                    Delegation
		subject, uri, emails string
		life                 time.Duration
	}{
		{Delegation{User: "alice"}, "CN=alice,O=Corp", "spiffe://corp.test/user/alice", "", 10 * time.Minute},
		{Delegation{User: "alice", Path: "user/alice"}, "CN=alice,O=Corp", "spiffe://corp.test/user/alice", "", 10 * time.Minute},
		{
			Delegation{User: "alice@corp.test", Email: "alice@corp.test", Unit: "A B", Path: "team/pay/user/alice@corp.test/rule/bank", Life: time.Hour},
			"CN=alice@corp.test,OU=A B,O=Corp", "spiffe://corp.test/team/pay/user/alice@corp.test/rule/bank", "alice@corp.test", time.Hour,
		},
		{Delegation{User: "user", Path: "rule/user/user/user", Life: time.Minute}, "CN=user,O=Corp", "spiffe://corp.test/rule/user/user/user", "", time.Minute},
	} {
		cert, err := ca.Minter(Delegated).User(c.d)
		chain := parsed(t, cert, err)
		leaf := chain[0]
		if leaf.Subject.String() != c.subject || len(leaf.URIs) != 1 || leaf.URIs[0].String() != c.uri || strings.Join(leaf.EmailAddresses, " ") != c.emails {
			t.Errorf("%+v: %s %v %v", c.d, leaf.Subject, leaf.URIs, leaf.EmailAddresses)
		}
		if left := time.Until(leaf.NotAfter); left > c.life || left < c.life-time.Minute/2 {
			t.Errorf("%+v: good for %v", c.d, left)
		}
		if err := verify(chain, x509.ExtKeyUsageClientAuth, time.Now(), ca.Roots(Identity)...); err != nil {
			t.Error(err)
		}
	}
}

// TestOneCertificateForEach: whatever differs between two delegations makes
// another certificate (law 7).
func TestOneCertificateForEach(t *testing.T) {
	m := memoryCA(t, Settings{}, Options{}).Minter(Delegated)
	base := Delegation{User: "a@x.test", Unit: "u", Path: "user/a@x.test", Life: time.Minute}
	seen := map[*tls.Certificate]string{}
	for what, edit := range map[string]func(*Delegation){
		"as it is": func(*Delegation) {},
		"user":     func(d *Delegation) { d.User, d.Path = "b@x.test", "user/b@x.test" },
		"email":    func(d *Delegation) { d.Email = "a@x.test" },
		"unit":     func(d *Delegation) { d.Unit = "" },
		"path":     func(d *Delegation) { d.Path = "user/a@x.test/rule/r" },
		"life":     func(d *Delegation) { d.Life = 2 * time.Minute },
	} {
		d := base
		edit(&d)
		c, err := m.User(d)
		if err != nil {
			t.Fatal(err)
		}
		if other, twice := seen[c]; twice {
			t.Errorf("%s has the certificate of %s", what, other)
		}
		seen[c] = what
		if again, err := m.User(d); err != nil || again != c {
			t.Errorf("%s: another certificate for the same: %v", what, err)
		}
	}
}

// TestDelegationRefused: the gate looks at what it is given as if nobody had
// looked before. No name of one user is made in a way that reads as another's.
func TestDelegationRefused(t *testing.T) {
	ca := memoryCA(t, Settings{TrustDomain: "corp.test"}, Options{})
	long := strings.Repeat("a", 65)
	for name, d := range map[string]Delegation{
		"nobody":                 {},
		"a dot":                  {User: "."},
		"two dots":               {User: ".."},
		"a way up":               {User: "alice/../bob", Path: "user/alice/../bob"},
		"a way up, kept":         {User: "bob", Path: "user/alice/../bob"},
		"a dot in the path":      {User: "bob", Path: "user/bob/./x"},
		"an escaped slash":       {User: "alice%2fbob", Path: "user/alice%2fbob"},
		"an escaped slash, read": {User: "bob", Path: "user/alice%2fuser%2fbob"},
		"another attribute":      {User: "alice,CN=bob"},
		"an attribute joined":    {User: "alice+CN=bob"},
		"openssl's slash":        {User: "alice/CN=bob"},
		"a null":                 {User: "alice\x00bob"},
		"a line":                 {User: "alice\nbob"},
		"a space":                {User: "alice bob"},
		"a letter that looks so": {User: "аlice"},
		"full width":             {User: "ａlice"},
		"a long s":               {User: "boſs"},
		"a joiner":               {User: "bo\u200db"},
		"not UTF-8":              {User: "bob\xff"},
		"too long":               {User: long},
		"a backslash":            {User: `alice\bob`},
		"a query":                {User: "bob", Path: "user/bob?x"},
		"a fragment":             {User: "bob", Path: "user/bob#x"},
		"another's path":         {User: "alice", Path: "user/bob"},
		"two users":              {User: "alice", Path: "user/alice/user/bob"},
		"two users the other":    {User: "bob", Path: "user/alice/user/bob"},
		"a user behind a rule":   {User: "bob", Path: "rule/user/bob"},
		"two rules":              {User: "bob", Path: "rule/a/user/bob/rule/b"},
		"a rule of no name":      {User: "bob", Path: "user/bob/rule"},
		"a user of no name":      {User: "bob", Path: "team/user"},
		"nobody in the path":     {User: "bob", Path: "team/bob"},
		"a device":               {User: "bob", Path: "device/bob"},
		"a device's user":        {User: "bob", Path: "device/user/user/bob"},
		"an empty segment":       {User: "bob", Path: "/user/bob"},
		"a slash behind":         {User: "bob", Path: "user/bob/"},
		"another trust domain":   {User: "bob", Path: "/evil.test/user/bob"},
		"another authority":      {User: "bob", Path: "@evil.test/user/bob:1"},
		"too deep":               {User: "bob", Path: strings.Repeat("a/", 15) + "user/bob"},
		"another's address":      {User: "bob", Email: "a b@corp.test"},
		"two addresses in one":   {User: "bob", Email: "a@corp.test,b@corp.test"},
		"an address of two":      {User: "bob", Email: "a@b@corp.test"},
		"a unit that is two":     {User: "bob", Unit: "a+CN=alice"},
		"a unit with a slash":    {User: "bob", Unit: "a/CN=alice"},
		"a unit and a comma":     {User: "bob", Unit: "a,CN=alice"},
		"a unit of a space":      {User: "bob", Unit: " a"},
		"a unit of dots":         {User: "bob", Unit: ".."},
		"too long a life":        {User: "bob", Life: time.Hour + time.Second},
		"a life of before":       {User: "bob", Life: -time.Second},
	} {
		if c, err := ca.Minter(Delegated).User(d); !errors.Is(err, ErrRefused) || c != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUnitsAreOfTheDelegatedIssuer alone: nobody else's subjects have any.
func TestUnitsAreOfTheDelegatedIssuer(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	s := ca.state.Load()
	now := time.Now()
	want := &x509.Certificate{NotBefore: now, NotAfter: now.Add(time.Minute), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	mintKey{name: "alice", unit: "a"}.fill(want, s.settings)
	if _, _, err := s.issuer(Client).sign(s.settings, want, mustKey(t).Public(), now); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "1 organizational units: the client issuer signs for 0 at most") {
		t.Error(err)
	}
	want.Subject.OrganizationalUnit = nil
	want.URIs[0].Path = "/team/user/alice"
	if _, _, err := s.issuer(Client).sign(s.settings, want, mustKey(t).Public(), now); !errors.Is(err, ErrRefused) {
		t.Errorf("the client issuer signs for a path: %v", err)
	}
}

// FuzzDelegatedName: of an ID that is read, the user stands in it as a segment
// behind the first "user" that is not a rule's name, and an ID that the client
// issuer could have made is read alike.
func FuzzDelegatedName(f *testing.F) {
	for _, s := range []string{
		"spiffe://corp.test/user/alice", "spiffe://corp.test/team/a/user/alice/rule/b", "spiffe://corp.test/rule/user/user/alice",
		"spiffe://corp.test/user/alice%2f..", "spiffe://corp.test/user/alice/../bob", "spiffe://corp.test/user/user/user/bob", "spiffe://x@corp.test/user/a",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.Parse(s)
		if err != nil {
			return
		}
		name, err := delegatedName("corp.test", u)
		if plain, err := spiffeName("corp.test", u); err == nil && strings.HasPrefix(u.Path, "/user/") && plain != name {
			t.Errorf("%s is %q to the one and %q to the other", s, plain, name)
		}
		if err != nil {
			return
		}
		if validName(name) != nil || u.String() != "spiffe://corp.test"+u.Path || u.Host != "corp.test" || !strings.Contains(u.Path+"/", "/user/"+name+"/") {
			t.Errorf("%s names %q", s, name)
		}
		at, parts := 1, strings.Split(u.Path, "/")
		for ; parts[at] != "user"; at++ {
			if parts[at] == "rule" {
				at++
			}
		}
		if parts[at+1] != name {
			t.Errorf("%s names %q", s, name)
		}
	})
}
