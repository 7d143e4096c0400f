// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	qh "github.com/quic-go/quic-go/http3"

	"sallyport/policy"
)

// A crowd is many users, and two machines with certificates of their own, who ask
// four origins: two of HTTP/1.1 that differ in the host alone, one that differs
// from them in the port alone, one of HTTP/2 and one of HTTP/3. Each request says who it is from,
// whom it is for, and which certificate of its user's was the last to be replaced
// before; each origin compares.
type crowd struct {
	*delegation
	origins []string // their addresses; the last two speak HTTP/2 and HTTP/3

	mu       sync.Mutex
	replaced map[string]int64 // by user: serial of the newest certificate that is not to be seen any more
	epoch    int              // of trust
	wrong    []string
	asked    int
	resumed  int
	conns    map[any]bool
}

func newCrowd(t *testing.T, path func(*Server)) *crowd {
	c := &crowd{replaced: map[string]int64{}, conns: map[any]bool{}}
	c.delegation = delegatingBy(t, path, `
  - {name: red, from: any, to: 127.0.0.0/8, ports: any, paths: /red, mode: originate, allow_private: true, origin: {client_cert: {secret: red}}}
  - {name: blue, from: any, to: 127.0.0.0/8, ports: any, paths: /blue, mode: originate, allow_private: true, origin: {client_cert: {secret: blue}}}
  - {name: two, from: any, to: 127.0.0.3, ports: any, mode: originate, allow_private: true, origin: {client_cert: {mint: {}}}}
  - {name: three, from: any, to: 127.0.0.4, ports: any, mode: originate, allow_private: true, origin: {client_cert: {mint: {}}}}
  - {name: own, from: any, to: 127.0.0.0/8, ports: any, mode: originate, allow_private: true, origin: {client_cert: {mint: {ttl: 5m}}}}
`)
	// One session ticket key for all: whoever offers an origin another's session is believed.
	var ticket [32]byte
	start := func(l net.Listener, h2 bool) string {
		pool := x509.NewCertPool()
		pool.AddCert(c.issuer.Leaf)
		origin := httptest.NewUnstartedServer(nil)
		origin.Listener.Close()
		origin.Listener = l
		me := l.Addr().String()
		origin.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.meet(me, w, r) })
		origin.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, originConnKey{}, new(byte))
		}
		origin.TLS = &tls.Config{Certificates: []tls.Certificate{c.rig.cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
		origin.TLS.SetSessionTicketKeys([][32]byte{ticket})
		origin.EnableHTTP2 = h2
		origin.StartTLS()
		t.Cleanup(origin.Close)
		return me
	}
	one, two := listenOnOnePort(t, "127.0.0.1", "127.0.0.2")
	c.origins = []string{start(one, false), start(two, false), start(listenAt(t, "127.0.0.1:0"), false), start(listenAt(t, "127.0.0.3:0"), true), c.startHTTP3(t, "127.0.0.4:0", ticket)}
	c.reload()
	return c
}

func listenAt(t *testing.T, addr string) net.Listener {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("no origin at %s: %v", addr, err)
	}
	return l
}

// listenOnOnePort listens at two addresses on a port that is free at both.
func listenOnOnePort(t *testing.T, a, b string) (first, second net.Listener) {
	var failure error
	for range 100 {
		first = listenAt(t, net.JoinHostPort(a, "0"))
		_, port, _ := net.SplitHostPort(first.Addr().String())
		if second, failure = net.Listen("tcp", net.JoinHostPort(b, port)); failure == nil {
			return first, second
		}
		first.Close()
	}
	t.Skipf("no origin at %s: %v", b, failure)
	return nil, nil
}

// startHTTP3 starts an origin that speaks HTTP/3.
func (c *crowd) startHTTP3(t *testing.T, addr string, ticket [32]byte) string {
	wire, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Skipf("no origin at %s: %v", addr, err)
	}
	me := wire.LocalAddr().String()
	pool := x509.NewCertPool()
	pool.AddCert(c.issuer.Leaf)
	cfg := &tls.Config{Certificates: []tls.Certificate{c.rig.cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	cfg.SetSessionTicketKeys([][32]byte{ticket})
	s := &qh.Server{
		TLSConfig: qh.ConfigureTLSConfig(cfg),
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.meet(me, w, r) }),
		ConnContext: func(ctx context.Context, _ *quic.Conn) context.Context {
			return context.WithValue(ctx, originConnKey{}, new(byte))
		},
	}
	go func() { _ = s.Serve(wire) }()
	t.Cleanup(func() {
		s.Close()
		wire.Close()
	})
	return me
}

// reload puts a policy into force that trusts otherwise: no connection of before
// is to be used.
func (c *crowd) reload() {
	c.mu.Lock()
	c.epoch++
	epoch := c.epoch
	c.mu.Unlock()
	gen := *c.generation.Load()
	// One cache for all that this generation meets: package certs has one a profile.
	sessions := tls.NewLRUClientSessionCache(4096)
	gen.Trust = func(o *policy.Origin) (Trust, error) {
		t := Trust{Key: fmt.Sprintf("%d %s", epoch, o.Name), HTTP2: o.Name == "rule/two", HTTP3: o.Name == "rule/three", OnlyHTTP3: o.Name == "rule/three"}
		if o.ClientCert.Minted {
			t.Delegated = &o.ClientCert.Mint
		}
		t.Config = func(host string) *tls.Config {
			// Every origin is verified by one name, as with sni: in a profile.
			cfg := &tls.Config{ServerName: "origin.test", RootCAs: c.roots, ClientSessionCache: sessions}
			if t.HTTP2 {
				cfg.NextProtos = []string{"h2", "http/1.1"}
			}
			if name := o.ClientCert.Secret; name != "" {
				cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return c.mint(policy.Subject{User: name})
				}
			}
			return cfg
		}
		return t, nil
	}
	c.generation.Store(&gen)
}

// replace has a user's next certificate be another one.
func (c *crowd) replace(user string) {
	c.delegation.mu.Lock()
	defer c.delegation.mu.Unlock()
	old := c.minted[user]
	if old == nil || !strings.HasPrefix(user, "user-") {
		return
	}
	leaf, _ := x509.ParseCertificate(old.Certificate[0])
	delete(c.minted, user)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replaced[user] = leaf.SerialNumber.Int64()
}

// meet is an origin: whom it has met must be whom the request is from, and it must
// be whom the request is for.
func (c *crowd) meet(me string, w http.ResponseWriter, r *http.Request) {
	leaf := r.TLS.PeerCertificates[0]
	name := strings.TrimPrefix(r.URL.Path, "/")
	after := int64(0)
	_, _ = fmt.Sscan(r.Header.Get("After"), &after)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	c.conns[r.Context().Value(originConnKey{})] = true
	if r.TLS.DidResume {
		c.resumed++
	}
	if leaf.Subject.CommonName != name {
		c.wrong = append(c.wrong, fmt.Sprintf("the request of %q came with the certificate of %q", name, leaf.Subject.CommonName))
	}
	if leaf.SerialNumber.Int64() <= after {
		c.wrong = append(c.wrong, fmt.Sprintf("the request of %q came with a certificate that was replaced before", name))
	}
	if r.Host != me {
		c.wrong = append(c.wrong, fmt.Sprintf("the request for %s came to %s", r.Host, me))
	}
	w.Header().Set("Serial", hex.EncodeToString(leaf.SerialNumber.Bytes()))
	if rand.IntN(4) == 0 && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // so that sessions are resumed
	}
}

// ask asks one of the origins for user, over a connection that others use as well.
func (c *crowd) ask(conn net.Conn, br *bufio.Reader, user string) error {
	c.mu.Lock()
	after := c.replaced[user]
	c.mu.Unlock()
	origins := c.origins
	if user == "red" || user == "blue" { // whose rules know no HTTP/3
		origins = origins[:len(origins)-1]
	}
	if _, err := fmt.Fprintf(conn, "GET http://%s/%s HTTP/1.1\r\nHost: a\r\nAfter: %d\r\nProxy-Authorization: %s\r\n\r\n",
		origins[rand.IntN(len(origins))], user, after, user); err != nil {
		return err
	}
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Header.Get("Serial") == "" {
		return fmt.Errorf("%s %v", res.Status, res.Header)
	}
	return nil
}

// TestLaw7UsersNeverMixAtOrigins: a thousand users by two rules and two machines by
// others, interleaved at random over shared client connections and over HTTP/1.1,
// HTTP/2 and HTTP/3 to origins, with sessions resumed, policies reloaded, users looked at again
// and certificates replaced in between. No origin ever meets one in the name of
// another, with a certificate that was replaced, or with a question to somebody else.
// TestLaw7Mutations shows that it would notice.
func TestLaw7UsersNeverMixAtOrigins(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		c := newCrowd(t, path)
		users, some := 1000, 2
		if testing.Short() {
			users, some = 100, 1
		}
		// Each of them once, and a few again and again, so that connections are kept
		// and taken again.
		var turns []string
		for n := range users {
			turns = append(turns, fmt.Sprintf("user-%d", n))
			if n%some == 0 {
				turns = append(turns, fmt.Sprintf("user-%d", rand.IntN(1+n/200)), []string{"red", "blue"}[rand.IntN(2)])
			}
		}
		rand.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
		const clients = 8
		var asking sync.WaitGroup
		for k := range clients {
			asking.Go(func() {
				conn := c.dial(c.addr)
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(8 * time.Minute))
				br := bufio.NewReader(conn)
				for n := k; n < len(turns); n += clients {
					switch n % 127 {
					case 10:
						c.server.Recheck()
					case 30, 31, 60, 61, 90, 91:
						c.replace(turns[n]) // not a machine's: that is no user's
					case 120:
						c.reload()
					}
					if err := c.ask(conn, br, turns[n]); err != nil {
						t.Errorf("%s: %v", turns[n], err)
						return
					}
				}
			})
		}
		asking.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		slices.Sort(c.wrong)
		for _, w := range slices.Compact(c.wrong)[:min(20, len(slices.Compact(c.wrong)))] {
			t.Error(w)
		}
		if reused := c.asked - len(c.conns); c.asked < len(turns) || reused < users/10 || c.resumed < users/50 {
			t.Errorf("%d requests, %d connections, %d resumed: the test asks nothing", c.asked, len(c.conns), c.resumed)
		}
		t.Logf("%d requests, %d connections, %d requests in resumed sessions, %d certificates", c.asked, len(c.conns), c.resumed, c.serials.Load())
	})
}

// TestLaw7TransportsAreNotShared: what differs in anything that identity, trust or
// permission hang on gets a pool of net/http's of its own. Hosts and ports are told
// apart within one, by net/http.
func TestLaw7TransportsAreNotShared(t *testing.T) {
	ours := transportKey{route: route{secure: true, trust: "t", user: "u", cert: "c", permit: "p", host: "a", port: 443}}
	var o transports
	open := func() *transport { return &transport{Transport: new(http.Transport)} }
	got := o.get(ours, open)
	for name, differs := range map[string]func(*transportKey){
		"secure": func(k *transportKey) { k.secure = false }, "trust": func(k *transportKey) { k.trust = "x" }, "permit": func(k *transportKey) { k.permit = "x" },
		"ech":  func(k *transportKey) { k.ech = policy.ECHRequire },
		"user": func(k *transportKey) { k.user = "x" }, "cert": func(k *transportKey) { k.cert = "x" }, "http1": func(k *transportKey) { k.http1 = true },
	} {
		other := ours
		differs(&other)
		if o.get(other, open) == got {
			t.Errorf("another %s: shared", name)
		}
	}
	ours.host, ours.port = "b", 444
	if o.get(ours, open) != got {
		t.Error("another host has another pool, of which there are only so many")
	}
}
