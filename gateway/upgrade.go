// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"sallyport/tunnel"
)

// upgradeOf returns the protocol a request asks to change to, "" for none.
// Only WebSocket (RFC 6455) is carried over: h2c in particular would turn a
// decided request into a connection full of undecided ones, a known way around
// proxies ("h2c smuggling", Bishop Fox 2020).
func upgradeOf(r *http.Request) string {
	if r.Method == http.MethodGet && r.ProtoAtLeast(1, 1) && r.ContentLength == 0 &&
		hasToken(r.Header, "Connection", "upgrade") && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return "websocket"
	}
	return ""
}

// switchProtocols passes a 101 on and lets both ends talk until they are done.
func (p *passage) switchProtocols(res *http.Response, upgrade string) {
	origin, ok := res.Body.(io.ReadWriteCloser)
	got := res.Header.Get("Upgrade")
	if upgrade == "" || !ok || !strings.EqualFold(got, upgrade) {
		res.Body.Close()
		p.refuse(&Error{
			Status: http.StatusBadGateway, Cause: "http_upgrade_failed", Outcome: Failed,
			Msg: fmt.Sprintf("%s changed to protocol %q, which was not asked for", p.target.host, clip(got, 40)),
		})
		return
	}
	live, err := p.enter()
	if err != nil {
		res.Body.Close()
		p.refuse(err)
		return
	}
	defer p.s.tunnels.closed(live)
	client, early, err := p.takeOver()
	if err != nil {
		res.Body.Close()
		p.refuse(err)
		return
	}
	h := nextHop(res.Header)
	via(h, res.ProtoMajor, res.ProtoMinor)
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", got)
	p.rec.Status = http.StatusSwitchingProtocols
	w := bufio.NewWriter(client)
	fmt.Fprintf(w, "HTTP/1.1 101 Switching Protocols\r\n")
	_ = h.Write(w)
	fmt.Fprintf(w, "\r\n")
	if err := w.Flush(); err != nil {
		client.Close()
		res.Body.Close()
		p.fail(&Error{Cause: "connection_write_timeout", Outcome: Gone, Err: fmt.Errorf("writing to the client: %w", err)})
		return
	}
	run := &tunnel.Tunnel{Client: client, Origin: upgraded{p.wire, origin}, Early: early, Idle: p.s.Limits.tunnel()}
	moved, err := p.s.tunnels.run(live, run)
	p.rec.Sent, p.rec.Received = moved.Sent, moved.Received
	p.rec.Outcome = Done
	if err != nil {
		p.fail(tunnelError(err, moved.Reason, p.decision.Rule.Name))
	}
}

// upgraded is an origin's connection after its 101: net/http has read ahead, so
// bytes come and go through the body it gives for it.
type upgraded struct {
	net.Conn
	body io.ReadWriteCloser
}

func (u upgraded) Read(b []byte) (int, error)  { return u.body.Read(b) }
func (u upgraded) Write(b []byte) (int, error) { return u.body.Write(b) }
func (u upgraded) Close() error                { return u.body.Close() }

// NetConn lets a cut connection be reset rather than ended.
func (u upgraded) NetConn() net.Conn { return u.Conn }

func (u upgraded) CloseWrite() error {
	if c, ok := u.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}
