// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"
)

// deadline is how long a test waits for what must happen; it is never slept.
const deadline = 20 * time.Second

// tcpPair returns two ends of one loopback connection.
func tcpPair(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// rig is a tunnel between two real clients of it.
type rig struct {
	t      testing.TB
	client *net.TCPConn // what the client holds
	origin *net.TCPConn // what the origin holds
	tunnel Tunnel       // Client and Origin are set
	ctx    context.Context
	done   chan struct{}
	result Result
	err    error
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, ctx: t.Context(), done: make(chan struct{})}
	r.client, r.tunnel.Client = pairConn(t)
	r.origin, r.tunnel.Origin = pairConn(t)
	limit := time.Now().Add(deadline)
	r.client.SetDeadline(limit)
	r.origin.SetDeadline(limit)
	return r
}

func pairConn(t testing.TB) (*net.TCPConn, net.Conn) { return tcpPair(t) }

func (r *rig) start() *rig {
	go func() {
		defer close(r.done)
		r.result, r.err = r.tunnel.Run(r.ctx)
	}()
	return r
}

// wait returns what Run returned.
func (r *rig) wait() (Result, error) {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(deadline):
		r.t.Fatal("the tunnel does not end")
	}
	return r.result, r.err
}

// selfSigned returns a certificate for name that is its own root.
func selfSigned(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func poolOf(cert tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	return pool
}
