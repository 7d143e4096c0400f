// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/url"
	"strings"
)

// ParseRequest reads a request as people write it in tests and on the command
// line: "CONNECT host:port" or "[METHOD] URL". An https URL gives a query of
// kind Inner: it stands for CONNECT and, if that is answered by intercept, the
// request inside. In place of the URL may stand a path, for a request to the gateway
// itself: it has no host, and is denied unless a mapping has it. The client and the
// time are left to the caller.
func ParseRequest(s string) (Query, error) {
	method, target, ok := strings.Cut(strings.TrimSpace(s), " ")
	if !ok {
		method, target = "GET", method
	}
	target = strings.TrimSpace(target)
	if method == "CONNECT" {
		host, port, err := splitHostPort(target, 0)
		if err != nil {
			return Query{}, err
		}
		return Query{Kind: Connect, Host: host, Port: port}, nil
	}
	if !isToken(method) {
		return Query{}, fmt.Errorf("%q is no method", method)
	}
	if strings.HasPrefix(target, "/") {
		path, _, _ := strings.Cut(target, "#")
		path, _, _ = strings.Cut(path, "?")
		return Query{Kind: Plain, Scheme: "http", Method: method, Path: asSent(path)}, nil
	}
	scheme, rest, ok := strings.Cut(target, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "http" && scheme != "https" {
		return Query{}, fmt.Errorf("%q is neither an http:// nor an https:// URL; write CONNECT host:port for a CONNECT", target)
	}
	q := Query{Kind: Plain, Scheme: scheme, Method: method, Path: "/"}
	def := uint16(80)
	if scheme == "https" {
		q.Kind, def = Inner, 443
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, _, _ = strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if strings.Contains(authority, "@") {
		return Query{}, fmt.Errorf("a URL with a user name is not a request")
	}
	var err error
	if q.Host, q.Port, err = splitHostPort(authority, def); err != nil {
		return Query{}, err
	}
	if path != "" {
		q.Path = asSent("/" + path)
	}
	return q, nil
}

// asSent escapes what a client would escape before it sends a path that a
// person wrote, and nothing that is escaped already.
func asSent(path string) string {
	var b strings.Builder
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f {
			b.WriteString(strings.ReplaceAll(url.QueryEscape(string([]byte{c})), "+", "%20"))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// splitHostPort reads host:port or [address]:port; def is the port when none
// is written, 0 when one must be.
func splitHostPort(s string, def uint16) (Host, uint16, error) {
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && strings.IndexByte(s[i:], ']') < 0 {
		host, port = s[:i], s[i+1:]
		if port == "" {
			return Host{}, 0, fmt.Errorf("%q has no port after the colon", s)
		}
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return Host{}, 0, fmt.Errorf("%q: an IPv6 address stands in brackets before a port", s)
	}
	if port == "" && def == 0 {
		return Host{}, 0, fmt.Errorf("%q has no port: CONNECT names one, as in %s:443", s, s)
	}
	h, err := parsePolicyHost(host)
	if err != nil {
		return Host{}, 0, err
	}
	if port == "" {
		return h, def, nil
	}
	p, err := parsePort(port)
	return h, p, err
}
