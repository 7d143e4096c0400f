// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A tlsRig is a rig whose gateway has a certificate for gw.test.
type tlsRig struct {
	*rig
	trust *x509.CertPool
	log   *logged
}

// logged is an ErrorLog that can be read.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// openAll lets everything through to this machine.
const openAll = "  - {name: all, from: any, to: 127.0.0.0/8, ports: any, mode: [relay, tunnel], tunnel: {tls: optional}}\n"

func newTLSRig(tb testing.TB, rules string, different ...func(*Server)) *tlsRig {
	own := &rig{tb: tb}
	own.certify("127.0.0.1", "gw.test")
	t := &tlsRig{trust: own.roots, log: &logged{}}
	t.rig = newRig(tb, rules, append([]func(*Server){func(s *Server) {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{own.cert}}
		s.ErrorLog = log.New(t.log, "", 0)
	}}, different...)...)
	return t
}

// client is how the rig's clients meet the gateway.
func (r *tlsRig) client(protocols ...string) *tls.Config {
	return &tls.Config{RootCAs: r.trust, ServerName: "gw.test", NextProtos: protocols}
}

// secure connects to the gateway by TLS.
func (r *tlsRig) secure(protocols ...string) *tls.Conn {
	r.tb.Helper()
	c := r.unhurried(protocols...)
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// unhurried is secure without an end.
func (r *tlsRig) unhurried(protocols ...string) *tls.Conn {
	r.tb.Helper()
	c, err := tls.Dial("tcp", r.addr, r.client(protocols...))
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(func() { c.Close() })
	return c
}

// say sends a request and reads the answer.
func say(tb testing.TB, c net.Conn, br *bufio.Reader, request string) (*http.Response, string) {
	tb.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		tb.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		tb.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return res, string(body)
}

// record waits for the next record.
func (r *rig) record() *Record {
	r.tb.Helper()
	select {
	case <-r.handed:
	case <-time.After(20 * time.Second):
		r.tb.Fatal("no record")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.records[0]
	r.records = r.records[1:]
	return rec
}

// until waits for f to be true.
func until(tb testing.TB, what string, f func() bool) {
	tb.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatal("not so: " + what)
		}
	}
}
