// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"sallyport/gateway/h3"
	"sallyport/policy"
)

// intercept accepts a CONNECT and ends the client's TLS here. The origin is met
// and verified first, so that a bad one never gets a good-looking certificate,
// and what it speaks decides what the client is offered. What comes inside is
// decided on its own, request by request: see inside.go.
func (p *passage) intercept() {
	rule := p.decision.Rule
	host := p.target.host.String()
	if p.gen.Mint == nil {
		p.refuse(noMint(rule, fmt.Errorf("this gateway mints no certificates")))
		return
	}
	speaks, bad := p.verifyOrigin()
	if cause := p.cause(); bad != nil && (cause != nil || !rule.Intercept.BadAlert && !p.plainInside()) {
		p.refuse(cmp.Or(cause, bad))
		return
	}
	if bad == nil { // else nothing is minted
		if _, err := p.gen.Mint(host, rule.Intercept.LeafTTL); err != nil { // while there still is an answer that can say why
			p.refuse(noMint(rule, err))
			return
		}
	}
	p.accept(&inside{mint: p.gen.Mint, offer: offered(rule, speaks), life: rule.Intercept.LeafTTL, bad: bad})
}

// plainInside reports whether the policy has something to say to a client that
// speaks cleartext HTTP inside. Then an origin that is no good for TLS refuses only
// the TLS.
func (p *passage) plainInside() bool {
	q := p.query
	q.Kind, q.Scheme, q.Method, q.Path = policy.Plain, "http", http.MethodGet, "/"
	return p.gen.Policy.Decide(q).Mode != policy.Deny
}

// verifyOrigin has a connection to the origin ready that is verified as the rule
// says, for the first request inside, and returns the protocol that the origin
// chose on it.
func (p *passage) verifyOrigin() (protocol string, err error) {
	p.out = outgoing{secure: true, host: p.target.host.String(), port: p.decision.Port}
	r, trust, err := p.route(&p.out)
	if err != nil {
		return "", err
	}
	if trust.OnlyHTTP3 {
		c, reused, err := p.meet3(r, trust)
		if err != nil {
			return "", err
		}
		p.rec.Origin = c.With.(*leg).record(reused)
		return h3.ALPN, nil
	}
	if !p.s.Standard && !trust.HTTP2 {
		h, err := p.hop(r, trust, false)
		if err != nil {
			return "", err
		}
		p.rec.Origin = h.record(h.reused)
		h.unasked = !h.reused
		p.s.pool.keep(h, p.now)
		return http1ALPN, nil
	}
	c, err := p.s.transport(r, trust, p.decision, false).prepare(p.client.context(), hostPort(r.host, r.port))
	if err != nil {
		return "", err
	}
	l := c.NetConn().(*leg)
	p.rec.Origin = l.record(false)
	return l.tls.NegotiatedProtocol, nil
}

// offered are the protocols a client can choose from: those of the rule, or else
// what the origin was found to speak.
func offered(rule *policy.Rule, origin string) []string {
	switch {
	case len(rule.Intercept.ALPN) > 0:
		return rule.Intercept.ALPN
	case origin == http2ALPN, origin == h3.ALPN: // which is as good as HTTP/2
		return protocols
	}
	return []string{http1ALPN}
}

func noMint(rule *policy.Rule, err error) *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Cause: "proxy_configuration_error", Outcome: Failed, Rule: rule.Name,
		Msg: fmt.Sprintf("rule %q intercepts, and no certificate can be made for that: ask whoever runs this gateway to look into its log", rule.Name),
		Err: fmt.Errorf("rule %q intercepts, but %w", rule.Name, err),
	}
}

// An innerConn is the connection beneath a TLS session that the gateway ends
// for a CONNECT: by it, net/http's side finds what the session is in.
type innerConn struct {
	net.Conn
	in *inside
}

// Close implements net.Conn.
func (c *innerConn) Close() error {
	err := c.Conn.Close()
	c.in.ended()
	return err
}

// NetConn is the connection beneath.
func (c *innerConn) NetConn() net.Conn { return c.Conn }

func (c *innerConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// insideOf is what c is in, nil for a client's own connection.
func insideOf(c *tls.Conn) *inside {
	if inner, ok := c.NetConn().(*innerConn); ok {
		return inner.in
	}
	return nil
}
