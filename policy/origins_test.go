// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestOriginTrust: what a profile says of trust is what it loads as.
func TestOriginTrust(t *testing.T) {
	p := mustParse(t, `
version: 1
origins:
  all: {max_tls: "1.2", verify_name: Inner.Example., revocation: require, aia: true, fetch_private: [192.168.7.7, 10.0.0.0/8]}
  prefer: {revocation: prefer}
  off: {revocation: off, aia: false}
  none: {min_tls: "1.3"}
  hidden: {ech: require}
  shown: {ech: "off"}
  other: {sni: front.example, ech: prefer}
rules:
  - {name: all, from: 10.0.0.0/8, to: a.example, mode: originate, origin: all}
  - {name: prefer, from: 10.0.0.0/8, to: b.example, mode: originate, origin: prefer, allow_private: true}
  - {name: off, from: 10.0.0.0/8, to: c.example, mode: originate, origin: off}
  - {name: none, from: 10.0.0.0/8, to: d.example, mode: originate, origin: none}
  - {name: hidden, from: 10.0.0.0/8, to: e.example, mode: originate, origin: hidden}
  - {name: shown, from: 10.0.0.0/8, to: f.example, mode: originate, origin: shown}
  - {name: other, from: 10.0.0.0/8, to: g.example, mode: originate, origin: other}
`)
	for i, want := range []Origin{
		{MaxTLS: tls.VersionTLS12, VerifyName: "inner.example", Revocation: RevocationRequire, AIA: true, ECH: ECHOff},
		{Revocation: RevocationPrefer},
		{},
		{MinTLS: tls.VersionTLS13},
		{ECH: ECHRequire},
		{ECH: ECHOff},
		{ECH: ECHOff},
	} {
		o := p.Rules[i].Origin
		if o.MinTLS != want.MinTLS || o.MaxTLS != want.MaxTLS || o.VerifyName != want.VerifyName || o.Revocation != want.Revocation || o.AIA != want.AIA || o.ECH != want.ECH {
			t.Errorf("%s: %+v", o.Name, o)
		}
	}
}

// TestDiffSeesECH: that a name may show is a change of how origins are met.
func TestDiffSeesECH(t *testing.T) {
	const text = "version: 1\norigins: {o: {ech: %s}}\nrules:\n  - {name: a, from: any, to: a.example, mode: originate, origin: o}\n"
	require := mustParse(t, fmt.Sprintf(text, "require"))
	if c := Compare(require, mustParse(t, fmt.Sprintf(text, "prefer")), time.Now()); c.Same() || !strings.Contains(c.String(), "trust") {
		t.Errorf("%s", c)
	}
	if got, want := require.Rules[0].verifiedTLS(), `TLS with Encrypted Client Hello, verified by the gateway (origin profile "o")`; got != want {
		t.Errorf("the contract says %q, want %q", got, want)
	}
}

// TestPermitFetch: a rule's allow_private does not open what certificates name.
func TestPermitFetch(t *testing.T) {
	p := mustParse(t, `
version: 1
origins:
  named: {revocation: prefer, fetch_private: [10.20.0.0/16, 169.254.169.254, "fd00:20::/32"]}
  wide: {revocation: prefer, fetch_private: 169.254.0.0/16}
  public: {revocation: prefer}
rules:
  - {name: a, from: 10.0.0.0/8, to: a.example, mode: originate, origin: named, allow_private: true}
  - {name: b, from: 10.0.0.0/8, to: b.example, mode: originate, origin: wide, allow_private: true}
  - {name: c, from: 10.0.0.0/8, to: c.example, mode: originate, origin: public, allow_private: true}
`)
	named, wide, public := p.Rules[0].Origin, p.Rules[1].Origin, p.Rules[2].Origin
	for _, tt := range []struct {
		o    *Origin
		addr string
		want string
	}{
		{nil, "8.8.8.8", "no rule allows connecting anywhere"},
		{public, "8.8.8.8", ""},
		{public, "10.20.0.1", `10.20.0.1 is a private address and fetch_private of origin profile "public" does not name it`},
		{public, "127.0.0.1", `127.0.0.1 is a loopback address and fetch_private of origin profile "public" does not name it`},
		{public, "::ffff:127.0.0.1", `127.0.0.1 is a loopback address and fetch_private of origin profile "public" does not name it`},
		{named, "8.8.8.8", ""},
		{named, "10.20.255.1", ""},
		{named, "10.21.0.1", `10.21.0.1 is a private address and fetch_private of origin profile "named" does not name it`},
		{named, "fd00:20::1", ""},
		{named, "169.254.169.254", ""},
		{wide, "169.254.1.1", ""},
		{wide, "169.254.169.254", `169.254.169.254 is a cloud metadata address and fetch_private of origin profile "wide" does not name it`},
	} {
		err := tt.o.PermitFetch(netip.MustParseAddr(tt.addr))
		if got := ""; err != nil && err.Error() != tt.want || err == nil && got != tt.want {
			t.Errorf("%s: %v, want %q", tt.addr, err, tt.want)
		}
	}
	if public.FetchKey() != "" || named.FetchKey() == "" || named.FetchKey() == wide.FetchKey() || (*Origin)(nil).FetchKey() != "" {
		t.Errorf("%q %q %q", public.FetchKey(), named.FetchKey(), wide.FetchKey())
	}
}
