// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"
)

// The blocks of a pcapng file (draft-ietf-opsawg-pcapng §4), written little-endian.
const (
	blockInterface = 1
	blockNames     = 4
	blockPacket    = 6
	blockSecrets   = 10
	blockSection   = 0x0A0D0D0A

	byteOrder = 0x1A2B3C4D
	linkRaw   = 101        // LINKTYPE_RAW: a packet begins with its IP header
	tlsKeyLog = 0x544c534b // the format of NSS
)

// Options of blocks: the same number means another thing in another block.
const (
	optionComment  = 1
	sectionProgram = 4
	interfaceName  = 2
	interfaceClock = 9 // 10 to the power of minus its value, in seconds
	recordIPv4     = 1
)

// A blockOption follows what a block always has.
type blockOption struct {
	code  uint16
	value []byte
}

func comment(text string) blockOption { return blockOption{optionComment, []byte(text)} }

// appendBlock adds a block of a kind; options without a value are left out.
func appendBlock(b []byte, kind uint32, body []byte, options ...blockOption) []byte {
	some := false
	for _, o := range options {
		if len(o.value) == 0 {
			continue
		}
		some = true
		v := o.value[:min(len(o.value), math.MaxUint16)]
		body = binary.LittleEndian.AppendUint16(body, o.code)
		body = binary.LittleEndian.AppendUint16(body, uint16(len(v)))
		body = pad(append(body, v...))
	}
	if some {
		body = append(body, 0, 0, 0, 0) // the end of options
	}
	length := uint32(len(body) + 4 + 4 + 4) // with the kind, and the length twice
	b = binary.LittleEndian.AppendUint32(b, kind)
	b = binary.LittleEndian.AppendUint32(b, length)
	b = append(b, body...)
	return binary.LittleEndian.AppendUint32(b, length)
}

// pad fills up to 32 bits, as all fields of a block that have a length of their own.
func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// appendSection begins a file that program wrote.
func appendSection(b []byte, program, about string) []byte {
	body := binary.LittleEndian.AppendUint32(nil, byteOrder)
	body = append(body, 1, 0, 0, 0)                               // version 1.0
	body = binary.LittleEndian.AppendUint64(body, math.MaxUint64) // its length is not told
	return appendBlock(b, blockSection, body, comment(about), blockOption{sectionProgram, []byte(program)})
}

// appendInterface describes the next wire; packets name it by its number, from 0.
func appendInterface(b []byte, name, about string) []byte {
	body := binary.LittleEndian.AppendUint16(nil, linkRaw)
	body = append(body, 0, 0, 0, 0, 0, 0) // reserved; packets of any length
	return appendBlock(b, blockInterface, body, comment(about),
		blockOption{interfaceName, []byte(name)}, blockOption{interfaceClock, []byte{9}})
}

// A hostName is what an address, of IPv4, is called.
type hostName struct {
	addr netip.Addr
	name string
}

// appendNames says what addresses are called.
func appendNames(b []byte, names ...hostName) []byte {
	var body []byte
	for _, n := range names {
		body = binary.LittleEndian.AppendUint16(body, recordIPv4)
		body = binary.LittleEndian.AppendUint16(body, uint16(4+len(n.name)+1))
		body = append(body, n.addr.AsSlice()...)
		body = pad(append(append(body, n.name...), 0))
	}
	return appendBlock(b, blockNames, append(body, 0, 0, 0, 0))
}

// appendSecrets adds a key log. It stands before the packets it is for.
func appendSecrets(b, keys []byte) []byte {
	body := binary.LittleEndian.AppendUint32(nil, tlsKeyLog)
	body = binary.LittleEndian.AppendUint32(body, uint32(len(keys)))
	return appendBlock(b, blockSecrets, pad(append(body, keys...)))
}

// A packet is what a wire carried at a time.
type packet struct {
	at      time.Time
	wire    uint32 // number of its interface
	data    []byte // from its IP header on
	size    int    // of the whole; more than data where not all was kept
	comment string
}

func appendPacket(b []byte, p packet) []byte {
	at := uint64(p.at.UnixNano())
	body := binary.LittleEndian.AppendUint32(nil, p.wire)
	body = binary.LittleEndian.AppendUint32(body, uint32(at>>32))
	body = binary.LittleEndian.AppendUint32(body, uint32(at))
	body = binary.LittleEndian.AppendUint32(body, uint32(len(p.data)))
	body = binary.LittleEndian.AppendUint32(body, uint32(p.size))
	return appendBlock(b, blockPacket, pad(append(body, p.data...)), comment(p.comment))
}
