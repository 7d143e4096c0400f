// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"io"
	"net"
	"net/netip"
)

// DialUDP is Dial for protocols that make a connection of their own over UDP, as
// QUIC does. open is given a socket that is connected to an address that was
// permitted, so that the kernel sends nothing anywhere else and lets nobody else's
// datagrams in. What it returns owns the socket, and closes it; an error leaves it
// with DialUDP. open may be called for several addresses at the same time, until
// one succeeds; its context ends with the dial, and it returns soon then.
func (d *Dialer) DialUDP(ctx context.Context, host string, port uint16, t *Times, open func(context.Context, *net.UDPConn) (io.Closer, error)) (io.Closer, error) {
	c, err := d.dial(ctx, "udp", host, port, t, nil, func(a *attempts, ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		c, err := a.connectUDP(ctx, to, open)
		if err != nil {
			a.failure(err)
			return nil, err
		}
		return opened{Closer: c}, nil
	})
	if err != nil {
		return nil, err
	}
	return c.(opened).Closer, nil
}

// connectUDP tries one address.
func (a *attempts) connectUDP(ctx context.Context, to netip.AddrPort, open func(context.Context, *net.UDPConn) (io.Closer, error)) (io.Closer, error) {
	ctx, cancel := context.WithDeadline(ctx, a.by)
	defer cancel()
	nd := net.Dialer{ControlContext: a.control}
	c, err := nd.DialContext(ctx, a.network, to.String())
	if err != nil {
		return nil, err
	}
	made, err := open(ctx, c.(*net.UDPConn))
	if err != nil {
		c.Close()
		return nil, err
	}
	return made, nil
}

// opened is what stands for a connection where those of TCP are raced.
type opened struct {
	net.Conn
	io.Closer
}

// Close closes what was opened.
func (o opened) Close() error { return o.Closer.Close() }
