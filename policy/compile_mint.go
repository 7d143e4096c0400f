// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"regexp"
	"slices"
	"strings"
)

const (
	hintSubject = "write CN={user}, and an organizational unit behind it if there is to be one: CN={user},OU={rule}"
	hintSAN     = "write spiffe://{trust_domain}/user/{user}, with more segments around user/{user} if there are to be any, or email:{user}"
)

// mint reads the templates of certificates for users.
func (c *compiler) mint(n *node) (m Mint) {
	if e := n.get("subject"); e != nil {
		m.Unit = c.subject(e)
	}
	ids := 0
	for _, e := range n.get("san").each() {
		path, spiffe := strings.CutPrefix(e.text, "spiffe://")
		switch {
		case c.unknownPlaceholder(e):
		case spiffe:
			if ids++; ids > 1 {
				c.errorf(e, "P056", "", "a certificate has one SPIFFE ID")
				continue
			}
			m.Path = c.spiffePath(e, path)
		case e.text == "email:"+userWord:
			m.Email = true
		default:
			c.errorf(e, "P056", hintSAN, "%q is no name that a minted certificate can have", e.text)
		}
	}
	if e := n.get("ttl"); e != nil {
		if d, ok := c.duration(e); ok && (d < shortestMint || d > longestMint) {
			c.errorf(e, "P062", "", "%s: a certificate in a user's name is good for 1m to 1h", e.text)
		} else {
			m.TTL = d
		}
	}
	return m
}

// subject is the organizational unit of CN={user},OU=….
func (c *compiler) subject(n *node) string {
	if c.unknownPlaceholder(n) {
		return ""
	}
	cn, rest, more := strings.Cut(n.text, ",")
	if strings.TrimSpace(cn) != "CN="+userWord {
		c.errorf(n, "P056", hintSubject, "a subject begins with CN={user}: who it is must not depend on what else there is")
		return ""
	}
	if !more {
		return ""
	}
	unit, ok := strings.CutPrefix(strings.TrimSpace(rest), "OU=")
	if !ok || unit != ruleWord && !unitText(unit) {
		c.errorf(n, "P056", "write {rule}, or 1 to 64 letters, digits, spaces and . _ - @", "%q is no organizational unit that a subject can have", strings.TrimSpace(rest))
		return ""
	}
	return unit
}

func unitText(s string) bool {
	return strings.TrimSpace(s) == s && segment(strings.ReplaceAll(s, " ", "_"))
}

// spiffePath is the path of a SPIFFE ID. Read from its beginning, "user" and
// "rule" are each followed by what they say, so that whatever stands there the
// user is what follows the first "user".
func (c *compiler) spiffePath(n *node, rest string) string {
	path, ok := strings.CutPrefix(rest, "{trust_domain}/")
	if !ok {
		c.errorf(n, "P056", hintSAN, "a SPIFFE ID is in the trust domain of the gateway's CA")
		return ""
	}
	parts := strings.Split(path, "/")
	users, rules := 0, 0
	for i := 0; i < len(parts); i++ {
		next := ""
		if i+1 < len(parts) {
			next = parts[i+1]
		}
		switch p := parts[i]; {
		case p == "user" && next == userWord:
			users++
			i++
		case p == "rule" && next == ruleWord:
			rules++
			i++
		case p == "user" || p == "rule" || p == "device":
			c.errorf(n, "P056", hintSAN, "%q in a SPIFFE ID stands before what it names: user/{user} or rule/{rule}", p)
			return ""
		case p == userWord || p == ruleWord:
			c.errorf(n, "P056", hintSAN, "%s in a SPIFFE ID stands behind the word that says what it is: %s/%s", p, strings.Trim(p, "{}"), p)
			return ""
		case !segment(p):
			c.errorf(n, "P056", "segments are 1 to 64 letters, digits and . _ - @; user/{user} and rule/{rule} are two each", "%q is no segment of a SPIFFE ID", p)
			return ""
		}
	}
	switch {
	case users != 1 || rules > 1:
		c.errorf(n, "P056", hintSAN, "a SPIFFE ID has user/{user} once, and rule/{rule} once at most")
		return ""
	case len(parts) > mostSegments:
		c.errorf(n, "P056", "", "a SPIFFE ID has %d segments at most", mostSegments)
		return ""
	}
	if path == "user/"+userWord {
		return "" // as without
	}
	return path
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}?|\}`)

// unknownPlaceholder reports what looks like a placeholder and is none.
func (c *compiler) unknownPlaceholder(n *node) bool {
	for _, p := range placeholder.FindAllString(n.text, -1) {
		if !slices.Contains([]string{userWord, ruleWord, "{trust_domain}"}, p) {
			c.errorf(n, "P056", "there are {user}, {rule} and, in a SPIFFE ID, {trust_domain}", "%q stands for nothing in a certificate", p)
			return true
		}
	}
	return false
}
