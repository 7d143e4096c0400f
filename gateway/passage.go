// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"sallyport/policy"
)

// ServeHTTP implements http.Handler: one request, one passage, one record.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.passages.Add(1)
	defer s.passages.Done()
	p := s.open(w, r)
	defer p.end()
	p.up = p.upload()
	defer p.up.stop()
	if err := p.decide(); err != nil {
		p.refuse(err)
		return
	}
	if r.Method == http.MethodConnect {
		p.connect()
	} else {
		p.forward()
	}
}

// A passage is one request on its way through the gateway.
type passage struct {
	s        *Server
	gen      *Generation
	conn     *strictConn // nil in tests that bring no connection
	w        http.ResponseWriter
	r        *http.Request
	target   target
	query    policy.Query
	decision policy.Decision
	rec      *Record
	up       *upload
	wire     net.Conn // the connection the request went out on
	passed   bool     // the record belongs to a tunnel now, which must not touch this
}

func (s *Server) open(w http.ResponseWriter, r *http.Request) *passage {
	p := &passage{
		s: s, w: w, r: r,
		gen:  s.generation(),
		conn: strictOf(r.Context()),
		rec: &Record{
			Time: time.Now(), ID: strings.ToLower(rand.Text()[:16]),
			Method: r.Method, Proto: r.Proto, ClientTLS: r.TLS,
		},
	}
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		p.rec.Client = netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
	}
	return p
}

// end hands the record over, once. It is deferred, so a panic passes here: a
// defect costs the request it happened in, and is told in its record.
func (p *passage) end() {
	if v := recover(); v != nil {
		if v != http.ErrAbortHandler {
			p.crashed(v)
		}
		defer panic(http.ErrAbortHandler) // net/http closes the connection
	}
	if !p.passed {
		p.s.report(p.rec)
	}
}

// report hands a record over. A tunnel's is handed over when it ends, which may
// be before the handler that opened it has returned.
func (s *Server) report(rec *Record) {
	rec.Total = time.Since(rec.Time)
	if s.Observe != nil {
		s.Observe(rec)
	}
}

func (p *passage) crashed(v any) {
	p.fail(&Error{Outcome: Failed, Cause: "proxy_internal_error", Err: fmt.Errorf("panic: %v\n%s", v, debug.Stack())})
}

// decide reads what is asked for and by whom, and puts it to the policy. A nil
// error means that p.decision allows the request.
func (p *passage) decide() error {
	if p.r.Method == malformedMethod {
		p.rec.Method = ""
		return malformed(p.conn.faulty())
	}
	var err error
	if p.target, err = readTarget(p.r.Method, p.r.RequestURI); err != nil {
		return badTarget(err)
	}
	p.rec.URL = p.target.url(false)
	if p.rec.Identity, err = p.identify(); err != nil {
		return err
	}
	p.query = policy.Query{
		Client: p.rec.Identity,
		Scheme: p.target.scheme,
		Method: p.r.Method,
		Host:   p.target.host,
		Port:   p.target.port,
		Path:   p.target.path,
		At:     p.rec.Time,
	}
	if p.r.Method == http.MethodConnect {
		p.query.Kind, p.query.Method = policy.Connect, ""
	}
	p.decision = p.gen.Policy.Decide(p.query)
	p.rec.Decision = p.decision
	if p.gen.Policy != nil {
		p.rec.Revision = p.gen.Policy.Revision
	}
	if rule := p.decision.Rule; rule != nil && rule.Log == policy.LogFull {
		p.rec.URL = p.target.url(true)
	}
	if p.decision.Mode == policy.Deny {
		return denied(p.decision, p.target, p.r.Method)
	}
	p.rec.Mode = p.decision.Mode
	return nil
}

func (p *passage) identify() (policy.Client, error) {
	if p.s.Identify != nil {
		return p.s.Identify(p.r)
	}
	if !p.rec.Client.IsValid() {
		return policy.Client{}, &Error{
			Status: http.StatusForbidden, Cause: "http_request_denied", Outcome: Denied, Msg: "the client's address cannot be read",
		}
	}
	return policy.Client{Addr: p.rec.Client.Addr()}, nil
}
