// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"strings"
)

var (
	errPathRelative = errors.New("path does not begin with /")
	errPathEscape   = errors.New("path has an incomplete percent escape")
	errPathControl  = errors.New("path has a control character, a space or a character that is not ASCII")
)

// CleanPath brings the path of a request, without query, to the one form that
// rules are compared with and that is sent to the origin: escapes of
// unreserved characters decoded once, the hex digits of the others in upper
// case, dot segments removed (RFC 3986 §6.2.2). Whatever an origin might read
// differently is refused: an escaped slash, backslash, NUL or control
// character, a raw backslash, a percent sign that is itself escaped. The form
// "*" of OPTIONS (RFC 9110 §7.1) is its own canonical form.
func CleanPath(raw string) (string, error) {
	if raw == "*" {
		return raw, nil
	}
	if raw == "" { // http://host and http://host/ are one, RFC 9110 §4.2.3
		return "/", nil
	}
	if raw[0] != '/' {
		return "", errPathRelative
	}
	dirty := false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c <= ' ' || c >= 0x7f:
			return "", errPathControl
		case c == '\\' || c == '?' || c == '#':
			return "", fmt.Errorf("path has the character %q", c)
		case c == '.' && raw[i-1] == '/':
			dirty = true
		case c == '%':
			dirty = true
			if err := checkEscape(raw[i:]); err != nil {
				return "", err
			}
			i += 2
		}
	}
	if !dirty {
		return raw, nil
	}
	return resolve(decodeUnreserved(raw))
}

// checkEscape judges the %XX that s begins with.
func checkEscape(s string) error {
	c, ok := escape(s)
	if !ok {
		return errPathEscape
	}
	if c == '/' || c == '\\' || c < ' ' || c == 0x7f {
		return fmt.Errorf("path has the escape %s", s[:3])
	}
	// Overlong UTF-8: %C0%AF is a slash to a careless decoder (RFC 3629 §10).
	next, ok := escape(s[3:])
	if ok && (c|1 == 0xc1 && next>>6 == 2 || c == 0xe0 && next>>5 == 4 || c == 0xf0 && next>>4 == 8) {
		return fmt.Errorf("path has the overlong escape %s", s[:6])
	}
	return nil
}

// escape reads the %XX that s begins with.
func escape(s string) (c byte, ok bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	hi, lo := unhex(s[1]), unhex(s[2])
	return byte(hi<<4 | lo), hi >= 0 && lo >= 0
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

func decodeUnreserved(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		c, _ := escape(s[i:])
		if unreserved(c) {
			b.WriteByte(c)
		} else {
			b.WriteString(strings.ToUpper(s[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

// unreserved is RFC 3986 §2.3.
func unreserved(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// resolve removes the dot segments of an absolute path, RFC 3986 §5.2.4, and
// refuses what only looks harmless until someone decodes it once more.
func resolve(s string) (string, error) {
	for i := range len(s) {
		// Asked after decoding, because %254%31 only now reads %2541.
		if c, ok := escape(s[i:]); ok && c == '%' {
			if _, ok := escape("%" + s[i+3:]); ok {
				return "", fmt.Errorf("path is escaped twice: %s", s[i:i+5])
			}
		}
	}
	segments := strings.Split(s[1:], "/")
	out := segments[:0]
	for i, seg := range segments {
		// Servlet containers drop ";…" before they resolve dots: "..;" is
		// ".." to them and a name to everybody else.
		bare, _, param := strings.Cut(strings.ReplaceAll(seg, "%3B", ";"), ";")
		if param && (bare == "." || bare == "..") {
			return "", fmt.Errorf("path has the segment %q", seg)
		}
		switch seg {
		case ".", "..":
			if seg == ".." && len(out) > 0 {
				out = out[:len(out)-1]
			}
			if i == len(segments)-1 { // "/a/." is the directory "/a/"
				out = append(out, "")
			}
		default:
			out = append(out, seg)
		}
	}
	return "/" + strings.Join(out, "/"), nil
}
