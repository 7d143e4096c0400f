// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
)

// helloOf returns the ClientHello that crypto/tls sends with cfg.
func helloOf(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer server.Close()
	cfg = cfg.Clone()
	cfg.InsecureSkipVerify = true // SECURITY: nothing is verified because nothing is answered
	go func() {
		defer client.Close()
		_ = tls.Client(client, cfg).Handshake() // ends when server is closed
	}()
	var b []byte
	buf := make([]byte, 4096)
	for {
		n, err := server.Read(buf)
		if err != nil {
			t.Fatalf("the hello stops after %d bytes: %v", len(b), err)
		}
		b = append(b, buf[:n]...)
		if _, complete, err := ParseHello(b); complete || err != nil {
			return b
		}
	}
}

// split cuts the handshake content of one record into records of n bytes.
func split(record []byte, n int) []byte {
	var b []byte
	for part := range slices.Chunk(record[headLen:], n) {
		b = append(b, typeHandshake, 3, 1, byte(len(part)>>8), byte(len(part)))
		b = append(b, part...)
	}
	return b
}

func TestParseHello(t *testing.T) {
	ech := echConfigs(t)
	tests := []struct {
		name string
		cfg  *tls.Config
		want Hello
		min  int // bytes
	}{
		{
			"post-quantum",
			&tls.Config{ServerName: "Origin.Example", NextProtos: []string{"h2", "http/1.1"}},
			Hello{ServerName: "origin.example", ALPN: []string{"h2", "http/1.1"}, Versions: []uint16{tls.VersionTLS13, tls.VersionTLS12}},
			1400,
		},
		{
			"classical, 1.2 only",
			&tls.Config{ServerName: "a.example", MaxVersion: tls.VersionTLS12, CurvePreferences: []tls.CurveID{tls.X25519}},
			Hello{ServerName: "a.example", Versions: []uint16{tls.VersionTLS12}},
			100,
		},
		{
			"an address has no name",
			&tls.Config{ServerName: "192.0.2.1", MinVersion: tls.VersionTLS13},
			Hello{Versions: []uint16{tls.VersionTLS13}},
			1400,
		},
		{
			"encrypted, outer name",
			&tls.Config{ServerName: "secret.example", MinVersion: tls.VersionTLS13, EncryptedClientHelloConfigList: ech},
			Hello{ServerName: "public.example", Versions: []uint16{tls.VersionTLS13}, ECH: true},
			1400,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := helloOf(t, tt.cfg)
			if len(b) < tt.min {
				t.Errorf("only %d bytes", len(b))
			}
			for _, size := range []int{maxRecord, 100, 1} {
				b := split(b, size)
				h, complete, err := ParseHello(append(b, "what follows"...))
				if err != nil || !complete || !equalHello(h, tt.want) {
					t.Errorf("in records of %d: %+v, %t, %v, want %+v", size, h, complete, err, tt.want)
				}
			}
			for n := range b {
				if h, complete, err := ParseHello(b[:n]); complete || err != nil || !equalHello(h, Hello{}) {
					t.Fatalf("after %d of %d bytes: %+v, %t, %v", n, len(b), h, complete, err)
				}
			}
		})
	}
}

func equalHello(a, b Hello) bool {
	return a.ServerName == b.ServerName && slices.Equal(a.ALPN, b.ALPN) && slices.Equal(a.Versions, b.Versions) && a.ECH == b.ECH
}

// TestAssemblerFeeds: however the stream is cut into reads, the message is
// the same.
func TestAssemblerFeeds(t *testing.T) {
	whole := helloOf(t, &tls.Config{ServerName: "a.example"})
	want := whole[headLen:]
	for _, records := range []int{maxRecord, 1000, 7, 1} {
		stream := append(split(whole, records), 0x17, 3, 3)
		for _, reads := range []int{1, 2, 3, 5, 6, 11, 1000, len(stream)} {
			var a assembler
			var complete bool
			for part := range slices.Chunk(stream, reads) {
				part := bytes.Clone(part)
				var err error
				if complete, err = a.feed(part); err != nil {
					t.Fatal(err)
				}
				if complete {
					break
				}
				clear(part) // whatever is kept must have been copied
			}
			if !complete || !bytes.Equal(a.msg, want) {
				t.Errorf("records of %d, reads of %d: complete %t, %d bytes", records, reads, complete, len(a.msg))
			}
		}
	}
}

// ext is an extension as a test writes it.
type ext struct {
	id   uint16
	body []byte
}

// build writes a ClientHello in one record.
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

// names writes a server_name extension; an entry "5:x" has that type.
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

// TestBadHellos: every refusal and its exact words.
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

// TestGoodHellos: what looks odd and is allowed.
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

// TestOpenSSL reads what another implementation says.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		cmd := exec.Command(openssl, "s_client", "-connect", ln.Addr().String(), version, "-servername", "Origin.example", "-alpn", "h2,http/1.1")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		var b []byte
		var h Hello
		for complete := false; !complete; {
			buf := make([]byte, 4096)
			n, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			b = append(b, buf[:n]...)
			if h, complete, err = ParseHello(b); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		_ = cmd.Wait() // it fails: nobody answered
		want := uint16(tls.VersionTLS12)
		if version == "-tls1_3" {
			want = tls.VersionTLS13
		}
		if h.ServerName != "origin.example" || !slices.Equal(h.ALPN, []string{"h2", "http/1.1"}) || !slices.Equal(h.Versions, []uint16{want}) || h.ECH {
			t.Errorf("%s: %+v", version, h)
		}
	}
}

// TestSeeds keeps the fuzz corpus from rotting: it holds real hellos.
func TestSeeds(t *testing.T) {
	files, err := filepath.Glob("testdata/fuzz/FuzzParseHello/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	complete := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var s string
		if _, err := fmt.Sscanf(string(text), "go test fuzz v1\n[]byte(%q)", &s); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if _, ok, _ := ParseHello([]byte(s)); ok {
			complete++
		}
	}
	if complete < 5 {
		t.Errorf("only %d seeds are hellos", complete)
	}
}
