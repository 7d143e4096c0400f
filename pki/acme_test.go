// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
)

// A world is an ACME server on a socket, and a host that answers challenges for
// every name, as somebody who orders certificates does.
type world struct {
	t    testing.TB
	ca   *CA
	acme *ACME
	web  *httptest.Server // the gateway, for ACME
	host *httptest.Server // http-01
	alpn net.Listener     // tls-alpn-01

	mu    sync.Mutex
	http  map[string]string           // path → body
	certs map[string]*tls.Certificate // name → certificate of the challenge
	dns   map[string]string           // name → address; otherwise 10.1.2.3
	dials atomic.Int32
}

// openWorld serves gw.test, and corp.test in 10.0.0.0/8, from memory.
func openWorld(t testing.TB, change func(*ACMEOptions)) *world {
	t.Helper()
	return openWorldOn(t, memoryCA(t, worldSettings, Options{Log: t.Logf}), change)
}

var worldSettings = Settings{URL: "http://gw.test:3128"}

func openWorldOn(t testing.TB, ca *CA, change func(*ACMEOptions)) *world {
	t.Helper()
	w := &world{t: t, ca: ca, http: map[string]string{}, certs: map[string]*tls.Certificate{}, dns: map[string]string{}}
	w.host = httptest.NewServer(http.HandlerFunc(w.answer))
	t.Cleanup(w.host.Close)
	var err error
	w.alpn, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: w.certificate, NextProtos: []string{"acme-tls/1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.alpn.Close() })
	go w.serveALPN()
	o := ACMEOptions{
		Names: []string{"gw.test"}, Serve: true, Zones: []string{"corp.test"},
		Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Dial: w.dial,
		Own: func(ctx context.Context, addr string) (net.Conn, error) { return w.connect(ctx, addr) },
	}
	if change != nil {
		change(&o)
	}
	if w.acme, err = w.ca.ACME(o); err != nil {
		t.Fatal(err)
	}
	w.web = httptest.NewUnstartedServer(w.acme)
	w.web.Config.ErrorLog = log.New(io.Discard, "", 0) // of connections that a test has ended
	w.web.StartTLS()
	t.Cleanup(w.web.Close)
	return w
}

func (w *world) answer(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if body, ok := w.http[r.URL.Path]; ok {
		fmt.Fprint(rw, body)
		return
	}
	http.NotFound(rw, r)
}

func (w *world) certificate(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.certs[h.ServerName]; c != nil {
		return c, nil
	}
	return nil, errors.New("no certificate of a challenge")
}

func (w *world) serveALPN() {
	for {
		c, err := w.alpn.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			c.(*tls.Conn).HandshakeContext(context.Background())
		}()
	}
}

// dial looks addr up in the table, and asks permit as the gateway's dialer does.
func (w *world) dial(ctx context.Context, addr string, permit func(netip.AddrPort) error) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	ip, ok := w.dns[host]
	w.mu.Unlock()
	if !ok {
		ip = "10.1.2.3"
	}
	if a, err := netip.ParseAddr(host); err == nil {
		ip = a.String()
	}
	port := netip.MustParseAddrPort("1.1.1.1" + addr[strings.LastIndexByte(addr, ':'):]).Port()
	if err := permit(netip.AddrPortFrom(netip.MustParseAddr(ip), port)); err != nil {
		return nil, fmt.Errorf("dial %s prohibited: %w", addr, err)
	}
	return w.connect(ctx, addr)
}

func (w *world) connect(ctx context.Context, addr string) (net.Conn, error) {
	w.dials.Add(1)
	to := w.host.Listener.Addr().String()
	if strings.HasSuffix(addr, ":443") {
		to = w.alpn.Addr().String()
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", to)
}

// browser asks the gateway by every name of a URL, as with --resolve.
func (w *world) browser() *http.Client {
	tr := w.web.Client().Transport.(*http.Transport).Clone()
	tr.TLSClientConfig.ServerName = "example.com" // httptest's
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, w.web.Listener.Addr().String())
	}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// client has no account yet.
func (w *world) client() *acme.Client {
	return &acme.Client{Key: mustKey(w.t), HTTPClient: w.browser(), DirectoryURL: "https://gw.test/acme/directory"}
}

func (w *world) registered(ctx context.Context) *acme.Client {
	w.t.Helper()
	c := w.client()
	if _, err := c.Register(ctx, &acme.Account{Contact: []string{"mailto:ops@corp.test"}}, acme.AcceptTOS); err != nil {
		w.t.Fatalf("register: %v", err)
	}
	return c
}

// fulfil answers the challenge of a type.
func (w *world) fulfil(ctx context.Context, c *acme.Client, az *acme.Authorization, kind string) error {
	for _, ch := range az.Challenges {
		if ch.Type != kind {
			continue
		}
		w.mu.Lock()
		switch kind {
		case "http-01":
			body, err := c.HTTP01ChallengeResponse(ch.Token)
			if err != nil {
				w.mu.Unlock()
				return err
			}
			w.http[c.HTTP01ChallengePath(ch.Token)] = body
		case "tls-alpn-01":
			cert, err := c.TLSALPN01ChallengeCert(ch.Token, az.Identifier.Value)
			if err != nil {
				w.mu.Unlock()
				return err
			}
			w.certs[az.Identifier.Value] = &cert
		}
		w.mu.Unlock()
		_, err := c.Accept(ctx, ch)
		return err
	}
	return fmt.Errorf("no %s among the challenges of %s", kind, az.Identifier.Value)
}

// order gets a certificate for names.
func (w *world) order(ctx context.Context, c *acme.Client, kind string, names ...string) ([]*x509.Certificate, crypto.Signer, error) {
	ids := acme.DomainIDs(names...)
	o, err := c.AuthorizeOrder(ctx, ids)
	if err != nil {
		return nil, nil, fmt.Errorf("order: %w", err)
	}
	for _, u := range o.AuthzURLs {
		az, err := c.GetAuthorization(ctx, u)
		if err != nil {
			return nil, nil, fmt.Errorf("authorization: %w", err)
		}
		if err := w.fulfil(ctx, c, az, kind); err != nil {
			return nil, nil, fmt.Errorf("challenge: %w", err)
		}
		if _, err := c.WaitAuthorization(ctx, u); err != nil {
			return nil, nil, fmt.Errorf("wait: %w", err)
		}
	}
	if o, err = c.WaitOrder(ctx, o.URI); err != nil {
		return nil, nil, fmt.Errorf("wait for order: %w", err)
	}
	key, csr, err := newCSR(names...)
	if err != nil {
		return nil, nil, err
	}
	ders, _, err := c.CreateOrderCert(ctx, o.FinalizeURL, csr, true)
	if err != nil {
		return nil, nil, fmt.Errorf("finalize: %w", err)
	}
	var chain []*x509.Certificate
	for _, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, err
		}
		chain = append(chain, cert)
	}
	return chain, key, nil
}

func newCSR(names ...string) (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: names[0]}, DNSNames: names}, key)
	return key, csr, err
}

func within30s(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func verifyAt(ca *CA, chain []*x509.Certificate, use x509.ExtKeyUsage, name string) error {
	roots, inter := x509.NewCertPool(), x509.NewCertPool()
	for _, r := range ca.Roots(Edge) {
		roots.AddCert(r)
	}
	for _, c := range chain[1:] {
		inter.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: inter, DNSName: name, KeyUsages: []x509.ExtKeyUsage{use}})
	return err
}

func TestACMEIssues(t *testing.T) {
	for _, kind := range []string{"http-01", "tls-alpn-01"} {
		t.Run(kind, func(t *testing.T) {
			ctx := within30s(t)
			w := openWorld(t, nil)
			chain, _, err := w.order(ctx, w.registered(ctx), kind, "www.corp.test", "corp.test")
			if err != nil {
				t.Fatal(err)
			}
			leaf := chain[0]
			if err := verifyAt(w.ca, chain, x509.ExtKeyUsageServerAuth, "www.corp.test"); err != nil {
				t.Errorf("the certificate does not verify: %v", err)
			}
			if err := verifyAt(w.ca, chain, x509.ExtKeyUsageClientAuth, ""); err == nil {
				t.Error("a server's certificate passes for a client's (defect 3)")
			}
			if leaf.Subject.CommonName != "" {
				t.Errorf("the common name %q was taken from the signing request", leaf.Subject.CommonName)
			}
			i := w.ca.state.Load().issuer(Server).skid
			if want := []string{"http://gw.test:3128/crl/" + i + ".crl"}; !slices.Equal(leaf.CRLDistributionPoints, want) {
				t.Errorf("CRL: %q", leaf.CRLDistributionPoints)
			}
			if life := leaf.NotAfter.Sub(leaf.NotBefore); life < acmeUsual || life > acmeUsual+2*time.Minute {
				t.Errorf("it is good for %v", life)
			}
			r, _, err := w.ca.Find(SerialText(leaf.SerialNumber))
			if err != nil || r.Role != Server || !strings.Contains(r.By, "acme") {
				t.Errorf("the record is %+v, %v", r, err)
			}
		})
	}
}
