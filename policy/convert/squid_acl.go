// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An acl is a name in squid.conf for a condition: all lines that define it
// together, one of whose values has to hold.
type acl struct {
	name   string
	kind   string
	values []string
	fold   bool // -i
	err    error
	at     directive // where it is defined first

	nets  []netip.Prefix // of src and dst
	ports []portRange
	names map[string]bool // of dstdomain, in lower case
	wrong []string        // values that are not understood
}

// A portRange is a range of ports, with both ends.
type portRange struct{ from, to int }

var allPorts = []portRange{{1, 65535}}

// builtIn are the names that Squid defines itself.
var builtIn = []string{
	"acl all src all",
	"acl manager url_regex -i ^cache_object:// +i ^[^:]+://[^/]+/squid-internal-mgr",
	"acl localhost src 127.0.0.1/32 ::1",
	"acl to_localhost dst 127.0.0.0/8 0.0.0.0/32 ::1/128 ::/128",
	"acl to_linklocal dst 169.254.0.0/16 fe80::/10",
	"acl CONNECT method CONNECT",
}

// squidACLs reads all acl lines.
func squidACLs(lines []directive, read ReadFile) map[string]*acl {
	acls := make(map[string]*acl)
	for _, text := range builtIn {
		defineACL(acls, directive{words: strings.Fields(text), text: text}, read)
	}
	own := make(map[string]bool)
	for _, d := range lines {
		if d.words[0] != "acl" || len(d.words) < 3 {
			continue
		}
		if a := acls[d.words[1]]; a != nil && a.at.line == 0 && !own[a.name] && a.name != "all" {
			delete(acls, a.name) // Squid's own is replaced
		}
		own[d.words[1]] = true
		defineACL(acls, d, read)
	}
	for _, a := range acls {
		a.understand()
	}
	return acls
}

func defineACL(acls map[string]*acl, d directive, read ReadFile) {
	name, kind, words := d.words[1], d.words[2], d.words[3:]
	a := acls[name]
	if a == nil {
		a = &acl{name: name, kind: kind, at: d}
		acls[name] = a
	}
	if a.kind != kind {
		a.err = errors.New("it is defined with two types")
		return
	}
	for len(words) > 0 && len(words[0]) == 2 && words[0][0] == '-' {
		switch words[0] {
		case "-i":
			a.fold = true
		case "-n": // no look-ups of addresses, which are never made here
		case "--":
		default:
			a.err = fmt.Errorf("its flag %s is not known here", words[0])
		}
		words = words[1:]
	}
	values, err := squidValues(d, words, read)
	a.values = append(a.values, values...)
	if err != nil {
		a.err = err
	}
}

// understand reads the values of addresses, names and ports.
func (a *acl) understand() {
	switch a.kind {
	case "src", "dst":
		for _, v := range a.values {
			nets, err := squidNets(v)
			if err != nil {
				a.wrong = append(a.wrong, v)
			}
			a.nets = append(a.nets, nets...)
		}
	case "dstdomain":
		a.names = make(map[string]bool, len(a.values))
		for _, v := range a.values {
			a.names[strings.ToLower(v)] = true
		}
	case "port":
		for _, v := range a.values {
			from, to, isRange := strings.Cut(v, "-")
			if !isRange {
				to = from
			}
			f, err1 := strconv.Atoi(from)
			t, err2 := strconv.Atoi(to)
			if err1 != nil || err2 != nil || f < 0 || f > t || t > 65535 {
				a.wrong = append(a.wrong, v)
				continue
			}
			a.ports = append(a.ports, portRange{max(f, 1), t})
		}
	}
}

// squidNets reads an address, a network with a length or a mask, or a range of
// addresses.
func squidNets(s string) ([]netip.Prefix, error) {
	switch s {
	case "all":
		return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}, nil
	case "ipv4":
		return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, nil
	case "ipv6":
		return []netip.Prefix{netip.MustParsePrefix("::/0")}, nil
	case "none":
		return nil, nil
	}
	addr, mask, masked := strings.Cut(s, "/")
	if first, last, isRange := strings.Cut(addr, "-"); isRange {
		if masked && mask != "32" && mask != "128" && mask != "255.255.255.255" {
			return nil, errors.New("a range of networks")
		}
		if first == "0.0.0.1" { // of Squid's own example; 0.0.0.0 is nobody
			first = "0.0.0.0"
		}
		a, err1 := netip.ParseAddr(first)
		b, err2 := netip.ParseAddr(last)
		if err1 != nil || err2 != nil || a.BitLen() != b.BitLen() || b.Less(a) || a.Zone() != "" || b.Zone() != "" {
			return nil, errors.New("not a range of addresses")
		}
		return between(a, b)
	}
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Zone() != "" {
		return nil, errors.New("not an address")
	}
	a = a.Unmap()
	bits := a.BitLen()
	if masked {
		if m, err := netip.ParseAddr(mask); err == nil && m.Is4() && a.Is4() {
			b := m.As4()
			v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
			bits = 0
			for v&0x80000000 != 0 {
				bits, v = bits+1, v<<1
			}
			if v != 0 {
				return nil, errors.New("a mask with holes")
			}
		} else if bits, err = strconv.Atoi(mask); err != nil {
			return nil, errors.New("not a mask")
		}
	}
	p, err := a.Prefix(bits)
	return []netip.Prefix{p}, err
}

// between is a range of addresses in networks.
func between(a, b netip.Addr) (nets []netip.Prefix, err error) {
	for len(nets) < 256 {
		bits := a.BitLen()
		for bits > 0 {
			p := netip.PrefixFrom(a, bits-1)
			if p.Masked().Addr() != a || b.Less(lastOf(p)) {
				break
			}
			bits--
		}
		p := netip.PrefixFrom(a, bits)
		nets = append(nets, p)
		last := lastOf(p)
		if last == b {
			return nets, nil
		}
		a = last.Next()
	}
	return nil, errors.New("a range of too many networks")
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// hosts are the entries of a dstdomain for a policy: Squid's .example.com is
// the name and what is below it, as here.
func (a *acl) hosts() (entries []string, wrong []string) {
	for _, v := range a.values {
		v = strings.ToLower(v)
		switch {
		case !validEntry(v):
			wrong = append(wrong, v)
		case !strings.Contains(v, ".") && !strings.Contains(v, ":"):
			entries = append(entries, "{host: "+quote(v)+"}")
		default:
			entries = append(entries, v)
		}
	}
	slices.Sort(entries)
	return slices.Compact(entries), wrong
}

// regexps are the values as one expression of RE2, or why they are none. What
// Squid uses is POSIX with GNU's additions; what the two read differently is
// refused.
func (a *acl) regexps() (string, error) {
	var parts []string
	fold := a.fold
	for _, v := range a.values {
		if v == "-i" || v == "+i" {
			fold = v == "-i"
			continue
		}
		re, err := re2(v)
		if err != nil {
			return "", fmt.Errorf("%q is not the same in RE2: %w", v, err)
		}
		if fold {
			re = "(?i:" + re + ")"
		} else if len(a.values) > 1 {
			re = "(?:" + re + ")"
		}
		parts = append(parts, re)
	}
	if parts == nil {
		return "", errors.New("it has no expression")
	}
	return strings.Join(parts, "|"), nil
}

func re2(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x80 || c < ' ' {
			return "", errors.New("a character that is not ASCII")
		}
		if strings.HasPrefix(s[i:], "(?") || c == '?' && i > 0 && strings.IndexByte("*+?}", s[i-1]) >= 0 && (i < 2 || s[i-2] != '\\') {
			return "", errors.New("what Perl adds is something else to POSIX")
		}
		if c != '\\' {
			b.WriteByte(c)
			continue
		}
		if i++; i == len(s) {
			return "", errors.New("a backslash at the end")
		}
		switch c = s[i]; {
		case c == '<' || c == '>':
			b.WriteString(`\b`)
		case strings.IndexByte("bBwWsS", c) >= 0, c < 0x80 && !isWordByte(c):
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			return "", fmt.Errorf(`\%c`, c)
		}
	}
	_, err := regexp.Compile(b.String())
	if err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return b.String(), nil
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
