// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A visit is a request as an origin saw it.
type visit struct {
	method, path string
	tls          bool
	exported     string // keying material of the TLS session; "": none
	subject      string // of the client's certificate; "": none came
	issuer       string
	via          string
	cookie       string
	canary       bool // it had the canary
	body         int64
}

// An origin serves https on its port and, to who begins without TLS, the same as
// plain http: its plain twin. What is wrong with its certificate is decided by
// the name it is asked for.
type origin struct {
	canary string
	roots  *authority
	stray  *authority // whom nobody trusts
	people *x509.CertPool
	keys   io.Writer
	fail   func(error) // told when no connection can be accepted

	l    net.Listener
	srv  *http.Server
	done sync.WaitGroup

	mu     sync.Mutex
	visits map[string][]visit // by host
	certs  map[string]*tls.Certificate
	speak  map[string]*tls.Config
}

// exporter labels what either end of a TLS session can compute and nobody else
// (RFC 8446 §7.5): where it agrees, there is one session and not two.
const exporter = "EXPERIMENTAL-sallyport-demo"

func (o *origin) start() (err error) {
	if o.l, err = loopback("the origins"); err != nil {
		return err
	}
	o.visits, o.certs, o.speak = make(map[string][]visit), make(map[string]*tls.Certificate), make(map[string]*tls.Config)
	o.srv = &http.Server{Handler: o, ErrorLog: log.New(io.Discard, "", 0)} // what goes wrong is seen at the other end
	s := &splitListener{Listener: o.l, next: make(chan net.Conn), closed: make(chan struct{}), tls: &tls.Config{GetConfigForClient: o.configFor}}
	o.done.Go(func() { s.accept(o.fail) })
	o.done.Go(func() { _ = o.srv.Serve(s) })
	return nil
}

func (o *origin) close() {
	o.srv.Close()
	o.l.Close()
	o.done.Wait()
}

// seen are the visits to a host.
func (o *origin) seen(host string) []visit {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]visit(nil), o.visits[host]...)
}

// configFor is what the origin of that name has to show and asks for.
func (o *origin) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	name := hello.ServerName
	if c := o.speak[name]; c != nil {
		return c, nil
	}
	if !strings.HasSuffix(name, "."+zone) {
		return nil, fmt.Errorf("no origin is called %q", name)
	}
	first, _, _ := strings.Cut(name, ".")
	by, kind := o.roots, leafKind(first)
	if kind == untrusted {
		by = o.stray
	}
	cert, err := by.issue(name, kind)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{Certificates: []tls.Certificate{*cert}, KeyLogWriter: o.keys}
	if wantsCertificate[first] {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, o.people
	}
	o.certs[name], o.speak[name] = cert, c
	return c, nil
}

// certificate is the one shown for a name, or nil.
func (o *origin) certificate(name string) *x509.Certificate {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.certs[name]; c != nil {
		return c.Leaf
	}
	return nil
}

// page is what a login is answered with: so long that its entropy can be told.
var page = strings.Repeat("<p>Your order of three boxes of tea was sent on Monday and will be with you by Friday.</p>\n", 72)

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	host, _, _ := strings.Cut(r.Host, ":")
	if r.URL.Path != "/quick" {
		o.note(host, r, body, err)
	}
	w.Header().Set(originMark, "1")
	switch r.URL.Path {
	case "/login":
		fmt.Fprintf(w, "<h1>Welcome, %s</h1>\n%s", o.canary, page)
	case "/start":
		http.Redirect(w, r, "https://"+r.Host+"/account", http.StatusFound)
	case "/enter":
		http.SetCookie(w, &http.Cookie{Name: "session", Value: o.canary, Path: "/", Secure: true, HttpOnly: true})
		fmt.Fprintln(w, "entered")
	case "/bytes":
		serveBytes(w, r)
	default:
		fmt.Fprintln(w, "ok")
	}
}

func (o *origin) note(host string, r *http.Request, body []byte, err error) {
	v := visit{method: r.Method, path: r.URL.Path, via: r.Header.Get("Via"), body: int64(len(body))}
	if err != nil {
		v.body = -1 // it never came whole
	}
	if c, err := r.Cookie("session"); err == nil {
		v.cookie = c.Value
	}
	v.canary = strings.Contains(string(body), o.canary) || strings.Contains(r.Header.Get("Authorization"), o.canary)
	if s := r.TLS; s != nil {
		v.tls = true
		if secret, err := s.ExportKeyingMaterial(exporter, nil, 32); err == nil {
			v.exported = string(secret)
		}
		if len(s.PeerCertificates) > 0 {
			v.subject, v.issuer = s.PeerCertificates[0].Subject.CommonName, s.PeerCertificates[0].Issuer.CommonName
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.visits[host] = append(o.visits[host], v)
}

// bulk is what is sent where only its amount counts.
var bulk = make([]byte, 256<<10)

func serveBytes(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	w.Header().Set("Content-Length", strconv.Itoa(n))
	for n > 0 {
		m, err := w.Write(bulk[:min(n, len(bulk))])
		if err != nil {
			return
		}
		n -= m
	}
}

// A splitListener gives connections to a server as TLS or plain, by their first
// byte (RFC 8446 §5.1: 22 begins a handshake, and no request line).
type splitListener struct {
	net.Listener
	tls    *tls.Config
	next   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (s *splitListener) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Listener.Close()
}

func (s *splitListener) Accept() (net.Conn, error) {
	select {
	case c := <-s.next:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *splitListener) accept(fail func(error)) {
	var telling sync.WaitGroup
	defer telling.Wait()
	accept(s.Listener, fail, func(c net.Conn) { telling.Go(func() { s.tell(c) }) })
}

// tell looks at the first byte.
func (s *splitListener) tell(c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	p := peeked{Conn: c, r: bufio.NewReader(c)}
	first, err := p.r.Peek(1)
	if err != nil {
		c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	var out net.Conn = p
	if first[0] == recordHandshake {
		out = tls.Server(p, s.tls)
	}
	select {
	case s.next <- out:
	case <-s.closed:
		c.Close()
	}
}

// A peeked connection begins with what was read ahead.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.r.Read(b) }
