// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h3

import (
	"strconv"
	"strings"
	"time"
)

// defaultAge is how long an alternative is good that says nothing of it (RFC 7838 §3.1).
const defaultAge = 24 * time.Hour

// offered reads a value of Alt-Svc (RFC 7838 §3), of several fields joined by commas: for
// how long its host has HTTP/3 on port, without regard to Age; 0: it has not. Another host
// or port is not looked at, since nobody was asked about them; what cannot be read offers
// nothing.
func offered(value string, port uint16) (life time.Duration) {
	if strings.Trim(value, ows) == "clear" {
		return 0
	}
	for rest := value; ; {
		var a alternative
		var ok bool
		if a, rest, ok = nextAlternative(rest); !ok {
			return 0
		}
		if a.protocol == ALPN && a.authority == ":"+strconv.Itoa(int(port)) && life == 0 { // the first is the preferred
			life = a.life
		}
		if rest == "" {
			return life
		}
	}
}

// An alternative is one of those that a value lists.
type alternative struct {
	protocol, authority string
	life                time.Duration
}

const ows = " \t"

// nextAlternative reads the first alternative of s, and returns what is behind its comma.
func nextAlternative(s string) (a alternative, rest string, ok bool) {
	a.life = defaultAge
	if a.protocol, a.authority, rest, ok = nextPair(strings.TrimLeft(s, ows)); !ok {
		return a, "", false
	}
	for {
		rest = strings.TrimLeft(rest, ows)
		switch {
		case rest == "":
			return a, "", true
		case rest[0] == ',':
			if rest = strings.TrimLeft(rest[1:], ows); rest == "" {
				return a, "", false
			}
			return a, rest, true
		case rest[0] != ';':
			return a, "", false
		}
		var name, value string
		if name, value, rest, ok = nextPair(strings.TrimLeft(rest[1:], ows)); !ok {
			return a, "", false
		}
		if strings.EqualFold(name, "ma") {
			n, err := strconv.ParseUint(value, 10, 31)
			if err != nil {
				return a, "", false
			}
			a.life = time.Duration(n) * time.Second
		}
	}
}

// nextPair reads name=value, the value in quotes or not.
func nextPair(s string) (name, value, rest string, ok bool) {
	name, s, ok = strings.Cut(s, "=")
	if !ok || name == "" || strings.ContainsAny(name, ows+`",;`) {
		return "", "", "", false
	}
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ows+`",;`)
		if end < 0 {
			end = len(s)
		}
		return name, s[:end], s[end:], end > 0
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return name, b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", "", false
}
