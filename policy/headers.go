// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"
)

// HeaderChanges are what a rule changes about the fields of a message. The zero
// value changes nothing. No field is in it twice, by SameField.
type HeaderChanges struct {
	Set    []HeaderValue // in the order of the file
	Remove []string      // names of fields, as written
}

// A HeaderValue is a field that a rule sets, in place of all fields of that name.
type HeaderValue struct {
	Name  string // as written, a token (RFC 9110 §5.6.2)
	Value []Part // one after the other
}

// A Part of a value is a text or stands for a secret; one of them is empty.
type Part struct {
	Text   string // visible US-ASCII and spaces
	Secret string // its name
}

// Secrets are the names of the secrets in v, in their order.
func (v HeaderValue) Secrets() []string {
	var names []string
	for _, p := range v.Value {
		if p.Secret != "" {
			names = append(names, p.Secret)
		}
	}
	return names
}

// SameField reports whether two names are one to some server: case means nothing
// (RFC 9110 §5.1), and where fields become environment variables (RFC 3875 §4.1.18)
// neither does which character that is no letter or digit stands between words, so that
// X_User would be taken for X-User.
func SameField[A, B string | []byte](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if fieldChar(a[i]) != fieldChar(b[i]) {
			return false
		}
	}
	return true
}

func fieldChar(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	}
	return '-'
}

// gatewayFields are made by the gateway for each hop, and say how a message is
// framed, where it goes, or which way it came.
var gatewayFields = []string{
	"connection", "content-length", "date", "expect", "host", "keep-alive", "max-forwards", "te", "trailer",
	"transfer-encoding", "upgrade", "via",
}

const (
	longestValue = 8 << 10 // bytes of a value, which most servers take
	hintField    = "a field's name is letters, digits and hyphens, as in X-Api-Key"
	hintSecret   = "a secret is written {secret:NAME}; names are lower-case letters, digits, - and _, and begin with a letter"
)

// headers reads a rule's section request or response.
func (c *compiler) headers(n *node, section string) (h HeaderChanges) {
	headers := n.get(section).get("headers")
	var names []string
	name := func(e *node) bool {
		switch again := slices.IndexFunc(names, func(s string) bool { return SameField(s, e.text) }); {
		case e.bad:
			return false
		case !isToken(e.text):
			c.errorf(e, "P078", hintField, "%q is not the name of a field", e.text)
			return false
		case slices.ContainsFunc(gatewayFields, func(s string) bool { return SameField(s, e.text) }), SameField(e.text[:min(len(e.text), 6)], "proxy-"):
			c.errorf(e, "P078", "", "%s is the gateway's own affair and cannot be changed", e.text)
			return false
		case again >= 0 && !strings.EqualFold(names[again], e.text):
			c.errorf(e, "P078", "many servers take the one for the other, and a change to either is made to both", "%s stands here already as %s", e.text, names[again])
			return false
		case again >= 0:
			c.errorf(e, "P078", "set replaces all fields of the name, and case means nothing", "%s stands here twice", e.text)
			return false
		}
		names = append(names, e.text)
		return true
	}
	if set := headers.get("set"); set != nil {
		for _, p := range set.pairs {
			if name(p.key) && !p.value.bad {
				h.Set = append(h.Set, HeaderValue{p.key.text, c.headerValue(p.value, section)})
			}
		}
	}
	for _, e := range headers.get("remove").each() {
		if name(e) {
			h.Remove = append(h.Remove, e.text)
		}
	}
	return h
}

// headerValue takes a value apart at its secrets.
func (c *compiler) headerValue(n *node, section string) []Part {
	text := n.text
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
		r := []rune(text[i:])[0]
		c.errorf(n, "P078", "a value is visible US-ASCII and spaces", "the value has the character %U, which does not belong there", r)
		return nil
	}
	switch {
	case text == "":
		c.errorf(n, "P078", "to send no such field, write its name behind remove", "the value is empty")
		return nil
	case strings.TrimSpace(text) != text:
		c.errorf(n, "P078", "", "the value begins or ends with a space, which would be lost")
		return nil
	case len(text) > longestValue:
		c.errorf(n, "P078", "", "the value has more than %d bytes", longestValue)
		return nil
	}
	parts, wrong := readParts(text)
	switch secret := slices.ContainsFunc(parts, func(p Part) bool { return p.Secret != "" }); {
	case wrong != "":
		c.errorf(n, "P078", hintSecret, "%s does not stand for anything", wrong)
		return nil
	case secret && section != "request":
		c.errorf(n, "P078", "", "a secret cannot be sent to clients")
		return nil
	}
	return parts
}

// readParts takes a text apart. wrong is what looks like a secret and is none.
func readParts(text string) (parts []Part, wrong string) {
	add := func(s string) {
		if n := len(parts); n > 0 && parts[n-1].Secret == "" {
			parts[n-1].Text += s
		} else if s != "" {
			parts = append(parts, Part{Text: s})
		}
	}
	for {
		before, rest, found := strings.Cut(text, "{")
		add(before)
		if !found {
			return parts, ""
		}
		inside, behind, closed := strings.Cut(rest, "}")
		name, is := strings.CutPrefix(inside, "secret:")
		switch {
		case is && closed && goodName.MatchString(name):
			parts = append(parts, Part{Secret: name})
			text = behind
		case strings.HasPrefix(strings.ToLower(strings.TrimLeft(inside, " {$")), "secret") || closed && goodName.MatchString(strings.ToLower(inside)):
			wrong = "{" + inside
			if closed {
				wrong += "}"
			}
			return nil, wrong
		default:
			add("{")
			text = rest
		}
	}
}
