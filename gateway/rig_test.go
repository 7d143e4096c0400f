// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/policy"
)

// A rig is a Server on a real listener, with what it needs around it.
type rig struct {
	tb     testing.TB
	server *Server
	addr   string // of the gateway
	cert   tls.Certificate
	roots  *x509.CertPool

	generation atomic.Pointer[Generation] // the server's

	mu      sync.Mutex
	records []*Record
	handed  chan struct{} // a token for each record
}

// newRig serves rules, the lines of a policy's rules, to this machine. What is to
// be different about the server is, before it serves: a byte that comes over a
// raw socket orders nothing for the race detector.
func newRig(tb testing.TB, rules string, different ...func(*Server)) *rig {
	tb.Helper()
	p, err := policy.Parse("rig.yaml", []byte("version: 1\nrules:\n"+rules), tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	r := &rig{tb: tb, handed: make(chan struct{}, 1<<20)}
	r.certify("127.0.0.1", "origin.test")
	gen := &Generation{Policy: p, Trust: func(*policy.Origin) (Trust, error) {
		return Trust{Key: "rig", Config: func(host string) *tls.Config {
			return &tls.Config{ServerName: host, RootCAs: r.roots, NextProtos: []string{"http/1.1"}}
		}}, nil
	}}
	gen.Mint = func(string, time.Duration) (*tls.Certificate, error) { return &r.cert, nil }
	r.generation.Store(gen)
	r.server = &Server{
		Generation: r.generation.Load,
		Observe: func(rec *Record) {
			r.mu.Lock()
			r.records = append(r.records, rec)
			r.mu.Unlock()
			r.handed <- struct{}{}
		},
	}
	for _, f := range different {
		f(r.server)
	}
	r.addr = r.serve(func(l net.Listener) { _ = r.server.Serve(l) })
	tb.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // cut what the test left open
		_ = r.server.Shutdown(ctx)
	})
	return r
}

// within is the same rig for a part of the test, which its failures belong to.
func (r *rig) within(tb testing.TB) *rig {
	return &rig{tb: tb, server: r.server, addr: r.addr, cert: r.cert, roots: r.roots}
}

// serve runs f on a listener of its own, which ends with the test.
func (r *rig) serve(f func(net.Listener)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(l)
	}()
	r.tb.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// certify makes r's certificate, for an address and names.
func (r *rig) certify(addr string, names ...string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "rig"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP(addr)}, DNSNames: names,
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		r.tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	r.roots = x509.NewCertPool()
	r.roots.AddCert(leaf)
}

// accept hands every connection of a new origin to talk, which closes it.
func (r *rig) accept(talk func(net.Conn)) string {
	var open sync.WaitGroup
	var mu sync.Mutex
	conns := make(map[net.Conn]bool)
	addr := r.serve(func(l net.Listener) {
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			open.Go(func() {
				talk(c)
				mu.Lock()
				delete(conns, c)
				mu.Unlock()
			})
		}
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		open.Wait()
	})
	return addr
}

// httpOrigin answers each request for /N by N bytes. It is as plain as can be,
// so that what is measured beside it is the gateway.
func (r *rig) httpOrigin(secure bool) string {
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 8<<10)
	cfg := &tls.Config{Certificates: []tls.Certificate{r.cert}} // one, so that sessions can be resumed
	return r.accept(func(c net.Conn) {
		defer c.Close()
		if secure {
			c = tls.Server(c, cfg)
		}
		br := bufio.NewReader(c)
		for {
			size := -1
			for {
				line, err := br.ReadSlice('\n')
				if err != nil {
					return
				}
				if size < 0 { // the request line
					size, _ = strconv.Atoi(strings.TrimPrefix(strings.Fields(string(line))[1], "/"))
				}
				if len(line) == 2 {
					break
				}
			}
			head := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: text/plain\r\n\r\n", size)
			n := min(size, 64<<10) // small answers in one write
			head, size = append(head, chunk[:n]...), size-n
			if _, err := c.Write(head); err != nil {
				return
			}
			for size > 0 {
				n, err := c.Write(chunk[:min(size, len(chunk))])
				if err != nil {
					return
				}
				size -= n
			}
		}
	})
}

func (r *rig) dial(addr string) net.Conn {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		r.tb.Fatal(err)
	}
	return c
}

// dialTLS connects to an origin without the gateway.
func (r *rig) dialTLS(addr string) net.Conn {
	c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: r.roots, ServerName: "127.0.0.1"})
	if err != nil {
		r.tb.Fatal(err)
	}
	return c
}

// connect opens a tunnel to origin.
func (r *rig) connect(origin string) (net.Conn, error) {
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", origin, origin); err != nil {
		c.Close()
		return nil, err
	}
	answer := make([]byte, len(established))
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != string(established) {
		c.Close()
		return nil, fmt.Errorf("no tunnel: %q %w", answer, err)
	}
	return c, nil
}

// An exchanger sends one request again and again and reads the answers.
type exchanger struct {
	net.Conn
	br      *bufio.Reader
	request []byte
}

func newExchanger(c net.Conn, target, host string) *exchanger {
	return &exchanger{c, bufio.NewReaderSize(c, 32<<10), fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: rig\r\nAccept: */*\r\n\r\n", target, host)}
}

var errStatus = errors.New("the answer is not 200")

func (x *exchanger) exchange() error {
	if _, err := x.Write(x.request); err != nil {
		return err
	}
	length := -1
	for first := true; ; first = false {
		line, err := x.br.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
			return fmt.Errorf("%w: %s", errStatus, line)
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				return err
			}
		}
		if len(line) == 2 {
			break
		}
	}
	_, err := x.br.Discard(length)
	return err
}
