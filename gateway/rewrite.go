// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"strings"
)

// hop lists the fields that belong to one connection and are never passed on
// (RFC 9110 §7.6.1; Proxy-* of §11.7 and the undead Proxy-Connection, which
// old clients send instead of Connection). What Connection names comes on top.
var hop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "TE", "Transfer-Encoding", "Trailer", "Upgrade",
	"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info",
}

// nextHop returns a copy of h without what belongs to the hop it came on.
func nextHop(h http.Header) http.Header {
	out := h.Clone()
	if out == nil {
		out = make(http.Header)
	}
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = http.CanonicalHeaderKey(strings.Trim(name, " \t")); !endToEnd[name] {
				delete(out, name)
			}
		}
	}
	for _, name := range hop {
		out.Del(name)
	}
	return out
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
