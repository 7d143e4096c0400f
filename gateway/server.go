// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"sallyport/policy"
	"sallyport/tunnel"
)

// A Server is the gateway's data path. Its zero value answers every request
// with a refusal. Fields are set before Serve and not changed after; Serve may
// be called for several listeners at once.
type Server struct {
	// Generation returns what requests are decided and origins are trusted
	// under from now on. It is asked once per request and must not block. nil,
	// or a nil result, denies.
	Generation func() *Generation

	// Identify says who a request comes from; an error refuses it. nil proves
	// the address of the connection and nothing else.
	Identify func(*http.Request) (policy.Client, error)

	// Dialer connects to origins. Its Permit is replaced for each decision.
	Dialer tunnel.Dialer

	// Describe explains a failed TLS handshake with host in one line for
	// people. nil: the error's own text.
	Describe func(err error, host string) string

	// Observe is handed each Record at the end of its transaction, from many
	// goroutines at once. The data path waits for it. nil: nobody is told.
	Observe func(*Record)

	// ErrorLog is told what no Record can hold: connections that cannot be
	// accepted for want of descriptors, above all. nil: nobody is told.
	ErrorLog *log.Logger

	Limits Limits

	origins  origins
	tunnels  tunnels
	passages sync.WaitGroup // handlers that have not handed over their record

	once   sync.Once
	server *http.Server
	cut    context.CancelCauseFunc // every request's context
	mu     sync.Mutex
	listen []netip.AddrPort // own addresses, never dialled
}

// A Generation is a policy together with the trust its origin profiles were
// loaded into. The two are swapped as one.
type Generation struct {
	Policy *policy.Policy
	Trust  func(*policy.Origin) (Trust, error) // given nil for rules without a profile; nil refuses originate
}

// Trust is how the origins of one profile are verified and met.
type Trust struct {
	Key        string                        // equal only where connections may be shared (law 7)
	Config     func(host string) *tls.Config // fresh, for one host
	ClientCert string                        // subject of the certificate shown to origins; "" none
}

// Serve serves clients on l until Shutdown. It closes l. The error is
// http.ErrServerClosed after Shutdown.
func (s *Server) Serve(l net.Listener) error {
	s.once.Do(s.setUp)
	if a, err := netip.ParseAddrPort(l.Addr().String()); err == nil {
		s.mu.Lock()
		s.listen = append(s.listen, netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
		s.mu.Unlock()
	}
	return s.server.Serve(strictListener{l, s.Limits.head()})
}

func (s *Server) setUp() {
	ctx, cut := context.WithCancelCause(context.Background())
	s.cut = cut
	s.server = &http.Server{
		Handler:           s,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: s.Limits.headTime(),
		IdleTimeout:       s.Limits.idle(),
		MaxHeaderBytes:    s.Limits.head() + 4<<10, // strictConn has the say, and says it with a record
		ConnContext:       withConn,
		ErrorLog:          cmp.Or(s.ErrorLog, log.New(io.Discard, "", 0)),
		// OPTIONS * and CONNECT are requests like any other here.
		DisableGeneralOptionsHandler: true,
	}
}

// Shutdown stops accepting, ends idle connections and waits for requests and
// tunnels. When ctx ends first it cuts what is left and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.once.Do(s.setUp)
	s.tunnels.drain()
	err := s.server.Shutdown(ctx)
	if waitErr := s.tunnels.wait(ctx); err == nil {
		err = waitErr
	}
	if err != nil {
		s.cut(errDrained) // first: whoever waits for its origin does not notice that its client is gone
		s.server.Close()
		s.tunnels.cut(errDrained)
	}
	s.passages.Wait() // their records count
	s.origins.close()
	return err
}

// Recheck asks the present generation about every open tunnel and cuts those
// it no longer allows (law 8).
func (s *Server) Recheck() {
	s.tunnels.recheck(s.generation().Policy)
}

// Tunnels returns how many tunnels are open.
func (s *Server) Tunnels() int { return s.tunnels.count() }

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
		p.report()
	}
}

// report hands the record over. A tunnel calls it itself, from a goroutine that
// may get there before the handler has returned.
func (p *passage) report() {
	p.rec.Total = time.Since(p.rec.Time)
	if p.s.Observe != nil {
		p.s.Observe(p.rec)
	}
}

func (p *passage) crashed(v any) {
	p.fail(&Error{Outcome: Failed, Cause: "proxy_internal_error", Err: fmt.Errorf("panic: %v\n%s", v, debug.Stack())})
}

// generation never returns nil: without one, everything is denied.
func (s *Server) generation() *Generation {
	if s.Generation != nil {
		if g := s.Generation(); g != nil {
			return g
		}
	}
	return &Generation{}
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

// dialer connects to what the decision allows, and never to the gateway itself.
func (s *Server) dialer(d policy.Decision) *tunnel.Dialer {
	dialer := s.Dialer
	dialer.Permit = func(a netip.AddrPort) error {
		if s.isSelf(a) {
			return errSelf
		}
		return d.Permit(a.Addr())
	}
	return &dialer
}

// isSelf reports whether connecting to a would reach one of our listeners.
func (s *Server) isSelf(a netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listen {
		if l.Port() != a.Port() {
			continue
		}
		if l.Addr() == a.Addr() || l.Addr().IsUnspecified() && isLocal(a.Addr()) {
			return true
		}
	}
	return false
}

// isLocal reports whether a is an address of this machine. In doubt it is.
func isLocal(a netip.Addr) bool {
	if a.IsLoopback() || a.IsUnspecified() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, own := range addrs {
		if p, err := netip.ParsePrefix(own.String()); err == nil && p.Addr().Unmap() == a {
			return true
		}
	}
	return false
}
