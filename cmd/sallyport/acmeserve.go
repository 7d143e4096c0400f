// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/spf13/pflag"

	"sallyport/pki"
	"sallyport/tunnel"
)

// acmeServeOptions are the flags about the gateway's own ACME server for others.
type acmeServeOptions struct {
	serve, eab bool
	allow      []string
}

func (o *acmeServeOptions) flags(f *pflag.FlagSet) {
	f.BoolVar(&o.serve, "acme-serve", false, "issue certificates of the gateway's own CA to internal services, by ACME at https://NAME:PORT/acme/directory of a --tls-name")
	f.StringSliceVar(&o.allow, "acme-allow", nil, "DNS zone to issue for, or addresses (CIDR) at which its hosts are asked to prove themselves; repeat, and give both")
	f.BoolVar(&o.eab, "acme-require-eab", false, "issue only to accounts that are made with a key of sallyport ca eab create")
}

// check finds what does not fit together, or would be of no use.
func (o *acmeServeOptions) check(tls tlsOptions) error {
	zones, networks, err := o.split()
	switch {
	case !o.serve && (o.eab || len(o.allow) > 0):
		err = errors.New("--acme-allow and --acme-require-eab are about --acme-serve, which is not given")
	case !o.serve:
		return nil
	case err != nil:
	case len(tls.names) == 0:
		err = errors.New("--acme-serve: ACME is spoken by https: give a name for that with --tls-name")
	case len(networks) == 0:
		err = errors.New("--acme-serve: nobody can be asked to prove anything: give the addresses of those who may be with --acme-allow, as in 10.0.0.0/8")
	case len(zones) == 0:
		err = errors.New("--acme-serve: no name can be issued for: give a DNS zone with --acme-allow, as in corp.example")
	default:
		return nil
	}
	return &exitError{code: exitUsage, err: err}
}

// split tells zones from addresses.
func (o *acmeServeOptions) split() (zones []string, networks []netip.Prefix, err error) {
	for _, s := range o.allow {
		p, err := netip.ParsePrefix(s)
		if a, err2 := netip.ParseAddr(s); err2 == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		switch {
		case err == nil && (p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != ""):
			return nil, nil, fmt.Errorf("--acme-allow %s: want the first address of a network, as in %s", s, p.Masked())
		case err == nil:
			networks = append(networks, p)
		case strings.ContainsAny(s, "/:*") || strings.Trim(s, ".0123456789") == "":
			return nil, nil, fmt.Errorf("--acme-allow %s: want a DNS zone as in corp.example, or a network as in 10.0.0.0/8", s)
		default:
			zones = append(zones, strings.ToLower(s))
		}
	}
	return zones, networks, nil
}

// fill says in a what others may have.
func (o *acmeServeOptions) fill(a *pki.ACMEOptions, names *tunnel.Names) error {
	if !o.serve {
		return nil
	}
	zones, networks, err := o.split()
	if err != nil {
		return err
	}
	a.Serve, a.RequireEAB, a.Zones, a.Networks = true, o.eab, zones, networks
	// SECURITY: the policy is not asked about these connections, which lead inside,
	// where no rule leads. permit stands for it: the networks of --acme-allow, ports
	// 80 and 443, asked at the connect.
	a.Dial = func(ctx context.Context, addr string, permit func(netip.AddrPort) error) (net.Conn, error) {
		d := tunnel.Dialer{Names: names, Permit: permit}
		return d.DialContext(ctx, "tcp", addr)
	}
	return nil
}
