// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
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
// build writes a ClientHello in one record.
// names writes a server_name extension; an entry "5:x" has that type.
// TestBadHellos: every refusal and its exact words.
// TestGoodHellos: what looks odd and is allowed.
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
