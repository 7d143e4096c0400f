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
origins:
  plain: {min_tls: "1.3"}
  cert: {client_cert: {secret: s}}
schedules:
  office: {tz: UTC, days: mon-fri, hours: "08:00-18:00"}
rules:
`

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// randomRule is a rule that loads.
func randomRule(r *rand.Rand, name string) string {
	var b strings.Builder
	mode := pick(r, "deny", "deny", "tunnel", "tunnel", "intercept", "originate", "relay", "[tunnel, originate]", "[intercept, relay]", "[tunnel, relay]")
	fmt.Fprintf(&b, "  - {name: %s, mode: %s, from: %s, to: %s", name, mode,
		pick(r, "any", "lan", "lan", "sales", "staff", "temps", "both", "eva", "[eva, sales]"),
		pick(r, "any", "any", "one", "two", "part", "wide", ".sub.two.example", "[one, part]"))
	if r.IntN(4) == 0 {
		fmt.Fprintf(&b, ", from_except: %s", pick(r, "sales", "staff", "temps", "both"))
	}
	if r.IntN(4) == 0 {
		fmt.Fprintf(&b, ", to_except: %s", pick(r, "one", "two", "part", "wide"))
	}
	if r.IntN(4) == 0 {
		fmt.Fprintf(&b, ", ports: %s", pick(r, "any", "443", "[80, 443]", "8000-8100"))
	}
	if !strings.Contains(mode, "tunnel") {
		if r.IntN(3) == 0 {
			fmt.Fprintf(&b, ", methods: %s", pick(r, "GET", "POST", "[GET, POST]"))
		}
		if r.IntN(3) == 0 {
			fmt.Fprintf(&b, ", paths: %s", pick(r, "/a/**", "/a/*", "/*/b", "[/a, /c/**]"))
		}
	}
	if r.IntN(8) == 0 {
		b.WriteString(", schedule: office")
	}
	if r.IntN(8) == 0 {
		b.WriteString(", until: 2026-03-01")
	}
	if r.IntN(12) == 0 {
		b.WriteString(", audit: true")
	}
	if strings.Contains(mode, "originate") && r.IntN(3) == 0 {
		fmt.Fprintf(&b, ", origin: %s", pick(r, "plain", "cert"))
	}
	if mode == "deny" && r.IntN(6) == 0 {
		b.WriteString(", visible_only: true")
	}
	if mode != "deny" && r.IntN(6) == 0 {
		b.WriteString(", allow_private: true")
	}
	b.WriteString("}\n")
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
					q := Query{Client: c, Host: h, At: at, Port: port, Kind: Connect}
					yield(q)
					for _, form := range []arrival{{Plain, "http", port}, {Plain, "https", port}, {Inner, "https", port}} {
						q.Kind, q.Scheme = form.kind, form.scheme
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
