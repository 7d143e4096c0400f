// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"

	"sallyport/policy"
	"sallyport/tunnel"
)

// A route is where a request goes and what its connection must be like: all
// that may differ between two requests and must not be shared over a connection
// or a session ticket (law 7).
type route struct {
	secure bool       // originate; otherwise relay
	trust  string     // Trust.Key: roots, pins, versions, ALPN, client certificate
	user   string     // in whose name the origin is met; "": the gateway's own
	cert   string     // the very certificate that was minted for the user: its SHA-256
	ech    policy.ECH // one that has to be met by it does not ride on what was not
	permit string     // which addresses the rule opened: a guarded rule must not ride on a connection an unguarded one made
	host   string
	port   uint16
}

// route finds out where a decided request goes. The zero Trust is relay's.
func (p *passage) route(o *outgoing) (r route, t Trust, err error) {
	r = route{secure: o.secure, permit: p.decision.Rule.PermitKey(), host: o.host, port: o.port}
	if !r.secure {
		return r, t, nil
	}
	if p.gen.Trust == nil {
		return r, t, errNoTrust
	}
	if t, err = p.gen.Trust(p.decision.Rule.Origin); err != nil {
		return r, t, err
	}
	if t.Config == nil {
		return r, t, errNoTrust
	}
	r.trust, r.ech = t.Key, t.ECH
	if t.Delegated != nil {
		t, err = p.delegate(&r, t)
	}
	return r, t, err
}

// A leg is a connection to an origin and what making it took.
type leg struct {
	net.Conn
	dns, connect, handshake time.Duration
	addr                    netip.AddrPort
	clientCert, serial      string
	tls                     *tls.ConnectionState // as the handshake left it; nil: relay
	ech, echNote            string               // see OriginLeg
}

// NetConn is the connection beneath.
func (l *leg) NetConn() net.Conn { return l.Conn }

func (l *leg) CloseWrite() error {
	if half, ok := l.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// record is what is told of the leg.
func (l *leg) record(reused bool) OriginLeg {
	o := OriginLeg{Addr: l.addr, TLS: l.tls, ClientCert: l.clientCert, CertSerial: l.serial, Reused: reused, ECH: l.ech}
	if !reused {
		o.ECHNote = l.echNote
		o.DNS, o.Connect, o.Handshake = l.dns, l.connect, l.handshake
	}
	return o
}

// dial connects to what the decision allows, and never to the gateway itself.
func (s *Server) dial(ctx context.Context, d policy.Decision, host string, port uint16) (*leg, error) {
	var times tunnel.Times
	dialer := s.dialer(d)
	c, err := dialer.DialOrigin(ctx, host, port, &times)
	return dialled(c, times, err, host, port)
}

// dialAsking is dial that has the origin's HTTPS record looked for meanwhile.
func (s *Server) dialAsking(ctx context.Context, d policy.Decision, host string, port uint16, patient bool) (*leg, *tunnel.Inquiry, error) {
	var times tunnel.Times
	dialer := s.dialer(d)
	c, record, err := dialer.DialService(ctx, host, port, patient, &times)
	l, err := dialled(c, times, err, host, port)
	return l, record, err
}

// dialer connects to what the decision allows, and never to the gateway itself.
func (s *Server) dialer(d policy.Decision) tunnel.Dialer {
	dialer := s.Dialer
	dialer.Permit = func(a netip.AddrPort) error {
		if s.isSelf(a) {
			return errSelf
		}
		return d.Permit(a.Addr())
	}
	return dialer
}

func dialled(c net.Conn, times tunnel.Times, err error, host string, port uint16) (*leg, error) {
	if err != nil {
		return nil, &legError{stage: stageDial, addr: hostPort(host, port), err: err}
	}
	l := &leg{Conn: c, dns: times.DNS, connect: times.Connect}
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		l.addr = unmapped(a.AddrPort())
	}
	return l, nil
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// shake completes a verified handshake over c, which belongs to l. It closes
// neither. With an error what it returns is good for its state alone, or nil.
func (s *Server) shake(ctx context.Context, l *leg, c net.Conn, cfg *tls.Config, trust Trust) (*tls.Conn, error) {
	if !verifies(cfg) {
		return nil, errNoTrust
	}
	ctx, cancel := context.WithTimeout(ctx, s.Limits.shake())
	defer cancel()
	start := time.Now()
	t := tls.Client(c, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return t, err
	}
	state := t.ConnectionState() // once: it is a large copy, and the record of every request wants it
	l.handshake, l.clientCert, l.serial, l.tls = time.Since(start), trust.ClientCert, trust.serial, &state
	return t, nil
}

// verifies reports whether a handshake with cfg is one that is verified.
func verifies(cfg *tls.Config) bool {
	// SECURITY: whoever verifies in place of crypto/tls has to be there (law 9).
	return cfg != nil && (!cfg.InsecureSkipVerify || cfg.VerifyConnection != nil)
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
