// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crypto "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/policy"
)

// A delegation mints certificates for users, and has an origin that requires them.
type delegation struct {
	*rig
	origin  string // its address
	issuer  tls.Certificate
	serials atomic.Int64

	mu     sync.Mutex
	minted map[string]*tls.Certificate
	life   time.Duration
	err    error

	conns    map[any]string // by what is a connection's own: ports come again -> serial of the certificate shown there
	mixed    []string       // what the origin complains of
	resumed  int
	requests int
}

// originConnKey is under which an origin's requests have what is their connection's own.
type originConnKey struct{}

// delegating makes a rig for one path and an origin that speaks what protocols
// says. The origin compares the name in the certificate with the one in the
// request's path.
func delegating(t *testing.T, path func(*Server), mode string, protocols ...string) *delegation {
	d := delegatingBy(t, path, "  - {name: own, from: any, to: 127.0.0.0/8, ports: any, mode: ["+mode+"], allow_private: true, origin: {client_cert: {mint: {}}}}\n")
	pool := x509.NewCertPool()
	pool.AddCert(d.issuer.Leaf)
	origin := httptest.NewUnstartedServer(http.HandlerFunc(d.serve))
	origin.TLS = &tls.Config{
		Certificates: []tls.Certificate{d.rig.cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, NextProtos: protocols,
	}
	origin.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, originConnKey{}, new(byte))
	}
	origin.EnableHTTP2 = len(protocols) > 0 && protocols[0] == "h2"
	origin.StartTLS()
	t.Cleanup(origin.Close)
	d.origin = origin.Listener.Addr().String()
	d.trust("one", protocols...)
	return d
}

// delegatingBy makes a rig with rules, and no origin.
func delegatingBy(t *testing.T, path func(*Server), rules string) *delegation {
	d := &delegation{minted: map[string]*tls.Certificate{}, conns: map[any]string{}, life: time.Hour}
	d.rig = newRig(t, rules, path, believing, func(s *Server) { s.Delegate = d.mint })
	d.issuer = d.rig.cert
	return d
}

// trust puts another generation into force, whose connections are its own.
func (d *delegation) trust(key string, protocols ...string) {
	gen := *d.generation.Load()
	// One cache for all that this profile meets, as package certs has.
	sessions := tls.NewLRUClientSessionCache(64)
	gen.Trust = func(*policy.Origin) (Trust, error) {
		return Trust{Key: key, Delegated: &policy.Mint{}, HTTP2: len(protocols) > 0, Config: func(host string) *tls.Config {
			return &tls.Config{ServerName: host, RootCAs: d.roots, NextProtos: protocols, ClientSessionCache: sessions}
		}}, nil
	}
	d.generation.Store(&gen)
}

func (d *delegation) mint(s policy.Subject) (*tls.Certificate, error) {
	user := s.User
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, d.err
	}
	if c := d.minted[user]; c != nil {
		return c, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), crypto.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(crypto.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(d.serials.Add(1) + 1000), Subject: pkix.Name{CommonName: user},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(d.life),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, d.issuer.Leaf, key.Public(), d.issuer.PrivateKey)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	d.minted[user] = c
	return c, nil
}

// forget has a user's next certificate be another one.
func (d *delegation) forget(user string, life time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.minted, user)
	d.life = life
}

func (d *delegation) fails(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// serve is the origin: whom it has met must be whom the request is from.
func (d *delegation) serve(w http.ResponseWriter, r *http.Request) {
	leaf := r.TLS.PeerCertificates[0]
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests++
	if r.TLS.DidResume {
		d.resumed++
	}
	marker, serial := strings.TrimPrefix(r.URL.Path, "/"), hex.EncodeToString(leaf.SerialNumber.Bytes())
	if leaf.Subject.CommonName != marker {
		d.mixed = append(d.mixed, fmt.Sprintf("the request of %q came with the certificate of %q", marker, leaf.Subject.CommonName))
	}
	conn := r.Context().Value(originConnKey{})
	if before := d.conns[conn]; before != "" && before != serial {
		d.mixed = append(d.mixed, "one connection, two certificates")
	}
	d.conns[conn] = serial
	w.Header().Set("Serial", serial)
	if rand.IntN(8) == 0 && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // so that sessions are resumed
	}
}

// by asks for user, over a connection that others use as well.
func (d *delegation) by(c net.Conn, br *bufio.Reader, user string) (*http.Response, error) {
	auth := "Proxy-Authorization: " + user + "\r\n"
	if user == "" {
		auth = ""
	}
	if _, err := fmt.Fprintf(c, "GET http://%s/%s HTTP/1.1\r\nHost: a\r\n%s\r\n", d.origin, user, auth); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var text strings.Builder
	_, err = bufio.NewReader(res.Body).WriteTo(&text)
	res.Status = text.String()
	return res, err
}

// alone asks once, over a connection of its own.
func (d *delegation) alone(user string) *http.Response {
	d.tb.Helper()
	c := d.dial(d.addr)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	res, err := d.by(c, bufio.NewReader(c), user)
	if err != nil {
		d.tb.Fatal(err)
	}
	return res
}

// onDelegatedPaths runs f on both paths with an origin of HTTP/1.1, and with one of HTTP/2.
func onDelegatedPaths(t *testing.T, f func(t *testing.T, path func(*Server), protocols ...string)) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) { f(t, path) })
	t.Run("h2", func(t *testing.T) { f(t, func(*Server) {}, "h2", "http/1.1") })
}

// TestNobodyIsNotDelegated: a request of which it is not proven whose it is never
// leaves on such a rule, with a certificate or without.
func TestNobodyIsNotDelegated(t *testing.T) {
	onDelegatedPaths(t, func(t *testing.T, path func(*Server), protocols ...string) {
		d := delegating(t, path, "intercept, originate", protocols...)
		d.alone("eva")
		if res := d.alone(""); res.StatusCode != http.StatusProxyAuthRequired || len(res.Header["Proxy-Authenticate"]) != 2 ||
			!strings.Contains(res.Status, `rule "own" shows the origin a certificate in the user's name, and nothing proves who you are`) {
			t.Errorf("%d %v %s", res.StatusCode, res.Header, res.Status)
		}
		d.mu.Lock()
		if d.requests != 1 {
			t.Errorf("%d requests arrived, want that of eva", d.requests)
		}
		d.mu.Unlock()
		// Cleartext is served inside, so the CONNECT is accepted, and the TLS in it is not.
		if c, err := d.connectTLS(d.origin, &tls.Config{ServerName: "127.0.0.1", RootCAs: d.roots}); err == nil {
			c.Close()
			t.Error("TLS of nobody was intercepted")
		}
		d = delegating(t, path, "intercept", protocols...)
		if c, err := d.connect(d.origin); err == nil {
			c.Close()
			t.Error("a CONNECT of nobody was intercepted")
		}
	})
}

// TestNoIdentifyNoDelegation: where nobody can say who they are, it is 403.
func TestNoIdentifyNoDelegation(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		d := delegating(t, path, "originate")
		other := newRig(t, "  - {name: own, from: any, to: 127.0.0.0/8, ports: any, mode: originate, allow_private: true, origin: {client_cert: {mint: {}}}}\n", path, func(s *Server) { s.Delegate = d.mint })
		other.generation.Store(d.generation.Load())
		res, body := ask(t, other.addr, "GET http://"+d.origin+"/ HTTP/1.1\r\nHost: a\r\n\r\n")
		if res.StatusCode != http.StatusForbidden || !strings.Contains(body, "nothing proves who you are") {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	})
}

// TestNoMinterNoRequest: whatever keeps a certificate from being made, the request
// is refused, although there is a connection that would serve.
func TestNoMinterNoRequest(t *testing.T) {
	onDelegatedPaths(t, func(t *testing.T, path func(*Server), protocols ...string) {
		d := delegating(t, path, "originate", protocols...)
		if res := d.alone("eva"); res.StatusCode != http.StatusOK {
			t.Fatal(res)
		}
		<-d.handed
		d.fails(errors.New("the key is lost"))
		res := d.alone("eva")
		if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(res.Status, "none can be made") || strings.Contains(res.Status, "key is lost") {
			t.Errorf("%d %s", res.StatusCode, res.Status)
		}
		<-d.handed
		d.mu.Lock()
		defer d.mu.Unlock()
		d.rig.mu.Lock()
		defer d.rig.mu.Unlock()
		rec := d.records[len(d.records)-1]
		if rec.Outcome != Failed || rec.Err == nil || rec.Err.Error() != `rule "own" shows the origin a certificate minted for user "eva", but the key is lost` {
			t.Errorf("%+v", rec)
		}
		if d.requests != 1 {
			t.Errorf("%d requests arrived", d.requests)
		}
	})
}

// TestExpiredCertificateIsNotUsedAgain: a kept connection ends with the
// certificate that it was made with, and so does its session.
func TestExpiredCertificateIsNotUsedAgain(t *testing.T) {
	onDelegatedPaths(t, func(t *testing.T, path func(*Server), protocols ...string) {
		d := delegating(t, path, "originate", protocols...)
		c := d.dial(d.addr)
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		br := bufio.NewReader(c)
		get := func() *http.Response {
			t.Helper()
			res, err := d.by(c, br, "eva")
			if err != nil {
				t.Fatal(err)
			}
			<-d.handed
			return res
		}
		first := get().Header.Get("Serial")
		if again := get().Header.Get("Serial"); again != first {
			t.Errorf("the certificate was replaced while it was good: %s, %s", first, again)
		}
		d.forget("eva", time.Hour) // its minutes are over: the minter makes another
		next := get().Header.Get("Serial")
		if next == first || next == "" {
			t.Errorf("asked with the certificate %q after %q had been replaced", next, first)
		}
		d.rig.mu.Lock()
		rec := d.records[len(d.records)-1]
		d.rig.mu.Unlock()
		if rec.Origin.Reused || rec.Origin.TLS.DidResume || rec.Origin.ClientCert != "CN=eva" || rec.Origin.CertSerial != next {
			t.Errorf("not a new handshake: %+v", rec.Origin)
		}
		d.forget("eva", -time.Minute)
		if res := get(); res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("an expired certificate was shown: %d %s", res.StatusCode, res.Status)
		}
	})
}

// TestRecheckDisowns: users are looked at again, and whatever was made in their
// names is made anew.
func TestRecheckDisowns(t *testing.T) {
	onDelegatedPaths(t, func(t *testing.T, path func(*Server), protocols ...string) {
		d := delegating(t, path, "originate", protocols...)
		for n := range 3 {
			if res := d.alone("eva"); res.StatusCode != http.StatusOK {
				t.Fatal(res)
			}
			<-d.handed
			d.rig.mu.Lock()
			rec := d.records[len(d.records)-1]
			d.rig.mu.Unlock()
			if rec.Origin.Reused {
				t.Errorf("request %d: by a connection of before", n)
			}
			d.server.Recheck()
			d.server.pool.mu.Lock()
			for r := range d.server.pool.routes {
				t.Errorf("kept: %+v", r)
			}
			d.server.pool.mu.Unlock()
			d.server.transports.mu.Lock()
			for k := range d.server.transports.pools {
				t.Errorf("kept: %+v", k)
			}
			d.server.transports.mu.Unlock()
		}
	})
}
