// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// What the parties are called where the wires are shown as packets: loopback has one
// address for all of them. RFC 5737: nobody has these.
var (
	clientAddr  = netip.AddrFrom4([4]byte{192, 0, 2, 10})
	gatewayAddr = netip.AddrFrom4([4]byte{192, 0, 2, 20})
	outerAddr   = netip.AddrFrom4([4]byte{198, 51, 100, 20}) // the gateway's, toward origins
	originAddr  = netip.AddrFrom4([4]byte{203, 0, 113, 30})
)

// Flags of TCP (RFC 9293 §3.1).
const (
	flagFIN = 1 << iota
	flagSYN
	_
	flagPSH
	flagACK
)

const (
	ipHeader     = 20
	tcpHeader    = 20
	protocolTCP  = 6
	longestPart  = 32 << 10 // bytes in one segment: as many as one read of a tap gives
	windowScale  = 7
	firstNumber  = 1 << 20 // sequence number of the SYN
	pseudoHeader = 12
)

// A conversation is a flow as TCP: who has sent and confirmed how much of it.
type conversation struct {
	ends [2]netip.AddrPort // who opened it, who accepted it
	next [2]uint32         // the sequence number that each sends next
	id   uint16            // of the next IP packet
}

func conversationOf(f *Flow) *conversation {
	from, to := clientAddr, gatewayAddr
	switch {
	case f.Direct:
		to = originAddr
	case f.Leg == "origin":
		from, to = outerAddr, originAddr
	}
	return &conversation{
		ends: [2]netip.AddrPort{netip.AddrPortFrom(from, f.From.Port()), netip.AddrPortFrom(to, f.To.Port())},
		next: [2]uint32{firstNumber, 2 * firstNumber},
	}
}

// packetsOf are a flow as packets. Bytes and times are those recorded; SYN and FIN
// stand for what the recorder saw as the connection's beginning and end, and segments
// confirm what had come before them.
func packetsOf(f *Flow, opened time.Duration, wire uint32, about string) []packet {
	c := conversationOf(f)
	began := f.rec.Began
	var out []packet
	send := func(at time.Duration, down bool, flags byte, data []byte, lost int) {
		b, size := c.segment(down, flags, data, lost)
		out = append(out, packet{at: began.Add(at), wire: wire, data: b, size: size})
	}
	send(opened, false, flagSYN, nil, 0)
	send(opened, true, flagSYN|flagACK, nil, 0)
	send(opened, false, flagACK, nil, 0)
	out[0].comment = about
	ended := 0
	for _, k := range f.Chunks() {
		if k.Data == nil && k.Lost == 0 {
			send(k.At, k.Down, flagFIN|flagACK, nil, 0)
			if ended++; ended == 2 {
				send(k.At, !k.Down, flagACK, nil, 0)
			}
			continue
		}
		for data, lost := k.Data, k.Lost; len(data)+lost > 0; {
			n := min(len(data), longestPart)
			m := min(lost, longestPart-n)
			send(k.At, k.Down, flagPSH|flagACK, data[:n], m)
			data, lost = data[n:], lost-m
		}
	}
	return out
}

// segment is an IP packet with the next segment of a direction: data and, behind it,
// lost bytes that there are no more. size is that of the whole.
func (c *conversation) segment(down bool, flags byte, data []byte, lost int) (b []byte, size int) {
	d := direction(down)
	from, to := c.ends[d], c.ends[1-d]
	var options []byte
	if flags&flagSYN != 0 { // RFC 9293 §3.2, RFC 7323 §2.2
		options = []byte{2, 4, longestPart >> 8, longestPart & 0xff, 1, 3, 3, windowScale}
	}
	header := tcpHeader + len(options)
	size = ipHeader + header + len(data) + lost
	b = make([]byte, 0, size-lost)

	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	b = binary.BigEndian.AppendUint16(b, c.id)
	b = append(b, 0x40, 0, 64, protocolTCP, 0, 0) // not to be fragmented
	b = append(b, from.Addr().AsSlice()...)
	b = append(b, to.Addr().AsSlice()...)
	binary.BigEndian.PutUint16(b[10:], checksum(b))

	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint32(b, c.next[d])
	confirmed := uint32(0)
	if flags&flagACK != 0 {
		confirmed = c.next[1-d]
	}
	b = binary.BigEndian.AppendUint32(b, confirmed)
	b = append(b, byte(header/4)<<4, flags, 0xff, 0xff, 0, 0, 0, 0)
	b = append(append(b, options...), data...)
	if lost == 0 { // else nobody can check it
		binary.BigEndian.PutUint16(b[ipHeader+16:], checksum(pseudo(from.Addr(), to.Addr(), b[ipHeader:])))
	}

	c.id++
	c.next[d] += uint32(len(data) + lost)
	if flags&(flagSYN|flagFIN) != 0 {
		c.next[d]++
	}
	return b, size
}

// pseudo is a segment as its checksum is made of it (RFC 9293 §3.1).
func pseudo(from, to netip.Addr, segment []byte) []byte {
	b := make([]byte, 0, pseudoHeader+len(segment))
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	b = append(b, 0, protocolTCP)
	b = binary.BigEndian.AppendUint16(b, uint16(len(segment)))
	return append(b, segment...)
}

// checksum is the Internet's (RFC 1071).
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
		sum = sum>>16 + sum&0xffff
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum>>16 + sum)
}
