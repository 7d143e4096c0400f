// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sallyport/policy"
	"sallyport/tunnel"
)

// secretName is the host whose name is not to be shown.
const secretName = "hidden.origin.test"

// meetingAt is a meeting with the origin secretName at addr, of the rig's policy.
func (r *rig) meetingAt(tb testing.TB, addr string, ech policy.ECH) *meeting {
	host, err := policy.ParseHost(secretName)
	if err != nil {
		tb.Fatal(err)
	}
	return &meeting{
		s: r.server, decision: r.generation.Load().Policy.Decide(policy.Query{
			Client: policy.Client{Addr: netip.MustParseAddr("127.0.0.1")}, Kind: policy.Plain, Scheme: "http", Method: "GET", Path: "/",
			Host: host, Port: netip.MustParseAddrPort(addr).Port(), At: time.Now(),
		}),
		host: secretName, port: netip.MustParseAddrPort(addr).Port(), ech: ech,
		config: func() *tls.Config {
			return &tls.Config{ServerName: secretName, RootCAs: r.roots, NextProtos: []string{"http/1.1"}}
		},
		over: func(l *leg) net.Conn { return l },
	}
}

// A tap keeps what it reads.
type tap struct {
	net.Conn
	mu   *sync.Mutex
	seen *bytes.Buffer
}

func (t tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen.Write(b[:n])
	return n, err
}

// TestNoBrokenHandshakeShowsTheName: whatever somebody in between does who has no
// certificate for the public name, there is no attempt without ECH: the name never
// comes by.
func TestNoBrokenHandshakeShowsTheName(t *testing.T) {
	type talk func(c net.Conn)
	say := func(record ...byte) talk {
		return func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write(record)
		}
	}
	serve := func(cfg *tls.Config) talk {
		return func(c net.Conn) {
			s := tls.Server(c, cfg)
			if s.Handshake() == nil {
				_, _ = io.Copy(io.Discard, s)
			}
		}
	}
	own := &rig{tb: t}
	own.certify("127.0.0.1", secretName, "front.test") // of nobody who is trusted
	talks := map[string]talk{
		"closes at once":       func(net.Conn) {},
		"closes behind it":     say(),
		"cuts":                 func(c net.Conn) { _ = c.(tap).Conn.(*net.TCPConn).SetLinger(0) },
		"HTTP":                 say([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")...),
		"an unknown authority": serve(&tls.Config{Certificates: []tls.Certificate{own.cert}}),
		"and TLS 1.2":          serve(&tls.Config{Certificates: []tls.Certificate{own.cert}, MaxVersion: tls.VersionTLS12}),
		"and another group":    serve(&tls.Config{Certificates: []tls.Certificate{own.cert}, CurvePreferences: []tls.CurveID{tls.CurveP521}}),
	}
	for alert := range 256 {
		talks[fmt.Sprintf("alert %d", alert)] = say(21, 3, 3, 0, 2, 2, byte(alert))
	}
	r := newRig(t, "  - {name: web, from: any, to: .test, ports: any, mode: originate, allow_private: true}\n")
	r.certify("127.0.0.1", secretName) // of the origin itself, but not of its provider
	talks["the origin's certificate"] = serve(&tls.Config{Certificates: []tls.Certificate{r.cert}})
	_, key := echKey(t, "front.test")
	key.SendAsRetry = true
	talks["and keys of its own"] = serve(&tls.Config{Certificates: []tls.Certificate{r.cert}, EncryptedClientHelloKeys: []tls.EncryptedClientHelloKey{key}})
	keys := echList(t, "front.test")
	r.server.Dialer.Names = &tunnel.Names{Resolver: here(keys), Patience: time.Minute}
	for name, talk := range talks {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var seen bytes.Buffer
			addr := r.within(t).accept(func(c net.Conn) {
				defer c.Close()
				talk(tap{c, &mu, &seen})
			})
			m := r.meetingAt(t, addr, policy.ECHPrefer)
			_, _, err := m.meet(t.Context())
			if err == nil {
				t.Fatal("it was met")
			}
			if m.outcome != "" {
				t.Errorf("it is thought to be %s", m.outcome)
			}
			mu.Lock()
			defer mu.Unlock()
			if bytes.Contains(seen.Bytes(), []byte("hidden")) {
				t.Errorf("the name was shown, then %v", err)
			}
		})
	}
}

// TestRefusalsEnd: a provider that goes on giving other keys is left, and one
// that gives what is none is believed that it takes none.
func TestRefusalsEnd(t *testing.T) {
	r := newRig(t, "  - {name: web, from: any, to: .test, ports: any, mode: originate, allow_private: true}\n")
	r.certify("127.0.0.1", secretName, "front.test")
	keys := echList(t, "front.test")
	r.server.Dialer.Names = &tunnel.Names{Resolver: here(keys), Patience: time.Minute}
	for name, c := range map[string]struct {
		public string // of the keys that the provider has
		give   bool   // it says so
		met    string // OriginLeg.ECH
	}{
		"ever new keys":    {"front.test", true, ""},
		"no keys":          {"front.test", false, ECHRefused},
		"keys for no name": {"x", true, ECHRefused},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			conns := 0
			addr := r.within(t).accept(func(conn net.Conn) {
				defer conn.Close()
				mu.Lock()
				conns++
				mu.Unlock()
				_, key := echKey(t, c.public)
				key.SendAsRetry = c.give
				s := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{r.cert}, EncryptedClientHelloKeys: []tls.EncryptedClientHelloKey{key}})
				if s.Handshake() == nil {
					_, _ = io.Copy(io.Discard, s)
				}
			})
			l, _, err := r.meetingAt(t, addr, policy.ECHPrefer).meet(t.Context())
			if (err == nil) != (c.met != "") {
				t.Fatal(err)
			}
			if err == nil {
				if l.ech != c.met || l.tls.ECHAccepted {
					t.Errorf("%q, want %q", l.ech, c.met)
				}
				l.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			if conns != 2 {
				t.Errorf("%d connections, want 2", conns)
			}
		})
	}
}

// BenchmarkMeet makes a connection to an origin whose HTTPS record has no keys, and
// beside it (direct) one where nobody looks; and one by ECH beside one without.
func BenchmarkMeet(b *testing.B) {
	r := newRig(b, "  - {name: web, from: any, to: .test, ports: any, mode: originate, allow_private: true}\n")
	r.certify("127.0.0.1", secretName, "front.test")
	keys, key := echKey(b, "front.test")
	for name, record := range map[string][]byte{"no-keys": nil, "keys": keys} {
		b.Run(name, func(b *testing.B) {
			r.server.Dialer.Names = &tunnel.Names{Resolver: here(record), Patience: time.Minute}
			cfg := &tls.Config{Certificates: []tls.Certificate{r.cert}, EncryptedClientHelloKeys: []tls.EncryptedClientHelloKey{key}}
			addr := r.within(b).accept(func(c net.Conn) {
				defer c.Close()
				if s := tls.Server(c, cfg); s.Handshake() == nil {
					_, _ = io.Copy(io.Discard, s)
				}
			})
			meet := func(ech policy.ECH) func() error {
				return func() error {
					l, _, err := r.meetingAt(b, addr, ech).meet(b.Context())
					if err != nil {
						return err
					}
					if want := ech == policy.ECHPrefer && record != nil; l.tls.ECHAccepted != want {
						return fmt.Errorf("by ECH: %v, want %v", l.tls.ECHAccepted, want)
					}
					return l.Close()
				}
			}
			compare(b, 0, meet(policy.ECHPrefer), meet(policy.ECHOff))
		})
	}
}
