// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestDialUDPAsksAboutTheVeryAddress, and opens no socket to one that is refused, of a name as of
// an address.
func TestDialUDPAsksAboutTheVeryAddress(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "localhost", "::ffff:127.0.0.1"} {
		var asked []netip.AddrPort
		var mu sync.Mutex
		d := Dialer{Permit: func(a netip.AddrPort) error {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, a)
			return errors.New("not there")
		}}
		_, err := d.DialUDP(t.Context(), host, 443, nil, func(context.Context, *net.UDPConn) (io.Closer, error) {
			t.Errorf("%s: a socket", host)
			return nil, io.EOF
		})
		var p *ProhibitedError
		if !errors.As(err, &p) || !slices.Contains(asked, netip.MustParseAddrPort("127.0.0.1:443")) {
			t.Errorf("%s: %v, asked about %v", host, err, asked)
		}
	}
	var none Dialer
	if _, err := none.DialUDP(t.Context(), "127.0.0.1", 443, nil, nil); err == nil {
		t.Error("the zero Dialer opens sockets")
	}
}

// TestDialUDPGivesTheSocketAway with what was opened on it, and closes it otherwise.
func TestDialUDPGivesTheSocketAway(t *testing.T) {
	peer, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	port := uint16(peer.LocalAddr().(*net.UDPAddr).Port)
	d := Dialer{Permit: func(netip.AddrPort) error { return nil }, Timeout: time.Minute}
	var times Times
	c, err := d.DialUDP(t.Context(), "localhost", port, &times, func(ctx context.Context, c *net.UDPConn) (io.Closer, error) {
		if c.RemoteAddr().String() != peer.LocalAddr().String() {
			return nil, errors.New("another address")
		}
		if _, ok := ctx.Deadline(); !ok {
			t.Error("there is no end")
		}
		return c, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.(*net.UDPConn).Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if n, _, err := peer.ReadFrom(make([]byte, 9)); n != 1 || err != nil {
		t.Error(n, err)
	}
	c.Close()
	var kept *net.UDPConn
	if _, err := d.DialUDP(t.Context(), "127.0.0.1", port, nil, func(_ context.Context, c *net.UDPConn) (io.Closer, error) {
		kept = c
		return nil, io.EOF
	}); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if _, err := kept.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket is left open: %v", err)
	}
}
