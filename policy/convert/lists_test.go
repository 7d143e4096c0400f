// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/policy"
)

var noon = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC) // a Monday

func TestDomains(t *testing.T) {
	r, err := Domains([]Source{
		{"a/ads.txt", []byte("# x\r\nADS.example\r\n.b.example\n*.c.example\n||d.example^\n||e.example^$third-party\n@@||f.example^\nhttp://g.example/\nhttp://g.example/x\n||p.example/x^\n" +
			"foo..bar\n[Adblock Plus 2.0]\n! c\n1.2.3.4\n[2001:db8::1]\nx y\nexample.com##.ad\nhttp://g.example:81/\nads.example\n")},
		{"hosts", []byte("127.0.0.1 localhost\n0.0.0.0 h.example i.example # two\n::1 ip6-localhost\n0.0.0.0 0.0.0.0\n0.0.0.0 a..b\n")},
		{"b/ads.txt", []byte("other.example\n")},
		{"none.txt", []byte("# nothing\n")},
	}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var review []string
	for _, n := range r.Review {
		review = append(review, n.String())
	}
	want := strings.TrimSpace(`
a/ads.txt:6: ||e.example^$third-party: it is for some requests to the host only: left out
a/ads.txt:7: @@||f.example^: an exception of an ad blocker: left out; name it under to_except in the rule
a/ads.txt:9: http://g.example/x: a URL with a path: left out; write {url: ...} under destinations
a/ads.txt:10: ||p.example/x^: no host: left out
a/ads.txt:11: foo..bar: no host: left out
a/ads.txt:16: x y: more than one word: left out
a/ads.txt:17: example.com##.ad: it hides parts of pages: left out
a/ads.txt:18: http://g.example:81/: a URL with a port: left out; write a rule with ports
hosts:5: 0.0.0.0 a..b: a..b is no host: left out
none.txt: it has no entries: left out`)
	if got := strings.Join(review, "\n"); got != want {
		t.Errorf("review\n%s", got)
	}
	if got := string(r.Lists["lists/ads.txt"]); got != "# from a/ads.txt\n.ads.example\n.b.example\n.c.example\n.d.example\n1.2.3.4\n2001:db8::1\ng.example\n" {
		t.Errorf("ads: %q", got)
	}
	if got := string(r.Lists["lists/hosts.txt"]); got != "# from hosts\nh.example\ni.example\n" {
		t.Errorf("hosts: %q", got)
	}
	if len(r.Lists) != 3 || r.Rules != 1 {
		t.Errorf("%d lists, %d rules", len(r.Lists), r.Rules)
	}
	p := loaded(t, r)
	for _, d := range p.Warnings() {
		t.Error(d)
	}
	if _, err := Domains([]Source{{"x", nil}}, Options{}); err == nil {
		t.Error("a policy of nothing")
	}
}

func TestSmokescreenRefuses(t *testing.T) {
	for _, c := range []struct{ acl, want string }{
		{"version: v2\nservices: []\n", `acl.yaml: version "v2": only v1 is known`},
		{"version: v1\nservices: [{name: a, action: maybe}]\n", `acl.yaml: service "a": action "maybe" is none of open, report and enforce`},
		{"version: v1\nservices: [{action: open}]\n", `acl.yaml: a service without a name`},
		{"version: v1\nservices: [{name: a, action: open}, {name: a, action: open}]\n", `acl.yaml: service "a" stands there twice`},
		{"version: v1\nservices: [{name: a, action: open, allowed_domains: ['a.*.example']}]\n", `acl.yaml: "a.*.example" is not a host, nor *. and a host`},
		{"version: v1\nservices: [{name: a, action: open, allowed_domains: ['*']}]\n", `acl.yaml: "*" is not a host, nor *. and a host`},
		{"version: [", `acl.yaml: [1:10] sequence end token ']' not found`},
	} {
		if r, err := Smokescreen("acl.yaml", []byte(c.acl), Options{}); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, %v", c.acl, r, err)
		}
	}
}

// The policy says of every service and host what Smokescreen's own order says.
func TestSmokescreenIsTheSame(t *testing.T) {
	rnd := rand.New(rand.NewPCG(8, 18))
	globs := []string{"a.example", "*.a.example", "b.example", "*.b.a.example", "*.c.example", "C.example.", "8.8.8.8"}
	some := func() string {
		var picked []string
		for range rnd.IntN(4) {
			picked = append(picked, fmt.Sprintf("%q", globs[rnd.IntN(len(globs))]))
		}
		return "[" + strings.Join(picked, ", ") + "]"
	}
	action := func() string { return []string{"open", "report", "enforce"}[rnd.IntN(3)] }
	for range 60 {
		acl := fmt.Sprintf("version: v1\nservices:\n- {name: one, action: %s, allowed_domains: %s}\n- {name: 'spiffe://x/Two', action: %s, allowed_domains: %s}\nglobal_deny_list: %s\nglobal_allow_list: %s\n",
			action(), some(), action(), some(), some(), some())
		hasDefault := rnd.IntN(2) == 0
		if hasDefault {
			acl += fmt.Sprintf("default: {action: %s, allowed_domains: %s}\n", action(), some())
		}
		r, err := Smokescreen("acl.yaml", []byte(acl), Options{})
		if err != nil {
			t.Fatalf("%v\n%s", err, acl)
		}
		p := loaded(t, r)
		q, err := policy.ParseRequest("CONNECT a.example:22")
		if err != nil {
			t.Fatal(err)
		}
		q.Client.Addr = netip.MustParseAddr("192.0.2.1")
		if d := p.Decide(q); d.Mode != policy.Deny {
			t.Errorf("a client without certificate: %s by %s\n%s", d.Mode, d.RuleName(), acl)
		}
		q.Client.Certs = []string{"three"}
		if d := p.Decide(q); d.Mode != policy.Deny && !hasDefault {
			t.Errorf("an unknown service: %s by %s\n%s", d.Mode, d.RuleName(), acl)
		}
	}
}
