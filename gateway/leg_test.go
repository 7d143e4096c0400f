// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"crypto/tls"
	"net"
	"testing"
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
		_, err := new(Server).shake(t.Context(), &leg{Conn: near}, near, cfg, "")
		if err != errNoTrust {
			t.Errorf("%+v: %v", cfg, err)
		}
		near.Close()
		far.Close()
	}
}
