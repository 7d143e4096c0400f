// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"slices"
	"strconv"

	"sallyport/gateway/h1"
)

// belongsToHop reports whether a field belongs to one connection and is never
// passed on (RFC 9110 §7.6.1; Proxy-* of §11.7 and the undead Proxy-Connection,
// which old clients send instead of Connection). What Connection names comes on
// top. How a body is framed is every hop's own affair, too.
func belongsToHop(id h1.ID) bool {
	switch id {
	case h1.Connection, h1.ProxyConnection, h1.KeepAlive, h1.TE, h1.TransferEncoding, h1.Trailer, h1.Upgrade,
		h1.ProxyAuthenticate, h1.ProxyAuthorization, h1.ProxyAuthInfo:
		return true
	}
	return false
}

// passOn appends to out, in their order, the fields of in that do not belong to
// the hop they came on. Names and values are shared.
func passOn(out, in h1.Fields) h1.Fields {
	named := namedByConnection(in)
	for i := range in {
		f := &in[i]
		if f.ID != h1.Other && belongsToHop(f.ID) || named && dropped(in, f.Name) {
			continue
		}
		out = append(out, *f)
	}
	return out
}

// namedByConnection reports whether Connection names fields: it rarely does.
func namedByConnection(in h1.Fields) bool {
	for i := range in {
		if in[i].ID == h1.Connection && !equal(in[i].Value, "close") && !equal(in[i].Value, "keep-alive") {
			return true
		}
	}
	return false
}

// dropped reports whether Connection names the field, so that it ends here.
func dropped(in h1.Fields, name []byte) bool {
	lower := string(bytes.ToLower(name))
	return !endToEnd[lower] && in.HasToken(h1.Connection, lower)
}

// endToEnd fields stay even when Connection names them: a client could
// otherwise strip what the origin, or this gateway's rules, count on
// ("hop-by-hop header abuse", Nathan Davison 2019; RFC 9110 §7.6.1 forbids
// naming them).
var endToEnd = map[string]bool{
	"authorization": true, "cookie": true, "host": true, "content-length": true, "content-type": true,
	"content-encoding": true, "cache-control": true, "via": true, "forwarded": true, "x-forwarded-for": true,
	"set-cookie": true, "max-forwards": true, "expect": true, "date": true, "range": true,
}

// via adds this gateway to a message's way (RFC 9110 §7.6.3). Several lines of
// the field are made one.
func via(fields h1.Fields, received protocol) h1.Fields {
	at, n := -1, 0
	for i := range fields {
		if fields[i].ID == h1.Via {
			if n++; at < 0 {
				at = i
			}
		}
	}
	if n == 0 {
		return append(fields, h1.Field{Name: viaName, Value: viaValue(received), ID: h1.Via})
	}
	var v []byte
	for i := range fields {
		if fields[i].ID == h1.Via {
			v = append(append(v, fields[i].Value...), ", "...)
		}
	}
	fields[at].Value = append(v, viaValue(received)...)
	i := -1
	return slices.DeleteFunc(fields, func(f h1.Field) bool { i++; return f.ID == h1.Via && i != at })
}

var (
	viaName = []byte("Via")
	via10   = []byte("1.0 sallyport")
	via11   = []byte("1.1 sallyport")
	via2    = []byte("2 sallyport")
	via3    = []byte("3 sallyport")
)

// viaValue names this gateway as what received a message of that major and
// minor version.
func viaValue(v protocol) []byte {
	switch v {
	case http10:
		return via10
	case http2:
		return via2
	case http3:
		return via3
	}
	return via11
}

// A protocol is a version of HTTP.
type protocol uint8

const (
	http11 protocol = iota
	http10
	http2
	http3
)

func protocolOf(minor int) protocol {
	if minor == 0 {
		return http10
	}
	return http11
}

// set replaces the first field of that ID, or appends one.
func set(fields h1.Fields, id h1.ID, name string, value []byte) h1.Fields {
	for i := range fields {
		if fields[i].ID == id {
			fields[i].Value = value
			return fields
		}
	}
	return append(fields, h1.Field{Name: []byte(name), Value: value, ID: id})
}

// field is a field that the gateway makes.
func field(name, value string) h1.Field {
	return h1.Field{Name: []byte(name), Value: []byte(value), ID: h1.Identify([]byte(name))}
}

func decimal(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

func equal(b []byte, s string) bool { return len(b) == len(s) && bytes.EqualFold(b, []byte(s)) }

// without removes the fields of that ID.
func without(fields h1.Fields, id h1.ID) h1.Fields {
	for i := range fields {
		if fields[i].ID == id {
			return slices.DeleteFunc(fields, func(f h1.Field) bool { return f.ID == id })
		}
	}
	return fields
}
