// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// validDNS holds a name to what may stand in a certificate: letters in lower
// case, digits, hyphens and underscores, with a wildcard as the first label
// only (RFC 6125 §6.4.3), and not a number that some would take for an address.
func validDNS(name string) error {
	n := strings.TrimPrefix(name, "*.")
	labels := strings.Split(n, ".")
	if len(name) > 253 || n == "" || name != n && len(labels) < 2 {
		return fmt.Errorf("%q is no DNS name", name)
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return fmt.Errorf("%q is no DNS name in lower case", name)
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return fmt.Errorf("%q reads like an address", name)
	}
	return nil
}

// validName holds the name of a user or device to what is one segment of a
// SPIFFE ID (SPIFFE-ID §2.2), and '@' beside, which many user names have.
func validName(name string) error {
	if name == "" || len(name) > 64 || name == "." || name == ".." {
		return fmt.Errorf("name %q: want 1 to 64 letters", name)
	}
	for _, r := range name {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-@", r)
		if !ok {
			return fmt.Errorf("name %q: want letters, digits and . _ - @ only", name)
		}
	}
	return nil
}

func validEmail(mail string) error {
	local, host, ok := cutLast(mail)
	if !ok || local == "" || len(mail) > 254 || strings.ContainsAny(local, " \"\\(),:;<>@[]") || !printable(local) || validDNS(host) != nil || strings.HasPrefix(host, "*") {
		return fmt.Errorf("%q is no email address", mail)
	}
	return nil
}

func validIP(ip netip.Addr) error {
	ip = ip.Unmap()
	if !ip.IsValid() || ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() {
		return fmt.Errorf("%v is no address of a server", ip)
	}
	return nil
}

// SPIFFE kinds.
const (
	kindUser   = "user"
	kindDevice = "device"
	kindRule   = "rule" // not a kind of its own: beside a user
)

// spiffe is who a client certificate is for: spiffe://TRUSTDOMAIN/user/NAME.
func spiffe(domain, kind, name string) *url.URL {
	return &url.URL{Scheme: "spiffe", Host: domain, Path: "/" + kind + "/" + name}
}

// spiffeName reads what spiffe writes, and nothing else.
func spiffeName(domain string, u *url.URL) (name string, err error) {
	rest, ok := strings.CutPrefix(u.String(), "spiffe://"+domain+"/")
	kind, name, _ := strings.Cut(rest, "/")
	if !ok || kind != kindUser && kind != kindDevice {
		return "", errors.New("want spiffe://" + domain + "/user/NAME or /device/NAME")
	}
	return name, validName(name)
}

const mostSegments = 16

// delegatedName reads the SPIFFE ID of a user toward an origin, which may say more
// than that: spiffe://TRUSTDOMAIN/team/payments/user/NAME/rule/RULE. From its
// beginning on, "user" and "rule" are each followed by a name, other segments stand
// for themselves. So one ID is of one user, however it was made.
func delegatedName(domain string, u *url.URL) (name string, err error) {
	want := errors.New("want spiffe://" + domain + "/…/user/NAME/…, with /rule/NAME once at most")
	rest, ok := strings.CutPrefix(u.String(), "spiffe://"+domain+"/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) > mostSegments {
		return "", want
	}
	rule := ""
	for n := 0; n < len(parts); n++ {
		if err := validName(parts[n]); err != nil {
			return "", err
		}
		var of *string
		switch parts[n] {
		case kindUser:
			of = &name
		case kindRule:
			of = &rule
		case kindDevice:
			return "", want
		default:
			continue
		}
		if n++; n == len(parts) || *of != "" {
			return "", want
		}
		if err := validName(parts[n]); err != nil {
			return "", err
		}
		*of = parts[n]
	}
	if name == "" {
		return "", want
	}
	return name, nil
}

// validUnit holds an organizational unit to what ends or escapes nothing in any
// way that subjects are written.
func validUnit(unit string) error {
	if strings.TrimSpace(unit) != unit || validName(strings.ReplaceAll(unit, " ", "_")) != nil {
		return fmt.Errorf("organizational unit %q: want 1 to 64 letters, digits, spaces and . _ - @ only", unit)
	}
	return nil
}
