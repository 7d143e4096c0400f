// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"strconv"
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

// Times are what a dial took.
type Times struct {
	DNS     time.Duration // the lookup; 0: the host was an address
	Connect time.Duration // everything else
}

// Dial connects to host, a name or an address as netip.ParseAddr reads it. A
// name is looked up once, and always as an absolute one: a search list in
// resolv.conf would connect to another host than the one the policy was asked
// about. Its addresses are tried as RFC 8305 describes. Unless t is nil, the
// times of a dial that succeeds are entered in it.
//
// If some addresses are refused and others cannot be reached, the error is
// that of the network; if all are refused it is a *ProhibitedError.
func (d *Dialer) Dial(ctx context.Context, host string, port uint16, t *Times) (*net.TCPConn, error) {
	c, err := d.dial(ctx, "tcp", host, port, t, nil, (*attempts).connect)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// DialOrigin is Dial for less than half of the CPU, and what the Origin of a
// Tunnel should come from. On Linux the connection is no *net.TCPConn; it has
// that one's CloseWrite, SetLinger and SyscallConn, and serves for everything
// else as well. No finalizer closes one that is forgotten.
func (d *Dialer) DialOrigin(ctx context.Context, host string, port uint16, t *Times) (net.Conn, error) {
	return d.dial(ctx, "tcp", host, port, t, nil, (*attempts).connectBare)
}

// DialService is DialOrigin that has the HTTPS record of host and port looked for
// at the same time, and does not wait for it. The Inquiry is nil when host is an
// address. patient has to be what Inquiry.Service is then asked with: who is asks
// again for what could not be had a moment ago.
func (d *Dialer) DialService(ctx context.Context, host string, port uint16, patient bool, t *Times) (net.Conn, *Inquiry, error) {
	also := with{port: port, patient: patient}
	c, err := d.dial(ctx, "tcp", host, port, t, &also, (*attempts).connectBare)
	return c, also.inquiry, err
}

// DialContext is Dial for those who have a net.Dialer's method in its place:
// network is tcp, tcp4 or tcp6 and addr a host and a port in decimal. The hooks
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
	return d.dial(ctx, network, host, port, nil, nil, (*attempts).connect)
}

// A connecter tries one address.
type connecter func(*attempts, context.Context, netip.AddrPort) (net.Conn, error)

// dial looks up, addresses and what else is wanted, and tries the addresses with
// connect.
func (d *Dialer) dial(ctx context.Context, network, host string, port uint16, t *Times, also *with, connect connecter) (c net.Conn, err error) {
	switch {
	case host == "", host == ".": // this machine, to net.Dial
		return nil, fmt.Errorf("tunnel: dial %s: the host is missing", hostPort(host, port))
	case port == 0:
		return nil, fmt.Errorf("tunnel: dial %s: the port is missing", hostPort(host, port))
	}
	ip, _ := netip.ParseAddr(host)
	if d.Permit == nil {
		return nil, &ProhibitedError{Addr: plain(netip.AddrPortFrom(ip, port)), Err: errNoPermit}
	}
	timeout := d.Timeout
	if timeout <= 0 {
		timeout = defaultDialTimeout
	}
	start := time.Now()
	a := &attempts{permit: d.Permit, network: network, by: start.Add(timeout)}
	var addrs []netip.Addr
	var dns time.Duration
	if !ip.IsValid() {
		if addrs, err = d.lookup(ctx, a.by, network, host, also); err != nil {
			return nil, fmt.Errorf("tunnel: dial %s: %w", hostPort(host, port), err)
		}
		dns = time.Since(start)
		ip = addrs[0]
	}
	if len(addrs) <= 1 {
		c, err = connect(a, ctx, netip.AddrPortFrom(ip, port))
	} else {
		c, err = a.race(ctx, addrs, port, connect)
	}
	if err != nil {
		return nil, a.judge(err)
	}
	if t != nil {
		*t = Times{DNS: dns, Connect: time.Since(start) - dns}
	}
	return c, nil
}

func hostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// lookup returns the addresses of host that network can reach, at least one.
// They are not to be changed.
func (d *Dialer) lookup(ctx context.Context, by time.Time, network, host string, also *with) ([]netip.Addr, error) {
	names := d.Names
	if names == nil {
		names = &Names{Resolver: d.Resolver}
	}
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.DNSStart != nil {
		trace.DNSStart(httptrace.DNSStartInfo{Host: host})
	}
	addrs, err := names.lookup(ctx, by, host, also)
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
	usable := addrs
	if network == "tcp4" || network == "tcp6" {
		usable = nil
		for _, a := range addrs {
			if a.Is4() == (network == "tcp4") {
				usable = append(usable, a)
			}
		}
	}
	if len(usable) == 0 {
		return nil, &net.DNSError{Err: "no address of the wanted family", Name: host, IsNotFound: true}
	}
	return usable, nil
}

// splitAddr is stricter than net.SplitHostPort and net.Dial, for which "https"
// is a port.
func splitAddr(addr string) (host string, port uint16, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("tunnel: dial: %w", err)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("tunnel: dial %s: the port is not a number from 1 to 65535", addr)
	}
	return host, uint16(n), nil
}
