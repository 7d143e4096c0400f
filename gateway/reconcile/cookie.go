// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"slices"

	"sallyport/gateway/h1"
)

// cookies makes the Cookie fields of f what the origin set. Sealed cookies are
// opened when the request goes to it by verified TLS, and never in the clear; those
// that were marked, or are in the Ledger, do not go in the clear either. What cannot be opened goes nowhere: it
// is somebody else's, or nobody's. Fields without any of these are left as they are.
func (x *Exchange) cookies(f h1.Fields) h1.Fields {
	var opened []openedCookie
	found := false
	for i := range f {
		if f[i].ID == h1.Cookie && bytes.Contains(f[i].Value, []byte(ours)) {
			opened, found = x.learn(f[i].Value, opened), true
		}
		found = found || f[i].ID == h1.Cookie && !x.Secure && x.remembersAny(f[i].Value)
	}
	if !found {
		return f
	}
	x.note("Cookie")
	rest := f[:0]
	for _, one := range f {
		if one.ID == h1.Cookie {
			if one.Value = x.cookie(one.Value, opened); len(one.Value) == 0 {
				continue
			}
		}
		rest = append(rest, one)
	}
	return rest
}

// An openedCookie is one that was sealed, as the origin has it.
type openedCookie struct {
	from  *byte // the first of its name where it stands in the field
	name  string
	value []byte
}

// mostSealed is how many sealed cookies of a request are looked at: more than browsers
// keep for a site, and what somebody can make the gateway compute for one head.
const mostSealed = 200

// learn notes which cookies of a field are guarded, and adds to opened those that can
// be opened here.
func (x *Exchange) learn(value []byte, opened []openedCookie) []openedCookie {
	for pair := range bytes.SplitSeq(value, []byte{';'}) {
		ourName, sealed, _ := bytes.Cut(bytes.Trim(pair, " \t"), []byte{'='})
		labels, name, ok := readName(ourName)
		if !ok {
			continue
		}
		if labels < 0 {
			x.marked = kept(x.marked, name)
			if x.Secure && x.Plain {
				x.remembers(name, true)
			}
			continue
		}
		x.sealed = kept(x.sealed, name)
		if x.tried++; x.tried > mostSealed {
			continue
		}
		if v, ok := x.unseal(labels, name, sealed); ok {
			opened = append(opened, openedCookie{&ourName[0], name, v})
		}
	}
	return opened
}

// unseal is the value of a sealed cookie; false when it is over, not this client's,
// not for this host, or not for this leg.
func (x *Exchange) unseal(labels int, name string, sealed []byte) ([]byte, bool) {
	p, ok := placeIn(x.Host, labels)
	if !ok || !x.Secure || !x.Plain { // by https a client has cookies of its own
		return nil, false
	}
	return x.Key.open(x.Client.ClientName(), p, name, sealed, x.Now)
}

// cookie is one field's value for the origin.
func (x *Exchange) cookie(value []byte, opened []openedCookie) (out []byte) {
	for pair := range bytes.SplitSeq(value, []byte{';'}) {
		pair = bytes.Trim(pair, " \t")
		name, _, _ := bytes.Cut(pair, []byte{'='})
		if bytes.HasPrefix(name, []byte(ours)) {
			i := slices.IndexFunc(opened, func(o openedCookie) bool { return o.from == &name[0] })
			if i < 0 {
				continue
			}
			pair = append([]byte(opened[i].name+"="), opened[i].value...)
		} else if slices.ContainsFunc(opened, func(o openedCookie) bool { return o.name == string(name) }) || !x.Secure && x.wasSecure(string(name)) {
			// What was set without Secure has no say beside what was set with it (RFC
			// 6265bis §5.6, "leave secure cookies alone").
			continue
		}
		if len(pair) == 0 {
			continue
		}
		if len(out) > 0 {
			out = append(out, "; "...)
		}
		out = append(out, pair...)
	}
	return out
}

// remembers reports whether the client's cookie of that name, for this host, is in the
// Ledger. With again it stays there for longer.
func (x *Exchange) remembers(name string, again bool) bool {
	return x.Ledger.has(x.Client, x.Host, name, x.Now, again)
}

// remembersAny reports whether one of the cookies of a field is in the Ledger.
func (x *Exchange) remembersAny(value []byte) bool {
	if x.Ledger.empty() {
		return false
	}
	for pair := range bytes.SplitSeq(value, []byte{';'}) {
		name, _, _ := bytes.Cut(bytes.Trim(pair, " \t"), []byte{'='})
		if x.remembers(string(name), false) {
			return true
		}
	}
	return false
}

// wasSecure reports whether a cookie that the client keeps under its own name was set
// with Secure: it says so itself, or the gateway remembers.
func (x *Exchange) wasSecure(name string) bool {
	return slices.Contains(x.marked, name) || x.remembers(name, false)
}

// guards reports whether the client has a cookie of that name that was set with Secure.
func (x *Exchange) guards(name string) bool {
	return slices.Contains(x.sealed, name) || slices.Contains(x.marked, name)
}

// overwrites reports whether f, of an answer that came in the clear, would put
// something in the place of a cookie that was set with Secure.
func (x *Exchange) overwrites(f h1.Field) bool {
	if f.ID != h1.SetCookie {
		return false
	}
	pair, _, _ := bytes.Cut(f.Value, []byte{';'})
	pair = bytes.TrimLeft(pair, " \t=") // nameless ones are sent back without the =
	name, _, _ := bytes.Cut(pair, []byte{'='})
	name = bytes.TrimRight(name, " \t")
	if !bytes.HasPrefix(name, []byte(ours)) && !x.guards(string(name)) && !x.remembers(string(name), false) {
		return false
	}
	x.note("Set-Cookie")
	return true
}
