// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h3

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"

	"golang.org/x/net/ipv4"
)

// A socket is connected to one address, as quic-go's are not: whatever a QUIC
// connection says of others (migration, a preferred address), the kernel sends there
// and nowhere else, and lets nobody else's datagrams in (law 4).
type socket struct {
	*net.UDPConn
	batches *ipv4.PacketConn

	// confirmed is set behind the handshake. From then on what ICMP says of the
	// origin is not believed: whoever guesses the port could say it (RFC 9000 §14.2.1).
	// Before, it is the quick way to find out that nobody is there.
	confirmed atomic.Bool
}

func newSocket(c *net.UDPConn) *socket {
	return &socket{UDPConn: c, batches: ipv4.NewPacketConn(c)} // for IPv6 as well: it reads messages of either
}

// rumour reports whether err is only what somebody says of the origin.
func (s *socket) rumour(err error) bool {
	return s.confirmed.Load() && (errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH))
}

// ReadBatch is how quic-go reads.
func (s *socket) ReadBatch(m []ipv4.Message, flags int) (int, error) {
	for {
		n, err := s.batches.ReadBatch(m, flags)
		if err == nil || !s.rumour(err) {
			return n, err
		}
	}
}

// ReadMsgUDP implements quic.OOBCapablePacketConn.
func (s *socket) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, from *net.UDPAddr, err error) {
	for {
		n, oobn, flags, from, err = s.UDPConn.ReadMsgUDP(b, oob)
		if err == nil || !s.rumour(err) {
			return n, oobn, flags, from, err
		}
	}
}

// WriteMsgUDP implements quic.OOBCapablePacketConn. Where to is settled already.
func (s *socket) WriteMsgUDP(b, oob []byte, _ *net.UDPAddr) (n, oobn int, err error) {
	n, oobn, err = s.UDPConn.WriteMsgUDP(b, oob, nil)
	if err != nil && s.rumour(err) { // about an earlier datagram
		n, oobn, err = s.UDPConn.WriteMsgUDP(b, oob, nil)
	}
	if err != nil && s.rumour(err) {
		return len(b), len(oob), nil // lost, as any may be
	}
	return n, oobn, err
}

// WriteTo implements net.PacketConn.
func (s *socket) WriteTo(b []byte, _ net.Addr) (int, error) {
	n, _, err := s.WriteMsgUDP(b, nil, nil)
	return n, err
}
