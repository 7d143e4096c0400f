// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// echConfigs returns an ECHConfigList for public.example (RFC 9849 §4).
func echConfigs(t testing.TB) []byte {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint16(extECH)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint8(1)       // config_id
			b.AddUint16(0x0020) // DHKEM(X25519, HKDF-SHA256)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(key.PublicKey().Bytes()) })
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(1); b.AddUint16(1) }) // HKDF-SHA256, AES-128-GCM
			b.AddUint8(32)                                                                            // maximum_name_length
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte("public.example")) })
			b.AddUint16(0) // extensions
		})
	})
	return b.BytesOrPanic()
}

// A replay is a connection on which b arrives and nothing leaves.
type replay struct {
	net.Conn
	in *bytes.Reader
}

func (r replay) Read(b []byte) (int, error)       { return r.in.Read(b) }
func (r replay) Write(b []byte) (int, error)      { return len(b), nil }
func (r replay) Close() error                     { return nil }
func (r replay) SetDeadline(time.Time) error      { return nil }
func (r replay) SetReadDeadline(time.Time) error  { return nil }
func (r replay) SetWriteDeadline(time.Time) error { return nil }
func (r replay) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (r replay) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// oracle asks crypto/tls what b says; nil means that it does not accept it.
func oracle(b []byte) (hello *tls.ClientHelloInfo) {
	stop := errors.New("seen")
	cfg := &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		hello = h
		return nil, stop
	}}
	_ = tls.Server(replay{in: bytes.NewReader(b)}, cfg).Handshake()
	return hello
}

// stricter tells whether a hello that crypto/tls accepts is one of those that
// ParseHello refuses on purpose.
func stricter(b []byte, hello *tls.ClientHelloInfo) bool {
	for _, c := range []byte(hello.ServerName) {
		if c <= ' ' || c > '~' {
			return true
		}
	}
	if len(hello.Extensions) > maxExtensions || len(b) > maxStream {
		return true
	}
	for len(b) >= headLen { // warnings between records; versions nobody has
		if b[0] != typeHandshake || b[1] != 3 {
			return true
		}
		b = b[min(len(b), headLen+int(b[3])<<8+int(b[4])):]
	}
	return false
}

func FuzzParseHello(f *testing.F) {
	for _, cfg := range fuzzConfigs(f) {
		b := helloOf(f, cfg)
		f.Add(b)
		f.Add(split(b, 100))
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		kept := bytes.Clone(b)
		h, complete, err := ParseHello(b)
		if !bytes.Equal(b, kept) {
			t.Fatal("the input was changed")
		}
		if err != nil && (complete || !errors.Is(err, ErrHello) && err != ErrNotTLS) {
			t.Fatalf("complete %t, %v", complete, err)
		}
		if complete { // whatever follows, and however it is cut
			if again, ok, err := ParseHello(append(b[:len(b):len(b)], 0xff)); !ok || err != nil || !equalHello(h, again) {
				t.Fatalf("%+v, then %+v, %t, %v", h, again, ok, err)
			}
		}
		var a assembler
		half, herr := a.feed(b[:len(b)/2])
		if !half && herr == nil {
			half, herr = a.feed(b[len(b)/2:])
		}
		if whole := complete || errors.Is(err, ErrHello); half && !whole || herr != nil && herr.Error() != err.Error() {
			t.Fatalf("in two halves %t, %v, at once %t, %v", half, herr, complete, err)
		}
		want := oracle(b)
		if want == nil {
			return
		}
		if !complete {
			if !stricter(b, want) {
				t.Fatalf("crypto/tls read %q, %v; we %v", want.ServerName, want.SupportedProtos, err)
			}
			return
		}
		if h.ServerName != strings.ToLower(want.ServerName) || !slices.Equal(h.ALPN, want.SupportedProtos) {
			t.Fatalf("%+v, crypto/tls %q %q", h, want.ServerName, want.SupportedProtos)
		}
		if h.ECH != slices.Contains(want.Extensions, extECH) {
			t.Fatalf("ECH %t", h.ECH)
		}
		if slices.Contains(want.Extensions, extSupportedVersions) && !slices.Equal(h.Versions, want.SupportedVersions) {
			t.Fatalf("versions %x, crypto/tls %x", h.Versions, want.SupportedVersions)
		}
	})
}

func fuzzConfigs(t testing.TB) []*tls.Config {
	return []*tls.Config{
		{ServerName: "origin.example", NextProtos: []string{"h2", "http/1.1"}},
		{ServerName: "origin.example", CurvePreferences: []tls.CurveID{tls.X25519}},
		{ServerName: "origin.example", MaxVersion: tls.VersionTLS12},
		{ServerName: "192.0.2.1", CurvePreferences: []tls.CurveID{tls.CurveP256}},
		{ServerName: "secret.example", MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}, EncryptedClientHelloConfigList: echConfigs(t)},
	}
}

// TestOracle: without this a broken oracle would make the fuzzing vacuous.
func TestOracle(t *testing.T) {
	for _, cfg := range fuzzConfigs(t) {
		b := helloOf(t, cfg)
		for _, size := range []int{maxRecord, 100, 1} {
			want := oracle(split(b, size))
			if want == nil {
				t.Fatalf("crypto/tls refuses its own hello for %s in records of %d", cfg.ServerName, size)
			}
		}
	}
	if oracle(build(names("a.example", "b.example"))) != nil {
		t.Error("crypto/tls accepts two names")
	}
}
