// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/x509"
	"net"
	"strings"
)

// outside says which name of a certificate the name constraints of its issuers
// do not let it have (RFC 5280 §4.2.1.10); "" if there is none. Whoever
// verifies the certificate would refuse it; here it is not even made.
func outside(t *x509.Certificate, chain []*x509.Certificate) string {
	for _, c := range chain {
		for _, n := range t.DNSNames {
			if !within(n, c.PermittedDNSDomains, c.ExcludedDNSDomains, dnsIn) {
				return n
			}
		}
		for _, ip := range t.IPAddresses {
			if !within(ip, c.PermittedIPRanges, c.ExcludedIPRanges, ipIn) {
				return ip.String()
			}
		}
		for _, m := range t.EmailAddresses {
			if !within(m, c.PermittedEmailAddresses, c.ExcludedEmailAddresses, mailIn) {
				return m
			}
		}
		for _, u := range t.URIs {
			if !within(u.Hostname(), c.PermittedURIDomains, c.ExcludedURIDomains, uriIn) {
				return u.String()
			}
		}
	}
	return ""
}

func within[N, C any](name N, permitted, excluded []C, in func(name N, c C, exclude bool) bool) bool {
	for _, c := range excluded {
		if in(name, c, true) {
			return false
		}
	}
	for _, c := range permitted {
		if in(name, c, false) {
			return true
		}
	}
	return len(permitted) == 0
}

// dnsIn takes a name itself and all below it. A wildcard is excluded by
// everything that it could stand for (CVE-2025-61727).
func dnsIn(name, zone string, exclude bool) bool {
	name, zone = strings.ToLower(name), strings.ToLower(zone)
	if below, dotted := strings.CutPrefix(zone, "."); dotted {
		return strings.HasSuffix(name, zone) || exclude && name == "*."+below
	}
	if zone == "" || name == zone || strings.HasSuffix(name, "."+zone) {
		return true
	}
	parent, wild := strings.CutPrefix(name, "*.")
	if !exclude || !wild {
		return false
	}
	_, above, _ := strings.Cut(zone, ".")
	return above == parent
}

func ipIn(ip net.IP, n *net.IPNet, _ bool) bool { return n.Contains(ip) }

// mailIn takes a mailbox, a host, or with a leading dot all hosts below.
func mailIn(mail, c string, _ bool) bool {
	if strings.Contains(c, "@") {
		at := strings.LastIndexByte(c, '@')
		local, host, _ := cutLast(mail)
		return local == c[:at] && strings.EqualFold(host, c[at+1:])
	}
	_, host, _ := cutLast(mail)
	return hostIn(host, c)
}

// uriIn takes a host, or with a leading dot all hosts below.
func uriIn(host, c string, _ bool) bool { return hostIn(host, c) }

func hostIn(host, c string) bool {
	host, c = strings.ToLower(host), strings.ToLower(c)
	if strings.HasPrefix(c, ".") {
		return strings.HasSuffix(host, c)
	}
	return host == c || c == ""
}

func cutLast(mail string) (local, host string, ok bool) {
	at := strings.LastIndexByte(mail, '@')
	if at < 0 {
		return "", mail, false
	}
	return mail[:at], mail[at+1:], true
}
