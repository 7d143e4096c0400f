// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// hop are the fields that belong to one connection and are never passed on
// (RFC 9110 §7.6.1; Proxy-* of §11.7 and the undead Proxy-Connection, which
// old clients send instead of Connection). What Connection names comes on top.
var hop = map[string]bool{
	"Connection": true, "Proxy-Connection": true, "Keep-Alive": true, "Te": true, "Transfer-Encoding": true, "Trailer": true,
	"Upgrade": true, "Proxy-Authenticate": true, "Proxy-Authorization": true, "Proxy-Authentication-Info": true,
}

// nextHop returns what of h does not belong to the hop it came on.
func nextHop(h http.Header) http.Header {
	out := make(http.Header, len(h)+2) // Via, and one more
	passOn(out, h)
	return out
}

// passOn enters in to what of from does not belong to the hop it came on. The
// values are shared: neither side may change them in place, and appending to
// them makes a copy.
func passOn(to, from http.Header) {
	named := len(from["Connection"]) > 0
	for name, values := range from {
		if !hop[name] && (!named || endToEnd[name] || !hasToken(from, "Connection", name)) {
			to[name] = slices.Clip(values)
		}
	}
}

// endToEnd fields stay even when Connection names them: a client could
// otherwise strip what the origin, or this gateway's rules, count on
// ("hop-by-hop header abuse", Nathan Davison 2019; RFC 9110 §7.6.1 forbids
// naming them).
var endToEnd = map[string]bool{
	"Authorization": true, "Cookie": true, "Host": true, "Content-Length": true, "Content-Type": true,
	"Content-Encoding": true, "Cache-Control": true, "Via": true, "Forwarded": true, "X-Forwarded-For": true,
	"Set-Cookie": true, "Max-Forwards": true, "Expect": true, "Date": true, "Range": true,
}

// via adds this gateway to the message's way (RFC 9110 §7.6.3).
func via(h http.Header, major, minor int) {
	v := "1.1 sallyport"
	switch {
	case major == 1 && minor == 0:
		v = "1.0 sallyport"
	case major == 2:
		v = "2 sallyport"
	}
	if old := h["Via"]; len(old) > 0 {
		v = strings.Join(old, ", ") + ", " + v
	}
	h.Set("Via", v)
}

// hasToken reports whether a list-valued field holds token, whatever its case.
func hasToken(h http.Header, name, token string) bool {
	for _, list := range h[name] {
		for t := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.Trim(t, " \t"), token) {
				return true
			}
		}
	}
	return false
}
