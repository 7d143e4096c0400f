// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"sallyport/gateway/h1"
	"sallyport/gateway/reconcile"
	"sallyport/policy"
)

// A mapped request is one of a client that knows no proxy: it asks the gateway, as it
// would ask an origin, and the policy's mappings say which it gets (policy.Mapping).
// From there on it is a request for that origin's https URL like any other.
type mapped struct {
	by    *policy.Mapping
	asked target // by the client
	own   bool   // by one of the gateway's own names
}

// here reads what may be asked of the gateway itself or of a mapping: t, which was asked
// for as origin-form or, by HTTP/2 and by whoever has the gateway for a proxy, as
// absolute-form. What named https is not answered in the clear.
func (p *passage) here(t target, originForm bool) (found bool, err error) {
	if t.path == "*" || p.method == http.MethodConnect || t.scheme == "https" && p.rec.ClientTLS == nil {
		return false, nil
	}
	own := p.isOwn(t, originForm)
	if !own || !strings.HasPrefix(t.path, challenges) {
		if found, err := p.mapBy(t.host, t, own); found {
			return true, err
		}
	}
	if own && p.s.Own != nil && p.s.isOwnPath(t.path) {
		p.target, p.rec.Own = t, true
		return true, nil
	}
	if own {
		if found, err := p.mapBy(policy.Host{}, t, own); found {
			return true, err
		}
	}
	if own && p.s.Own != nil { // which says that there is no such page
		p.target, p.rec.Own = t, true
		return true, nil
	}
	return false, nil
}

// challenges are where authorities look for answers (RFC 8555 §8.3): of the gateway's own
// names also when a mapping has the whole of one, which needs its certificates.
const challenges = "/.well-known/acme-challenge/"

// mapBy makes the request one for the origin that a mapping of host gives it, if any does.
func (p *passage) mapBy(host policy.Host, t target, own bool) (found bool, err error) {
	m, rest, err := p.gen.Policy.Mapping(host, t.path)
	switch {
	case err != nil:
		return true, badTarget(err)
	case m == nil:
		return false, nil
	}
	return true, p.mapTo(m, t, rest, own)
}

var errNoHost = errors.New("there is no Host field, by which the gateway would know what a path is asked of (RFC 9112 §3.2)")

// isMapped reports whether a request for t, an http URL, would be mapped.
func (p *passage) isMapped(t target) bool {
	m, _, err := p.gen.Policy.Mapping(t.host, t.path)
	return m != nil || err != nil
}

// mapTo makes the request one for m's origin.
func (p *passage) mapTo(m *policy.Mapping, t target, rest string, own bool) error {
	if rest == "" { // links that are relative need the slash
		p.rec.URL = t.url("", false)
		return &Error{
			Status: http.StatusPermanentRedirect, Cause: "proxy_internal_response", Outcome: Done,
			Msg: "it is at " + m.At, Location: m.At + t.query,
		}
	}
	p.mapped = mapped{by: m, asked: t, own: own}
	p.target = target{scheme: "https", host: m.To, port: m.Port, path: rest, query: t.query}
	return nil
}

// askWho makes e, which refuses a request for want of an identity, one that says what there
// is to do. A client that knows no proxy does not understand 407, and 401 would have
// it give the gateway what is meant for the origin.
func (p *passage) askWho(e *Error) {
	if p.mapped.by == nil {
		p.identity.ask(e)
		return
	}
	e.Msg = fmt.Sprintf("rule %q is for clients who say who they are, and one that knows no proxy cannot be asked: it needs a client certificate, with TLS to the gateway, or a rule that goes by address", e.Rule)
}

// logged is what a mapped client asked for, as the log names it.
func (m *mapped) logged(full bool) string {
	if m.by == nil {
		return ""
	}
	return m.asked.url("", full)
}

// base is what the client's URLs for host begin with.
func (m *mapped) base(host policy.Host) string {
	t := m.asked
	t.host = host
	return t.scheme + "://" + t.authority(t.scheme, t.port)
}

// seen has the exchange fit a mapped client.
func (p *passage) seen(x *reconcile.Exchange) {
	m := p.mapped.by
	if m == nil {
		return
	}
	x.View, x.Plain = p, p.rec.ClientTLS == nil
	x.Rewrite.Bodies = false // links in them would lead out of here, and into the clear
	x.Place = reconcile.Place{
		Base: p.mapped.base(p.mapped.asked.host), At: m.At, Path: m.Path, Port: m.Port, For: p.target.path,
		Origin: "https://" + p.target.authority("https", m.Port),
	}
}

// Down implements reconcile.View. The mapping that the request came by has what it can;
// then those of the same name, by which the client is sure to reach the gateway.
func (p *passage) Down(host string, port uint16, path string) (string, bool) {
	h, err := policy.ParseHost(host)
	if err != nil {
		return "", false
	}
	if path, err = policy.CleanPath(path); err != nil {
		return "", false
	}
	best, rank := (*policy.Mapping)(nil), 0
	for _, m := range p.gen.Policy.Mapped(h, port) {
		if r := p.nearness(m); r > rank && strings.HasPrefix(path, m.Path) {
			best, rank = m, r
		}
	}
	if best == nil {
		return "", false
	}
	return p.rootOf(best) + path[len(best.Path):], true
}

// rootOf is the URL by which the client has the beginning of what m has.
func (p *passage) rootOf(m *policy.Mapping) string {
	name := m.Host
	if name == (policy.Host{}) {
		name = p.mapped.asked.host
	}
	return p.mapped.base(name) + m.At
}

// Parts implements reconcile.View.
func (p *passage) Parts(host string, port uint16, path string) (urls []string) {
	h, err := policy.ParseHost(host)
	if err == nil && path != "" {
		path, err = policy.CleanPath(path)
	}
	if err != nil {
		return nil
	}
	for _, m := range p.gen.Policy.Mapped(h, port) {
		switch below, ok := strings.CutPrefix(path, m.Path); {
		case p.nearness(m) == 0:
		case ok:
			urls = append(urls, p.rootOf(m)+below)
		case path == "", strings.HasSuffix(path, "/") && strings.HasPrefix(m.Path, path):
			urls = append(urls, p.rootOf(m))
		}
	}
	return urls
}

// nearness is how well m does for a client that has asked by p.mapped; 0: it cannot be
// said how it would ask.
func (p *passage) nearness(m *policy.Mapping) int {
	switch {
	case m == p.mapped.by:
		return 4
	case m.Host == p.mapped.asked.host:
		return 3
	case m.Host != (policy.Host{}):
		return 1
	case p.mapped.own:
		return 2
	}
	return 0
}

// Up implements reconcile.View. An Origin has no path: where that of the request is
// meant, it is the request's origin.
func (p *passage) Up(scheme, host string, port uint16, path string) (string, bool) {
	h, err := policy.ParseHost(host)
	if err != nil {
		return "", false
	}
	asked := p.mapped.asked
	same := scheme == asked.scheme && h == asked.host && port == asked.port
	m, rest, err := p.gen.Policy.Mapping(h, path)
	if m == nil && err == nil && same && p.mapped.own {
		m, rest, err = p.gen.Policy.Mapping(policy.Host{}, path)
	}
	switch {
	case err != nil:
		return "", false
	case path == "" && same:
		m = p.mapped.by
	case m == nil || rest == "":
		return "", false
	}
	t := target{host: m.To}
	origin := "https://" + t.authority("https", m.Port)
	if path == "" {
		return origin, true
	}
	return origin + rest, true
}

// originForm reads an origin-form target (RFC 9112 §3.2.1) by its Host. ok is false when
// it is none, or nobody could answer it.
func (p *passage) originForm(raw string) (t target, ok bool) {
	if !strings.HasPrefix(raw, "/") || p.method == http.MethodConnect || p.s.Own == nil && !p.gen.Policy.Mappings() {
		return t, false
	}
	t.scheme, t.port = "http", 80
	if p.rec.ClientTLS != nil {
		t.scheme, t.port = "https", 443
	}
	var err error
	if t.host, t.port, err = readAuthority(string(p.req.Fields.Get(h1.Host)), t.port); err != nil {
		return t, false
	}
	t.path = raw
	if i := strings.IndexByte(raw, '?'); i >= 0 {
		t.path, t.query = raw[:i], raw[i:]
	}
	return t, escaped(t.path) && !strings.Contains(raw, "#")
}
