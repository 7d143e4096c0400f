// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestBlocks: each block byte for byte, as draft-ietf-opsawg-pcapng §4 draws it.
func TestBlocks(t *testing.T) {
	at := time.Unix(0, 0x0102030405060708)
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"a block without options": {
			appendBlock(nil, 7, []byte{1, 2, 3, 4}),
			"07000000 10000000 01020304 10000000",
		},
		"an empty option is left out, and with it the end of options": {
			appendBlock(nil, 7, nil, comment("")),
			"07000000 0c000000 0c000000",
		},
		"options are filled up, and end": {
			appendBlock(nil, 7, nil, comment("abcde"), blockOption{9, []byte{1}}),
			"07000000 24000000 01000500 61626364 65000000 09000100 01000000 00000000 24000000",
		},
		"a block goes behind what is there": {
			appendBlock([]byte{0xff}, 7, nil),
			"ff 07000000 0c000000 0c000000",
		},
		"section": {
			appendSection(nil, "me", "why"),
			"0a0d0d0a 30000000 4d3c2b1a 01000000 ffffffffffffffff 01000300 77687900 04000200 6d650000 00000000 30000000",
		},
		"interface": {
			appendInterface(nil, "leg", ""),
			"01000000 28000000 65000000 00000000 02000300 6c656700 09000100 09000000 00000000 28000000",
		},
		"names": {
			appendNames(nil, hostName{netip.MustParseAddr("192.0.2.1"), "abc"}, hostName{netip.MustParseAddr("192.0.2.2"), "d"}),
			"04000000 28000000 01000800 c0000201 61626300 01000600 c0000202 64000000 00000000 28000000",
		},
		"secrets": {
			appendSecrets(nil, []byte("KEYS\n")),
			"0a000000 1c000000 4b534c54 05000000 4b455953 0a000000 1c000000",
		},
		"packet": {
			appendPacket(nil, packet{at: at, wire: 1, data: []byte{0xaa, 0xbb, 0xcc}, size: 5}),
			"06000000 24000000 01000000 04030201 08070605 03000000 05000000 aabbcc00 24000000",
		},
		"packet with a comment": {
			appendPacket(nil, packet{at: at, data: []byte{1, 2, 3, 4}, size: 4, comment: "a"}),
			"06000000 30000000 00000000 04030201 08070605 04000000 04000000 01020304 01000100 61000000 00000000 30000000",
		},
	} {
		if got, want := hex.EncodeToString(c.got), strings.ReplaceAll(c.want, " ", ""); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

// TestLongComment: the length of an option has 16 bits, and no more are written than it says.
func TestLongComment(t *testing.T) {
	b := appendBlock(nil, 7, nil, comment(strings.Repeat("x", 70_000)))
	if want := 12 + 4 + 65536 + 4; len(b) != want {
		t.Errorf("%d bytes, want %d", len(b), want)
	}
}
