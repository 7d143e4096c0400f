// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"
)

// claims are what a token says about its bearer, as the policy knows it.
type claims struct {
	user   string
	groups []string
	claims []string // name=value, sorted
}

// Bounds on what a token may say.
const (
	maxClaims = 64
	maxClaim  = 256 // bytes of name=value
	maxGroups = 512
)

// registered claims are about the token, not about its bearer (RFC 7519 §4.1).
var registered = []string{"iss", "aud", "exp", "nbf", "iat", "jti"}

// claims reads the payload of a token whose signature was verified.
func (t *Tokens) claims(payload []byte) (*token, error) {
	var all map[string]any
	if err := json.Unmarshal(payload, &all); err != nil { // no name twice: this package's own json sees to that
		return nil, &tokenError{text: "the token holds no claims"}
	}
	out := &token{}
	var err error
	if out.expires, err = moment(all, "exp"); err != nil || out.expires.IsZero() {
		return nil, &tokenError{text: "the token does not say when it expires"}
	}
	issued, err := moment(all, "iat")
	if err == nil {
		out.notBefore, err = moment(all, "nbf")
	}
	if err != nil {
		return nil, &tokenError{text: "the token has a time that is none"}
	}
	if issued.After(out.notBefore) {
		out.notBefore = issued
	}
	if all["iss"] != any(t.o.Issuer) {
		return nil, &tokenError{text: "the token is of another issuer"}
	}
	if aud, ok := texts(all["aud"]); !ok || !slices.Contains(aud, t.o.Audience) {
		return nil, &tokenError{text: "the token is for another audience"}
	}
	name, _ := all[t.o.User].(string)
	if out.who.user, err = UserName(name); err != nil {
		return nil, &tokenError{text: "the token names no user (" + printable(t.o.User) + ")"}
	}
	if err := out.who.read(all); err != nil {
		return nil, err
	}
	return out, nil
}

// read takes groups and claims. What is too much is an error: a deny could
// depend on what was left out.
func (c *claims) read(all map[string]any) error {
	if g, ok := all["groups"]; ok {
		if c.groups, ok = texts(g); !ok || len(c.groups) > maxGroups || !proper(c.groups) {
			return &tokenError{text: "the groups of the token cannot be used"}
		}
	}
	c.groups = append([]string{}, c.groups...)
	for name, v := range all {
		if slices.Contains(registered, name) || name == "groups" {
			continue
		}
		values, ok := claimValues(name, v)
		if !ok {
			continue // an object: no claim of a policy can name it
		}
		for _, v := range values {
			c.claims = append(c.claims, name+"="+v)
		}
	}
	if len(c.claims) > maxClaims || !proper(c.claims) {
		return &tokenError{text: fmt.Sprintf("the token has more than %d claims, or one that cannot be used", maxClaims)}
	}
	slices.Sort(c.claims)
	return nil
}

// proper reports whether texts are short, and printable in a log.
func proper(texts []string) bool {
	return !slices.ContainsFunc(texts, func(s string) bool {
		return s == "" || len(s) > maxClaim || !utf8.ValidString(s) || hasControl(s)
	})
}

// claimValues are the values of one claim; a scope is a list of words (RFC 8693
// §4.2).
func claimValues(name string, v any) ([]string, bool) {
	switch v := v.(type) {
	case string:
		if name == "scope" {
			return strings.Fields(v), true
		}
		return []string{v}, true
	case bool:
		return []string{strconv.FormatBool(v)}, true
	case float64:
		if v != math.Trunc(v) || math.Abs(v) >= 1<<53 {
			return nil, false
		}
		return []string{strconv.FormatInt(int64(v), 10)}, true
	case []any:
		return texts(v)
	}
	return nil, false
}

// texts are the texts of a claim that is one or a list of them.
func texts(v any) ([]string, bool) {
	switch v := v.(type) {
	case string:
		return []string{v}, true
	case []any:
		out := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, false
			}
			out = append(out, s)
		}
		return out, true
	}
	return nil, false
}

// moment reads a NumericDate (RFC 7519 §2); zero when there is none.
func moment(all map[string]any, name string) (time.Time, error) {
	v, ok := all[name]
	if !ok {
		return time.Time{}, nil
	}
	n, ok := v.(float64)
	if !ok || n < 0 || n > 1<<40 {
		return time.Time{}, errMalformed
	}
	return time.Unix(int64(n), 0), nil
}

// printable is s fit for a quoted string.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
}
