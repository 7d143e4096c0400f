// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
)

type ext struct {
	id   uint16
	body []byte
}

func build(exts ...ext) []byte {
	var b cryptobyte.Builder
	b.AddUint8(typeHandshake)
	b.AddUint16(0x0301)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(typeClientHello)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint16(0x0303)
			b.AddBytes(make([]byte, 32))
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {})
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(0x1301) })
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint8(0) })
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, e := range exts {
					b.AddUint16(e.id)
					b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.body) })
				}
			})
		})
	})
	return b.BytesOrPanic()
}

func names(list ...string) ext {
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, n := range list {
			kind := 0
			if k, rest, ok := strings.Cut(n, ":"); ok {
				kind, _ = strconv.Atoi(k)
				n = rest
			}
			b.AddUint8(uint8(kind))
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(n)) })
		}
	})
	return ext{extServerName, b.BytesOrPanic()}
}

func raw(id uint16, body ...byte) ext { return ext{id, body} }

func TestBadHellos(t *testing.T) {
	good := build(names("a.example"))
	edit := func(change func(b []byte) []byte) []byte { return change(bytes.Clone(good)) }
	tests := []struct {
		name string
		b    []byte
		want string // "" stands for ErrNotTLS
	}{
		{"http", []byte("GET / HTTP/1.1\r\n"), ""},
		{"ssh", []byte("S"), ""},
		{"alert first", []byte{21, 3, 3, 0, 2, 1, 0}, ""},
		{"ssl 2", []byte{0x80, 0x2e, 1, 0, 2}, ""},
		{"version 2.0", []byte{22, 2}, ""},
		{"empty record", []byte{22, 3, 1, 0, 0}, "a record is empty"},
		{"record too long", []byte{22, 3, 1, 0x40, 1}, "a record has 16385 bytes"},
		{"server hello", []byte{22, 3, 1, 0, 4, 2}, "the first message has the type 2"},
		{"message too long", []byte{22, 3, 1, 0, 4, 1, 0, 0xff, 0xfd}, "it has 65537 bytes"},
		{"interrupted", append(split(good, 40)[:45], 23, 3, 3), "a record of type 23 interrupts it"},
		{"second record of SSL 2", append(split(good, 40)[:45], 22, 2, 9), "a record has the major version 2"},
		{"fixed part cut", []byte{22, 3, 1, 0, 8, 1, 0, 0, 4, 3, 3, 0, 0}, "its fixed part is cut short"},
		{"odd cipher suites", edit(func(b []byte) []byte { b[headLen+msgHeadLen+2+32+2] = 1; return b }), "its fixed part is cut short"},
		{"bytes after the extensions", edit(func(b []byte) []byte { b[4]++; b[8]++; return append(b, 0) }), "its lengths disagree"},
		{"extension cut", edit(func(b []byte) []byte { b[len(b)-15]++; return b }), "an extension is cut short"},
		{"extension twice", build(names("a.example"), raw(0x1234), raw(0x1234)), "extension 4660 is there twice"},
		{"server_name twice", build(names("a.example"), names("b.example")), "extension 0 is there twice"},
		{"two names", build(names("a.example", "b.example")), "server_name holds two names"},
		{"same name twice", build(names("a.example", "a.example")), "server_name holds two names"},
		{"no names", build(names()), "server_name is malformed"},
		{"empty name", build(names("")), "server_name is malformed"},
		{"empty server_name", build(raw(extServerName)), "server_name is malformed"},
		{"bytes after the names", build(raw(extServerName, 0, 4, 0, 0, 1, 'a', 'x')), "server_name is malformed"},
		{"dot at the end", build(names("a.example.")), "server_name ends in a dot"},
		{"not ASCII", build(names("b\xfccher.example")), "server_name holds the byte 0xfc"},
		{"NUL", build(names("a.example\x00.b.example")), "server_name holds the byte 0x00"},
		{"space", build(names("a b")), "server_name holds the byte 0x20"},
		{"empty ALPN", build(raw(extALPN, 0, 0)), "ALPN is malformed"},
		{"empty protocol", build(raw(extALPN, 0, 1, 0)), "ALPN is malformed"},
		{"no versions", build(raw(extSupportedVersions, 0)), "supported_versions is malformed"},
		{"half a version", build(raw(extSupportedVersions, 3, 3, 4, 3)), "supported_versions is malformed"},
		{"pre_shared_key not last", build(raw(extPreSharedKey), names("a.example")), "pre_shared_key is not the last extension"},
		{"many extensions", build(many(maxExtensions + 1)...), "more than 512 extensions"},
		{"one-byte records for ever", bytes.Repeat([]byte{22, 3, 1, 0, 1, 1}, maxStream/6+2), "it has 65797 bytes"},
		{"complete past the bound", split(append([]byte{0, 0, 0, 0, 0, 1, 0, 0x60, 0}, make([]byte, 0x6000)...), 1), "not complete after 131072 bytes"},
		{"long in one-byte records", split(append([]byte{0, 0, 0, 0, 0, 1, 0, 0xf0, 0}, make([]byte, 30<<10)...), 1), "not complete after 131072 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, complete, err := ParseHello(tt.b)
			switch {
			case complete || !equalHello(h, Hello{}):
				t.Errorf("parsed: %+v, %t", h, complete)
			case tt.want == "":
				if err != ErrNotTLS {
					t.Errorf("%v, want ErrNotTLS", err)
				}
			case !errors.Is(err, ErrHello) || err.Error() != ErrHello.Error()+": "+tt.want:
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func many(n int) (exts []ext) {
	for i := range n {
		exts = append(exts, raw(uint16(0x2000+i)))
	}
	return exts
}

func TestGoodHellos(t *testing.T) {
	tests := []struct {
		name string
		b    []byte
		want Hello
	}{
		{"upper case", build(names("A.EXAMPLE")), Hello{ServerName: "a.example", Versions: []uint16{0x303}}},
		{"a name of an unknown type beside it", build(names("5:who knows", "a.example")), Hello{ServerName: "a.example", Versions: []uint16{0x303}}},
		{"only a name of an unknown type", build(names("5:x")), Hello{Versions: []uint16{0x303}}},
		{"underscore and port-like", build(names("_a-1.example")), Hello{ServerName: "_a-1.example", Versions: []uint16{0x303}}},
		{"GREASE", build(raw(0x0a0a), raw(0x1a1a, 0), raw(extSupportedVersions, 4, 0x2a, 0x2a, 3, 4)), Hello{Versions: []uint16{0x2a2a, 0x304}}},
		{"ECH", build(raw(extECH, 0)), Hello{Versions: []uint16{0x303}, ECH: true}},
		{"many extensions", build(many(maxExtensions)...), Hello{Versions: []uint16{0x303}}},
	}
	for _, tt := range tests {
		if h, complete, err := ParseHello(tt.b); err != nil || !complete || !equalHello(h, tt.want) {
			t.Errorf("%s: %+v, %t, %v, want %+v", tt.name, h, complete, err, tt.want)
		}
	}
	// RFC 8446 §4.1.2: extensions may be missing altogether.
	b := build()
	b = b[:len(b)-2]
	b[4], b[8] = b[4]-2, b[8]-2
	if h, complete, err := ParseHello(b); err != nil || !complete || !equalHello(h, Hello{Versions: []uint16{0x303}}) {
		t.Errorf("without extensions: %+v, %t, %v", h, complete, err)
	}
}
