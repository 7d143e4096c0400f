// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"sallyport/gateway/h1"
	"sallyport/gateway/reconcile"
	"sallyport/policy"
)

// A client that asks by an http URL, and whose request is originated, does not know
// that its origin is met by https. What passes between the two is reconciled.

// plain reports whether that is so.
func (p *passage) plain() bool {
	return p.decision.Mode == policy.Originate && p.target.scheme == "http"
}

// reconcileRequest is the fields of the request as its origin expects them.
func (p *passage) reconcileRequest(f h1.Fields) h1.Fields {
	p.fit = reconcile.Exchange{}
	if !p.plain() {
		return f
	}
	p.fit = reconcile.Exchange{Policy: p, Method: p.method, Rewrite: p.decision.Rule.Rewrite}
	f = p.fit.Request(f)
	p.rec.Reconciled = p.fit.Changed
	return f
}

// reconcileAnswer is the fields of an answer as the client can use them.
func (p *passage) reconcileAnswer(f h1.Fields, status int) h1.Fields {
	if !p.plain() {
		return f
	}
	f = p.fit.Answer(f, status)
	p.rec.Reconciled = p.fit.Changed
	return f
}

// Originates implements reconcile.Policy: it asks what would be asked if this client
// sent such a request now. Which it may not be able to without saying who it is: then
// nobody knows yet what would become of it.
func (p *passage) Originates(method, url string, port uint16) bool {
	t, err := readTarget(method, url)
	if err != nil || p.isOwn(t) {
		return false
	}
	q := p.query
	q.Kind, q.Scheme, q.Method, q.Host, q.Port, q.Path = policy.Plain, t.scheme, method, t.host, t.port, t.path
	d := p.gen.Policy.Decide(q)
	if d.Mode != policy.Originate {
		return false
	}
	return d.Port == port || d.Rule.Origin != nil && d.Rule.Origin.Port == d.Port // the profile has the port, whatever a URL says
}
