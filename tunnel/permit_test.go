// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
)

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

// A way is one of the methods to connect by. What is said of permission holds
// for all of them.
type way func(d *Dialer, addr string) (net.Conn, error)

func everyWay(t *testing.T, test func(t *testing.T, dial way)) {
	t.Run("DialContext", func(t *testing.T) {
		test(t, func(d *Dialer, addr string) (net.Conn, error) { return d.DialContext(t.Context(), "tcp", addr) })
	})
	t.Run("DialOrigin", func(t *testing.T) {
		test(t, func(d *Dialer, addr string) (net.Conn, error) {
			host, port, err := splitAddr(addr)
			if err != nil {
				return nil, err
			}
			return d.DialOrigin(t.Context(), host, port, nil)
		})
	})
}

// TestZeroDialerReachesNothing: it does not even look names up (law 3, law 4).
func TestZeroDialerReachesNothing(t *testing.T) {
	everyWay(t, func(t *testing.T, dial way) {
		port := listen(t, "127.0.0.1")
		dns := hosts(t, map[string][]string{"origin.example.": {"127.0.0.1"}})
		for _, host := range []string{"127.0.0.1", "origin.example"} {
			d := &Dialer{Resolver: dns.resolver()}
			_, err := dial(d, host+":"+port)
			var p *ProhibitedError
			if !errors.As(err, &p) || !errors.Is(err, errNoPermit) {
				t.Errorf("%s: %v", host, err)
			}
		}
		if q := dns.questions(); len(q) > 0 {
			t.Errorf("looked up %q", q)
		}
	})
}

// TestPermitSeesTheAddress: what is asked about is what connect(2) is given,
// in the one form that prefixes match.
func TestPermitSeesTheAddress(t *testing.T) {
	everyWay(t, func(t *testing.T, dial way) {
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
			c, err := dial(&Dialer{Permit: p.permit, Resolver: dns.resolver()}, tt.dial)
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
	})
}

// TestProhibited: a refused address is not connected to however it is
// spelled, and the error says which and why.
func TestProhibited(t *testing.T) {
	everyWay(t, func(t *testing.T, dial way) {
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
			c, err := dial(&Dialer{Permit: p.permit, Resolver: dns.resolver()}, tt.dial)
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
	})
}

// TestUnspecified: net.Dial takes it for this machine, and shows it to
// ControlContext as it is.
func TestUnspecified(t *testing.T) {
	everyWay(t, func(t *testing.T, dial way) {
		four := listen(t, "127.0.0.1")
		dns := hosts(t, map[string][]string{"nobody.example.": {"0.0.0.0"}})
		for _, host := range []string{"0.0.0.0", "::", "::ffff:0.0.0.0", "nobody.example"} {
			p := ban("127.0.0.0/8", "::1/128")
			c, err := dial(&Dialer{Permit: p.permit, Resolver: dns.resolver()}, net.JoinHostPort(host, four))
			if err == nil {
				t.Errorf("%s: connected to %s", host, c.RemoteAddr())
				c.Close()
			}
			var pe *ProhibitedError
			if !errors.As(err, &pe) || len(p.asked) > 0 {
				t.Errorf("%s: %v, asked about %s", host, err, p.asked)
			}
		}
	})
}

// TestRebinding: a name server that changes its answer after the first has
// nobody to tell.
func TestRebinding(t *testing.T) {
	everyWay(t, func(t *testing.T, dial way) {
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
		c, err := dial(&Dialer{Permit: p.permit, Resolver: dns.resolver()}, "rebind.example:"+port)
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
	})
}

// TestMixedAnswers: refused addresses are passed over, and do not hide why
// the others failed.
func TestMixedAnswers(t *testing.T) {
	everyWay(t, func(t *testing.T, dial way) {
		open, closed := listen(t, "127.0.0.1"), closedPort(t, "127.0.0.1")
		for _, addrs := range [][]string{
			{"127.0.0.9", "127.0.0.1"},
			{"127.0.0.1", "127.0.0.9"},
			{"fd00::1", "127.0.0.1"},
		} {
			dns := hosts(t, map[string][]string{"mixed.example.": addrs})
			p := ban("127.0.0.9/32", "fd00::/8")
			d := &Dialer{Permit: p.permit, Resolver: dns.resolver()}
			c, err := dial(d, "mixed.example:"+open)
			if err != nil {
				t.Errorf("%s: %v", addrs, err)
				continue
			}
			if got := c.RemoteAddr().String(); got != "127.0.0.1:"+open {
				t.Errorf("%s: connected to %s", addrs, got)
			}
			c.Close()

			_, err = dial(d, "mixed.example:"+closed)
			var pe *ProhibitedError
			if !errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &pe) {
				t.Errorf("%s: %v, want connection refused", addrs, err)
			}
		}
	})
}
