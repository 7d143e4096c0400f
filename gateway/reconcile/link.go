// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"strconv"

	"sallyport/gateway/h1"
)

// A Policy says what would become of a request. It is pure.
type Policy interface {
	// Originates reports whether a request of the same client for that http URL
	// would go to the URL's host by https, to that port.
	Originates(method, url string, port uint16) bool
}

// A link is an https URL taken apart, as far as there is one way to read it.
type link struct {
	host []byte // as written
	port uint16
	rest []byte // path, query and fragment, as written
}

const https = "https://"

// readLink reads an absolute https URL. ok is false for everything that some
// client may read differently: user information, a backslash in place of a slash,
// white space inside, a name that is not ASCII. Such a URL stays as it is, and
// whoever follows it asks for https.
func readLink(url []byte) (l link, ok bool) {
	if len(url) <= len(https) || !h1.EqualFold(url[:len(https)], https) {
		return l, false
	}
	url = url[len(https):]
	end := bytes.IndexAny(url, "/?#")
	if end < 0 {
		end = len(url)
	}
	l.host, l.rest, l.port = url[:end], url[end:], 443
	for _, c := range l.host {
		if !isHost(c) {
			return l, false
		}
	}
	if i := bytes.LastIndexByte(l.host, ':'); i >= 0 && l.host[len(l.host)-1] != ']' {
		digits := l.host[i+1:]
		l.host = l.host[:i]
		if len(digits) > 0 {
			n, err := strconv.ParseUint(string(digits), 10, 16)
			if err != nil || digits[0] == '0' {
				return l, false
			}
			l.port = uint16(n)
		}
	}
	return l, oneHost(l.host)
}

// oneHost reports whether host is a name, or an address in brackets.
func oneHost(host []byte) bool {
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
		return !bytes.ContainsAny(host, "[]")
	}
	return len(host) > 0 && !bytes.ContainsAny(host, "[]:")
}

// isHost reports whether c is one of a name, an address or a port.
func isHost(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_' || c == ':' || c == '[' || c == ']'
}

// plain is the http URL that means l to this gateway. There is none for port 80:
// an http URL without a port means port 443 of the origin.
func (l link) plain() ([]byte, bool) {
	if l.port == 80 {
		return nil, false
	}
	b := append(make([]byte, 0, len(https)+len(l.host)+6+len(l.rest)), "http://"...)
	b = append(b, l.host...)
	if l.port != 443 {
		b = strconv.AppendUint(append(b, ':'), uint64(l.port), 10)
	}
	return append(b, l.rest...), true
}

// asked is a URL as a client asks for it that follows a link: without its fragment,
// and with what no target can have in the form that browsers give it.
func asked(url []byte) string {
	if i := bytes.IndexByte(url, '#'); i >= 0 {
		url = url[:i]
	}
	const hex = "0123456789ABCDEF"
	path := true
	b := make([]byte, 0, len(url)+16)
	for _, c := range url {
		switch {
		case c == '\t': // of a URL's middle it is taken out (WHATWG URL §4.4)
		case c <= ' ' || c >= 0x7f:
			b = append(b, '%', hex[c>>4], hex[c&15])
		case c == '\\' && path:
			b = append(b, '/')
		default:
			path = path && c != '?'
			b = append(b, c)
		}
	}
	return string(b)
}

// down is a URL of an origin's answer, which was asked for by https, as the client
// has to have it to follow it by method: an https URL that the client can reach by
// http becomes that. A URL without a scheme would be http to the client and stays so
// if that is the same; otherwise it gets its scheme. changed is false when it is
// right as it is.
func down(p Policy, method string, url []byte) (out []byte, changed bool) {
	relative := schemeless(url)
	whole := url
	if relative {
		whole = append([]byte("https:"), url...)
	}
	if l, ok := readLink(whole); ok {
		if plain, ok := l.plain(); ok && p.Originates(method, asked(plain), l.port) {
			return plain, true
		}
	}
	return whole, relative
}

// schemeless reports whether url begins with a host: two slashes, or what browsers
// take for them.
func schemeless(url []byte) bool {
	slashes := 0
	for _, c := range url {
		switch c {
		case '\t':
		case '/', '\\':
			if slashes++; slashes == 2 {
				return true
			}
		default:
			return false
		}
	}
	return false
}

// up is a URL that a client has sent as http, as the origin knows it, which is met
// by https; false when the gateway would not have sent a request for it there by
// https.
func up(p Policy, url []byte) (out []byte, ok bool) {
	const http = "http://"
	if len(url) <= len(http) || !h1.EqualFold(url[:len(http)], http) {
		return nil, false
	}
	l, ok := readLink(append([]byte("https://"), url[len(http):]...))
	if !ok {
		return nil, false
	}
	if l.port == 80 {
		return nil, false // written out; nobody's browser does
	}
	ask := asked(url)
	if !p.Originates("GET", ask, l.port) {
		return nil, false
	}
	out = append([]byte(https), l.host...)
	if l.port != 443 {
		out = strconv.AppendUint(append(out, ':'), uint64(l.port), 10)
	}
	return append(out, l.rest...), true
}

func lower(b []byte) string { return string(bytes.ToLower(b)) }
