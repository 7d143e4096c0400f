// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
)

// An encrypted connection is one whose client reads through a Conn, and whose
// server's records the test brings there itself, in the pieces it likes.
type encrypted struct {
	*tls.Conn
	wire    *Conn
	peer    net.Conn
	server  *tls.Conn
	records *[]byte // written by the server and not brought
}

// held keeps what is written, once it is told to.
type held struct {
	net.Conn
	on bool
	b  []byte
}

func (h *held) Write(b []byte) (int, error) {
	if !h.on {
		return h.Conn.Write(b)
	}
	h.b = append(h.b, b...)
	return len(b), nil
}

// SetWriteDeadline is for whoever writes there: a goodbye ends all writing by it.
func (h *held) SetWriteDeadline(time.Time) error { return nil }

func encrypt(t *testing.T, version uint16) *encrypted {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"origin.test"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	c, peer := sockets(t)
	w, h := NewTLS(c), &held{Conn: peer}
	e := &encrypted{
		wire: w, peer: peer, records: &h.b,
		Conn: tls.Client(w, &tls.Config{RootCAs: roots, ServerName: "origin.test", MaxVersion: version}),
		server: tls.Server(h, &tls.Config{
			Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
			SessionTicketsDisabled: true, // they would come unasked
		}),
	}
	shaken := make(chan error, 1)
	go func() { shaken <- e.server.Handshake() }()
	if err := e.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	if e.ConnectionState().Version != version {
		t.Fatalf("version %x", e.ConnectionState().Version)
	}
	if !w.Between() {
		t.Fatal("behind the handshake something is left")
	}
	h.on = true
	return e
}

// bring brings n bytes of the server's records to where the client reads.
func (e *encrypted) bring(t *testing.T, n int) {
	t.Helper()
	before := len(e.wire.Buffered())
	if _, err := e.peer.Write((*e.records)[:n]); err != nil {
		t.Fatal(err)
	}
	*e.records = (*e.records)[n:]
	fillTo(t, e.wire, before+n)
}

// read reads what there is without waiting.
func (e *encrypted) read() (got []byte, err error) {
	e.wire.NoWait(true)
	defer e.wire.NoWait(false)
	b := make([]byte, 16<<10)
	for err == nil {
		var n int
		n, err = e.Read(b)
		got = append(got, b[:n]...)
	}
	return got, err
}

func versions(t *testing.T, f func(t *testing.T, version uint16)) {
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) { f(t, version) })
	}
}

// TestRecordsInPieces: whatever has come is read to the last whole record, and a
// Read that does not wait ends there, in the middle of the next or between two.
func TestRecordsInPieces(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		e := encrypt(t, version)
		overhead := recordOverhead(t, e)
		for _, step := range []int{1, 2, 5, 6, 29, 1000, 16 << 10, 16<<10 + 30, 100_000} {
			var want []byte
			var ends, worth []int // of each record: where it ends, and what was written up to there
			sizes := []int{1, 0, 2, 100, 1, 3, 500}
			if step > 500 {
				sizes = append(sizes, 16<<10, 16<<10-1, 1, 16<<10+1, 40_000)
			}
			for _, size := range sizes {
				text := bytes.Repeat([]byte{byte(len(want))}, size)
				if _, err := e.server.Write(text); err != nil {
					t.Fatal(err)
				}
				want = append(want, text...)
			}
			stream := *e.records
			for at, plain := 0, 0; at < len(stream); {
				n := recordHead + int(stream[at+3])<<8 + int(stream[at+4])
				at, plain = at+n, plain+n-overhead
				ends, worth = append(ends, at), append(worth, plain)
			}
			var got []byte
			for came := 0; came < len(stream); {
				n := min(step, len(stream)-came)
				e.bring(t, n)
				came += n
				data, err := e.read()
				if got = append(got, data...); !Nothing(err) {
					t.Fatalf("steps of %d: after %d bytes: %v", step, came, err)
				}
				whole, between := 0, false
				for i, end := range ends {
					if end <= came {
						whole, between = worth[i], end == came
					}
				}
				if len(got) != whole || e.wire.Between() != between {
					t.Fatalf("steps of %d: of %d bytes that came, %d were read, between records %v; want %d, %v",
						step, came, len(got), e.wire.Between(), whole, between)
				}
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("steps of %d: something else was read than was written", step)
			}
			if e.wire.buf != nil {
				t.Errorf("steps of %d: a buffer is kept between records", step)
			}
		}
	})
}

// recordOverhead is what a record of the server is longer than what is in it.
func recordOverhead(t *testing.T, e *encrypted) int {
	t.Helper()
	if _, err := e.server.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	n := len(*e.records)
	e.bring(t, n)
	_, _ = e.read()
	return n - 1
}

// TestGoodbyeIsAnEnd, behind what was said before it, and none is no end.
func TestGoodbyeIsAnEnd(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		e := encrypt(t, version)
		_, _ = e.server.Write([]byte("last words"))
		if err := e.server.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		e.bring(t, len(*e.records)-1)
		if got, err := e.read(); string(got) != "last words" || !Nothing(err) || e.wire.Between() {
			t.Fatalf("before the last byte: %q, %v", got, err)
		}
		e.bring(t, 1)
		if got, err := e.read(); len(got) > 0 || err != io.EOF || !e.wire.Between() {
			t.Fatalf("behind it: %q, %v", got, err)
		}
	})
	versions(t, func(t *testing.T, version uint16) {
		e := encrypt(t, version)
		_, _ = e.server.Write([]byte("half a record"))
		e.bring(t, len(*e.records)-1)
		e.peer.Close()
		if _, err := e.Read(make([]byte, 100)); err != io.ErrUnexpectedEOF {
			t.Errorf("in the middle of a record the connection ends in %v", err)
		}
	})
}

// TestReadWaitsAgain after one that did not, for the rest of the same record.
func TestReadWaitsAgain(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		e := encrypt(t, version)
		_, _ = e.server.Write([]byte("hello"))
		e.bring(t, 7)
		if _, err := e.read(); !Nothing(err) {
			t.Fatal(err)
		}
		rest := *e.records
		e.wire.BeforeRead = func() {
			e.wire.BeforeRead = nil
			_, _ = e.peer.Write(rest)
		}
		b := make([]byte, 100)
		if n, err := e.Read(b); err != nil || string(b[:n]) != "hello" {
			t.Errorf("read %q, %v", b[:n], err)
		}
	})
}
