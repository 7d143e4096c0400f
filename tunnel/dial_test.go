// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// listen accepts on host and returns the port.
func listen(t testing.TB, host string) string {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("cannot listen on %s: %v", host, err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// closedPort returns a port of host that nobody listens on.
func closedPort(t testing.TB, host string) string {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("cannot listen on %s: %v", host, err)
	}
	ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// TestDial: host and port as they are, and what the two parts of a dial took.
func TestDial(t *testing.T) {
	dns := hosts(t, map[string][]string{"origin.example.": {"127.0.0.1"}})
	for _, tt := range []struct{ host, at string }{{"127.0.0.1", "127.0.0.1"}, {"::1", "::1"}, {"origin.example", "127.0.0.1"}} {
		p := ban()
		d := &Dialer{Permit: p.permit, Resolver: dns.resolver()}
		text := listen(t, tt.at)
		port, _ := strconv.ParseUint(text, 10, 16)
		for _, times := range []*Times{nil, {DNS: -1}} {
			c, err := d.Dial(t.Context(), tt.host, uint16(port), times)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.RemoteAddr().String(); got != net.JoinHostPort(tt.at, text) {
				t.Errorf("%s: connected to %s", tt.host, got)
			}
			c.Close()
			if times != nil && (times.Connect <= 0 || times.DNS < 0 || times.DNS > 0 != (tt.host != tt.at)) {
				t.Errorf("%s: %+v", tt.host, *times)
			}
		}
		if len(p.asked) != 2 {
			t.Errorf("%s: asked about %q", tt.host, p.asked)
		}
	}
	d := &Dialer{Permit: ban().permit, Resolver: dns.resolver()}
	for _, tt := range []struct {
		host string
		port uint16
		want string
	}{
		{"", 443, "the host is missing"},
		{".", 443, "the host is missing"},
		{"origin.example", 0, "the port is missing"},
		{"[::1]", 443, "no such host"},
		{"127.1", 443, "no such host"}, // an address to some, a name to us
	} {
		if _, err := d.Dial(t.Context(), tt.host, tt.port, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q, %d: %v, want %q", tt.host, tt.port, err, tt.want)
		}
	}
}

// TestAddressFamilies: the network restricts the family, and an address that
// fails gives way to the other family's.
func TestAddressFamilies(t *testing.T) {
	port := listen(t, "127.0.0.1") // and nobody on [::1]
	if probe, err := net.Listen("tcp", "[::1]:"+port); err == nil {
		probe.Close()
	} else {
		t.Skip("no IPv6 here:", err)
	}
	dns := hosts(t, map[string][]string{"dual.example.": {"127.0.0.1", "::1"}})
	d := &Dialer{Permit: ban().permit, Resolver: dns.resolver()}
	for _, network := range []string{"tcp", "tcp4"} {
		c, err := d.DialContext(t.Context(), network, "dual.example:"+port)
		if err != nil {
			t.Errorf("%s: %v", network, err)
			continue
		}
		c.Close()
	}
	if _, err := d.DialContext(t.Context(), "tcp6", "dual.example:"+port); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("tcp6: %v", err)
	}
}

// TestBadAddresses: what net.Dial would guess about is refused, before any
// lookup.
func TestBadAddresses(t *testing.T) {
	tests := []struct{ network, addr, want string }{
		{"tcp", "", "missing port"},
		{"tcp", "origin.example", "missing port"},
		{"tcp", ":443", "the host is missing"},
		{"tcp", ".:443", "the host is missing"},
		{"tcp", "origin.example:", "not a number"},
		{"tcp", "origin.example:https", "not a number"},
		{"tcp", "origin.example:0", "not a number"},
		{"tcp", "origin.example:65536", "not a number"},
		{"tcp", "origin.example:+443", "not a number"},
		{"udp", "origin.example:443", "not TCP"},
		{"unix", "/run/x", "not TCP"},
		{"", "origin.example:443", "not TCP"},
	}
	dns := hosts(t, nil)
	for _, tt := range tests {
		d := &Dialer{Permit: ban().permit, Resolver: dns.resolver()}
		if _, err := d.DialContext(t.Context(), tt.network, tt.addr); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: %v, want %q", tt.network, tt.addr, err, tt.want)
		}
	}
	if q := dns.questions(); len(q) > 0 {
		t.Errorf("looked up %q", q)
	}
}

// TestNamesAreAbsolute: a single label as well, so that no search list is
// tried. Whether one is configured here does not matter: the error repeats
// the name as it was looked up.
func TestNamesAreAbsolute(t *testing.T) {
	dns := hosts(t, map[string][]string{})
	d := &Dialer{Permit: ban().permit, Resolver: dns.resolver()}
	_, err := d.DialContext(t.Context(), "tcp", "intranet:443")
	var de *net.DNSError
	if !errors.As(err, &de) || !de.IsNotFound || de.Name != "intranet." {
		t.Errorf("%v", err)
	}
	if q := dns.questions(); !slices.Equal(q, []string{"intranet."}) {
		t.Errorf("asked for %q", q)
	}
}

// TestDialTimeout covers the lookup; the clock is synctest's.
func TestDialTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &fakeDNS{t: t, silent: true}
		d := &Dialer{Permit: ban().permit, Resolver: dns.resolver(), Timeout: 3 * time.Second}
		start := time.Now()
		_, err := d.DialContext(t.Context(), "tcp", "slow.example:443")
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("%v", err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
		time.Sleep(time.Minute) // the resolver's own goroutines end later
	})
}

func TestDialCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &fakeDNS{t: t, silent: true}
		d := &Dialer{Permit: ban().permit, Resolver: dns.resolver()}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := d.DialContext(ctx, "tcp", "slow.example:443")
			done <- err
		}()
		synctest.Wait() // until the question hangs
		cancel()
		var de *net.DNSError
		if err := <-done; !errors.As(err, &de) || !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		time.Sleep(time.Minute) // the resolver's own goroutines end later
	})
}

// TestDialTrace: the caller's hooks are called, for names and addresses.
func TestDialTrace(t *testing.T) {
	port := listen(t, "127.0.0.1")
	dns := hosts(t, map[string][]string{"origin.example.": {"127.0.0.1"}})
	for _, host := range []string{"origin.example", "127.0.0.1"} {
		var got []string
		var mu sync.Mutex
		note := func(s string) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, s)
		}
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			DNSStart:     func(i httptrace.DNSStartInfo) { note("dns " + i.Host) },
			DNSDone:      func(i httptrace.DNSDoneInfo) { note("dns done " + strconv.Itoa(len(i.Addrs))) },
			ConnectStart: func(_, addr string) { note("connect " + addr) },
			ConnectDone: func(_, addr string, err error) {
				if err == nil {
					note("connected " + addr)
				}
			},
		})
		c, err := (&Dialer{Permit: ban().permit, Resolver: dns.resolver()}).DialContext(ctx, "tcp", host+":"+port)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		want := []string{"connect 127.0.0.1:" + port, "connected 127.0.0.1:" + port}
		if host == "origin.example" {
			want = append([]string{"dns origin.example", "dns done 1"}, want...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}

// TestSingleLabelNamesStandInTheHostsFile: Go's resolver does not find
// "localhost." there, so that only names with dots could be reached.
func TestSingleLabelNamesStandInTheHostsFile(t *testing.T) {
	if text, err := os.ReadFile("/etc/hosts"); err != nil || !strings.Contains(string(text), "localhost") {
		t.Skip("/etc/hosts does not name localhost")
	}
	port := listen(t, "127.0.0.1")
	var asked atomic.Bool
	d := Dialer{
		Permit: func(a netip.AddrPort) error {
			if !a.Addr().IsLoopback() {
				return errBanned
			}
			return nil
		},
		Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			asked.Store(true)
			return nil, errors.New("no name server here")
		}},
	}
	c, err := d.DialContext(t.Context(), "tcp4", "localhost:"+port)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if asked.Load() {
		t.Error("a name server was asked for a name in /etc/hosts")
	}
	if _, err := d.DialContext(t.Context(), "tcp4", "nothost:"+port); err == nil || !asked.Load() {
		t.Errorf("a name not in /etc/hosts: %v, asked the name server: %v", err, asked.Load())
	}
}
