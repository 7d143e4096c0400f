// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An authority signs what a test needs.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  crypto.Signer
}

var serial int64

// issue makes a certificate from a template whose gaps it fills; a nil parent
// makes it sign itself.
func issue(t testing.TB, parent *authority, template x509.Certificate) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial++
	template.SerialNumber = big.NewInt(serial)
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(90 * 24 * time.Hour)
	}
	template.BasicConstraintsValid = true
	by := &authority{cert: &template, key: key}
	if parent != nil {
		by = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t: t, cert: cert, key: key}
}

func subject(name string) pkix.Name { return pkix.Name{CommonName: name} }

func newRoot(t testing.TB, name string) *authority {
	return issue(t, nil, x509.Certificate{Subject: subject(name), IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign})
}

// server returns a certificate for names, each a DNS name or an address.
func (a *authority) server(names ...string) *authority {
	return issue(a.t, a, serverTemplate(names...))
}

func serverTemplate(names ...string) x509.Certificate {
	c := x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if len(names) > 0 {
		c.Subject = subject(names[0])
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, n)
		}
	}
	return c
}

func (a *authority) client(name string) *authority {
	return issue(a.t, a, x509.Certificate{Subject: subject(name), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// with returns a as crypto/tls wants it, followed by chain.
func (a *authority) with(chain ...*authority) tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{a.cert.Raw}, PrivateKey: a.key}
	for _, x := range chain {
		c.Certificate = append(c.Certificate, x.cert.Raw)
	}
	return c
}

func (a *authority) pin() [32]byte { return sha256.Sum256(a.cert.RawSubjectPublicKeyInfo) }

func (a *authority) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) keyPEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// certFile writes the certificate; keyFile the key, for its owner only.
func (a *authority) certFile() string { return writeFile(a.t, "cert.pem", a.certPEM(), 0o644) }
func (a *authority) keyFile() string  { return writeFile(a.t, "key.pem", a.keyPEM(), 0o600) }

func writeFile(t testing.TB, name string, text []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

func load(t testing.TB, p Profile) *Trust {
	t.Helper()
	trust, err := p.Load()
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

// An origin serves TLS on loopback: it says one byte to each connection.
type origin struct {
	addr string
	seen chan tls.ConnectionState // of connections that it accepted
}

func serve(t testing.TB, cfg *tls.Config) *origin {
	t.Helper()
	return serveRaw(t, func(o *origin, c net.Conn) {
		s := tls.Server(c, cfg)
		if s.Handshake() == nil {
			select {
			case o.seen <- s.ConnectionState():
			default:
			}
			s.Write([]byte{'.'})
			io.Copy(io.Discard, s)
		}
	})
}

// serveRaw serves with anything.
func serveRaw(t testing.TB, handle func(*origin, net.Conn)) *origin {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{addr: ln.Addr().String(), seen: make(chan tls.ConnectionState, 16)}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(o, c)
			}()
		}
	}()
	return o
}

// connect shakes hands and reads the origin's byte: with TLS 1.3 the origin's
// view of a client certificate and its session ticket come only then.
func (o *origin) connect(t testing.TB, cfg *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	c, err := net.Dial("tcp", o.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	s := tls.Client(c, cfg)
	if err := s.Handshake(); err != nil {
		return tls.ConnectionState{}, err
	}
	if n, err := s.Read(make([]byte, 1)); n != 1 {
		return tls.ConnectionState{}, err
	}
	cs := s.ConnectionState()
	// A write error is no news: all that is wanted has happened.
	if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Logf("closing: %v", err)
	}
	return cs, nil
}
