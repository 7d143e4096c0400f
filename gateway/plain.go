// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"sallyport/gateway/h1"
	"sallyport/gateway/reconcile"
	"sallyport/policy"
)

// A client that asks by an http URL, and whose request is originated, does not know
// that its origin is met by https. What passes between the two is reconciled.

// reconcileRequest is the fields of the request, sent to the origin by verified TLS
// or in the clear, as the origin expects them.
func (p *passage) reconcileRequest(f h1.Fields, secure bool) h1.Fields {
	p.fit = reconcile.Exchange{
		Policy: p, Client: p, Method: p.method, Host: p.out.host, Secure: secure, Plain: p.target.scheme == "http",
		Key: p.s.CookieKey, Ledger: &p.s.ledger, Now: p.rec.Time, Rewrite: p.decision.Rule.Rewrite,
	}
	p.seen(&p.fit)
	f = p.fit.Request(f)
	p.rec.Reconciled = p.fit.Changed
	return f
}

// reconcileAnswer is the fields of an answer as the client can use them.
func (p *passage) reconcileAnswer(f h1.Fields, status int) h1.Fields {
	f = p.fit.Answer(f, status)
	p.rec.Reconciled = p.fit.Changed
	return f
}

// Originates implements reconcile.Policy: it asks what would be asked if this client
// sent such a request now. Which it may not be able to without saying who it is: then
// nobody knows yet what would become of it.
func (p *passage) Originates(method, url string, port uint16) bool {
	t, err := readTarget(method, url)
	if err != nil || p.isOwn(t, false) || p.isMapped(t) {
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

// ClientName implements reconcile.Client: the user who was proven, or else the
// address.
func (p *passage) ClientName() string {
	if u := p.rec.Identity.User; u != "" {
		return "user " + u
	}
	return "address " + p.rec.Identity.Addr.String()
}

// heedHSTS remembers what an origin that was met by verified TLS says of itself (RFC
// 6797 §8.1): the first such field.
func (p *passage) heedHSTS(a *answer) {
	if !p.out.secure || p.s.HSTS == nil || p.decision.Rule.Rewrite.KeepHSTS {
		return
	}
	if value := a.fields.Get(h1.StrictTransport); value != nil {
		p.s.HSTS.Hear(p.target.host.String(), value, p.rec.Time)
	}
}

// mayRelay refuses what a rule would send in the clear to a host that has said over
// verified TLS that it is not to be reached so: whoever listens could have it all, and
// the rule's author may not have known.
func (p *passage) mayRelay() error {
	if p.decision.Mode != policy.Relay || p.s.HSTS == nil {
		return nil
	}
	host, rule := p.target.host.String(), p.decision.Rule.Name
	e := &Error{Status: http.StatusForbidden, Cause: "http_request_denied", Outcome: Denied, Rule: rule, HSTS: true}
	if by, until, ok := p.s.HSTS.Known(host, p.rec.Time); ok {
		speaks := host
		if by != host {
			speaks = by + ", for all hosts below it,"
		}
		e.Msg = fmt.Sprintf("rule %q would relay this in the clear, and %s has asked for https only (HSTS) until %s: it needs a rule that originates",
			rule, speaks, until.UTC().Format(time.DateOnly))
		return e
	}
	if why := p.s.HSTS.Lost(); why != "" && !p.target.host.IsAddr() {
		e.Msg = fmt.Sprintf("rule %q would relay this in the clear, and the gateway has lost which hosts have asked for https only (HSTS): its administrator has to see to that", rule)
		e.Err = errors.New(why)
		return e
	}
	return nil
}
