// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport/gateway/h1"
	"sallyport/tunnel"
)

// handshakeRecord is the first byte of a TLS client (RFC 8446 §5.1). No request
// line begins with it: it is no character of a token.
const handshakeRecord = 0x16

// greet finds out, by the first byte, whether a client speaks TLS, and completes
// the handshake. It reports whether the connection is the engine's to serve: it
// may have ended, or have been given to net/http.
func (c *conn) greet() bool {
	c.patience = c.s.Limits.idle()
	for len(c.wire.Buffered()) == 0 {
		if c.s.draining.Load() || c.wire.Fill() != nil {
			if !c.s.draining.Load() {
				c.inside.silent()
			}
			c.close()
			return false
		}
	}
	if c.wire.Buffered()[0] == handshakeRecord {
		cfg := c.s.config
		if c.inside != nil {
			cfg = c.inside.config()
		}
		if cfg == nil {
			c.deny(c.inside.noTLS())
			return false
		}
		if !c.shake(cfg) {
			c.close()
			return false
		}
	}
	if c.tls == nil && c.inside == nil && !c.preface() {
		c.close()
		return false
	}
	return !c.giveOn()
}

// http2Preface is what a client begins with that knows that HTTP/2 is spoken here
// without TLS (RFC 9113 §3.3, §3.4). "PRI" is a method that no request may have.
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// preface finds out whether that is how the client begins, for which it has the
// time of a head. It is false when nothing more comes.
func (c *conn) preface() bool {
	for {
		said := c.wire.Buffered()
		if n := min(len(said), len(http2Preface)); string(said[:n]) != http2Preface[:n] {
			return true
		} else if n == len(http2Preface) {
			c.clear2 = true
			return true
		}
		if c.patience > 0 { // once: not each byte has the time anew
			c.hurry()
		}
		if c.wire.Fill() != nil {
			return false
		}
	}
}

var errNoTLS = &h1.Error{
	Status: http.StatusBadRequest,
	Msg: "the request does not begin with a method: the client speaks TLS to this gateway, which has no certificate to answer with; " +
		"give it one (sallyport run --tls-name NAME, or --tls-cert FILE --tls-key FILE), or write the proxy's address with http://",
}

// deny ends a connection that cannot carry requests, with a record that says why.
func (c *conn) deny(fault *h1.Error) {
	c.chunked, c.last, c.wanting, c.begun, c.midway = false, false, false, false, true
	c.req.Reset()
	c.pass(fault)
	c.close()
}

// shake has the TLS handshake with the client.
func (c *conn) shake(cfg *tls.Config) bool {
	place := c.s.shakes.enter(c)
	c.patience = 0 // a deadline for all of it
	c.wire.BeforeWrite = nil
	c.deadline(time.Now().Add(c.s.Limits.shake()))
	c.wire.Secure()
	beneath := net.Conn(c.wire)
	if c.inside != nil {
		beneath = &innerConn{c.wire, c.inside}
	}
	t := tls.Server(beneath, cfg)
	err := t.Handshake()
	c.s.shakes.leave(place)
	c.wire.BeforeWrite = c.allowWrite
	if err != nil {
		var fault *Error
		switch fault, c.midway = c.unshaken(err); {
		case fault == nil:
		case c.inside != nil:
			c.inside.unshaken(err)
		default:
			c.unmet(t, fault)
		}
		return false
	}
	c.deadline(time.Time{})
	state := t.ConnectionState() // once: it is a large copy, and the record of every request wants it
	c.tls, c.state = t, &state
	c.inner = decrypted{conn: t, wire: c.wire}
	c.in, c.to = &c.inner, t
	return true
}

// unmet hands over the record of a client that came by TLS and got no further. As
// anybody can cause them, they come at a teller's pace.
func (c *conn) unmet(t *tls.Conn, fault *Error) {
	untold, now := c.s.failedShakes.due()
	if !now {
		return
	}
	if untold > 0 {
		fault.Err = fmt.Errorf("%w (and %d more handshakes failed that were not told)", fault.Err, untold)
	}
	rec := &Record{Time: time.Now(), ID: newID(), Client: c.from, Proto: "TLS", Own: true}
	if name := t.ConnectionState().ServerName; name != "" {
		rec.Hello = &tunnel.Hello{ServerName: strings.ToLower(name)}
	}
	rec.fail(fault)
	c.s.report(rec)
}

// deadline sets both, unless the connection was cut meanwhile.
func (c *conn) deadline(by time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readBy, c.writeBy = by, by
	if c.cause == nil && !c.halted {
		_ = c.wire.SetDeadline(by)
	}
}

// protocols are what a client can choose from by ALPN (RFC 7301). acmeTLS is
// answered where the configuration asks for it.
var protocols = []string{"h2", "http/1.1"}

// acmeTLS is the protocol of a certificate authority that looks whether a name
// is ours (RFC 8737). It is done when the handshake is.
const acmeTLS = "acme-tls/1"

// listenerConfig is cfg with the protocols that a Server speaks, and no others.
func listenerConfig(cfg *tls.Config) *tls.Config {
	if cfg == nil {
		return nil
	}
	ours := withProtocols(cfg)
	// The records of a proxy are no page's first ones to a distant phone: small
	// ones would only cost.
	ours.DynamicRecordSizingDisabled = true
	if choose := cfg.GetConfigForClient; choose != nil {
		ours.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := choose(hello)
			if chosen == nil || err != nil {
				return chosen, err
			}
			return withProtocols(chosen), nil
		}
	}
	return ours
}

func withProtocols(cfg *tls.Config) *tls.Config {
	acme := slices.Contains(cfg.NextProtos, acmeTLS)
	cfg = cfg.Clone()
	cfg.NextProtos = slices.Clone(protocols)
	if acme {
		cfg.NextProtos = append(cfg.NextProtos, acmeTLS)
	}
	return cfg
}

// giveOn gives the connection to net/http where that is to serve it, and ends
// one that was only about its handshake.
func (c *conn) giveOn() bool {
	var to net.Conn
	switch {
	case c.state != nil && c.state.NegotiatedProtocol == acmeTLS:
		c.s.report(&Record{Time: time.Now(), ID: newID(), Client: c.from, Proto: acmeTLS, ClientTLS: c.state, Own: true, Outcome: Done})
		c.close()
		return true
	case c.state != nil && c.state.NegotiatedProtocol == "h2":
		to = c.tls
	case c.clear2:
		to = &clear2Conn{}
	case !c.s.Standard:
		return false
	case c.tls != nil:
		to = &strictConn{Conn: c.tls, tls: c.state, inside: c.inside, maxHead: c.s.Limits.head()}
	default:
		to = &strictConn{Conn: nil, inside: c.inside, maxHead: c.s.Limits.head()}
	}
	c.s.conns.remove(c)
	c.mu.Lock()
	cut := c.cause != nil
	c.taken = true
	c.wire.BeforeRead, c.wire.BeforeWrite = nil, nil
	_ = c.wire.SetDeadline(time.Time{})
	if s, ok := to.(*strictConn); ok && c.tls == nil {
		s.Conn, s.buf = c.wire.Take()
		if c.inside != nil {
			s.Conn = &innerConn{s.Conn, c.inside}
		}
	}
	if held, ok := to.(*clear2Conn); ok {
		held.Conn, held.held = c.wire.Take()
	}
	c.mu.Unlock()
	c.leave()
	if cut || !c.s.given.give(to) {
		to.Close()
	}
	return true
}
