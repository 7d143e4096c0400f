// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"sallyport/gateway"
)

// listen opens all listeners or none.
func listen(addrs []string) ([]net.Listener, error) {
	var open []net.Listener
	for _, addr := range addrs {
		l, err := gateway.Listen(context.Background(), addr)
		if err != nil {
			closeAll(open)
			return nil, &exitError{code: exitFailed, err: listenError(addr, err)}
		}
		open = append(open, l)
	}
	return open, nil
}

func listenError(addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("cannot listen on %s: another program serves there; end it, or choose another address with --listen", addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("cannot listen on %s: ports below 1024 need a privilege; choose a higher one with --listen", addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("cannot listen on %s: this machine has no such address", addr)
	}
	return fmt.Errorf("cannot listen on %s: %w; an address looks like 127.0.0.1:3128", addr, err)
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

func addresses(listeners []net.Listener) []string {
	var out []string
	for _, l := range listeners {
		out = append(out, l.Addr().String())
	}
	return out
}

// newResolver asks addr alone; "" means the system's resolvers.
func newResolver(addr string) (*net.Resolver, error) {
	if addr == "" {
		return nil, nil
	}
	if host, _, err := net.SplitHostPort(addr); err != nil || net.ParseIP(host) == nil {
		return nil, &exitError{code: exitUsage, err: fmt.Errorf("--resolver %s is not an address with a port, as in 10.0.0.53:53", addr)}
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}}, nil
}
