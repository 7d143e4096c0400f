// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A Dialer opens connections to origins. The zero Dialer reaches nothing and
// looks up nothing. A Dialer may be used by many goroutines at once and must
// not be changed after its first use.
type Dialer struct {
	// Permit is asked with the very address about to be connected to: unmapped
	// (never ::ffff:10.0.0.1) and without zone, so that prefixes match it. It is
	// called between socket(2) and connect(2), once for each address tried,
	// possibly at the same time from two goroutines. An error refuses the
	// address; nil instead of a function refuses everything. It is not asked
	// about 0.0.0.0 and ::, which are always refused.
	Permit func(netip.AddrPort) error

	// Names looks names up and remembers them. Nil asks Resolver at each dial.
	Names *Names

	// Resolver, without Names, looks names up. Nil is the system's configuration
	// read by Go's own resolver. Its traffic to name servers is not asked about.
	Resolver *net.Resolver

	// Timeout bounds a whole dial: the lookup and every address tried. Zero or
	// less is 10 seconds.
	Timeout time.Duration
}

const defaultDialTimeout = 10 * time.Second

// A ProhibitedError is the answer for a host of which every address was
// refused by Permit.
type ProhibitedError struct {
	Addr netip.AddrPort // the first refused; the zero value when nothing was looked up
	Err  error          // Permit's
}

func (e *ProhibitedError) Error() string {
	if !e.Addr.IsValid() {
		return fmt.Sprintf("tunnel: dial prohibited: %v", e.Err)
	}
	return fmt.Sprintf("tunnel: dial %s prohibited: %v", e.Addr, e.Err)
}

func (e *ProhibitedError) Unwrap() error { return e.Err }

var (
	errNoPermit    = errors.New("the dialer has no Permit function")
	errUnspecified = errors.New("the unspecified address is no origin's")
)

// DialContext connects to addr, a host and a port in decimal; network is tcp,
// tcp4 or tcp6. A name is looked up once, and always as an absolute one: a
// search list in resolv.conf would connect to another host than the one the
// policy was asked about. Its addresses are tried as RFC 8305 describes.
//
// If some addresses are refused and others cannot be reached, the error is
// that of the network; if all are refused it is a *ProhibitedError. The hooks
// of an httptrace.ClientTrace in ctx are called.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, fmt.Errorf("tunnel: dial %s: the network %q is not TCP", addr, network)
	}
	host, port, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	ip, _ := netip.ParseAddr(host)
	if d.Permit == nil {
		return nil, &ProhibitedError{Addr: plain(netip.AddrPortFrom(ip, port)), Err: errNoPermit}
	}
	timeout := d.Timeout
	if timeout <= 0 {
		timeout = defaultDialTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	addrs := []netip.Addr{ip}
	if !ip.IsValid() {
		if addrs, err = d.lookup(ctx, network, host); err != nil {
			return nil, fmt.Errorf("tunnel: dial %s: %w", addr, err)
		}
	}
	a := attempts{permit: d.Permit}
	c, err := a.race(ctx, network, addrs, port)
	if err != nil {
		return nil, a.judge(err)
	}
	return c, nil
}

// lookup returns the addresses of host that network can reach.
func (d *Dialer) lookup(ctx context.Context, network, host string) ([]netip.Addr, error) {
	names := d.Names
	if names == nil {
		names = &Names{Resolver: d.Resolver}
	}
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.DNSStart != nil {
		trace.DNSStart(httptrace.DNSStartInfo{Host: host})
	}
	addrs, err := names.Lookup(ctx, host)
	if trace != nil && trace.DNSDone != nil {
		info := httptrace.DNSDoneInfo{Err: err}
		for _, a := range addrs {
			info.Addrs = append(info.Addrs, net.IPAddr{IP: a.AsSlice()})
		}
		trace.DNSDone(info)
	}
	if err != nil {
		return nil, err
	}
	var usable []netip.Addr
	for _, a := range addrs {
		if network == "tcp" || a.Is4() == (network == "tcp4") {
			usable = append(usable, a)
		}
	}
	if len(usable) == 0 {
		return nil, &net.DNSError{Err: "no address of the wanted family", Name: host, IsNotFound: true}
	}
	return usable, nil
}

// splitAddr is stricter than net.SplitHostPort and net.Dial, for which an
// empty host is this machine and "https" is a port.
func splitAddr(addr string) (host string, port uint16, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("tunnel: dial: %w", err)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("tunnel: dial %s: the port is not a number from 1 to 65535", addr)
	}
	if host == "" || host == "." {
		return "", 0, fmt.Errorf("tunnel: dial %s: the host is missing", addr)
	}
	return host, uint16(n), nil
}

// plain returns a as prefixes match it: netip.Prefix.Contains is false for
// every mapped and every zoned address, which would slip through a ban of
// 10.0.0.0/8 or fe80::/10.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// attempts watches the addresses of one dial. RFC 8305 tries two at once.
type attempts struct {
	permit func(netip.AddrPort) error

	mu      sync.Mutex
	refused *ProhibitedError // the first
	failed  error            // the first permitted address's
}

// control is called with the address that connect(2) will be given. This is
// what makes rebinding pointless: there is no second lookup to lie to.
func (a *attempts) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &ProhibitedError{Err: fmt.Errorf("unreadable address: %w", err)}
	}
	ap = plain(ap)
	if ap.Addr().IsUnspecified() {
		// The kernel would connect to this machine, and net.Dialer shows the
		// address before that change: no ban of 127.0.0.0/8 would match it.
		err = errUnspecified
	} else {
		err = a.permit(ap)
	}
	if err == nil {
		return nil
	}
	p := &ProhibitedError{Addr: ap, Err: err}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refused == nil {
		a.refused = p
	}
	return p
}

// failure notes why the attempt at a permitted address failed.
func (a *attempts) failure(err error) {
	var p *ProhibitedError
	if errors.As(err, &p) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed == nil {
		a.failed = err
	}
}

// judge picks the error that says why there is no connection.
func (a *attempts) judge(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.refused == nil:
		return fmt.Errorf("tunnel: %w", err)
	case a.failed != nil:
		return fmt.Errorf("tunnel: %w", a.failed)
	default:
		return a.refused
	}
}
