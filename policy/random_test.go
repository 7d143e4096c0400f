// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// What random policies are made of, and the small universe of requests that
// can tell all of it apart.
const randomHead = `
version: 1
clients:
  lan: 10.0.0.0/8
  sales: 10.5.0.0/16
  staff: {group: staff}
  temps: {group: temps}
  both: {group: staff, cidr: 10.5.0.0/16, cert: c}
  eva: {user: eva}
destinations:
  one: one.example
  two: [.two.example, 192.0.2.0/24]
  part: [sub.two.example, {glob: "x-*.two.example"}]
  wide: [one, two, .three.example]
  page: [{url: "https://one.example/a/"}, {url: "http://three.example:8001/"}]
origins:
  plain: {min_tls: "1.3"}
  cert: {client_cert: {secret: s}}
  own: {client_cert: {mint: {}}}
schedules:
  office: {tz: UTC, days: mon-fri, hours: "08:00-18:00"}
rules:
`

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// A ruleSpec is a rule to be written; what is empty is left out.
type ruleSpec struct {
	name, mode, from, to, fromExcept, toExcept, ports, methods, paths, schedule, until, origin string
	audit, visibleOnly, allowPrivate, clientLeg                                                string
}

func (r ruleSpec) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - {name: %s", r.name)
	for _, k := range [][2]string{
		{"mode", r.mode},
		{"from", r.from},
		{"to", r.to},
		{"from_except", r.fromExcept},
		{"to_except", r.toExcept},
		{"ports", r.ports},
		{"methods", r.methods},
		{"paths", r.paths},
		{"schedule", r.schedule},
		{"until", r.until},
		{"origin", r.origin},
		{"audit", r.audit},
		{"visible_only", r.visibleOnly},
		{"allow_private", r.allowPrivate},
		{"client_leg", r.clientLeg},
	} {
		if k[1] != "" {
			fmt.Fprintf(&b, ", %s: %s", k[0], k[1])
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// randomRule is a rule that loads.
func randomRule(r *rand.Rand, name string) ruleSpec {
	s := ruleSpec{name: name}
	s.mode = pick(r, "deny", "deny", "tunnel", "tunnel", "intercept", "originate", "relay", "[tunnel, originate]", "[intercept, relay]", "[tunnel, relay]")
	page := "page"
	if strings.Contains(s.mode, "tunnel") { // nobody sees a URL there
		page = "one"
	}
	s.from = pick(r, "any", "lan", "lan", "sales", "staff", "temps", "both", "eva", "[eva, sales]")
	s.to = pick(r, "any", "any", "one", "two", "part", "wide", page, ".sub.two.example", "[one, part]")
	sometimes := func(one int, values ...string) string {
		if r.IntN(one) == 0 {
			return pick(r, values...)
		}
		return ""
	}
	s.fromExcept = sometimes(4, "sales", "staff", "temps", "both")
	s.toExcept = sometimes(4, "one", "two", "part", "wide", page)
	s.ports = sometimes(4, "any", "443", "[80, 443]", "8000-8100")
	if !strings.Contains(s.mode, "tunnel") {
		s.methods = sometimes(3, "GET", "POST", "[GET, POST]")
		s.paths = sometimes(3, "/a/**", "/a/*", "/*/b", "[/a, /c/**]")
	}
	s.schedule = sometimes(8, "office")
	s.until = sometimes(8, "2026-03-01")
	s.audit = sometimes(12, "true")
	if strings.Contains(s.mode, "originate") {
		s.origin = sometimes(3, "plain", "cert", "own")
	} else if s.mode == "intercept" {
		s.origin = sometimes(4, "own")
	}
	if s.mode == "deny" {
		s.visibleOnly = sometimes(6, "true")
	} else {
		s.allowPrivate = sometimes(6, "true")
		s.clientLeg = sometimes(6, "tls", "tls", "any")
	}
	return s
}

// randomRules are some rules that load together.
func randomRules(r *rand.Rand, most int) []ruleSpec {
	var rules []ruleSpec
	for i := range 1 + r.IntN(most) {
		rules = append(rules, randomRule(r, string(rune('a'+i))))
	}
	return rules
}

func written(rules []ruleSpec) string {
	var b strings.Builder
	b.WriteString(randomHead)
	for _, r := range rules {
		b.WriteString(r.String())
	}
	return b.String()
}

// universe calls yield with every request of the small universe.
func universe(t *testing.T, yield func(Query)) {
	var clients []Client
	for _, a := range []string{"10.0.0.1", "10.5.0.1", "172.16.0.1"} {
		for _, c := range []Client{
			{},
			{Groups: []string{"staff"}},
			{Groups: []string{"temps"}},
			{Groups: []string{"staff", "temps"}},
			{Groups: []string{"staff"}, Certs: []string{"c"}},
			{User: "eva"},
			{User: "eva", Groups: []string{"staff"}},
		} {
			c.Addr = netip.MustParseAddr(a)
			clients = append(clients, c)
		}
	}
	var hosts []Host
	for _, h := range []string{
		"one.example", "a.one.example", "two.example", "a.two.example", "sub.two.example", "a.sub.two.example",
		"x-1.two.example", "three.example", "192.0.2.1", "198.51.100.1", "8.8.8.8", "other.example",
	} {
		host, err := ParseHost(h)
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, host)
	}
	for _, c := range clients {
		for _, h := range hosts {
			for _, at := range []time.Time{testTime, testTime.Add(10 * time.Hour), testTime.AddDate(0, 6, 0)} {
				for _, port := range []uint16{443, 80, 8001, 22} {
					q := Query{Client: c, Host: h, At: at, Port: port, Kind: Connect, ClientTLS: port%2 == 1}
					yield(q)
					for _, form := range []arrival{{kind: Plain, scheme: "http"}, {kind: Plain, scheme: "https"}, {kind: Inner, scheme: "https"}, {kind: Plain, scheme: "http", tls: true}} {
						q.Kind, q.Scheme, q.ClientTLS = form.kind, form.scheme, form.tls
						for _, q.Method = range []string{"GET", "PUT"} {
							for _, q.Path = range []string{"/", "/a/b", "/a/x/y", badPath} {
								yield(q)
							}
						}
					}
				}
			}
		}
	}
}
