// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"syscall"
	"testing"
	"time"
)

// BenchmarkHandshake is a connection to the listener, both ends of it, over a
// socket of this machine. x-create is the processor time of one in units of that
// of x509.CreateCertificate: it holds on a busy machine, where times do not.
func BenchmarkHandshake(b *testing.B) {
	k := newBench(b)
	k.Names, k.ACME = nil, nil
	if err := k.Load(b.Context()); err != nil {
		b.Fatal(err)
	}
	unit := createCost(b)
	b.Run("full", func(b *testing.B) { benchmarkHandshake(b, k.Config(), &tls.Config{}, false, unit) })
	b.Run("full, TLS 1.2", func(b *testing.B) {
		benchmarkHandshake(b, k.Config(), &tls.Config{MaxVersion: tls.VersionTLS12}, false, unit)
	})
	b.Run("full, X25519", func(b *testing.B) {
		benchmarkHandshake(b, k.Config(), &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519}}, false, unit)
	})
	b.Run("resumed", func(b *testing.B) { benchmarkHandshake(b, k.Config(), &tls.Config{}, true, unit) })
	b.Run("GetCertificate", func(b *testing.B) {
		b.ReportAllocs()
		hello := ecdsaHello(gw)
		for b.Loop() {
			if _, err := k.GetCertificate(hello); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchmarkHandshake(b *testing.B, server, client *tls.Config, resumed bool, unit time.Duration) {
	client.ServerName, client.InsecureSkipVerify, client.NextProtos = gw, true, []string{"http/1.1"}
	if resumed {
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				t := tls.Server(c, server)
				if t.Handshake() == nil {
					_, _ = t.Write([]byte{1}) // behind the session ticket
				}
			}()
		}
	}()
	connect := func() {
		raw, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer raw.Close()
		c := tls.Client(raw, client)
		if _, err := c.Read(make([]byte, 1)); err != nil {
			b.Fatal(err)
		}
		if got := c.ConnectionState().DidResume; b.N > 1 && got != resumed {
			b.Fatalf("resumed: %v", got)
		}
	}
	connect()
	b.ReportAllocs()
	used := processorTime(b)
	for b.Loop() {
		connect()
	}
	b.ReportMetric(float64(processorTime(b)-used)/float64(b.N)/float64(unit), "x-create")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// createCost is the processor time of making a leaf like the ones that are shown.
func createCost(b *testing.B) time.Duration {
	ca := newRoot(b, "Bench")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{gw}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	const times = 500
	used := processorTime(b)
	for range times {
		if _, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key); err != nil {
			b.Fatal(err)
		}
	}
	return (processorTime(b) - used) / times
}
