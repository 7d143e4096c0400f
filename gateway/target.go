// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	"sallyport/policy"
)

// A target is what a request names: which origin, and what there.
type target struct {
	scheme string // "http" or "https" as written, lower case; "" for CONNECT
	host   policy.Host
	port   uint16 // as written, or the scheme's default
	path   string // as written, "*" for OPTIONS of the whole origin; "" for CONNECT
	query  string // as written, with its "?"; "" when none
}

// readTarget reads the request target (RFC 9112 §3.2) of a request to a
// proxy. The Host field is not looked at: in absolute-form and authority-form
// the target wins (§3.2.2), and what goes to the origin is made from it.
func readTarget(method, raw string) (target, error) {
	if method == http.MethodConnect {
		return authorityForm(raw)
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	switch {
	case strings.HasPrefix(raw, "/") || raw == "*":
		return target{}, errNotProxy
	case !ok:
		return target{}, errNoURL
	}
	t := target{scheme: strings.ToLower(scheme)}
	switch t.scheme {
	case "http":
		t.port = 80
	case "https":
		t.port = 443
	default:
		return target{}, fmt.Errorf("scheme %q is neither http nor https", clip(scheme, 20))
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, rest := rest[:end], rest[end:]
	if strings.Contains(rest, "#") {
		return target{}, fmt.Errorf("the target has a fragment, which is never sent (RFC 9112 §3.2)")
	}
	var err error
	if t.host, t.port, err = readAuthority(authority, t.port); err != nil {
		return target{}, err
	}
	t.path = rest
	if i := strings.IndexByte(rest, '?'); i >= 0 {
		t.path, t.query = rest[:i], rest[i:]
	}
	if !escaped(t.path) {
		return target{}, fmt.Errorf("the path has a %% that begins no escape (RFC 3986 §2.1)")
	}
	if t.path == "" {
		t.path = "/"
		if method == http.MethodOptions && t.query == "" {
			t.path = "*" // RFC 9112 §3.2.4
		}
	}
	return t, nil
}

// escaped reports whether every % is followed by two hexadecimal digits.
func escaped(path string) bool {
	for {
		_, rest, ok := strings.Cut(path, "%")
		if !ok {
			return true
		}
		if len(rest) < 2 || !isHex(rest[0]) || !isHex(rest[1]) {
			return false
		}
		path = rest[2:]
	}
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

// authorityForm reads a CONNECT's target: host and port, both (RFC 9110 §9.3.6).
func authorityForm(raw string) (target, error) {
	host, port, err := readAuthority(raw, 0)
	if err != nil {
		return target{}, err
	}
	if port == 0 {
		return target{}, fmt.Errorf("CONNECT has to name a port, as in %s:443", host)
	}
	return target{host: host, port: port}, nil
}

// readAuthority reads host [":" port]. Userinfo is refused: it is a password
// in the clear, or a name meant to be taken for the host (RFC 9110 §4.2.4).
func readAuthority(s string, port uint16) (policy.Host, uint16, error) {
	if strings.Contains(s, "@") {
		return policy.Host{}, 0, fmt.Errorf("user information in the target (RFC 9110 §4.2.4): send credentials in the Authorization field")
	}
	name, digits := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		name, digits = s[:i], s[i+1:]
		if strings.Contains(name, ":") && !strings.HasPrefix(name, "[") {
			return policy.Host{}, 0, fmt.Errorf("an IPv6 address has to stand in brackets")
		}
		if digits != "" { // "host:" means the default (RFC 3986 §6.2.3)
			n, err := strconv.ParseUint(digits, 10, 16)
			if err != nil || n == 0 || len(digits) > 5 {
				return policy.Host{}, 0, fmt.Errorf("port %q is not a number from 1 to 65535", clip(digits, 20))
			}
			port = uint16(n)
		}
	}
	host, err := policy.ParseHost(name)
	if err != nil {
		return policy.Host{}, 0, err
	}
	return host, port, nil
}

// authority is the target as Host names it: without the scheme's default port.
func (t target) authority(scheme string, port uint16) string {
	return string(t.appendAuthority(nil, scheme, port))
}

func (t target) appendAuthority(b []byte, scheme string, port uint16) []byte {
	switch {
	case t.host.Addr.Is6():
		b = append(t.host.Addr.AppendTo(append(b, '[')), ']')
	case t.host.IsAddr():
		b = t.host.Addr.AppendTo(b)
	default:
		b = append(b, t.host.Name...)
	}
	if scheme == "https" && port == 443 || scheme == "http" && port == 80 {
		return b
	}
	return strconv.AppendUint(append(b, ':'), uint64(port), 10)
}

// hostPort is the target as it is dialled.
func (t target) hostPort(port uint16) string { return hostPort(t.host.String(), port) }

func hostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// url is raw, which t was read from, as the log names it.
func (t target) url(raw string, full bool) string {
	if t.scheme == "" {
		return t.hostPort(t.port)
	}
	var space [256]byte
	u := append(append(space[:0], t.scheme...), "://"...)
	u = t.appendAuthority(u, t.scheme, t.port)
	if t.path != "*" {
		u = append(u, t.path...)
	}
	switch {
	case t.query == "":
	case full:
		u = append(u, t.query...)
	default:
		u = append(u, "?redacted"...)
	}
	if string(u) == raw {
		return raw
	}
	return string(u)
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
