// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"sallyport/gateway/h1"
	"sallyport/tunnel"
)

// switchProtocols passes a 101 on and lets both ends talk until they are done.
// Only WebSocket (RFC 6455) is carried over: h2c in particular would turn a
// decided request into a connection full of undecided ones, a known way around
// proxies ("h2c smuggling", Bishop Fox 2020).
func (p *passage) switchProtocols(a *answer, asked bool) {
	got := a.fields.Get(h1.Upgrade)
	var origin net.Conn
	if asked && equal(got, "websocket") {
		origin = a.body.upgraded()
	}
	if origin == nil {
		p.refuse(&Error{
			Status: http.StatusBadGateway, Cause: "http_upgrade_failed", Outcome: Failed,
			Msg: fmt.Sprintf("%s changed to protocol %q, which was not asked for", p.target.host, clip(string(p.unsaid(got)), 40)),
		})
		return
	}
	live, err := p.enter()
	if err != nil {
		p.refuse(err)
		return
	}
	defer p.s.tunnels.closed(live)
	head := h1.AppendStatusLine(nil, a.status, http.StatusText(a.status))
	head = h1.AppendFields(head, via(p.changeAnswer(passOn(p.fields[:0], a.fields), a.status), a.version))
	head = append(head, "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"...)
	p.rec.Status = a.status
	client, early, err := p.client.takeOver(head)
	if err != nil {
		p.fail(p.asError(gone(err)))
		p.client.abort()
		return
	}
	run := &tunnel.Tunnel{Client: client, Origin: origin, Early: early, Idle: p.s.Limits.tunnel(), Pace: p.hold.tunnelPace()}
	moved, err := p.s.tunnels.run(live, run)
	p.rec.Sent, p.rec.Received = moved.Sent, moved.Received
	p.hold.tunnelled(moved.Paced)
	p.rec.Outcome = Done
	if err != nil {
		p.fail(tunnelError(err, moved.Reason, p.decision.Rule.Name))
	}
}

// switched is an origin's connection behind its 101, some of which was read ahead.
type switched struct {
	net.Conn
	ahead []byte
}

func (c *switched) Read(b []byte) (int, error) {
	if len(c.ahead) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.ahead)
	if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
		c.ahead = nil
	}
	return n, nil
}

// NetConn lets a cut connection be reset rather than ended.
func (c *switched) NetConn() net.Conn { return c.Conn }

func (c *switched) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
