// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"net"
	"net/netip"
	"time"
)

const (
	// attemptDelay is how long an attempt may take before the next address is
	// tried beside it (RFC 8305 §5).
	attemptDelay = 250 * time.Millisecond

	// maxAttempts bounds what an answer full of addresses can make us do.
	maxAttempts = 16
)

// race connects to one of addrs: the first, and when that fails or takes long,
// the others beside it, families in turn (RFC 8305 §4 and §5). The error is
// that of the attempt that ended last.
func (a *attempts) race(ctx context.Context, addrs []netip.Addr, port uint16, connect connecter) (net.Conn, error) {
	addrs = interleave(addrs)
	type result struct {
		conn net.Conn
		err  error
	}
	ctx, cancel := context.WithDeadline(ctx, a.by)
	results := make(chan result)
	running := 0
	defer func() { // whoever comes late is closed, and waited for
		cancel()
		for ; running > 0; running-- {
			if r := <-results; r.err == nil {
				r.conn.Close()
			}
		}
	}()
	start := func() {
		to := netip.AddrPortFrom(addrs[0], port)
		addrs = addrs[1:]
		running++
		go func() {
			c, err := connect(a, ctx, to)
			results <- result{c, err}
		}()
	}
	start()
	next := time.NewTimer(attemptDelay)
	defer next.Stop()
	for {
		select {
		case r := <-results:
			running--
			if r.err == nil {
				return r.conn, nil
			}
			if len(addrs) == 0 && running == 0 || ctx.Err() != nil {
				return nil, r.err
			}
			if len(addrs) == 0 {
				continue
			}
		case <-next.C:
			if len(addrs) == 0 {
				continue
			}
		}
		start()
		next.Reset(attemptDelay)
	}
}

// connect tries one address.
func (a *attempts) connect(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	nd := net.Dialer{
		Deadline:        a.by,
		ControlContext:  a.control,
		KeepAliveConfig: keepAlive,
	}
	// MPTCP is Go's wish only for listeners today; say so should that change:
	// subflows would go to addresses that nobody was asked about.
	nd.SetMultipathTCP(false)
	// Not DialTCP: it makes a local address of none, binds to it, and so takes a
	// port of its own for each connection, of which there are 28,000 in all.
	c, err := nd.DialContext(ctx, a.network, to.String())
	if err != nil {
		a.failure(err)
	}
	return c, err
}

// An origin that vanished must not hold a tunnel for the hour that the idle
// limit allows: dead after 90 s without an answer.
var keepAlive = net.KeepAliveConfig{
	Enable: true, Idle: 30 * time.Second, Interval: 15 * time.Second, Count: 4,
}

// interleave puts the families in turn, beginning with that of the first, and
// cuts the list to maxAttempts.
func interleave(addrs []netip.Addr) []netip.Addr {
	var same, other, out []netip.Addr
	for _, a := range addrs {
		if a.Is4() == addrs[0].Is4() {
			same = append(same, a)
		} else {
			other = append(other, a)
		}
	}
	for len(same)+len(other) > 0 && len(out) < maxAttempts {
		if len(same) > 0 {
			out, same = append(out, same[0]), same[1:]
		}
		if len(other) > 0 && len(out) < maxAttempts {
			out, other = append(out, other[0]), other[1:]
		}
	}
	return out
}
