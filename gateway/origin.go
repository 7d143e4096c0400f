// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"sallyport/policy"
	"sallyport/tunnel"
)

// origins holds the pools of connections to origins. The zero value is ready.
type origins struct {
	mu    sync.Mutex
	pools map[poolKey]*pool
}

// A poolKey holds everything that may differ between two requests and must not
// be shared over a connection or a session ticket (law 7). Within a pool,
// connections are told apart by scheme, host and port.
type poolKey struct {
	secure bool   // originate; otherwise relay
	trust  string // Trust.Key: roots, pins, versions, ALPN, client certificate
	permit string // which addresses the rule opened: a guarded rule must not ride on a connection an unguarded one made
	http1  bool   // HTTP/1.1 only, for upgrades
}

// maxPools bounds the pools that are kept; reloads with ever new profiles would
// otherwise pile them up. The least recently used one is given up.
const maxPools = 256

type pool struct {
	transport *http.Transport
	used      time.Time
}

// transport returns the pool for key, made by open when there is none.
func (o *origins) transport(key poolKey, open func() *http.Transport) *http.Transport {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.pools[key]
	if p == nil {
		if o.pools == nil {
			o.pools = make(map[poolKey]*pool)
		}
		if len(o.pools) >= maxPools {
			o.evict()
		}
		p = &pool{transport: open()}
		o.pools[key] = p
	}
	p.used = time.Now()
	return p.transport
}

func (o *origins) evict() {
	var oldest poolKey
	var at time.Time
	for key, p := range o.pools {
		if at.IsZero() || p.used.Before(at) {
			oldest, at = key, p.used
		}
	}
	o.pools[oldest].transport.CloseIdleConnections()
	delete(o.pools, oldest)
}

func (o *origins) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.pools {
		p.transport.CloseIdleConnections()
	}
}

// transport finds the pool a decided plain request belongs to.
func (p *passage) transport(upgrade bool) (*http.Transport, error) {
	d, s := p.decision, p.s
	key := poolKey{secure: d.Mode == policy.Originate, permit: d.Rule.PermitKey(), http1: upgrade}
	if !key.secure {
		return s.origins.transport(key, func() *http.Transport {
			t, dialer := s.newTransport(), s.dialer(d)
			t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				return dialLeg(ctx, dialer, network, addr)
			}
			return t
		}), nil
	}
	if p.gen.Trust == nil {
		return nil, errNoTrust
	}
	trust, err := p.gen.Trust(d.Rule.Origin)
	if err != nil {
		return nil, err
	}
	if trust.Config == nil {
		return nil, errNoTrust
	}
	key.trust = trust.Key
	return s.origins.transport(key, func() *http.Transport {
		t, dialer := s.newTransport(), s.dialer(d)
		t.ForceAttemptHTTP2 = !upgrade // whether the origin gets to choose it is up to the profile's ALPN
		// DialTLSContext is the only way out for https, and it always verifies;
		// a cleartext dial on this transport has nowhere to go (law 1).
		t.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errCleartext }
		tickets := tls.NewLRUClientSessionCache(256)
		t.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return s.dialTLS(ctx, dialer, network, addr, trust, tickets, upgrade)
		}
		return t
	}), nil
}

var errCleartext = &Error{
	Status: http.StatusInternalServerError, Cause: "proxy_internal_error", Outcome: Failed,
	Msg: "a request for https was about to leave in the clear and was stopped",
}

func (s *Server) newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  nil, // the environment has no say in where requests go
		DisableCompression:     true,
		MaxIdleConns:           4096,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		ResponseHeaderTimeout:  s.Limits.answer(),
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		WriteBufferSize:        16 << 10,
		ReadBufferSize:         16 << 10,
	}
}

// A leg is a connection to an origin and what making it took.
type leg struct {
	net.Conn
	dns, connect, handshake time.Duration
	clientCert              string
	tls                     *tls.ConnectionState // as the handshake left it; nil: relay
}

func (l *leg) CloseWrite() error {
	if c, ok := l.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

// NetConn is the connection beneath.
func (l *leg) NetConn() net.Conn { return l.Conn }

// dialLeg connects and takes the times. The dialer calls the hooks of a lookup
// from this goroutine.
func dialLeg(ctx context.Context, d *tunnel.Dialer, network, addr string) (*leg, error) {
	var asked, answered time.Time
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { asked = time.Now() },
		DNSDone:  func(httptrace.DNSDoneInfo) { answered = time.Now() },
	})
	start := time.Now()
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, &legError{stage: stageDial, addr: addr, err: err}
	}
	l := &leg{Conn: c}
	if !answered.IsZero() {
		l.dns = answered.Sub(asked)
	}
	l.connect = time.Since(start) - l.dns
	return l, nil
}

// dialTLS connects and completes a verified handshake. The connection it
// returns is a *tls.Conn (net/http looks for one) around a *leg.
func (s *Server) dialTLS(ctx context.Context, d *tunnel.Dialer, network, addr string, trust Trust, tickets tls.ClientSessionCache, http1 bool) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	l, err := dialLeg(ctx, d, network, addr)
	if err != nil {
		return nil, err
	}
	cfg := trust.Config(host)
	if cfg == nil {
		l.Close()
		return nil, &legError{stage: stageTLS, addr: addr, err: errNoTrust}
	}
	cfg = cfg.Clone()
	cfg.ClientSessionCache = originTickets{addr, tickets}
	if http1 {
		cfg.NextProtos = []string{"http/1.1"}
	}
	ctx, cancel := context.WithTimeout(ctx, s.Limits.shake())
	defer cancel()
	start := time.Now()
	c := tls.Client(l, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		l.Close()
		return nil, &legError{stage: stageTLS, addr: addr, err: err}
	}
	state := c.ConnectionState() // once: it is a large copy, and the record of every request wants it
	l.handshake, l.clientCert, l.tls = time.Since(start), trust.ClientCert, &state
	return c, nil
}

// originTickets keeps the session tickets of origins apart: crypto/tls names
// them by the server name alone, which several ports share, and with sni: in
// the profile several hosts (law 7).
type originTickets struct {
	addr string
	tls.ClientSessionCache
}

func (t originTickets) Get(key string) (*tls.ClientSessionState, bool) {
	return t.ClientSessionCache.Get(key + " " + t.addr)
}

func (t originTickets) Put(key string, cs *tls.ClientSessionState) {
	t.ClientSessionCache.Put(key+" "+t.addr, cs)
}

// traced returns a context that enters the origin leg a request is sent on in
// the record. net/http calls GotConn from the goroutine of the request.
func (p *passage) traced(ctx context.Context, trace *httptrace.ClientTrace) context.Context {
	trace.GotConn = func(i httptrace.GotConnInfo) {
		o := OriginLeg{Reused: i.Reused}
		p.wire = i.Conn
		c := i.Conn
		if t, ok := c.(*tls.Conn); ok {
			c = t.NetConn()
		}
		if l, ok := c.(*leg); ok {
			o.TLS, o.ClientCert = l.tls, l.clientCert
			if !i.Reused {
				o.DNS, o.Connect, o.Handshake = l.dns, l.connect, l.handshake
			}
		}
		o.Addr = addrPort(c)
		p.rec.Origin = o
	}
	return httptrace.WithClientTrace(ctx, trace)
}
