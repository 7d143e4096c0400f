// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"sallyport/policy"
	"sallyport/tunnel"
)

// TestTunnelRecordIsHandedOverOnce: a tunnel may end before the handler that
// opened it has returned. Each of the two once thought that the record was its
// own. Under -race this test also sees that they share nothing else.
func TestTunnelRecordIsHandedOverOnce(t *testing.T) {
	r := newRig(t, "  - {name: pass, from: any, to: 127.0.0.1, ports: any, mode: tunnel, tunnel: {tls: optional}, allow_private: true}\n")
	origin := r.accept(func(c net.Conn) { c.Close() }) // ends the tunnel as soon as it stands
	const tunnels = 300
	for range tunnels {
		c, err := r.connect(origin)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	for range tunnels {
		<-r.handed
	}
	// Shutdown returns when every handler and tunnel has.
	if err := r.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := make(map[string]bool)
	for _, rec := range r.records {
		if seen[rec.ID] {
			t.Errorf("record %s was handed over twice", rec.ID)
		}
		seen[rec.ID] = true
	}
	if len(r.records) != tunnels {
		t.Errorf("%d records of %d tunnels", len(r.records), tunnels)
	}
}

// TestClientLeavesDuringDial: nobody goes on connecting for a client that has
// gone, and the record says whose doing the end was.
func TestClientLeavesDuringDial(t *testing.T) {
	asked := make(chan struct{}, 8)
	r := newRig(t, "  - {name: pass, from: any, to: .test, ports: any, mode: tunnel}\n", func(s *Server) {
		s.Dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			asked <- struct{}{}
			<-ctx.Done() // a name server that does not answer
			return nil, ctx.Err()
		}}
	})
	c := r.dial(r.addr)
	if _, err := io.WriteString(c, "CONNECT slow.test:443 HTTP/1.1\r\nHost: slow.test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-asked
	start := time.Now()
	c.Close()
	<-r.handed
	if d := time.Since(start); d > 5*time.Second { // the dial's own limit is 10 s
		t.Errorf("it took %v", d)
	}
	rec := r.records[0]
	if rec.Outcome != Gone || rec.Cause != "connection_terminated" || rec.Mode != policy.Tunnel || rec.Status != 0 {
		t.Errorf("recorded as %s, %s, %s, status %d: %v", rec.Mode, rec.Outcome, rec.Cause, rec.Status, rec.Err)
	}
}

// TestOuterNameOfECHCounts: with encrypted ClientHello the name inside cannot be
// seen, so the outer one is held to the CONNECT, and the record says that there
// was an inner one.
func TestOuterNameOfECHCounts(t *testing.T) {
	for _, tt := range []struct {
		options string
		outcome Outcome
		event   string
	}{
		{"sni: match", Denied, "client_hides_name"},
		{"ech: deny", Denied, "client_hides_name"},
		{"ech: allow", Done, ""},
		{"sni: any", Done, ""},
		{"sni: any, ech: deny", Denied, "client_hides_name"},
	} {
		t.Run(tt.options, func(t *testing.T) {
			r := newRig(t, "  - {name: pass, from: any, to: 127.0.0.1, ports: any, mode: tunnel, tunnel: {"+tt.options+"}, allow_private: true}\n")
			origin := r.httpOrigin(true)
			c, err := r.connect(origin)
			if err != nil {
				t.Fatal(err)
			}
			err = tls.Client(c, &tls.Config{ServerName: "inner.example", EncryptedClientHelloConfigList: echList(t, "outer.example")}).Handshake()
			if err == nil {
				t.Fatal("an origin without a key has decrypted the inner hello")
			}
			c.Close()
			<-r.handed
			rec := r.records[0]
			if rec.Hello == nil || rec.Hello.ServerName != "outer.example" || !rec.Hello.ECH {
				t.Errorf("recorded the hello as %+v", rec.Hello)
			}
			if tt.outcome == Denied && (rec.Outcome != Denied || rec.Cause != "authority_mismatch" || rec.Event != tt.event || rec.Sent != 0) {
				t.Errorf("%s, %s, %d bytes sent: %v", rec.Outcome, rec.Cause, rec.Sent, rec.Err)
			}
			if tt.outcome == Done && (rec.Mode != policy.Tunnel || rec.Sent == 0 || rec.Received == 0) {
				t.Errorf("%s, %s, %d and %d bytes: %v", rec.Mode, rec.Outcome, rec.Sent, rec.Received, rec.Err)
			}
		})
	}
}

// TestOuterNames: behind GREASE there is nothing, and it has the true name outside,
// so that no browser is cut for it.
func TestOuterNames(t *testing.T) {
	named, literal := policy.Host{Name: "host.test"}, policy.Host{Addr: netip.MustParseAddr("192.0.2.1")}
	options := map[string]policy.TunnelOptions{"strict": {}, "hidden": {HiddenName: true}, "any": {AnySNI: true}}
	for _, tt := range []struct {
		host   policy.Host
		sni    string
		ech    bool
		passes string
	}{
		{named, "Host.test", false, "strict hidden any"},
		{named, "Host.test", true, "strict hidden any"},
		{named, "other.test", false, "any"},
		{named, "other.test", true, "hidden"},
		{named, "", false, "any"},
		{named, "", true, "hidden"},
		{literal, "", true, "strict hidden any"},
		{literal, "host.test", true, "hidden"},
	} {
		for name, o := range options {
			l := &liveTunnel{host: tt.host}
			err := l.checkName(tunnel.Hello{ServerName: tt.sni, ECH: tt.ech}, o)
			if passes := slices.Contains(strings.Fields(tt.passes), name); passes != (err == nil) {
				t.Errorf("%q in a tunnel to %s, ECH %t, %s: %v", tt.sni, tt.host, tt.ech, name, err)
			}
			if err != nil && (!errors.Is(err, tunnel.ErrName) || errors.Is(err, errHidden) != tt.ech) {
				t.Errorf("%q in a tunnel to %s, ECH %t, %s: %v", tt.sni, tt.host, tt.ech, name, err)
			}
		}
	}
}

// TestECHThroughTunnel: the name that is decided about is the CONNECT's, the one
// outside is whoever keeps the key, and what is inside reaches the origin.
func TestECHThroughTunnel(t *testing.T) {
	list, key := echKey(t, "outer.example")
	r := newRig(t, "  - {name: pass, from: any, to: any, ports: any, mode: tunnel, tunnel: {ech: allow}, allow_private: true}\n", allHere)
	origin := r.serve(func(l net.Listener) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			secret := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{r.cert}, EncryptedClientHelloKeys: []tls.EncryptedClientHelloKey{key}})
			if secret.Handshake() == nil {
				fmt.Fprintf(secret, "%s %t", secret.ConnectionState().ServerName, secret.ConnectionState().ECHAccepted)
			}
			secret.Close()
		}
	})
	c, err := r.connect("origin.test" + origin[strings.LastIndex(origin, ":"):])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	said, err := io.ReadAll(tls.Client(c, &tls.Config{ServerName: "origin.test", RootCAs: r.roots, EncryptedClientHelloConfigList: list}))
	if string(said) != "origin.test true" {
		t.Errorf("the origin read %q: %v", said, err)
	}
	c.Close()
	<-r.handed
	if h := r.records[0].Hello; h == nil || h.ServerName != "outer.example" || !h.ECH {
		t.Errorf("recorded the hello as %+v", h)
	}
}

// echList is an ECHConfigList (RFC 9849 §4) of one X25519 key.
func echList(t testing.TB, public string) []byte {
	list, _ := echKey(t, public)
	return list
}

func echKey(t testing.TB, public string) ([]byte, tls.EncryptedClientHelloKey) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint16(0xfe0d)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint8(1)       // config_id
			b.AddUint16(0x0020) // DHKEM(X25519, HKDF-SHA256)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(key.PublicKey().Bytes()) })
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddUint16(1) // HKDF-SHA256
				b.AddUint16(1) // AES-128-GCM
			})
			b.AddUint8(0) // maximum_name_length
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(public)) })
			b.AddUint16(0) // no extensions
		})
	})
	list := b.BytesOrPanic()
	return list, tls.EncryptedClientHelloKey{Config: list[2:], PrivateKey: key.Bytes()}
}

// TestHelloNeverComes: a client that opens a tunnel and says nothing holds it
// for 30 seconds and no longer. The clock is synctest's; only the connection to
// the origin is a real one, which nobody waits on meanwhile.
func TestHelloNeverComes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // its backlog is origin enough
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	origin := l.Addr().String()
	synctest.Test(t, func(t *testing.T) {
		p, err := policy.Parse("rig.yaml", []byte("version: 1\nrules:\n  - {name: pass, from: any, to: 127.0.0.1, ports: any, mode: tunnel, allow_private: true}\n"), "")
		if err != nil {
			t.Fatal(err)
		}
		records := make(chan *Record, 1)
		s := &Server{
			Generation: func() *Generation { return &Generation{Policy: p} },
			Observe:    func(rec *Record) { records <- rec },
		}
		client, near := net.Pipe()
		served := make(chan error)
		pipes := &pipeListener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
		pipes.conns <- addressed{near}
		go func() { served <- s.Serve(pipes) }()
		start := time.Now()
		go func() { _, _ = io.WriteString(client, "CONNECT "+origin+" HTTP/1.1\r\nHost: "+origin+"\r\n\r\n") }()
		got, err := io.ReadAll(client)
		if err != nil || string(got) != string(established) {
			t.Errorf("the client read %q, %v", got, err)
		}
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("it took %v", d)
		}
		rec := <-records
		if rec.Outcome != Closed || rec.Cause != "connection_limit_reached" || !strings.Contains(rec.Err.Error(), "no complete first message") {
			t.Errorf("recorded as %s, %s: %v", rec.Outcome, rec.Cause, rec.Err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		<-served
	})
}

// A pipeListener serves connections that never touch the network.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// addressed is a pipe whose far end has an address, as every client has.
type addressed struct{ net.Conn }

func (addressed) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2}
}
