// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// Each benchmark stands beside x509.CreateCertificate for the same names and
// a key that is there, measured in the same run: x-create is how many times as
// long it takes, x-cpu how many times as much processor time.

func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func compare(b *testing.B, op func()) {
	ca := memoryCA(b, Settings{}, Options{})
	i := ca.state.Load().issuer(Server)
	key := mustKey(b).Public()
	want := serverWant(ca, "www.test")
	want.SerialNumber = newSerial()
	create := func() {
		if _, err := x509.CreateCertificate(rand.Reader, want, i.cert(), key, i.key); err != nil {
			b.Fatal(err)
		}
	}
	op() // what is made once
	const base = 300
	start, cpu := time.Now(), cpuTime()
	for range base {
		create()
	}
	createTime, createCPU := time.Since(start)/base, (cpuTime()-cpu)/base
	b.ReportAllocs()
	cpu = cpuTime()
	b.ResetTimer()
	for range b.N {
		op()
	}
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(createTime), "x-create")
	b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N)/float64(createCPU), "x-cpu")
}

func BenchmarkCreateCertificate(b *testing.B) {
	ca := memoryCA(b, Settings{}, Options{})
	i, key, want := ca.state.Load().issuer(Server), mustKey(b).Public(), serverWant(ca, "www.test")
	want.SerialNumber = newSerial()
	compare(b, func() { x509.CreateCertificate(rand.Reader, want, i.cert(), key, i.key) })
}

func BenchmarkIssue(b *testing.B) {
	issue := func(ca *CA) func(*testing.B) {
		return func(b *testing.B) {
			req, _ := csr(b, x509.CertificateRequest{})
			compare(b, func() {
				if _, err := ca.Issue(b.Context(), Request{Role: Server, CSR: req, DNS: []string{"www.test"}}); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
	b.Run("memory", issue(memoryCA(b, Settings{}, Options{})))
	ca, _ := diskCA(b, Settings{})
	b.Run("bolt", issue(ca))
}

func BenchmarkMint(b *testing.B) {
	m := memoryCA(b, Settings{}, Options{}).Minter(Intercept)
	n := 0
	b.Run("miss", func(b *testing.B) {
		compare(b, func() {
			n++
			if _, err := m.Host(fmt.Sprintf("h%d.test", n), 0); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("hit", func(b *testing.B) {
		compare(b, func() {
			if _, err := m.Host("www.test", 0); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// What every handshake with a client certificate asks, with many revoked.
func BenchmarkRevoked(b *testing.B) {
	ca := memoryCA(b, Settings{}, Options{})
	c := issueClient(b, ca, "alice")[0]
	skid := ca.state.Load().issuer(Client).skid
	for range 10_000 {
		ca.revoked.add(skid, SerialText(newSerial()), revocation{})
	}
	compare(b, func() {
		if ca.Revoked(c) {
			b.Fatal("revoked")
		}
	})
}
