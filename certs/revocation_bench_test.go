// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
)

// BenchmarkHandshakeWithOrigin is a handshake of both sides, with what is known of
// revocation there already. A connection that is used again costs none of it.
func BenchmarkHandshakeWithOrigin(b *testing.B) {
	l, root := newLibrary(b), newRoot(b, "Root")
	many := root.crl(1, nil, func(l *x509.RevocationList) {
		for i := range 100_000 {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(int64(i)*977 + 1<<40), RevocationTime: time.Now()})
		}
	})
	l.has("crl", many)
	middle := root.ca("Middle", "")
	l.has("middle", middle.cert.Raw)
	leaf := issue(b, root, withCRL(l.URL+"/crl", host))
	for _, bb := range []struct {
		name string
		p    Profile
	}{
		{"off", Profile{}},
		{"prefer", Profile{Revocation: RevocationPrefer}},
		{"require", Profile{Revocation: RevocationRequire}},
		{"verify_name", Profile{VerifyName: host}},
	} {
		for _, how := range []string{"full", "resumed"} {
			b.Run(bb.name+"/"+how, func(b *testing.B) {
				bb.p.Roots = []string{root.certFile()}
				r := read(b, bb.p)
				if err := r.check(leaf, root); err != nil {
					b.Fatal(err)
				}
				r.landed()
				server := &tls.Config{Certificates: []tls.Certificate{leaf.with()}, SessionTicketsDisabled: how == "full"}
				cfg := r.Config(host)
				b.ReportAllocs()
				for b.Loop() {
					near, far := net.Pipe()
					go func() {
						s := tls.Server(far, server)
						s.Write([]byte{'.'})
						io.Copy(io.Discard, s)
						far.Close()
					}()
					c := tls.Client(near, cfg)
					if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
						b.Fatal(err)
					}
					near.Close()
				}
			})
		}
	}
}

// BenchmarkCheckRevocation is what a handshake pays for knowing.
func BenchmarkCheckRevocation(b *testing.B) {
	l, root := newLibrary(b), newRoot(b, "Root")
	l.has("crl", root.crl(1, nil))
	leaf := issue(b, root, withCRL(l.URL+"/crl", host))
	for name, mode := range map[string]Revocation{"off": RevocationOff, "prefer": RevocationPrefer, "require": RevocationRequire} {
		b.Run(name, func(b *testing.B) {
			r := read(b, Profile{Roots: []string{root.certFile()}, Revocation: mode})
			if err := r.check(leaf, root); err != nil {
				b.Fatal(err)
			}
			r.landed()
			chains := [][]*x509.Certificate{chainOf(leaf, root)}
			b.ReportAllocs()
			for b.Loop() {
				if err := r.checkRevocation(chains, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReadCRL is a list of a million, in entries a second.
func BenchmarkReadCRL(b *testing.B) {
	root := newRoot(b, "Root")
	der := root.crl(1, nil, func(l *x509.RevocationList) {
		for i := range 300_000 {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: new(big.Int).Lsh(big.NewInt(int64(i)*977+1), 90), RevocationTime: time.Now()})
		}
	})
	b.Run("sallyport", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(der)))
		for b.Loop() {
			if _, err := readCRL(der, root.cert); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("crypto-x509", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(der)))
		for b.Loop() {
			l, err := x509.ParseRevocationList(der)
			if err == nil {
				err = l.CheckSignatureFrom(root.cert)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
