// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"
)

// serve answers one connection at a time with c, until the test ends.
func serve(t *testing.T, c *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s := tls.Server(conn, c)
			if s.Handshake() == nil {
				_, _ = s.Read(make([]byte, 1)) // until the other end has seen enough
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func dial(t *testing.T, address string) (*Handshake, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return Dial(ctx, Ask{Address: address, ServerName: "www.test", ALPN: []string{"h2"}})
}

// TestDialShowsWhatDoesNotHold: chains nobody would trust, of any length that
// TLS allows, can be looked at.
func TestDialShowsWhatDoesNotHold(t *testing.T) {
	leaf := issue(t, nil, "www.test")
	c := tls.Certificate{PrivateKey: leaf.key, Certificate: [][]byte{leaf.cert.Raw}, OCSPStaple: []byte("no OCSP response"), SignedCertificateTimestamps: [][]byte{{1}, {2}}}
	for range 99 {
		c.Certificate = append(c.Certificate, issue(t, nil, "another").cert.Raw)
	}
	h, err := dial(t, serve(t, &tls.Config{Certificates: []tls.Certificate{c}, NextProtos: []string{"h2"}}))
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Chain) != 100 || h.Version != "TLS 1.3" || h.ALPN != "h2" || !h.Stapled || h.SCTs != 2 || h.AsksClient || h.Broken != "" || h.Group == "" {
		t.Errorf("%+v", h)
	}
	if s := DescribeStaple(h.Staple, h.Chain, time.Now()); s.Status != "unreadable" || s.Signed {
		t.Errorf("%+v", s)
	}
}

// TestDialTellsWhatEndsTheHandshake: what came before the end is kept.
func TestDialTellsWhatEndsTheHandshake(t *testing.T) {
	leaf := issue(t, nil, "www.test")
	good := tls.Certificate{PrivateKey: leaf.key, Certificate: [][]byte{leaf.cert.Raw}}
	h, err := dial(t, serve(t, &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}))
	if err != nil || len(h.Chain) != 1 || !h.AsksClient || !strings.Contains(h.Broken, "the server sent the alert ") {
		t.Errorf("%+v, %v", h, err)
	}
	old, err := dial(t, serve(t, &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}))
	if err != nil || old.Version != "TLS 1.0" {
		t.Errorf("%+v, %v", old, err)
	}
	bad := good
	bad.Certificate = [][]byte{leaf.cert.Raw, []byte("no certificate")}
	if h, err = dial(t, serve(t, &tls.Config{Certificates: []tls.Certificate{bad}})); err == nil && len(h.Chain) != 1 {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err = dial(t, serve(t, &tls.Config{})); err == nil || err.Error() != "no TLS handshake: the server sent the alert unrecognized name" && !strings.HasPrefix(err.Error(), "no TLS handshake: the server sent the alert ") {
		t.Errorf("without a certificate: %v", err)
	}
}

func TestHostPort(t *testing.T) {
	for s, want := range map[string]bool{
		"www.test:443": true, "[::1]:443": true, "127.0.0.1:1": true, "a:65535": true,
		"www.test": false, ":443": false, "www.test:https": false, "www.test:0": false, "www.test:65536": false, "a/b:443": false, "a b:1": false, "::1:443": false,
	} {
		if HostPort(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}
