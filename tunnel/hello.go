// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

var (
	// ErrNotTLS means that the first bytes of a stream do not begin a TLS
	// handshake record.
	ErrNotTLS = errors.New("tunnel: not a TLS handshake")

	// ErrHello means that a stream began like TLS but its first message is no
	// acceptable ClientHello. The errors of ParseHello that wrap it say why.
	ErrHello = errors.New("tunnel: bad ClientHello")
)

// A Hello is what a ClientHello says in the clear.
type Hello struct {
	ServerName string   // server_name in lower case; "" when none was sent
	ALPN       []string // in the client's order
	Versions   []uint16 // supported_versions, or the one legacy_version; may hold GREASE (RFC 8701)

	// ECH is true when encrypted_client_hello is present (RFC 9849). ServerName
	// is then the outer name: possibly a public name that stands for another.
	// Browsers send the extension without meaning it as well (§6.2, GREASE).
	ECH bool
}

// The extensions that are looked into.
const (
	extServerName        = 0      // RFC 6066 §3
	extALPN              = 16     // RFC 7301 §3.1
	extPreSharedKey      = 41     // RFC 8446 §4.2.11
	extSupportedVersions = 43     // RFC 8446 §4.2.1
	extECH               = 0xfe0d // RFC 9849 §5
)

// ParseHello reads the ClientHello at the start of b, the record stream as it
// came from the client. It neither keeps nor changes b.
//
// complete is false, with a nil error, while more bytes are needed to decide.
// ErrNotTLS is returned as soon as the first bytes allow; everything else
// that is refused wraps ErrHello. At most 64 KiB of handshake in at most
// 128 KiB of records are looked at.
//
// Whoever parses for security must never see another name than the one who
// acts: where receivers are known to differ (two names, two extensions of one
// kind, a dot at the end) the hello is refused, whatever RFC 6066 leaves open.
func ParseHello(b []byte) (h Hello, complete bool, err error) {
	var a assembler
	if complete, err = a.feed(b); err != nil || !complete {
		return Hello{}, false, err
	}
	if h, err = parseMessage(a.msg); err != nil {
		return Hello{}, false, err
	}
	return h, true, nil
}

// parseMessage reads one whole handshake message, header included.
func parseMessage(msg []byte) (h Hello, err error) {
	var (
		s                               = cryptobyte.String(msg)
		legacy                          uint16
		sessionID, suites, methods, ext cryptobyte.String
	)
	if !s.Skip(4) || // type and length, seen by the assembler
		!s.ReadUint16(&legacy) || !s.Skip(32) ||
		!s.ReadUint8LengthPrefixed(&sessionID) ||
		!s.ReadUint16LengthPrefixed(&suites) || len(suites)%2 != 0 ||
		!s.ReadUint8LengthPrefixed(&methods) {
		return Hello{}, refuseHello("its fixed part is cut short")
	}
	if !s.Empty() && (!s.ReadUint16LengthPrefixed(&ext) || !s.Empty()) {
		return Hello{}, refuseHello("its lengths disagree")
	}

	// RFC 8446 §4.2: no two extensions of the same type. A bit for each of the
	// 65,536 would be 8 KiB; hellos have about twenty.
	var seen []uint16
	for !ext.Empty() {
		var id uint16
		var body cryptobyte.String
		if !ext.ReadUint16(&id) || !ext.ReadUint16LengthPrefixed(&body) {
			return Hello{}, refuseHello("an extension is cut short")
		}
		for _, s := range seen {
			if s == id {
				return Hello{}, refuseHello("extension %d is there twice", id)
			}
		}
		if seen = append(seen, id); len(seen) > maxExtensions {
			return Hello{}, refuseHello("more than %d extensions", maxExtensions)
		}
		switch id {
		case extServerName:
			h.ServerName, err = parseServerName(body)
		case extALPN:
			h.ALPN, err = parseALPN(body)
		case extSupportedVersions:
			h.Versions, err = parseVersions(body)
		case extECH:
			h.ECH = true
		case extPreSharedKey:
			if !ext.Empty() {
				err = refuseHello("pre_shared_key is not the last extension")
			}
		}
		if err != nil {
			return Hello{}, err
		}
	}
	if h.Versions == nil {
		h.Versions = []uint16{legacy}
	}
	return h, nil
}

// maxExtensions keeps the search for duplicates from growing quadratically
// with what a stranger sends. The registry had 68 assigned in 2026.
const maxExtensions = 512

// parseServerName reads a ServerNameList: one host_name, and nothing a
// receiver might prefer to it.
func parseServerName(body cryptobyte.String) (string, error) {
	var list, raw cryptobyte.String
	if !body.ReadUint16LengthPrefixed(&list) || list.Empty() || !body.Empty() {
		return "", refuseHello("server_name is malformed")
	}
	name := ""
	for !list.Empty() {
		var kind uint8
		if !list.ReadUint8(&kind) || !list.ReadUint16LengthPrefixed(&raw) || raw.Empty() {
			return "", refuseHello("server_name is malformed")
		}
		if kind != 0 { // RFC 6066 §3: only host_name is defined
			continue
		}
		if name != "" {
			return "", refuseHello("server_name holds two names")
		}
		for _, c := range raw {
			if c <= ' ' || c > '~' {
				return "", refuseHello("server_name holds the byte 0x%02x", c)
			}
		}
		if name = strings.ToLower(string(raw)); strings.HasSuffix(name, ".") {
			return "", refuseHello("server_name ends in a dot")
		}
	}
	return name, nil
}

func parseALPN(body cryptobyte.String) (protos []string, err error) {
	var list, proto cryptobyte.String
	if !body.ReadUint16LengthPrefixed(&list) || list.Empty() || !body.Empty() {
		return nil, refuseHello("ALPN is malformed")
	}
	for !list.Empty() {
		if !list.ReadUint8LengthPrefixed(&proto) || proto.Empty() {
			return nil, refuseHello("ALPN is malformed")
		}
		protos = append(protos, string(proto))
	}
	return protos, nil
}

func parseVersions(body cryptobyte.String) (versions []uint16, err error) {
	var list cryptobyte.String
	if !body.ReadUint8LengthPrefixed(&list) || list.Empty() || !body.Empty() {
		return nil, refuseHello("supported_versions is malformed")
	}
	for !list.Empty() {
		var v uint16
		if !list.ReadUint16(&v) {
			return nil, refuseHello("supported_versions is malformed")
		}
		versions = append(versions, v)
	}
	return versions, nil
}

func refuseHello(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrHello, fmt.Sprintf(format, args...))
}
