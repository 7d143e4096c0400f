// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// A Host is a host in its one normal form: either a lower-case ASCII name
// without trailing dot, or an address. Two spellings of the same host give
// equal Hosts. The zero Host names nothing and no rule ever allows it.
type Host struct {
	Name string
	Addr netip.Addr
}

// IsAddr reports whether h is an address literal.
func (h Host) IsAddr() bool { return h.Addr.IsValid() }

// String is the name or the address, without brackets.
func (h Host) String() string {
	if h.Addr.IsValid() {
		return h.Addr.String()
	}
	return h.Name
}

// Limits of RFC 1035 §2.3.4, in text form.
const (
	maxLabel = 63
	maxName  = 253
)

var (
	errHostEmpty  = errors.New("empty host")
	errHostASCII  = errors.New("host is not ASCII: a request writes international names in their xn-- form")
	errHostLabel  = errors.New("host has an empty label")
	errHostNumber = errors.New("host ends in a number but is not an IPv4 address of four decimal parts")
	errHostZone   = errors.New("address has a zone")
)

// ParseHost reads the host of a request: of a URL, of CONNECT or of a Host
// field, without port. It accepts only what every later reader (the resolver,
// the origin, the log) will read the same way, and refuses the rest: a policy
// that judges one spelling and dials another is no policy.
func ParseHost(s string) (Host, error) {
	if isNormal(s) { // nearly always
		return Host{Name: s}, nil
	}
	if s == "" {
		return Host{}, errHostEmpty
	}
	if s[0] == '[' {
		if s[len(s)-1] != ']' {
			return Host{}, fmt.Errorf("host %q: missing ]", s)
		}
		return parseIPv6(s[1 : len(s)-1])
	}
	if strings.IndexByte(s, ':') >= 0 {
		return parseIPv6(s)
	}
	if s[len(s)-1] == '.' { // one trailing dot: the root, RFC 1034 §3.1
		s = s[:len(s)-1]
	}
	return parseName(s)
}

// nameByte is what a byte is in a name in normal form: 1 in a label, 2 a digit, 3
// between labels.
var nameByte = func() (t [256]uint8) {
	for c := byte('a'); c <= 'z'; c++ {
		t[c] = 1
	}
	for c := byte('0'); c <= '9'; c++ {
		t[c] = 2
	}
	t['-'], t['_'], t['.'] = 1, 1, 3
	return t
}()

// isNormal reports, in one pass, whether s is a name that is its own normal
// form. Whose last label begins with a digit is left to closer inspection.
func isNormal(s string) bool {
	label := 0
	for i := range len(s) {
		switch nameByte[s[i]] {
		case 0:
			return false
		case 3:
			if i == label || i-label > maxLabel {
				return false
			}
			label = i + 1
		}
	}
	return label < len(s) && len(s)-label <= maxLabel && len(s) <= maxName && nameByte[s[label]] == 1
}

// parsePolicyHost reads a host as a person writes it in a policy file or a
// test, where U-labels are welcome: UTS 46, non-transitional, as browsers do.
// Hyphens are not checked, because names like r3---sn-x.example are in use,
// and neither are underscores.
func parsePolicyHost(s string) (Host, error) {
	if isASCII(s) && !strings.Contains(strings.ToLower(s), "xn--") {
		return ParseHost(s)
	}
	if strings.ContainsAny(s, ":[]") {
		return Host{}, fmt.Errorf("%q is neither a name nor an address", s)
	}
	ascii, err := idnaProfile.ToASCII(s)
	if err != nil {
		return Host{}, fmt.Errorf("%q is not an international name: %s", s, strings.TrimPrefix(err.Error(), "idna: "))
	}
	return ParseHost(ascii)
}

var idnaProfile = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.BidiRule(),
	idna.CheckHyphens(false),
	idna.StrictDomainName(false),
)

func parseIPv6(s string) (Host, error) {
	if strings.IndexByte(s, '%') >= 0 {
		return Host{}, errHostZone
	}
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is6() {
		return Host{}, fmt.Errorf("%q is not an IPv6 address", s)
	}
	// ::ffff:10.0.0.1 reaches 10.0.0.1 on every system: it is that address.
	return Host{Addr: a.Unmap()}, nil
}

func parseName(s string) (Host, error) {
	if s == "" {
		return Host{}, errHostEmpty
	}
	if len(s) > maxName {
		return Host{}, fmt.Errorf("host is longer than %d characters", maxName)
	}
	upper, label := false, 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '.':
			if i == label {
				return Host{}, errHostLabel
			}
			label = i + 1
			continue
		case 'A' <= c && c <= 'Z':
			upper = true
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		case c >= 0x80:
			return Host{}, errHostASCII
		default:
			return Host{}, fmt.Errorf("host has the character %q", c)
		}
		if i-label >= maxLabel {
			return Host{}, fmt.Errorf("host has a label longer than %d characters", maxLabel)
		}
	}
	last := s[label:]
	if last == "" {
		return Host{}, errHostLabel
	}
	if numeric(last) {
		// inet_aton reads 127.1, 0x7f.0.0.1, 0177.0.0.1 and 2130706433 as
		// 127.0.0.1; netip reads none of them. Only the spelling that both
		// read alike may pass.
		a, err := netip.ParseAddr(s)
		if err != nil {
			return Host{}, errHostNumber
		}
		return Host{Addr: a}, nil
	}
	if upper {
		s = strings.ToLower(s)
	}
	return Host{Name: s}, nil
}

// numeric reports whether a last label makes a host an IPv4 address for some
// reader: the "ends in a number" check of the URL standard.
func numeric(label string) bool {
	if len(label) >= 2 && label[0] == '0' && label[1]|0x20 == 'x' {
		return strings.Trim(label[2:], "0123456789abcdefABCDEF") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
