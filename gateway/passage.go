// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"sallyport/gateway/h1"
	"sallyport/gateway/reconcile"
	"sallyport/policy"
)

// A passage is one request on its way through the gateway.
type passage struct {
	s         *Server
	gen       *Generation
	client    client
	req       *h1.Request
	method    string
	target    target
	mapped    mapped // how target was asked for; zero: by its URL
	identity  Identity
	query     policy.Query
	decision  policy.Decision
	rec       *Record
	now       time.Time // when something last happened; reading the clock costs
	up        *upload
	out       outgoing
	hold      *hold     // its place in what the rule's limits count; nil: there are none
	fields    h1.Fields // of a message for the next hop
	fit       reconcile.Exchange
	fitted    bool     // the body is not as the origin sent it
	authority []byte   // the origin's Host
	secrets   [][]byte // that went with the request, in the forms in which an origin may repeat them, the longest first
	known     *known   // of the route that was last taken on this connection; nil: none
	received  protocol // by which the request came
	inside    *inside  // the connection that a CONNECT has opened; nil: the client's own
	passed    bool     // the record belongs to a tunnel now, which must not touch this
}

// A Request is what Identify may look at to find out who sent it.
type Request struct {
	From   netip.AddrPort
	TLS    *tls.ConnectionState // nil: plain
	Fields h1.Fields            // not to be kept

	http2  bool
	inside *inside // what a CONNECT has opened; nil: the client's own connection
}

// pass is the whole way of a request: one passage, one record. fault, when not
// nil, says why the request could not be read.
func (p *passage) pass(fault *h1.Error) {
	p.s.passages.Add(1)
	defer p.s.passages.Done()
	defer p.end()
	p.up = p.client.upload()
	defer p.up.stop()
	err := p.decide(fault)
	if err == nil && p.rec.Own {
		p.serveOwn()
		return
	}
	if err == nil {
		err = p.admit()
	}
	if err != nil {
		p.refuse(err)
		return
	}
	if p.method == http.MethodConnect {
		p.connect()
	} else {
		p.forward()
	}
}

// open fills p for a request.
func (p *passage) open(s *Server, c client, req *h1.Request, from Request) {
	*p = passage{s: s, gen: s.generation(), client: c, req: req, inside: from.inside, fields: p.fields[:0], authority: p.authority[:0], known: p.known}
	p.method = methodName(req.Method)
	p.now = time.Now()
	p.rec = &Record{
		Time: p.now, ID: newID(), Client: from.From, ClientTLS: from.TLS,
		Method: p.method,
	}
	if p.received = protocolOf(req.Minor); from.http2 {
		p.received = http2
	}
	p.rec.Proto = protocolName(p.received)
	if p.inside != nil {
		p.rec.Connect = p.inside.live.rec.ID
	}
}

// methodName is string without making one for the usual methods.
func methodName(b []byte) string {
	switch string(b) {
	case http.MethodGet:
		return http.MethodGet
	case http.MethodPost:
		return http.MethodPost
	case http.MethodConnect:
		return http.MethodConnect
	case http.MethodHead:
		return http.MethodHead
	}
	return string(b)
}

// newID returns 16 characters that no other record has: 80 random bits. They
// are no secret.
func newID() string {
	var b [16]byte
	v, w := rand.Uint64(), rand.Uint64()
	for i := range b {
		if i == 8 {
			v = w
		}
		b[i] = "abcdefghijklmnopqrstuvwxyz234567"[v&31]
		v >>= 5
	}
	return string(b[:])
}

// end hands the record over, once. It is deferred, so a panic passes here: a
// defect costs the request it happened in, and is told in its record.
func (p *passage) end() {
	if v := recover(); v != nil {
		p.fail(&Error{Outcome: Failed, Cause: "proxy_internal_error", Err: fmt.Errorf("panic: %v\n%s", v, debug.Stack())})
		p.client.abort()
	}
	if !p.passed {
		p.hold.release()
		p.rec.paced(p.hold)
		p.s.report(p.rec)
		p.now = p.rec.Time.Add(p.rec.Total)
	}
}

// report hands a record over. A tunnel's is handed over when it ends, which may
// be before the passage that opened it has.
func (s *Server) report(rec *Record) {
	rec.Total = time.Since(rec.Time)
	if s.Observe != nil {
		s.Observe(rec)
	}
}

// decide reads what is asked for and by whom, and puts it to the policy. A nil
// error means that p.decision allows the request, or that it is for the gateway
// itself.
func (p *passage) decide(fault *h1.Error) error {
	if fault != nil {
		p.method, p.rec.Method = "", ""
		return malformed(fault)
	}
	raw := string(p.req.Target)
	if err := p.readTarget(raw); err != nil {
		return err
	}
	p.rec.URL, p.rec.Mapped = p.target.url(raw, false), p.mapped.logged(false)
	if p.rec.Own {
		return nil
	}
	if err := p.identify(); err != nil {
		return err
	}
	p.query = policy.Query{
		Client: p.rec.Identity,
		Scheme: p.target.scheme,
		Method: p.method,
		Host:   p.target.host,
		Port:   p.target.port,
		Path:   p.target.path,
		At:     p.rec.Time,

		ClientTLS: p.rec.ClientTLS != nil,
		MayAsk:    p.identity.MayAsk,
	}
	switch {
	case p.method == http.MethodConnect:
		p.query.Kind, p.query.Method = policy.Connect, ""
	case p.inside != nil:
		p.query.ClientTLS = p.inside.query.ClientTLS // by what the CONNECT came
		if p.rec.ClientTLS != nil {
			p.query.Kind = policy.Inner
		}
	}
	p.rec.Kind, p.rec.MayAsk = p.query.Kind, p.query.MayAsk
	p.decision = p.gen.Policy.Decide(p.query)
	p.rec.Decision = p.decision
	if p.gen.Policy != nil {
		p.rec.Revision = p.gen.Policy.Revision
	}
	if rule := p.decision.Rule; rule != nil && rule.Log == policy.LogFull {
		p.rec.URL, p.rec.Mapped = p.target.url(raw, true), p.mapped.logged(true)
	}
	if p.decision.Mode == policy.Deny {
		e := denied(p.decision, p.target, p.method)
		if p.decision.Reason == policy.NeedIdentity || p.decision.Reason == policy.NoUser && p.query.MayAsk {
			p.askWho(e)
		}
		return e
	}
	if err := p.mayRelay(); err != nil {
		return err
	}
	p.rec.Mode = p.decision.Mode
	return p.maxForwards()
}

// readTarget finds out which origin is asked for, by its URL or by a mapping, or that the
// gateway itself is.
func (p *passage) readTarget(raw string) (err error) {
	if p.inside != nil {
		scheme := "http"
		if p.rec.ClientTLS != nil {
			scheme = "https"
		}
		p.target, err = p.inside.target(p.method, raw, p.req.Fields, scheme)
		return err
	}
	if t, ok := p.originForm(raw); ok {
		if found, err := p.here(t, true); found {
			return err
		}
	}
	if strings.HasPrefix(raw, "/") && p.gen.Policy.Mappings() && len(p.req.Fields.Get(h1.Host)) == 0 {
		return badTarget(errNoHost)
	}
	if p.target, err = readTarget(p.method, raw); err != nil {
		return badTarget(err)
	}
	_, err = p.here(p.target, false)
	return err
}

// maxForwards refuses TRACE, which would show the client what the gateway adds
// to its requests, and stops OPTIONS that asks to be stopped (RFC 9110 §7.6.2).
func (p *passage) maxForwards() error {
	if p.method == http.MethodTrace {
		return &Error{Status: http.StatusMethodNotAllowed, Cause: "http_request_denied", Outcome: Denied, Msg: "TRACE is not passed on"}
	}
	if p.method != http.MethodOptions {
		return nil
	}
	n, limited, err := hopsLeft(p.req.Fields)
	if err != nil {
		return &Error{Status: http.StatusBadRequest, Cause: "http_request_error", Outcome: Invalid, Msg: "Max-Forwards is not a number"}
	}
	if limited && n == 0 {
		return &Error{Status: http.StatusOK, Cause: "proxy_internal_response", Outcome: Done, Msg: "Max-Forwards ended here"}
	}
	return nil
}

// hopsLeft reads Max-Forwards.
func hopsLeft(fields h1.Fields) (n uint64, limited bool, err error) {
	v := fields.Get(h1.MaxForwards)
	if len(v) == 0 {
		return 0, false, nil
	}
	n, err = strconv.ParseUint(string(v), 10, 31)
	return n, true, err
}

// cause returns why the client's connection has ended, nil while it has not.
func (p *passage) cause() error {
	if err := p.client.context().Err(); err != nil {
		return context.Cause(p.client.context())
	}
	return nil
}

// broken finds out why an exchange broke off with err. What happened to the
// client comes first, whatever the origin's leg made of it: that is given up
// when the client leaves or its body cannot be read.
func (p *passage) broken(err error) error {
	cause := p.cause()
	if bodyErr := p.up.failed(); bodyErr != nil && !errors.Is(cause, errDrained) {
		return bodyErr
	}
	if cause != nil {
		return cause
	}
	var l *legError
	if !errors.As(err, &l) {
		err = &legError{stage: stageExchange, addr: p.target.hostPort(p.decision.Port), err: err}
	}
	return err
}

// abort ends an answer that cannot be completed so that the client notices:
// by a reset, because a mere end could look like the body's (RFC 9112 §8).
func (p *passage) abort(err error) {
	p.fail(p.asError(err))
	p.client.abort()
}
