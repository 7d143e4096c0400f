// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"net"
	"syscall"
	"time"
)

// Keep-alive probes find clients that have vanished: 75 s after their last sign
// of life. Linux gives accepted connections what the listening socket has, so
// that it is said once.
const (
	probeIdle     = 30 * time.Second
	probeInterval = 15 * time.Second
	probeCount    = 3
)

// Listen opens a listener for Serve. MPTCP, which Go would switch on, costs
// every accepted connection and helps no client of a local network.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1, Control: prepare}
	if prepare == nil {
		lc.KeepAlive = 0
		lc.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: probeIdle, Interval: probeInterval, Count: probeCount}
	}
	lc.SetMultipathTCP(false)
	return lc.Listen(ctx, "tcp", addr)
}

// prepare sets up a listening socket; nil where its options are not inherited.
var prepare func(network, addr string, c syscall.RawConn) error
