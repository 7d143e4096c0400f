// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"sallyport/gateway/h1"
)

// Bounds on what a client may send.
const (
	maxBasic = 1 << 10  // bytes of the base64 text
	maxToken = 16 << 10 // bytes of a Bearer token; Azure's with 200 groups have 8 KiB
	maxName  = 255      // bytes of a name of a user
)

// credentials are what Proxy-Authorization holds (RFC 9110 §11.4), as far as it
// can be read without knowing whether it is right.
type credentials struct {
	scheme   string // "basic", "bearer", or what else was sent, in lower case; "": there are none
	user     string // of basic; normalised
	password string // of basic
	token    string // of bearer
}

var (
	errTwice     = errors.New("there is more than one Proxy-Authorization field")
	errMalformed = errors.New("Proxy-Authorization cannot be read")
	errTooLong   = errors.New("the credentials in Proxy-Authorization are too long")
	errUserName  = errors.New("the name in the credentials is none")
)

// readCredentials reads Proxy-Authorization. Of an error, the scheme is known
// where it could be read. Errors tell nothing of what was sent.
func readCredentials(fields h1.Fields) (c credentials, err error) {
	var value []byte
	found := 0
	for i := range fields {
		if fields[i].ID == h1.ProxyAuthorization {
			value = fields[i].Value
			found++
		}
	}
	switch {
	case found == 0:
		return c, nil
	case found > 1: // two hops would not agree on which of them counts
		return c, errTwice
	}
	scheme, rest, _ := bytes.Cut(value, []byte{' '})
	if !isScheme(scheme) {
		return c, errMalformed
	}
	c.scheme = strings.ToLower(string(scheme))
	rest = bytes.TrimLeft(rest, " ")
	switch c.scheme {
	case "basic":
		if len(rest) > maxBasic {
			return c, errTooLong
		}
		c.user, c.password, err = readBasic(rest)
	case "bearer":
		if len(rest) > maxToken {
			return c, errTooLong
		}
		if !isToken68(rest) {
			return c, errMalformed
		}
		c.token = string(rest)
	}
	return c, err
}

// readBasic reads user-id and password (RFC 7617 §2). The user-id has no colon,
// the password may have some; neither has control characters. Both are UTF-8,
// as the challenge says, and the name is brought to the form that names of users
// are kept in (§2.1).
func readBasic(token []byte) (user, password string, err error) {
	plain, err := base64.StdEncoding.Strict().DecodeString(string(token))
	if err != nil {
		return "", "", errMalformed
	}
	u, p, ok := bytes.Cut(plain, []byte{':'})
	if !ok || !utf8.Valid(p) || hasControl(string(p)) {
		return "", "", errMalformed
	}
	user, err = UserName(string(u))
	return user, string(p), err
}

// UserName brings the name of a user to the one form in which names are
// compared: NFC (RFC 7617 §2.1), case kept. It is an error when name is empty,
// longer than 255 bytes, no UTF-8, or has control characters, a colon, or white
// space at an end.
func UserName(name string) (string, error) {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) || hasControl(name) ||
		strings.Contains(name, ":") || strings.TrimSpace(name) != name {
		return "", errUserName
	}
	return norm.NFC.String(name), nil
}

// hasControl reports whether s has a control character of ASCII or Latin 1, or
// one of those that change how text around them is shown.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || 0x7f <= r && r < 0xa0 || r == 0x2028 || r == 0x2029 ||
			0x200b <= r && r <= 0x200f || 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 || r == 0xfeff
	})
}

func isScheme(b []byte) bool {
	for _, c := range b {
		if !isAlnum(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return len(b) > 0
}

// isToken68 is RFC 9110 §11.2.
func isToken68(b []byte) bool {
	b = bytes.TrimRight(b, "=")
	for _, c := range b {
		if !isAlnum(c) && strings.IndexByte("-._~+/", c) < 0 {
			return false
		}
	}
	return len(b) > 0
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
