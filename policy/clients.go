// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"slices"
)

// A clientSet is the OR of alternatives. The zero set has nobody in it.
type clientSet struct {
	any  bool
	alts []alternative
}

// An alternative is the AND of what it asks for; each field that is not empty
// must hold, by one of its entries.
type alternative struct {
	nets   []netip.Prefix
	users  []string
	groups []string
	certs  []string
	claims []string
}

func (s *clientSet) has(c *Client, mayAsk bool) verdict {
	if s.any {
		return yes
	}
	v := no
	for i := range s.alts {
		v = max(v, s.alts[i].has(c, mayAsk))
		if v == yes {
			break
		}
	}
	return v
}

func (a *alternative) has(c *Client, mayAsk bool) verdict {
	if a.nets != nil && !containsAddr(a.nets, c.Addr) || a.certs != nil && !overlap(a.certs, c.Certs) {
		return no
	}
	v := yes
	if a.users != nil && (c.User == "" || !slices.Contains(a.users, c.User)) ||
		a.groups != nil && !overlap(a.groups, c.Groups) ||
		a.claims != nil && !overlap(a.claims, c.Claims) {
		v = no
	}
	// A certificate is shown or not when the connection begins; a user, with
	// groups and claims, can still be asked for (RFC 9110 §15.5.8).
	if v == no && mayAsk && c.User == "" && c.Groups == nil && c.Claims == nil {
		v = ask
	}
	return v
}

// identity reports whether the alternative asks for more than an address.
func (a *alternative) identity() bool {
	return a.users != nil || a.groups != nil || a.certs != nil || a.claims != nil
}

func containsAddr(nets []netip.Prefix, a netip.Addr) bool {
	for _, p := range nets {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func overlap(a, b []string) bool {
	for _, s := range a {
		if slices.Contains(b, s) {
			return true
		}
	}
	return false
}
