// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestNamesAreRememberedForTheirTTL, and not a second longer.
func TestNamesAreRememberedForTheirTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := hosts(t, map[string][]string{"origin.example.": {"192.0.2.1", "2001:db8::1"}})
		dns.ttl = 60
		n := &Names{Resolver: dns.resolver()}
		asked := func(name string, wait time.Duration, want int) {
			t.Helper()
			time.Sleep(wait) // the bubble's clock
			addrs, err := n.Lookup(t.Context(), name)
			if err != nil || len(addrs) != 2 {
				t.Fatalf("%v, %v", addrs, err)
			}
			if got := len(dns.questions()); got != want {
				t.Fatalf("asked %d times, want %d", got, want)
			}
		}
		asked("origin.example", 0, 1)
		asked("ORIGIN.example", 0, 1)
		asked("origin.example", 59*time.Second, 1)
		asked("origin.example", time.Second, 2)
		dns.ttl = 1 << 30
		asked("origin.example", time.Minute, 3)
		asked("origin.example", maxTTL-1, 3)
		asked("origin.example", 1, 4)
	})
}

// TestNamesThatDoNotExistAreRememberedToo: RFC 2308, the SOA's minimum.
func TestNamesThatDoNotExistAreRememberedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := hosts(t, nil)
		dns.ttl = 30
		n := &Names{Resolver: dns.resolver()}
		for i, wait := range []time.Duration{0, 29 * time.Second, time.Second} {
			time.Sleep(wait) // the bubble's clock
			_, err := n.Lookup(t.Context(), "nobody.example")
			var d *net.DNSError
			if !errors.As(err, &d) || !d.IsNotFound {
				t.Fatal(err)
			}
			if got, want := len(dns.questions()), []int{1, 1, 2}[i]; got != want {
				t.Fatalf("after %v asked %d times, want %d", wait, got, want)
			}
		}
	})
}

// TestNamesWithoutLifetimeAreAskedAgain: TTL 0 means now and not later.
func TestNamesWithoutLifetimeAreAskedAgain(t *testing.T) {
	dns := hosts(t, map[string][]string{"origin.example.": {"192.0.2.1"}})
	n := &Names{Resolver: dns.resolver()}
	for i := range 3 {
		if _, err := n.Lookup(t.Context(), "origin.example"); err != nil {
			t.Fatal(err)
		}
		if got := len(dns.questions()); got != i+1 {
			t.Fatalf("asked %d times for %d lookups", got, i+1)
		}
	}
}

// TestOneLookupServesAll who ask at the same time, and outlives the first.
func TestOneLookupServesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		dns := hosts(t, map[string][]string{"origin.example.": {"192.0.2.1"}})
		answer := dns.answer
		dns.answer = func(name string) []string { <-proceed; return answer(name) }
		dns.ttl = 60
		n := &Names{Resolver: dns.resolver()}
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := n.Lookup(ctx, "origin.example"); !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v", err)
			}
		})
		synctest.Wait()
		for range 20 {
			wg.Go(func() {
				if addrs, err := n.Lookup(t.Context(), "origin.example"); err != nil || len(addrs) != 1 {
					t.Errorf("%v, %v", addrs, err)
				}
			})
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		close(proceed)
		wg.Wait()
		if got := len(dns.questions()); got != 1 {
			t.Errorf("asked %d times", got)
		}
	})
}

// TestNamesAreBounded: a client that asks for ever new names gets no more
// memory than that.
func TestNamesAreBounded(t *testing.T) {
	n := &Names{}
	done := make(chan struct{})
	close(done)
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range 2 * maxNames {
		n.known = remember(n.known, strconv.Itoa(i), &answer{ready: done, until: time.Now().Add(time.Hour)})
	}
	if len(n.known) > maxNames {
		t.Errorf("%d names are remembered", len(n.known))
	}
	if n.known[strconv.Itoa(2*maxNames-1)] == nil {
		t.Error("the newest is not among them")
	}
}

// TestRememberedAddressesAreStillAsked: what is remembered is the name; the
// permission is asked at every connect.
func TestRememberedAddressesAreStillAsked(t *testing.T) {
	port := listen(t, "127.0.0.1")
	dns := hosts(t, map[string][]string{"origin.example.": {"127.0.0.1"}})
	dns.ttl = 60
	n := &Names{Resolver: dns.resolver()}
	for i := range 3 {
		p := ban()
		c, err := (&Dialer{Permit: p.permit, Names: n}).DialContext(t.Context(), "tcp", "origin.example:"+port)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		refused := errors.New("not any more")
		_, err = (&Dialer{Permit: func(netip.AddrPort) error { return refused }, Names: n}).DialContext(t.Context(), "tcp", "origin.example:"+port)
		var pe *ProhibitedError
		if !errors.As(err, &pe) || !errors.Is(err, refused) {
			t.Fatalf("round %d: %v", i, err)
		}
	}
	if got := len(dns.questions()); got != 1 {
		t.Errorf("asked %d times", got)
	}
}

// TestOverheardOnUDP: the ear is a net.PacketConn, by which the resolver knows
// that it speaks UDP, and takes lifetimes from what it hears.
func TestOverheardOnUDP(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	dns := hosts(t, map[string][]string{"origin.example.": {"192.0.2.1"}})
	dns.ttl = 300
	go func() {
		buf := make([]byte, 1500)
		for {
			m, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply, err := dns.reply(buf[:m]); err == nil {
				_, _ = server.WriteTo(reply, from)
			}
		}
	}()
	n := &Names{Resolver: &net.Resolver{Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.LocalAddr().String())
	}}}
	before := time.Now()
	if _, err := n.Lookup(t.Context(), "origin.example"); err != nil {
		t.Fatal(err)
	}
	if left := n.known["origin.example"].until.Sub(before); left < 299*time.Second || left > 330*time.Second {
		t.Errorf("remembered for %v, want 300 s", left)
	}
}

// FuzzLifetime: a name server's message is bytes like any other.
func FuzzLifetime(f *testing.F) {
	dns := hosts(f, map[string][]string{"a.example.": {"192.0.2.1"}})
	query := []byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1}
	for _, name := range []string{"a", "b"} {
		q := slices.Clone(query)
		q[13] = name[0]
		reply, err := dns.reply(q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(reply)
		f.Add(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		var l lifetime
		l.note(message)
		for _, err := range []error{nil, &net.DNSError{IsNotFound: true}, errors.New("timeout")} {
			if d := l.of(err); d < 0 || d > maxTTL {
				t.Fatalf("remembered for %v", d)
			}
		}
	})
}

// TestRace: an address that does not answer holds up the next one for a moment
// only, and the families take turns.
func TestRace(t *testing.T) {
	got := interleave([]netip.Addr{
		netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8::3"),
		netip.MustParseAddr("192.0.2.1"),
	})
	want := "[2001:db8::1 192.0.2.1 2001:db8::2 2001:db8::3]"
	if s := netip.Addr.String; s(got[0])+s(got[1]) != "2001:db8::1192.0.2.1" || len(got) != 4 {
		t.Errorf("%v, want %s", got, want)
	}
	if many := interleave(make([]netip.Addr, 100)); len(many) != maxAttempts {
		t.Errorf("%d attempts", len(many))
	}

	// The first address hangs until the second is tried.
	port := listen(t, "127.0.0.1")
	second := make(chan struct{})
	permit := func(a netip.AddrPort) error {
		if a.Addr() == netip.MustParseAddr("127.0.0.1") {
			close(second)
			return nil
		}
		select {
		case <-second:
		case <-time.After(20 * time.Second):
			t.Error("the second address was not tried beside the first")
		}
		return errBanned
	}
	dns := hosts(t, map[string][]string{"origin.example.": {"127.0.0.2", "127.0.0.1"}})
	c, err := (&Dialer{Permit: permit, Resolver: dns.resolver()}).DialContext(t.Context(), "tcp", "origin.example:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if a := c.RemoteAddr().(*net.TCPAddr).IP.String(); a != "127.0.0.1" {
		t.Errorf("connected to %s", a)
	}
}
