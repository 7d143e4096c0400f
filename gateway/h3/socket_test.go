// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h3

import (
	"errors"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
)

// TestRumoursEndNoConnection: what ICMP says of the origin ends a handshake, and nothing
// behind it: anybody could have said it.
func TestRumoursEndNoConnection(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("when a system tells its sockets of ICMP is its own affair")
	}
	for _, confirmed := range []bool{false, true} {
		peer, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		u, err := net.DialUDP("udp", nil, peer.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		peer.Close() // nobody is there any more
		s := newSocket(u)
		s.confirmed.Store(confirmed)
		elsewhere := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 9), Port: 9} // which is not heeded
		refused := 0
		for range 6 {
			if _, _, err := s.WriteMsgUDP([]byte("x"), nil, elsewhere); errors.Is(err, syscall.ECONNREFUSED) {
				refused++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.WriteTo([]byte("x"), elsewhere); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
		_ = s.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, batchErr := s.ReadBatch([]ipv4.Message{{Buffers: [][]byte{make([]byte, 9)}}}, 0)
		_, _, _, _, err = s.ReadMsgUDP(make([]byte, 9), nil)
		if late := os.ErrDeadlineExceeded; confirmed && (refused > 0 || !errors.Is(batchErr, late) || !errors.Is(err, late)) {
			t.Errorf("behind the handshake: %d refused, %v, %v", refused, batchErr, err)
		}
		if !confirmed && refused == 0 {
			t.Error("a handshake does not notice that nobody is there")
		}
	}
}

// TestDatagramsOfOthers do not come in.
func TestDatagramsOfOthers(t *testing.T) {
	peer, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	other, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	u, err := net.DialUDP("udp", nil, peer.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	s := newSocket(u)
	for _, from := range []net.PacketConn{other, peer} {
		if _, err := from.WriteTo([]byte(from.LocalAddr().String()), u.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, 64)
	n, _, _, from, err := s.ReadMsgUDP(b, nil)
	if err != nil || from.String() != peer.LocalAddr().String() || string(b[:n]) != from.String() {
		t.Errorf("%q from %v: %v", b[:n], from, err)
	}
}
