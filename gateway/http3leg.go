// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"sallyport/gateway/h3"
	"sallyport/policy"
	"sallyport/tunnel"
)

// quicTime is how long HTTP/3 may take to come about where TCP is there as well.
const quicTime = 3 * time.Second

// meet3 has a connection by HTTP/3 ready for the next request.
func (p *passage) meet3(r route, trust Trust) (c *h3.Conn, reused bool, err error) {
	for range maxDisowned {
		c, reused, err = p.s.transport(r, trust, p.decision, false).quic.Meet(p.client.context(), hostPort(r.host, r.port))
		if !errors.Is(err, h3.ErrClosed) {
			break
		}
	}
	return c, reused, err
}

// quicDial makes QUIC connections as dial and shake make those of TCP: to the address
// that the decision permits, and verified.
func (s *Server) quicDial(trust Trust, ech policy.ECH, d policy.Decision) func(context.Context, string) (*h3.Conn, error) {
	tickets := tls.NewLRUClientSessionCache(256)
	meet := func(ctx context.Context, addr string) (*h3.Conn, error) {
		limit := s.Limits.shake()
		if !trust.OnlyHTTP3 {
			limit = min(limit, quicTime)
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		m := meeting{s: s, decision: d, ech: ech, trust: trust}
		m.host, m.port = splitHostPort(addr)
		m.config = func() *tls.Config {
			cfg := trust.Config(m.host)
			if cfg != nil {
				cfg = cfg.Clone()
				cfg.ClientSessionCache = originTickets{addr, tickets}
			}
			return cfg
		}
		c, err := m.meetQUIC(ctx)
		var l *legError
		if errors.As(err, &l) {
			l.quic = true
		}
		return c, err
	}
	return func(ctx context.Context, addr string) (*h3.Conn, error) {
		c, err := meet(ctx, addr)
		if again(err) {
			c, err = meet(ctx, addr)
		}
		return c, err
	}
}

// meetQUIC is meet by QUIC.
func (m *meeting) meetQUIC(ctx context.Context) (*h3.Conn, error) {
	start := time.Now()
	dialer := m.s.dialer(m.decision)
	if m.ech != policy.ECHOff {
		must := m.ech == policy.ECHRequire
		record, err := dialer.Inquire(m.host, m.port, must).Service(ctx, must)
		if err = m.found(ctx, record, err); err != nil {
			return nil, m.failed(err)
		}
	}
	asked := time.Since(start)
	for {
		var times tunnel.Times
		made, err := dialer.DialUDP(ctx, m.host, m.port, &times, func(ctx context.Context, u *net.UDPConn) (io.Closer, error) {
			cfg := m.config()
			if !verifies(cfg) {
				return nil, errNoTrust
			}
			return h3.Connect(ctx, u, m.withKeys(cfg))
		})
		if err == nil {
			c := made.(*h3.Conn)
			c.With = m.quicLeg(c, asked, times)
			return c, nil
		}
		var t *h3.TLSError
		if !errors.As(err, &t) {
			return nil, &legError{stage: stageDial, addr: hostPort(m.host, m.port), err: err}
		}
		if err = m.refused(t.Err, nil); err != nil {
			return nil, m.failed(err)
		}
	}
}

func (m *meeting) quicLeg(c *h3.Conn, asked time.Duration, times tunnel.Times) *leg {
	if c.TLS.ECHAccepted {
		m.outcome = ECHAccepted
	}
	l := &leg{
		dns: asked + times.DNS, connect: max(0, times.Connect-c.Handshake), handshake: c.Handshake,
		clientCert: m.trust.ClientCert, serial: m.trust.serial, tls: &c.TLS, ech: m.outcome, echNote: m.note,
	}
	if a, ok := c.Addr.(*net.UDPAddr); ok {
		l.addr = unmapped(a.AddrPort())
	}
	return l
}
