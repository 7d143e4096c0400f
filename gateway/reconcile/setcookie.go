// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/gateway/h1"
)

// A setCookie is what a Set-Cookie field says (RFC 6265 §5.2), as far as it is
// looked at here.
type setCookie struct {
	name, value      []byte
	attributes       [][]byte // as written, without those that say secure below
	place            place
	path             []byte // the attribute, whole; nil: none
	domain           []byte // the same
	secure, httpOnly bool
	end              time.Time
	ends             bool // it is there to end one: end has come
}

// readSetCookie reads a field's value. ok is false for what clients do not keep.
func (x *Exchange) readSetCookie(value []byte) (c setCookie, ok bool) {
	parts := bytes.Split(value, []byte{';'})
	name, val, named := bytes.Cut(parts[0], []byte{'='})
	if !named { // nameless (RFC 6265bis §5.6); what some send as the name is its value
		name, val = nil, parts[0]
	}
	c.name, c.value = bytes.Trim(name, " \t"), bytes.Trim(val, " \t")
	host, maxAge := "", ""
	var expires string
	for _, a := range parts[1:] {
		k, v, _ := bytes.Cut(a, []byte{'='})
		k, v = bytes.Trim(k, " \t"), bytes.Trim(v, " \t")
		switch {
		case h1.EqualFold(k, "secure"):
			c.secure = true
			continue
		case h1.EqualFold(k, "partitioned"), h1.EqualFold(k, "samesite") && h1.EqualFold(v, "none"): // mean nothing without Secure
			continue
		case h1.EqualFold(k, "httponly"):
			c.httpOnly = true
		case h1.EqualFold(k, "path"):
			if len(v) == 0 && c.path == nil { // none (RFC 6265 §5.2.4); curl keeps it as another than none, and loses it on disk
				continue
			}
			c.path = a
		case h1.EqualFold(k, "domain"):
			c.domain, host = a, string(v)
		case h1.EqualFold(k, "max-age"):
			maxAge = string(v)
		case h1.EqualFold(k, "expires"):
			expires = string(v)
		}
		c.attributes = append(c.attributes, a)
	}
	c.end = endOf(maxAge, expires, x.Now)
	c.ends = !c.end.After(x.Now)
	c.place, ok = placeOf(x.Host, host)
	return c, ok
}

// endOf is when a cookie is over that came at now and says so (RFC 6265 §5.2.1, §5.2.2,
// §5.3): longestLife from now at most.
func endOf(maxAge, expires string, now time.Time) time.Time {
	longest := now.Add(longestLife)
	if maxAge != "" && (maxAge[0] == '-' || maxAge[0] >= '0' && maxAge[0] <= '9') {
		n, err := strconv.ParseInt(maxAge, 10, 64)
		switch {
		case errors.Is(err, strconv.ErrSyntax): // it says nothing
		case n <= 0:
			return time.Time{}
		case n < int64(longestLife/time.Second):
			return now.Add(time.Duration(n) * time.Second)
		default:
			return longest
		}
	}
	c, err := http.ParseSetCookie("a=; Expires=" + expires)
	if err != nil || c.Expires.IsZero() || c.Expires.After(longest) {
		return longest
	}
	return c.Expires
}

// longestCookie is what browsers keep of name and value, in bytes (RFC 6265bis §5.6).
const longestCookie = 4096

// prefixes are of names that browsers keep for cookies with Secure (RFC 6265bis §4.1.3).
var prefixes = []string{"__secure-", "__host-", "__http-"}

func prefixOf(name []byte) string {
	for _, p := range prefixes {
		if len(name) >= len(p) && h1.EqualFold(name[:len(p)], p) {
			return p
		}
	}
	return ""
}

// keptByBrowsers reports whether a browser that spoke https to the origin would keep c.
func (c *setCookie) keptByBrowsers() bool {
	switch prefixOf(c.name) {
	case "":
		return true
	case "__host-":
		return c.secure && c.domain == nil && c.path != nil && strings.EqualFold(strings.ReplaceAll(strings.ReplaceAll(string(c.path), " ", ""), "\t", ""), "path=/")
	case "__http-":
		return c.secure && c.httpOnly
	}
	return c.secure
}

// setCookie appends to out what the client is told in place of the Set-Cookie f.
//
// A cookie with Secure would not be kept: it loses the attribute, and what says that
// it had it is put where the client sends it back and the gateway finds it. Scripts
// cannot read one that is HttpOnly, so that is sealed, under another name; of another
// the name and the value stay, and a second cookie says what it is. What ends or
// replaces a cookie does so for it in each of its forms, because browsers take Secure
// and not Secure for one.
func (x *Exchange) setCookie(out h1.Fields, f h1.Field) h1.Fields {
	c, ok := x.readSetCookie(f.Value)
	name, prefixed := string(c.name), prefixOf(c.name) != ""
	sealed := c.secure && (prefixed || c.httpOnly && len(ours)+4+len(name)+sealedSize(len(c.value)) <= longestCookie)
	switch {
	case bytes.HasPrefix(bytes.TrimLeft(f.Value, " \t="), []byte(ours)), // nobody else makes what looks like ours
		!c.keptByBrowsers(),
		c.secure && (!ok || name == ""),
		sealed && len(x.Key) == 0:
		x.note("Set-Cookie")
		return out
	case !c.secure && !(c.ends && ok) && !x.guards(name):
		x.record(&c, false)
		return append(out, f)
	}
	marked := x.wasSecure(name)
	if !sealed || c.ends { // else what the client has under that name is as secret as it was
		x.record(&c, c.secure)
	}
	x.note("Set-Cookie")
	seal, mark, first := c.place.sealedName(name), marking+name, len(out)
	switch {
	case sealed:
		out = append(out, line(f, seal, x.Key.seal(x.Client.ClientName(), c.place, name, c.value, c.end), c.attributes))
	case c.secure:
		marks := append(slices.Clone(c.attributes), []byte(" HttpOnly"))
		out = append(out, line(f, name, c.value, c.attributes), line(f, mark, []byte("1"), marks))
	default:
		out = append(out, f)
	}
	if !sealed && (c.ends || slices.Contains(x.sealed, name)) {
		out = append(out, line(f, seal, nil, c.ending()))
	}
	if (sealed || !c.secure) && (c.ends && !prefixed || marked) {
		out = append(out, line(f, mark, nil, c.ending()))
	}
	if sealed && (c.ends && !prefixed || marked) {
		out = append(out, line(f, name, nil, c.ending()))
	}
	if c.ends {
		form := name
		if slices.Contains(x.sealed, name) || sealed && !slices.Contains(x.marked, name) {
			form = seal
		}
		last(out[first:], form)
	}
	return out
}

// record enters in the Ledger what c makes of its name; marked: it was Secure, and is
// kept under that name.
func (x *Exchange) record(c *setCookie, marked bool) {
	if marked && !c.ends {
		x.Ledger.note(x.Client, c.place, string(c.name), c.end, x.Now)
	} else {
		x.Ledger.forget(x.Client, c.place, string(c.name))
	}
}

// last puts the field that ends the form in which the client has the cookie behind
// those that end the others. curl 7.88 takes a cookie that was ended back from its
// file when another Set-Cookie follows, and the origin has sent but one.
func last(ends h1.Fields, form string) {
	for i, f := range ends[:len(ends)-1] {
		if bytes.HasPrefix(f.Value, []byte(form+"=")) {
			copy(ends[i:], ends[i+1:])
			ends[len(ends)-1] = f
			return
		}
	}
}

// ending are the attributes by which a client drops a cookie of c's place and path.
func (c *setCookie) ending() [][]byte {
	a := [][]byte{[]byte(" Max-Age=0"), []byte(" Expires=Thu, 01 Jan 1970 00:00:00 GMT")}
	for _, of := range [][]byte{c.path, c.domain} {
		if of != nil {
			a = append(a, of)
		}
	}
	return a
}

// line is a Set-Cookie field.
func line(f h1.Field, name string, value []byte, attributes [][]byte) h1.Field {
	b := append(append([]byte(name), '='), value...)
	for _, a := range attributes {
		b = append(append(b, ';'), a...)
	}
	return h1.Field{Name: f.Name, Value: b, ID: f.ID}
}
