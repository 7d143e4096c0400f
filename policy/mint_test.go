// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestMint(t *testing.T) {
	for _, c := range []struct {
		mint       string
		user       string
		want       Subject
		contract   string
		orRefusing string
	}{
		{mint: "{}", user: "eva", want: Subject{User: "eva"}, contract: "minted for the user"},
		{
			mint: `{subject: "CN={user}", san: "spiffe://{trust_domain}/user/{user}"}`, user: "eva",
			want: Subject{User: "eva"}, contract: "minted for the user",
		},
		{
			mint: `{subject: "CN={user}, OU={rule}", san: ["spiffe://{trust_domain}/rule/{rule}/user/{user}", "email:{user}"], ttl: 5m}`, user: "eva@corp.test",
			want:     Subject{User: "eva@corp.test", Email: "eva@corp.test", Unit: "pay", Path: "rule/pay/user/eva@corp.test", TTL: 5 * time.Minute},
			contract: "minted for the user: OU=pay, spiffe://{trust_domain}/rule/pay/user/{user}, email:{user}, for 5m0s",
		},
		{
			mint: `{subject: "CN={user},OU=Accounts Payable", san: "spiffe://{trust_domain}/team/ap/user/{user}"}`, user: "rule",
			want:     Subject{User: "rule", Unit: "Accounts Payable", Path: "team/ap/user/rule"},
			contract: "minted for the user: OU=Accounts Payable, spiffe://{trust_domain}/team/ap/user/{user}",
		},
		{mint: `{san: "email:{user}"}`, user: "eva", contract: "minted for the user: email:{user}", orRefusing: "a certificate is to have the user's name as an email address, which it is not"},
		{mint: `{san: "email:{user}"}`, user: "@corp.test", contract: "minted for the user: email:{user}", orRefusing: "a certificate is to have the user's name as an email address, which it is not"},
		{mint: `{san: "email:{user}"}`, user: "eva@corp.test@evil.test", contract: "minted for the user: email:{user}", orRefusing: "a certificate is to have the user's name as an email address, which it is not"},
	} {
		src := "version: 1\nrules:\n  - {name: pay, from: any, to: x.example, mode: originate, origin: {client_cert: {mint: " + c.mint + "}}}\n"
		p, err := Parse("p.yaml", []byte(src), ".")
		if err != nil {
			t.Error(err)
			continue
		}
		if len(p.Unsupported()) > 0 {
			t.Errorf("%s: %v", c.mint, p.Unsupported())
		}
		r := p.Rules[0]
		got, err := r.Origin.ClientCert.Mint.Subject(c.user, r.Name)
		if c.orRefusing != "" && (err == nil || err.Error() != c.orRefusing) || c.orRefusing == "" && (err != nil || got != c.want) {
			t.Errorf("%s for %s: %+v, %v", c.mint, c.user, got, err)
		}
		if auth := (Decision{Mode: Originate, Rule: r}).Contract().OriginAuth; auth != "the gateway (client certificate "+c.contract+")" {
			t.Errorf("%s: %s", c.mint, auth)
		}
	}
}

// TestMintRefusesNames that could end the place they are to stand in.
func TestMintRefusesNames(t *testing.T) {
	for _, user := range []string{
		"", ".", "..", "alice/../bob", "alice,CN=bob", "alice+CN=bob", "alice%2fbob", "alice\x00", "alice\nbob", "alice bob", "аlice", "bo\u200db",
		"alice?", "alice#", "alice:bob", "{user}", "{rule}", `alice\`, "alice;", `"alice"`, "a=b", "<a>", "bob\xff", strings.Repeat("a", 65),
	} {
		for _, m := range []Mint{{}, {Path: "rule/{rule}/user/{user}", Unit: "{rule}"}} {
			if s, err := m.Subject(user, "pay"); err == nil || err.Error() != "a certificate can name only users of up to 64 letters, digits and . _ - @" {
				t.Errorf("%q: %+v, %v", user, s, err)
			}
		}
	}
	m := Mint{Unit: "{rule}"}
	if s, err := m.Subject("eva", ""); err == nil {
		t.Errorf("by no rule: %+v", s)
	}
}

// TestMintedSwaps: another template, or another rule where its name stands in the
// certificate, is another certificate to the origin.
func TestMintedSwaps(t *testing.T) {
	decided := func(name string, m Mint) Decision {
		return Decision{Mode: Originate, Reason: ByRule, Rule: &Rule{Name: name, Origin: &Origin{ClientCert: &ClientCert{Minted: true, Mint: m}}}}
	}
	for _, c := range []struct {
		before, after Decision
		want          bool
	}{
		{decided("a", Mint{}), decided("b", Mint{}), false},
		{decided("a", Mint{}), decided("a", Mint{Unit: "x"}), true},
		{decided("a", Mint{}), decided("a", Mint{TTL: time.Minute}), true},
		{decided("a", Mint{Unit: "{rule}"}), decided("a", Mint{Unit: "{rule}"}), false},
		{decided("a", Mint{Unit: "{rule}"}), decided("b", Mint{Unit: "{rule}"}), true},
	} {
		if got := certificates(c.before, c.after) == SwapsCert; got != c.want {
			t.Errorf("%+v, %+v: %v", c.before.Rule.Origin.ClientCert.Mint, c.after.Rule.Origin.ClientCert.Mint, got)
		}
	}
}

// FuzzMint: whatever templates load, the names of two users differ wherever a user
// is named, in one profile and across two; and who reads a SPIFFE ID from its
// beginning finds whom it was made for.
func FuzzMint(f *testing.F) {
	f.Add("CN={user},OU={rule}", "spiffe://{trust_domain}/rule/{rule}/user/{user}", "spiffe://{trust_domain}/user/{user}/x", "alice", "user", "rule")
	f.Add("CN={user}", "spiffe://{trust_domain}/team/user/{user}", "email:{user}", "a@b.test", "a", "user")
	f.Add("CN={user},OU=x", "spiffe://{trust_domain}/x/y/user/{user}/bob", "spiffe://{trust_domain}/x/user/{user}/y/bob", "bob", "y", "x")
	f.Fuzz(func(t *testing.T, subject, one, two, alice, bob, rule string) {
		var made []Subject
		for _, san := range []string{one, two} {
			c := &compiler{reporter: newReporter("fuzz", []byte(subject+"\n"+san))}
			m := c.mint(&node{kind: mapNode, pairs: []pair{
				{&node{kind: textNode, text: "subject"}, &node{kind: textNode, text: subject, line: 1, col: 1}},
				{&node{kind: textNode, text: "san"}, &node{kind: textNode, text: san, line: 1, col: 1}},
			}})
			if c.failed() {
				continue
			}
			for _, user := range []string{alice, bob} {
				if s, err := m.Subject(user, rule); err == nil {
					made = append(made, s)
				}
			}
		}
		for i, a := range made {
			if a.Path == "" {
				a.Path = "user/" + a.User
			}
			if got := userOf(a.Path); got != a.User {
				t.Fatalf("%+v is read as %q", a, got)
			}
			for _, b := range made[:i] {
				if b.Path == "" {
					b.Path = "user/" + b.User
				}
				if a.User != b.User && (a.Path == b.Path || a.Email != "" && a.Email == b.Email) {
					t.Fatalf("two users, one name: %+v %+v", a, b)
				}
			}
		}
	})
}

// userOf reads the path of a SPIFFE ID as its author has to.
func userOf(path string) string {
	parts := strings.Split(path, "/")
	for i := 0; i+1 < len(parts); i++ {
		switch parts[i] {
		case "user":
			return parts[i+1]
		case "rule":
			i++
		}
	}
	return fmt.Sprintf("nobody in %q", path)
}
