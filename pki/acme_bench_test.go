// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
)

// unit is what one x509.CreateCertificate costs here and now.
func unit(b *testing.B) time.Duration {
	key := mustKey(b)
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	const n = 200
	start := time.Now()
	for range n {
		if _, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start) / n
}

// ratio reports an operation as so many x509.CreateCertificate.
func ratio(b *testing.B, f func()) {
	u := unit(b)
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(u), "×CreateCertificate")
}

// A whole issuance, from the order to the chain, by the gateway's own client.
func BenchmarkACMEIssuance(b *testing.B) {
	for name, ca := range map[string]func(*testing.B) *CA{
		"memory": func(b *testing.B) *CA { return memoryCA(b, worldSettings, Options{}) },
		"bbolt": func(b *testing.B) *CA {
			ca, _ := diskCA(b, worldSettings)
			return ca
		},
	} {
		b.Run(name, func(b *testing.B) {
			ctx := context.Background()
			ca := ca(b)
			w := &world{t: b, ca: ca, http: map[string]string{}, certs: map[string]*tls.Certificate{}}
			own := func(context.Context, string) (net.Conn, error) {
				here, there := net.Pipe()
				go func() {
					defer there.Close()
					tls.Server(there, &tls.Config{GetCertificate: w.certificate, NextProtos: []string{"acme-tls/1"}}).Handshake()
				}()
				return here, nil
			}
			s, err := ca.ACME(ACMEOptions{Names: []string{"gw.test"}, Own: own})
			if err != nil {
				b.Fatal(err)
			}
			c := &acme.Client{Key: mustKey(b), HTTPClient: &http.Client{Transport: s.Transport()}, DirectoryURL: s.Directory()}
			if _, err := c.Register(ctx, &acme.Account{}, acme.AcceptTOS); err != nil {
				b.Fatal(err)
			}
			n := 0
			ratio(b, func() {
				if n++; n%acmeOrders == 0 { // as many as an account may have in an hour
					c = &acme.Client{Key: mustKey(b), HTTPClient: c.HTTPClient, DirectoryURL: c.DirectoryURL}
					if _, err := c.Register(ctx, &acme.Account{}, acme.AcceptTOS); err != nil {
						b.Fatal(err)
					}
				}
				if _, _, err := w.order(ctx, c, "tls-alpn-01", "gw.test"); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

func BenchmarkOCSP(b *testing.B) {
	ca := memoryCA(b, Settings{}, Options{})
	req := requestOf(b, issueServer(b, ca, "a.test"))
	b.Run("signed", func(b *testing.B) {
		ratio(b, func() {
			clear(ca.answers.by)
			if _, err := ca.ocsp(req); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("kept", func(b *testing.B) {
		ratio(b, func() {
			if _, err := ca.ocsp(req); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// A list of a thousand certificates, signed anew.
func BenchmarkCRL(b *testing.B) {
	ca := memoryCA(b, Settings{}, Options{})
	chain := issueServer(b, ca, "a.test")
	skid := skidOf(chain[1])
	for range 1000 {
		ca.revoked.add(skid, SerialText(newSerial()), revocation{time.Now(), 0, time.Now().Add(time.Hour)})
	}
	ratio(b, func() {
		ca.revoked.add(skid, SerialText(chain[0].SerialNumber), revocation{time.Now(), 0, time.Now().Add(time.Hour)})
		if _, err := ca.CRL(skid); err != nil {
			b.Fatal(err)
		}
	})
}
