// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"sallyport/policy"
)

// TestTicketsAreKeptPerOrigin: crypto/tls asks for them by server name, which
// the ports of a host share, and with sni: in the profile several hosts do.
func TestTicketsAreKeptPerOrigin(t *testing.T) {
	cache := tls.NewLRUClientSessionCache(8)
	one, two := originTickets{"a.example:443", cache}, originTickets{"a.example:8443", cache}
	three := originTickets{"b.example:443", cache}
	ticket := &tls.ClientSessionState{}
	one.Put("inner.example", ticket)
	if got, ok := one.Get("inner.example"); !ok || got != ticket {
		t.Error("the origin's own ticket is gone")
	}
	for _, other := range []originTickets{two, three} {
		if _, ok := other.Get("inner.example"); ok {
			t.Errorf("%s was given the ticket of %s", other.addr, one.addr)
		}
	}
}

// TestNoHandshakeUnverified: a configuration in which nobody verifies is none,
// wherever it comes from (law 9).
func TestNoHandshakeUnverified(t *testing.T) {
	for _, cfg := range []*tls.Config{nil, {InsecureSkipVerify: true, ServerName: "a.example"}} {
		near, far := net.Pipe()
		_, err := new(Server).shake(t.Context(), &leg{Conn: near}, near, cfg, Trust{})
		if err != errNoTrust {
			t.Errorf("%+v: %v", cfg, err)
		}
		near.Close()
		far.Close()
	}
}

// An oldSession is what a trust says of one that it no longer believes.
type oldSession struct{}

func (oldSession) Error() string { return "what the session remembers no longer holds" }
func (oldSession) Again() bool   { return true }

// TestOldSessionsAreNotFatal: an origin whose session remembers what no longer
// holds, as a staple whose time is over, is met anew and not refused.
func TestOldSessionsAreNotFatal(t *testing.T) {
	for name, standard := range map[string]bool{"engine": false, "net/http": true} {
		t.Run(name, func(t *testing.T) {
			var resumed, whole atomic.Int64
			var old atomic.Bool
			r := newRig(t, "  - {name: all, from: any, to: 127.0.0.1, ports: any, mode: originate, allow_private: true}\n", func(s *Server) { s.Standard = standard })
			gen := *r.generation.Load()
			gen.Trust = func(*policy.Origin) (Trust, error) {
				return Trust{Key: "old", Config: func(host string) *tls.Config {
					return &tls.Config{ServerName: host, RootCAs: r.roots, VerifyConnection: func(cs tls.ConnectionState) error {
						if !cs.DidResume {
							whole.Add(1)
							return nil
						}
						resumed.Add(1)
						if old.Load() {
							return oldSession{}
						}
						return nil
					}}
				}}, nil
			}
			r.generation.Store(&gen)
			server := &tls.Config{Certificates: []tls.Certificate{r.cert}} // one, for its ticket keys
			origin := r.accept(func(c net.Conn) {
				defer c.Close()
				s := tls.Server(c, server)
				if _, err := http.ReadRequest(bufio.NewReader(s)); err == nil {
					io.WriteString(s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
					s.CloseWrite()
				}
			})
			for i, want := range [][2]int64{{0, 1}, {1, 1}, {2, 2}} { // resumed, whole
				old.Store(i == 2)
				res, _ := ask(t, r.addr, "GET http://"+origin+"/ HTTP/1.1\r\nHost: "+origin+"\r\nConnection: close\r\n\r\n")
				if res.StatusCode != 200 || resumed.Load() != want[0] || whole.Load() != want[1] {
					t.Errorf("request %d: %d, %d resumed, %d whole", i, res.StatusCode, resumed.Load(), whole.Load())
				}
			}
		})
	}
}
