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

var errBanned = errors.New("banned by the test")

// A permit notes what it was asked and refuses what lies in banned.
type permit struct {
	banned []netip.Prefix

	mu    sync.Mutex
	asked []string
}

func ban(prefixes ...string) *permit {
	p := &permit{}
	for _, s := range prefixes {
		p.banned = append(p.banned, netip.MustParsePrefix(s))
	}
	return p
}

func (p *permit) permit(a netip.AddrPort) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, a.String())
	for _, b := range p.banned {
		if b.Contains(a.Addr()) {
			return errBanned
		}
	}
	return nil
}

// TestZeroDialerReachesNothing: it does not even look names up (law 3, law 4).
func TestZeroDialerReachesNothing(t *testing.T) {
	port := listen(t, "127.0.0.1")
	dns := hosts(t, map[string][]string{"origin.example.": {"127.0.0.1"}})
	for _, host := range []string{"127.0.0.1", "origin.example"} {
		d := &Dialer{Resolver: dns.resolver()}
		_, err := d.DialContext(t.Context(), "tcp", host+":"+port)
		var p *ProhibitedError
		if !errors.As(err, &p) || !errors.Is(err, errNoPermit) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if q := dns.questions(); len(q) > 0 {
		t.Errorf("looked up %q", q)
	}
}

// TestPermitSeesTheAddress: what is asked about is what connect(2) is given,
// in the one form that prefixes match.
func TestPermitSeesTheAddress(t *testing.T) {
	four, six := listen(t, "127.0.0.1"), listen(t, "::1")
	dns := hosts(t, map[string][]string{"four.example.": {"127.0.0.1"}, "six.example.": {"::1"}, "mapped.example.": {"::ffff:127.0.0.1"}})
	tests := []struct{ dial, asked string }{
		{"127.0.0.1:" + four, "127.0.0.1:" + four},
		{"[::1]:" + six, "[::1]:" + six},
		{"[::ffff:127.0.0.1]:" + four, "127.0.0.1:" + four},
		{"[::ffff:7f00:1]:" + four, "127.0.0.1:" + four},
		{"four.example:" + four, "127.0.0.1:" + four},
		{"FOUR.example.:" + four, "127.0.0.1:" + four},
		{"six.example:" + six, "[::1]:" + six},
		{"mapped.example:" + four, "127.0.0.1:" + four},
	}
	for _, tt := range tests {
		p := ban()
		c, err := (&Dialer{Permit: p.permit, Resolver: dns.resolver()}).DialContext(t.Context(), "tcp", tt.dial)
		if err != nil {
			t.Errorf("%s: %v", tt.dial, err)
			continue
		}
		if got := c.RemoteAddr().String(); got != tt.asked {
			t.Errorf("%s: connected to %s, want %s", tt.dial, got, tt.asked)
		}
		c.Close()
		if !slices.Equal(p.asked, []string{tt.asked}) {
			t.Errorf("%s: asked about %s, want %s", tt.dial, p.asked, tt.asked)
		}
	}
}

// TestProhibited: a refused address is not connected to however it is
// spelled, and the error says which and why.
func TestProhibited(t *testing.T) {
	dns := hosts(t, map[string][]string{
		"private.example.": {"10.0.0.1"},
		"both.example.":    {"10.0.0.1", "fd00::1"},
		"mapped.example.":  {"::ffff:10.0.0.1"},
		"meta.example.":    {"169.254.169.254"},
	})
	tests := []struct{ dial, addr string }{
		{"10.0.0.1:443", "10.0.0.1:443"},
		{"[::ffff:10.0.0.1]:443", "10.0.0.1:443"},
		{"[fe80::1%1]:443", "[fe80::1]:443"},
		{"private.example:443", "10.0.0.1:443"},
		{"mapped.example:443", "10.0.0.1:443"},
		{"meta.example:80", "169.254.169.254:80"},
		{"both.example:443", ""}, // whichever was tried first
	}
	for _, tt := range tests {
		p := ban("10.0.0.0/8", "169.254.0.0/16", "fe80::/10", "fd00::/8")
		c, err := (&Dialer{Permit: p.permit, Resolver: dns.resolver()}).DialContext(t.Context(), "tcp", tt.dial)
		if err == nil {
			c.Close()
		}
		var pe *ProhibitedError
		if !errors.As(err, &pe) || !errors.Is(err, errBanned) || pe.Err != errBanned {
			t.Errorf("%s: %v", tt.dial, err)
			continue
		}
		if tt.addr == "" {
			if len(p.asked) != 2 {
				t.Errorf("%s: asked about %s", tt.dial, p.asked)
			}
			continue
		}
		if pe.Addr.String() != tt.addr || err.Error() != "tunnel: dial "+tt.addr+" prohibited: banned by the test" {
			t.Errorf("%s: %v", tt.dial, err)
		}
	}
}

// TestUnspecified: net.Dial takes it for this machine, and shows it to
// ControlContext as it is.
func TestUnspecified(t *testing.T) {
	four := listen(t, "127.0.0.1")
	dns := hosts(t, map[string][]string{"nobody.example.": {"0.0.0.0"}})
	for _, host := range []string{"0.0.0.0", "::", "::ffff:0.0.0.0", "nobody.example"} {
		p := ban("127.0.0.0/8", "::1/128")
		c, err := (&Dialer{Permit: p.permit, Resolver: dns.resolver()}).DialContext(t.Context(), "tcp", net.JoinHostPort(host, four))
		if err == nil {
			t.Errorf("%s: connected to %s", host, c.RemoteAddr())
			c.Close()
		}
		var pe *ProhibitedError
		if !errors.As(err, &pe) || len(p.asked) > 0 {
			t.Errorf("%s: %v, asked about %s", host, err, p.asked)
		}
	}
}

// TestRebinding: a name server that changes its answer after the first has
// nobody to tell.
func TestRebinding(t *testing.T) {
	port := listen(t, "127.0.0.1")
	answers := 0
	dns := &fakeDNS{t: t}
	var mu sync.Mutex
	dns.answer = func(string) []string {
		mu.Lock()
		defer mu.Unlock()
		if answers++; answers <= 2 { // A and AAAA of one lookup
			return []string{"127.0.0.1"}
		}
		return []string{"10.0.0.1"}
	}
	p := ban("10.0.0.0/8")
	c, err := (&Dialer{Permit: p.permit, Resolver: dns.resolver()}).DialContext(t.Context(), "tcp", "rebind.example:"+port)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if q := dns.questions(); !slices.Equal(q, []string{"rebind.example."}) {
		t.Errorf("asked for %q", q)
	}
	if want := "127.0.0.1:" + port; !slices.Equal(p.asked, []string{want}) || c.RemoteAddr().String() != want {
		t.Errorf("asked about %s, connected to %s", p.asked, c.RemoteAddr())
	}
}

// TestMixedAnswers: refused addresses are passed over, and do not hide why
// the others failed.
func TestMixedAnswers(t *testing.T) {
	open, closed := listen(t, "127.0.0.1"), closedPort(t, "127.0.0.1")
	for _, addrs := range [][]string{
		{"127.0.0.9", "127.0.0.1"},
		{"127.0.0.1", "127.0.0.9"},
		{"fd00::1", "127.0.0.1"},
	} {
		dns := hosts(t, map[string][]string{"mixed.example.": addrs})
		p := ban("127.0.0.9/32", "fd00::/8")
		d := &Dialer{Permit: p.permit, Resolver: dns.resolver()}
		c, err := d.DialContext(t.Context(), "tcp", "mixed.example:"+open)
		if err != nil {
			t.Errorf("%s: %v", addrs, err)
			continue
		}
		if got := c.RemoteAddr().String(); got != "127.0.0.1:"+open {
			t.Errorf("%s: connected to %s", addrs, got)
		}
		c.Close()

		_, err = d.DialContext(t.Context(), "tcp", "mixed.example:"+closed)
		var pe *ProhibitedError
		if !errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &pe) {
			t.Errorf("%s: %v, want connection refused", addrs, err)
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
			want = append([]string{"dns origin.example.", "dns done 1"}, want...)
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
