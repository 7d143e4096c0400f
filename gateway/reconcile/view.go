// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"strings"

	"sallyport/gateway/h1"
	"sallyport/policy"
)

// A View says where a client has an origin that it reaches without knowing so: under a
// path or a name of the gateway's. It is pure.
type View interface {
	// Down is the URL, without query, by which the client has what is at a path of the
	// https origin host and port; false when it has it by none.
	Down(host string, port uint16, path string) (string, bool)

	// Parts are the URLs by which the client has what a source of a Content-Security-Policy
	// names: what is at a path of the https origin host and port, or below it if that ends
	// with a slash; "" is all of the origin.
	Parts(host string, port uint16, path string) []string

	// Up is the https URL, without query, that the client has by one with that scheme,
	// host, port and path ("" of an Origin); false when it is of no origin.
	Up(scheme, host string, port uint16, path string) (string, bool)
}

// A Place is where the request of an Exchange with a View is, on either side.
type Place struct {
	Base string // of the client's URLs: scheme, host and port, without a slash behind them
	At   string // the path under which the client has what is at Path
	Path string // at the origin, with / at both ends as At has
	Port uint16 // of the origin

	Origin string // scheme, host and port of it, as Base is the client's
	For    string // the path that was asked for, at the origin
}

// down is a URL of the answer as the client has to have it.
func (x *Exchange) down(method string, link []byte) (out []byte, changed bool) {
	if x.View == nil {
		return down(x.Policy, method, link)
	}
	switch {
	case schemeless(link):
		if out, ok := x.viewOf(append([]byte("https:"), link...)); ok {
			return out, true
		}
		return append([]byte("https:"), link...), true
	case len(link) > 0 && link[0] == '/':
		return x.within(link)
	case climbs(link):
		dir := x.Place.For[:strings.LastIndexByte(x.Place.For, '/')+1]
		return x.within(append([]byte(dir), link...))
	}
	if out, ok := x.viewOf(link); ok {
		return out, true
	}
	return link, false
}

// viewOf is an absolute URL as the client has it. An http URL means to this gateway what
// the https one does, and to follow it elsewhere would be to leave TLS.
func (x *Exchange) viewOf(link []byte) ([]byte, bool) {
	const http = "http://"
	if len(link) > len(http) && h1.EqualFold(link[:len(http)], http) {
		link = append([]byte(https), link[len(http):]...)
	}
	l, ok := readLink(link)
	if !ok {
		return nil, false
	}
	path, behind := cutPath(l.rest)
	to, ok := x.View.Down(string(l.host), l.port, asked(path))
	if !ok {
		return nil, false
	}
	return append([]byte(to), behind...), true
}

// within is an absolute path of the origin as the client has it: what it does not have
// is named by its https URL, because at the client's own it would be something else.
func (x *Exchange) within(link []byte) (out []byte, changed bool) {
	path, behind := cutPath(link)
	to, ok := x.View.Down(x.Host, x.Place.Port, asked(path))
	if !ok {
		return append([]byte(x.Place.Origin), link...), true
	}
	if rest, same := strings.CutPrefix(to, x.Place.Base); same {
		to = rest
	}
	out = append([]byte(to), behind...)
	return out, !bytes.Equal(out, link)
}

// cutPath takes the path off a URL's rest; query and fragment are behind it.
func cutPath(rest []byte) (path, behind []byte) {
	if i := bytes.IndexAny(rest, "?#"); i >= 0 {
		return rest[:i], rest[i:]
	}
	return rest, nil
}

// climbs reports whether link is a relative path with a dot segment in it, which may
// lead out of what the client has.
func climbs(link []byte) bool {
	path, _ := cutPath(link)
	if i := bytes.IndexByte(path, ':'); i >= 0 && bytes.IndexByte(path[:i], '/') < 0 {
		return false // a scheme
	}
	plain := bytes.ReplaceAll(bytes.ToLower(path), []byte("%2e"), []byte("."))
	return bytes.Contains(plain, []byte(".."))
}

// upView is a URL that the client has sent, as the origin knows it.
func (x *Exchange) upView(value []byte) ([]byte, bool) {
	scheme, rest, ok := bytes.Cut(value, []byte("://"))
	name := lower(scheme)
	if !ok || name != "http" && name != "https" {
		return nil, false
	}
	l, ok := readLink(append([]byte(https), rest...))
	if !ok {
		return nil, false
	}
	if whole := rest[:len(rest)-len(l.rest)]; name == "http" && !bytes.HasSuffix(whole, []byte(":443")) && l.port == 443 {
		l.port = 80
	}
	path, behind := cutPath(l.rest)
	if len(path) > 0 {
		path = []byte(asked(path))
	}
	to, ok := x.View.Up(name, string(l.host), l.port, string(path))
	if !ok {
		return nil, false
	}
	return append([]byte(to), behind...), true
}

// destination is where WebDAV is to put something (RFC 4918 §10.3), a URL of the client's.
func (x *Exchange) destination(f *h1.Field) {
	if !policy.SameField("Destination", f.Name) {
		return
	}
	if sent, ok := x.upView(f.Value); ok {
		f.Value = sent
		x.note("Destination")
	}
}

// viewCookies makes the Set-Cookie fields of f from from on those of a client that has
// the origin at x.Place: they are for what is there, and nothing else that it has from
// the gateway. What the client could not send back to this origin is left out.
func (x *Exchange) viewCookies(f h1.Fields, from int) h1.Fields {
	out := f[:from]
	for _, one := range f[from:] {
		value, ok := x.viewCookie(one.Value)
		if !ok || !bytes.Equal(value, one.Value) {
			x.note("Set-Cookie")
		}
		if ok {
			one.Value = value
			out = append(out, one)
		}
	}
	return out
}

func (x *Exchange) viewCookie(value []byte) ([]byte, bool) {
	parts := bytes.Split(value, []byte{';'})
	out := append([]byte(nil), parts[0]...)
	for _, a := range parts[1:] {
		k, v, _ := bytes.Cut(a, []byte{'='})
		k, v = bytes.Trim(k, " \t"), bytes.Trim(v, " \t")
		switch {
		case h1.EqualFold(k, "domain"):
			if _, ok := placeOf(x.Host, string(v)); !ok {
				return nil, false
			}
			continue
		case h1.EqualFold(k, "path"):
			if len(v) == 0 || v[0] != '/' { // RFC 6265 §5.2.4: as if it were not there
				continue
			}
			path, ok := x.Place.cookiePath(string(v))
			if !ok {
				return nil, false
			}
			a = []byte(" Path=" + path)
		}
		out = append(append(out, ';'), a...)
	}
	return out, true
}

// cookiePath is the client's path for a cookie that the origin wants for path.
func (p *Place) cookiePath(path string) (string, bool) {
	if strings.HasPrefix(p.Path, strings.TrimSuffix(path, "/")+"/") { // for all of it
		return p.At, true
	}
	below, ok := strings.CutPrefix(path, p.Path)
	return p.At + below, ok
}
