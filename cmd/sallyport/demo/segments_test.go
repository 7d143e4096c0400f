// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestChecksum: the example of RFC 1071 §3, an odd number of bytes, and the carry of a carry.
func TestChecksum(t *testing.T) {
	for _, c := range []struct {
		in   []byte
		want uint16
	}{
		{[]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, ^uint16(0xddf2)},
		{[]byte{0x12}, ^uint16(0x1200)},
		{nil, 0xffff},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0xff}, ^uint16(0xff00)},
		{[]byte{0xff, 0xff, 0x00, 0x01}, ^uint16(0x0001)},
	} {
		if got := checksum(c.in); got != c.want {
			t.Errorf("%x: %04x, want %04x", c.in, got, c.want)
		}
	}
}

// chunked is a flow of chunks that came one after the other.
func chunked(leg string, direct bool, chunks ...Chunk) *Flow {
	f := newRecording().open(leg, direct, netip.MustParseAddrPort("127.0.0.1:40001"), netip.MustParseAddrPort("127.0.0.1:40002"))
	f.chunks = chunks
	for i := range f.chunks {
		f.chunks[i].At = time.Duration(i+1) * time.Millisecond
	}
	return f
}

// line is a packet for people: numbers of TCP count from those of the SYNs.
func line(p packet) string {
	ip, tcp := p.data[:20], p.data[20:]
	base := func(port uint16) uint32 {
		if port == 40001 {
			return firstNumber
		}
		return 2 * firstNumber
	}
	from, to := binary.BigEndian.Uint16(tcp), binary.BigEndian.Uint16(tcp[2:])
	var flags []string
	for i, name := range []string{"F", "S", "R", "P", "A"} {
		if tcp[13]>>i&1 == 1 {
			flags = append(flags, name)
		}
	}
	out := fmt.Sprintf("%s %d %s seq %d", netip.AddrFrom4([4]byte(ip[12:])), from, strings.Join(flags, ""),
		binary.BigEndian.Uint32(tcp[4:])-base(from))
	if slices.Contains(flags, "A") {
		out += fmt.Sprintf(" ack %d", binary.BigEndian.Uint32(tcp[8:])-base(to))
	}
	if n := p.size - ipHeader - int(tcp[12]>>4)*4; n > 0 {
		out += fmt.Sprintf(" len %d", n)
	}
	if len(p.data) < p.size {
		out += fmt.Sprintf(" without %d", p.size-len(p.data))
	}
	return out
}

// TestSegments: what was recorded, as TCP has it.
func TestSegments(t *testing.T) {
	up, down := Chunk{Data: []byte("question")}, Chunk{Down: true, Data: []byte("an answer")}
	upEnds, downEnds := Chunk{}, Chunk{Down: true}
	const opens = `192.0.2.10 40001 S seq 0
192.0.2.20 40002 SA seq 0 ack 1
192.0.2.10 40001 A seq 1 ack 1
`
	for name, c := range map[string]struct {
		flow *Flow
		want string
	}{
		"nothing but a connection": {chunked("client", false), opens},
		"a question, an answer, and the end": {chunked("client", false, up, down, upEnds, downEnds), opens +
			`192.0.2.10 40001 PA seq 1 ack 1 len 8
192.0.2.20 40002 PA seq 1 ack 9 len 9
192.0.2.10 40001 FA seq 9 ack 10
192.0.2.20 40002 FA seq 10 ack 10
192.0.2.10 40001 A seq 10 ack 11
`},
		"one that speaks first, to somebody who still speaks when it has ended": {chunked("client", false, down, downEnds, up, upEnds), opens +
			`192.0.2.20 40002 PA seq 1 ack 1 len 9
192.0.2.20 40002 FA seq 10 ack 1
192.0.2.10 40001 PA seq 1 ack 11 len 8
192.0.2.10 40001 FA seq 9 ack 11
192.0.2.20 40002 A seq 11 ack 10
`},
		"from the gateway to the origin": {
			chunked("origin", false, up),
			`198.51.100.20 40001 S seq 0
203.0.113.30 40002 SA seq 0 ack 1
198.51.100.20 40001 A seq 1 ack 1
198.51.100.20 40001 PA seq 1 ack 1 len 8
`,
		},
		"without a gateway": {
			chunked("client", true),
			`192.0.2.10 40001 S seq 0
203.0.113.30 40002 SA seq 0 ack 1
192.0.2.10 40001 A seq 1 ack 1
`,
		},
		"more than an IP packet can have": {chunked("client", false, Chunk{Data: make([]byte, 70_000)}, down), opens +
			`192.0.2.10 40001 PA seq 1 ack 1 len 32768
192.0.2.10 40001 PA seq 32769 ack 1 len 32768
192.0.2.10 40001 PA seq 65537 ack 1 len 4464
192.0.2.20 40002 PA seq 1 ack 70001 len 9
`},
		"what was not kept is there as a length": {chunked("client", false, Chunk{Data: []byte("kept"), Lost: 40_000}, Chunk{Data: []byte{}, Lost: 3}, down), opens +
			`192.0.2.10 40001 PA seq 1 ack 1 len 32768 without 32764
192.0.2.10 40001 PA seq 32769 ack 1 len 7236 without 7236
192.0.2.10 40001 PA seq 40005 ack 1 len 3 without 3
192.0.2.20 40002 PA seq 1 ack 40008 len 9
`},
	} {
		var got strings.Builder
		for _, p := range packetsOf(c.flow, 0, 0, "") {
			got.WriteString(line(p) + "\n")
			if n := binary.BigEndian.Uint16(p.data[2:]); int(n) != p.size {
				t.Errorf("%s: %s: the IP header says %d bytes of %d", name, line(p), n, p.size)
			}
			if checksum(p.data[:ipHeader]) != 0 {
				t.Errorf("%s: %s: the IP header's checksum is wrong", name, line(p))
			}
			src, dst := netip.AddrFrom4([4]byte(p.data[12:])), netip.AddrFrom4([4]byte(p.data[16:]))
			if len(p.data) == p.size && checksum(pseudo(src, dst, p.data[ipHeader:])) != 0 {
				t.Errorf("%s: %s: the checksum of TCP is wrong", name, line(p))
			}
		}
		if got.String() != c.want {
			t.Errorf("%s: got\n%swant\n%s", name, &got, c.want)
		}
	}
}

// TestSegmentsCarryTheFlow: the bytes of all segments of a direction, by their
// sequence numbers, are those recorded, at the times that they were.
func TestSegmentsCarryTheFlow(t *testing.T) {
	f := chunked("client", false)
	for i := range 20 {
		f.add(i%3 == 0, bytes.Repeat([]byte{byte(i)}, i*997))
	}
	for _, down := range []bool{false, true} {
		got := make([]byte, f.Total(down))
		for _, p := range packetsOf(f, f.Opened, 0, "") {
			tcp := p.data[ipHeader:]
			head := int(tcp[12]>>4) * 4
			if from := binary.BigEndian.Uint16(tcp); (from == 40002) != down || len(tcp) == head {
				continue
			}
			at := binary.BigEndian.Uint32(tcp[4:]) - uint32(direction(down)+1)*firstNumber - 1
			copy(got[at:], tcp[head:])
			if first := tcp[head]; p.at != f.rec.Began.Add(f.chunks[first].At) {
				t.Errorf("chunk %d has another time", first)
			}
		}
		if !bytes.Equal(got, f.bytes(down)) {
			t.Errorf("down %v: other bytes", down)
		}
	}
}
