// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package tunnel

import (
	"context"
	"net"
	"net/netip"
)

// connectBare: see connect_linux.go. Elsewhere net's is as good.
func (a *attempts) connectBare(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return a.connect(ctx, to)
}
