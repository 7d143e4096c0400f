// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"

	"github.com/rs/zerolog"

	"sallyport/certs"
	"sallyport/policy"
	"sallyport/tunnel"
)

// origins is what the gateway fetches because certificates of origins name it,
// and how.
type origins struct {
	sources *certs.Sources
	names   *tunnel.Names
}

var revocations = map[policy.Revocation]certs.Revocation{
	policy.RevocationOff:     certs.RevocationOff,
	policy.RevocationPrefer:  certs.RevocationPrefer,
	policy.RevocationRequire: certs.RevocationRequire,
}

// openOrigins keeps CRLs below state, or in memory when that is "".
func openOrigins(state string, names *tunnel.Names, logger *zerolog.Logger) origins {
	o := origins{
		sources: &certs.Sources{Log: func(line string) { logger.Warn().Str("what", line).Msg("certificates of origins") }},
		names:   names,
	}
	if state != "" {
		o.sources.Dir = filepath.Join(state, "crl")
	}
	return o
}

// dial connects to places that certificates of a profile's origins name. It is
// the profile that permits them and never a rule.
func (o origins) dial(profile *policy.Origin) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := tunnel.Dialer{Names: o.names, Permit: func(a netip.AddrPort) error { return profile.PermitFetch(a.Addr()) }}
	return d.DialContext
}
