// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"strings"
	"testing"
)

// The rows are the table of normal forms in docs/policy.md.
func TestParseHost(t *testing.T) {
	label := strings.Repeat("a", 63)
	long := strings.Join([]string{label, label, label, label[:61]}, ".")
	for _, c := range []struct {
		in   string
		want string // "" for refused
		addr bool
	}{
		{in: "example.com", want: "example.com"},
		{in: "EXAMPLE.com.", want: "example.com"},
		{in: "intranet", want: "intranet"},
		{in: "_dmarc.example.com", want: "_dmarc.example.com"},
		{in: "r3---sn-x.example", want: "r3---sn-x.example"},
		{in: "xn--bcher-kva.example", want: "xn--bcher-kva.example"},
		{in: "1.2.3.4.example", want: "1.2.3.4.example"},
		{in: "0xfg.example.0xfg", want: "0xfg.example.0xfg"},
		{in: label + ".example", want: label + ".example"},
		{in: long, want: long},
		{in: "1.2.3.4", want: "1.2.3.4", addr: true},
		{in: "1.2.3.4.", want: "1.2.3.4", addr: true},
		{in: "[::ffff:10.0.0.1]", want: "10.0.0.1", addr: true},
		{in: "::ffff:a00:1", want: "10.0.0.1", addr: true},
		{in: "[2001:DB8:0::1]", want: "2001:db8::1", addr: true},
		{in: "::1", want: "::1", addr: true},

		{in: ""},
		{in: "."},
		{in: ".example.com"},
		{in: "example.com.."},
		{in: "a..b"},
		{in: "127.1"},
		{in: "0x7f.0.0.1"},
		{in: "0177.0.0.1"},
		{in: "127.0.0.01"},
		{in: "2130706433"},
		{in: "0x7f000001"},
		{in: "example.123"},
		{in: "a.0x1"},
		{in: "a.0X"},
		{in: "1.2.3.4.5"},
		{in: "256.1.1.1"},
		{in: "bücher.example"},
		{in: "ｅxample.com"},
		{in: "１２７.0.0.1"},
		{in: "example.com:443"},
		{in: "[1.2.3.4]"},
		{in: "[::1"},
		{in: "::1]"},
		{in: "[]"},
		{in: "[fe80::1%25eth0]"},
		{in: "fe80::1%eth0"},
		{in: "exa mple.com"},
		{in: "example.com/"},
		{in: "user@example.com"},
		{in: "example%2ecom"},
		{in: "example.com\x00"},
		{in: "*.example.com"},
		{in: label + "a.example"},
		{in: long + "a"},
	} {
		h, err := ParseHost(c.in)
		switch {
		case c.want == "" && err == nil:
			t.Errorf("ParseHost(%q) = %v, want it refused", c.in, h)
		case c.want != "" && err != nil:
			t.Errorf("ParseHost(%q): %v", c.in, err)
		case c.want != "" && (h.String() != c.want || h.IsAddr() != c.addr):
			t.Errorf("ParseHost(%q) = %+v, want %s", c.in, h, c.want)
		case c.want == "" && h != Host{}:
			t.Errorf("ParseHost(%q) = %+v with an error, want the zero Host", c.in, h)
		}
	}
}

func TestParsePolicyHost(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"bücher.example", "xn--bcher-kva.example"},
		{"BÜCHER.example.", "xn--bcher-kva.example"},
		{"faß.de", "xn--fa-hia.de"},
		{"ｅxample.com", "example.com"},
		{"аррӏе.com", "xn--80ak6aa92e.com"},
		{"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"_dmarc.bücher.example", "_dmarc.xn--bcher-kva.example"},
		{"_dmarc.example.com", "_dmarc.example.com"},
		{"１.2.3.4", "1.2.3.4"},
		{"[2001:db8::1]", "2001:db8::1"},
		{"xn--a.example", ""}, // not Punycode
		{"bücher..example", ""},
		{"bü cher.example", ""},
		{"bücher.example:443", ""},
		{"１２７.1", ""},
	} {
		h, err := parsePolicyHost(c.in)
		if got := h.String(); (err == nil) != (c.want != "") || err == nil && got != c.want {
			t.Errorf("parsePolicyHost(%q) = %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

// A Host that came out of ParseHost goes in again unchanged: nobody who reads
// the text of a decision may come to another host.
func FuzzParseHost(f *testing.F) {
	for _, s := range []string{
		"EXAMPLE.com.", "127.1", "0x7f.0.0.1", "[::ffff:10.0.0.1]", "fe80::1%eth0",
		"xn--bcher-kva.example", "bücher.example", "a..b", "1.2.3.4.", "_dmarc.example.com",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHost(s)
		if err != nil {
			if h != (Host{}) {
				t.Fatalf("ParseHost(%q) = %+v with error %v", s, h, err)
			}
			return
		}
		again, err := ParseHost(h.String())
		if err != nil || again != h {
			t.Fatalf("ParseHost(%q) = %+v, again %+v, %v", s, h, again, err)
		}
		if (h.Name == "") != h.Addr.IsValid() || h.Addr.Is4In6() || h.Addr.Zone() != "" {
			t.Fatalf("ParseHost(%q) = %+v", s, h)
		}
		if _, err := netip.ParseAddr(h.Name); err == nil {
			t.Fatalf("ParseHost(%q) = name %q, which is an address", s, h.Name)
		}
		if p, err := parsePolicyHost(h.Name); h.Name != "" && !strings.Contains(h.Name, "xn--") && (err != nil || p != h) {
			t.Fatalf("a policy that writes %q means %+v, %v", h.Name, p, err)
		}
	})
}
