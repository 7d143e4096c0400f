// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"math"
	"net"

	"golang.org/x/crypto/cryptobyte"
)

// Types of TLS records and handshake messages (RFC 8446 §5.1, §4).
const (
	recordChangeCipher = 20
	recordAlert        = 21
	recordHandshake    = 22
	recordApplication  = 23

	messageClientHello = 1
	messageServerHello = 2

	extensionEarlyData = 42 // RFC 8446 §4.2.10
)

// A tlsRecord is one of a stream.
type tlsRecord struct {
	kind    byte
	payload []byte
	offset  int // of its header
}

// nextRecord takes the first record of b; size 0 means that more is needed.
func nextRecord(b []byte) (r tlsRecord, size int) {
	if len(b) < 5 {
		return r, 0
	}
	n := 5 + int(binary.BigEndian.Uint16(b[3:]))
	if len(b) < n {
		return r, 0
	}
	return tlsRecord{kind: b[0], payload: b[5:n]}, n
}

// records are the whole ones at the beginning of b.
func records(b []byte) []tlsRecord {
	var out []tlsRecord
	for at := 0; ; {
		r, n := nextRecord(b[at:])
		if n == 0 {
			return out
		}
		r.offset = at
		out, at = append(out, r), at+n
	}
}

// extensions finds the block of extensions in a ClientHello, given as the record it
// came in: where its length stands.
func extensions(record []byte) (at int, ok bool) {
	s := cryptobyte.String(record)
	var part cryptobyte.String
	if !s.Skip(5+4+2+32) || !s.ReadUint8LengthPrefixed(&part) || // session
		!s.ReadUint16LengthPrefixed(&part) || // cipher suites
		!s.ReadUint8LengthPrefixed(&part) || // compression
		len(s) < 2 {
		return 0, false
	}
	return len(record) - len(s), true
}

// offersEarlyData reports whether a stream begins with a ClientHello that does.
func offersEarlyData(stream []byte) bool {
	r, n := nextRecord(stream)
	if n == 0 || r.kind != recordHandshake {
		return false
	}
	at, ok := extensions(stream[:n])
	if !ok {
		return false
	}
	block := cryptobyte.String(stream[at:n])
	var list cryptobyte.String
	if !block.ReadUint16LengthPrefixed(&list) {
		return false
	}
	for !list.Empty() {
		var id uint16
		var body cryptobyte.String
		if !list.ReadUint16(&id) || !list.ReadUint16LengthPrefixed(&body) {
			return false
		}
		if id == extensionEarlyData {
			return true
		}
	}
	return false
}

// earlyFlight is what a client sends that resumes a session with early data: a
// ClientHello with the offer, and a record right behind it. crypto/tls has no
// client that does, so the offer is put into one of its hellos.
func earlyFlight(config *tls.Config) ([]byte, error) {
	c := &helloTrap{}
	_ = tls.Client(c, config).Handshake() // fails: nobody answers
	r, n := nextRecord(c.sent)
	at, ok := extensions(c.sent[:n])
	if n == 0 || n != len(c.sent) || r.kind != recordHandshake || !ok {
		return nil, errors.New("crypto/tls sent no ClientHello in one record")
	}
	const more = 4
	hello := append(c.sent, 0, extensionEarlyData, 0, 0)
	grow := func(at int) {
		binary.BigEndian.PutUint16(hello[at:], binary.BigEndian.Uint16(hello[at:])+more)
	}
	grow(3)     // the record
	grow(5 + 2) // the message; its length has a third byte in front, which is 0
	grow(at)    // the extensions
	data := make([]byte, 64)
	_, _ = rand.Read(data) // never fails
	return append(append(hello, recordApplication, 3, 3, 0, byte(len(data))), data...), nil
}

// A helloTrap keeps what is written and answers nothing.
type helloTrap struct {
	net.Conn
	sent []byte
}

func (c *helloTrap) Write(b []byte) (int, error) {
	c.sent = append(c.sent, b...)
	return len(b), nil
}
func (c *helloTrap) Read([]byte) (int, error) { return 0, net.ErrClosed }
func (c *helloTrap) Close() error             { return nil }

// entropy of b in bits for each byte: 8 at most, which takes several kilobytes to
// come near.
func entropy(b []byte) float64 {
	if len(b) == 0 {
		return 0
	}
	var count [256]int
	for _, c := range b {
		count[c]++
	}
	h := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(b))
			h -= p * math.Log2(p)
		}
	}
	return h
}
