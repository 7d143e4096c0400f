// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestPermit(t *testing.T) {
	p := mustParse(t, `
version: 1
destinations:
  servers: [10.9.0.0/16, "fd00:9::/32", 198.51.100.16/28, 8.8.8.0/24, servers-too]
  servers-too: [192.168.7.7, 169.254.169.254, "64:ff9b::10.1.1.1"]
rules:
  - {name: public, from: any, to: any, mode: tunnel}
  - {name: named, from: any, to: [servers, example.com], mode: tunnel}
  - {name: private, from: any, to: any, to_except: 10.66.0.0/16, mode: tunnel, allow_private: true}
  - {name: wide, from: any, to: [0.0.0.0/0, "::/0", 169.254.0.0/16, 10.0.0.0/7], mode: tunnel}
  - {name: "deny", from: any, to: any, mode: deny}
`)
	const (
		public = 1 << iota // rules that permit the address
		named
		private
		wide
	)
	for _, c := range []struct {
		addr string
		by   int
		what string
	}{
		{"1.1.1.1", public | named | private | wide, ""},
		{"8.8.8.8", public | named | private | wide, ""},
		{"2606:4700:4700::1111", public | named | private | wide, ""},
		{"::ffff:1.1.1.1", public | named | private | wide, ""},
		{"64:ff9b::1.1.1.1", public | named | private | wide, ""},
		{"2002:101:101::1", public | named | private | wide, ""},

		{"10.0.0.1", private, "private"},
		{"10.9.0.1", named | private, "private"},
		{"10.66.0.1", 0, "private"},
		{"172.16.0.1", private, "private"},
		{"172.31.255.255", private, "private"},
		{"192.168.0.1", private, "private"},
		{"192.168.7.7", named | private, "private"},
		{"127.0.0.1", private, "loopback"},
		{"127.255.255.254", private, "loopback"},
		{"0.0.0.0", private, "unspecified"},
		{"0.1.2.3", private, "unspecified"},
		{"100.64.0.1", private, "carrier-grade NAT"},
		{"169.254.1.1", private | wide, "link-local"},
		{"169.254.169.254", named, "cloud metadata"},
		{"100.100.100.200", 0, "cloud metadata"},
		{"168.63.129.16", 0, "cloud metadata"},
		{"192.0.0.1", private, "reserved"},
		{"192.0.2.1", private, "documentation"},
		{"198.51.100.1", private, "documentation"},
		{"198.51.100.17", named | private, "documentation"},
		{"203.0.113.1", private, "documentation"},
		{"198.19.0.1", private, "benchmarking"},
		{"224.0.0.1", private, "multicast"},
		{"239.255.255.255", private, "multicast"},
		{"240.0.0.1", private, "reserved"},
		{"255.255.255.255", private, "broadcast"},

		{"::", private, "unspecified"},
		{"::1", private, "loopback"},
		{"::10.0.0.1", private, "IPv4-compatible"},
		{"::8.8.8.8", private, "IPv4-compatible"},
		{"::ffff:10.0.0.1", private, "private"},
		{"::ffff:10.9.0.1", named | private, "private"},
		{"::ffff:169.254.169.254", named, "cloud metadata"},
		{"64:ff9b::10.0.0.1", private, "private"},
		{"64:ff9b::10.9.0.1", named | private, "private"},
		{"64:ff9b::10.1.1.1", named | private, "private"},
		{"64:ff9b::169.254.169.254", named, "cloud metadata"},
		{"64:ff9b:1::1.1.1.1", private, "local NAT64"},
		{"2002:a00:1::1", private, "private"},
		{"2002:7f00:1::", private, "loopback"},
		{"2002:a9fe:a9fe::", named, "cloud metadata"},
		{"2001::1", private, "Teredo"},
		{"2001:0:4136:e378:8000:63bf:3fff:fdd2", private, "Teredo"},
		{"2001:2::1", private, "benchmarking"},
		{"2001:db8::1", private, "documentation"},
		{"3fff::1", private, "documentation"},
		{"fc00::1", private, "private"},
		{"fd00:9::1", named | private, "private"},
		{"fd00:ec2::254", 0, "cloud metadata"},
		{"fe80::1", private, "link-local"},
		{"fec0::1", private, "site-local"},
		{"ff02::1", private, "multicast"},
		{"100::1", private, "reserved"},
		{"4000::1", private, "reserved"},
		{"fe00::1", private, "reserved"},
	} {
		a := netip.MustParseAddr(c.addr)
		for i, r := range p.Rules {
			err := Decision{Mode: r.Modes[0], Rule: r}.Permit(a)
			if want := c.by&(1<<i) != 0; (err == nil) != want {
				t.Errorf("rule %s, %s: %v, want permitted: %v", r.Name, c.addr, err, want)
			}
			var refused *AddressError
			if err != nil && r.Name != "deny" && (!errors.As(err, &refused) || refused.What != c.what || !strings.Contains(err.Error(), r.Name)) {
				t.Errorf("rule %s, %s: refused as %v, want %s", r.Name, c.addr, err, c.what)
			}
		}
	}
	for _, a := range []netip.Addr{{}, netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("2606:4700::1%eth0")} {
		for _, r := range p.Rules {
			if (Decision{Mode: r.Modes[0], Rule: r}).Permit(a) == nil {
				t.Errorf("rule %s permits %v", r.Name, a)
			}
		}
	}
}

func TestPermitKey(t *testing.T) {
	p := mustParse(t, `
version: 1
rules:
  - {name: a, from: any, to: any, mode: tunnel}
  - {name: b, from: any, to: [example.com, 8.8.8.0/24, 0.0.0.0/0], mode: tunnel}
  - {name: c, from: any, to: [192.168.1.1, 10.0.0.0/8, 10.0.0.0/8], mode: tunnel}
  - {name: d, from: any, to: [10.0.0.0/8, 8.8.8.8, 192.168.1.1], to_except: [x.example, 10.6.0.0/16], mode: tunnel}
  - {name: e, from: any, to: any, mode: tunnel, allow_private: true}
  - {name: f, from: any, to: any, to_except: 1.1.1.0/24, mode: tunnel}
`)
	for i, want := range []string{
		"",
		"",
		"10.0.0.0/8,192.168.1.1/32",
		"10.0.0.0/8,192.168.1.1/32,-10.6.0.0/16",
		"private",
		"",
	} {
		if got := p.Rules[i].PermitKey(); got != want {
			t.Errorf("rule %s: %q, want %q", p.Rules[i].Name, got, want)
		}
	}
	if got := (*Rule)(nil).PermitKey(); got != "" {
		t.Errorf("no rule: %q", got)
	}
}

func TestPermitAllocatesNothing(t *testing.T) {
	p := Starter()
	d := Decision{Mode: Tunnel, Rule: p.Rules[0]}
	a := netip.MustParseAddr("93.184.215.14")
	if n := testing.AllocsPerRun(100, func() { d.Permit(a) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
