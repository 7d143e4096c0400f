// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A special block is address space that is not the public internet. The rows
// are the IANA special-purpose registries (RFC 6890) and the addresses at
// which clouds hand out credentials; the first row that contains an address
// judges it.
type special struct {
	block    netip.Prefix
	what     string
	metadata bool // only a rule that names this very block opens it
}

var specials = []special{
	{block: netip.MustParsePrefix("169.254.169.254/32"), what: "cloud metadata", metadata: true},
	{block: netip.MustParsePrefix("100.100.100.200/32"), what: "cloud metadata", metadata: true},
	{block: netip.MustParsePrefix("192.0.0.192/32"), what: "cloud metadata", metadata: true},
	{block: netip.MustParsePrefix("168.63.129.16/32"), what: "cloud metadata", metadata: true},
	{block: netip.MustParsePrefix("fd00:ec2::254/128"), what: "cloud metadata", metadata: true},
	{block: netip.MustParsePrefix("fd20:ce::254/128"), what: "cloud metadata", metadata: true},

	{block: netip.MustParsePrefix("0.0.0.0/8"), what: "unspecified"},
	{block: netip.MustParsePrefix("10.0.0.0/8"), what: "private"},
	{block: netip.MustParsePrefix("100.64.0.0/10"), what: "carrier-grade NAT"},
	{block: netip.MustParsePrefix("127.0.0.0/8"), what: "loopback"},
	{block: netip.MustParsePrefix("169.254.0.0/16"), what: "link-local"},
	{block: netip.MustParsePrefix("172.16.0.0/12"), what: "private"},
	{block: netip.MustParsePrefix("192.0.0.0/24"), what: "reserved"},
	{block: netip.MustParsePrefix("192.0.2.0/24"), what: "documentation"},
	{block: netip.MustParsePrefix("192.88.99.0/24"), what: "reserved"},
	{block: netip.MustParsePrefix("192.168.0.0/16"), what: "private"},
	{block: netip.MustParsePrefix("198.18.0.0/15"), what: "benchmarking"},
	{block: netip.MustParsePrefix("198.51.100.0/24"), what: "documentation"},
	{block: netip.MustParsePrefix("203.0.113.0/24"), what: "documentation"},
	{block: netip.MustParsePrefix("224.0.0.0/4"), what: "multicast"},
	{block: netip.MustParsePrefix("255.255.255.255/32"), what: "broadcast"},
	{block: netip.MustParsePrefix("240.0.0.0/4"), what: "reserved"},

	{block: netip.MustParsePrefix("::/128"), what: "unspecified"},
	{block: netip.MustParsePrefix("::1/128"), what: "loopback"},
	{block: netip.MustParsePrefix("::/96"), what: "IPv4-compatible"},
	{block: netip.MustParsePrefix("64:ff9b:1::/48"), what: "local NAT64"},
	{block: netip.MustParsePrefix("2001::/32"), what: "Teredo"},
	{block: netip.MustParsePrefix("2001:2::/48"), what: "benchmarking"},
	{block: netip.MustParsePrefix("2001::/23"), what: "reserved"},
	{block: netip.MustParsePrefix("2001:db8::/32"), what: "documentation"},
	{block: netip.MustParsePrefix("3fff::/20"), what: "documentation"},
	{block: netip.MustParsePrefix("fc00::/7"), what: "private"},
	{block: netip.MustParsePrefix("fe80::/10"), what: "link-local"},
	{block: netip.MustParsePrefix("fec0::/10"), what: "site-local"},
	{block: netip.MustParsePrefix("ff00::/8"), what: "multicast"},
	// Whatever follows is not allocated; only 2000::/3 is (RFC 4291 §2.4).
	{block: netip.MustParsePrefix("::/3"), what: "reserved"},
	{block: netip.MustParsePrefix("4000::/2"), what: "reserved"},
	{block: netip.MustParsePrefix("8000::/1"), what: "reserved"},
}

var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052 §2.1
	sixTo4 = netip.MustParsePrefix("2002::/16")    // RFC 3056 §2
)

// embedded is the IPv4 address that a packet to a is translated to, or a.
func embedded(a netip.Addr) netip.Addr {
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case sixTo4.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return a
}

// specialBlock is the row of specials that contains a; nil when a is public.
func specialBlock(a netip.Addr) *special {
	for i := range specials {
		if specials[i].block.Contains(a) {
			return &specials[i]
		}
	}
	return nil
}

// An AddressError says that a rule does not let the gateway connect to an
// address.
type AddressError struct {
	Addr netip.Addr
	What string // "private", "cloud metadata", …; "" when there is no rule
	Rule string
}

func (e *AddressError) Error() string {
	if e.What == "" {
		return fmt.Sprintf("no rule allows connecting to %s", e.Addr)
	}
	return fmt.Sprintf("%s is a %s address and rule %q does not name it in its to:", e.Addr, e.What, e.Rule)
}

var errNoRule = errors.New("no rule allows connecting anywhere")

// Permit is asked for every address about to be dialled, after the names are
// resolved: nil only if the decision lets the gateway connect to a. The zero
// Decision, and every deny, permits nothing.
func (d Decision) Permit(a netip.Addr) error {
	if d.Mode == Deny || d.Rule == nil {
		if !a.IsValid() {
			return errNoRule
		}
		return &AddressError{Addr: a}
	}
	return d.Rule.permit(a)
}

func (r *Rule) permit(a netip.Addr) error {
	if !a.IsValid() {
		return errNoRule
	}
	if a.Zone() != "" {
		return &AddressError{Addr: a, What: "zoned", Rule: r.Name}
	}
	a = a.Unmap()
	e := embedded(a)
	s := specialBlock(e)
	if s == nil || r.opens(e, s) || a != e && r.opens(a, s) {
		return nil
	}
	return &AddressError{Addr: a, What: s.what, Rule: r.Name}
}

// opens reports whether r relaxes the guard for the address a of block s.
//
// SECURITY: this is the one place where a special address becomes reachable.
// The author of the rule is trusted, who wrote allow_private or the range
// itself; a range wider than a special block (0.0.0.0/0) was written about
// the internet and names none.
func (r *Rule) opens(a netip.Addr, s *special) bool {
	for _, p := range r.closed {
		if p.Contains(a) {
			return false
		}
	}
	for _, p := range r.named {
		if p.Contains(a) && (!s.metadata || p.IsSingleIP()) {
			return true
		}
	}
	return r.AllowPrivate && !s.metadata
}

// PermitKey is the canonical text of what Permit allows beyond public
// addresses: "" for nothing. Two rules with the same key dial alike, so that
// connections may be shared between them.
func (r *Rule) PermitKey() string {
	if r == nil {
		return ""
	}
	return r.permitKey
}

// guard fixes what the rule's to: and to_except: mean to Permit.
func (r *Rule) guard(to, except []netip.Prefix) {
	r.named = withinSpecial(to)
	r.closed = except
	var key []string
	if r.AllowPrivate {
		key = append(key, "private")
	}
	for _, p := range r.named {
		key = append(key, p.String())
	}
	if len(key) > 0 { // without a relaxation there is nothing to take away
		for _, p := range sortedPrefixes(except) {
			key = append(key, "-"+p.String())
		}
	}
	r.permitKey = strings.Join(key, ",")
}

// withinSpecial keeps the prefixes that lie inside one special block or inside
// a translation prefix, sorted and without repetition.
func withinSpecial(prefixes []netip.Prefix) []netip.Prefix {
	var in []netip.Prefix
	for _, p := range prefixes {
		inside := p.Bits() >= nat64.Bits() && nat64.Overlaps(p) || p.Bits() >= sixTo4.Bits() && sixTo4.Overlaps(p)
		for _, s := range specials {
			inside = inside || p.Bits() >= s.block.Bits() && s.block.Overlaps(p)
		}
		if inside {
			in = append(in, p)
		}
	}
	return sortedPrefixes(in)
}

func sortedPrefixes(prefixes []netip.Prefix) []netip.Prefix {
	out := slices.Clone(prefixes)
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}
