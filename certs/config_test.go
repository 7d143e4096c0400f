// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"slices"
	"testing"
)

func TestSessions(t *testing.T) {
	root := newRoot(t, "Root")
	o := serve(t, &tls.Config{Certificates: []tls.Certificate{root.server(host).with()}, NextProtos: []string{"h2", "http/1.1"}})
	p := Profile{Roots: []string{root.certFile()}, ALPN: []string{"h2", "http/1.1"}}
	one, two := load(t, p), load(t, p)
	for i, tt := range []struct {
		trust   *Trust
		resumed bool
	}{
		{one, false}, {one, true}, {two, false}, {one.HTTP1(), false}, {one.HTTP1(), true}, {two, true}, {one, true}, {two.HTTP1(), false},
	} {
		cs, err := o.connect(t, tt.trust.Config(host))
		if err != nil || cs.DidResume != tt.resumed {
			t.Errorf("step %d: resumed %t, %v", i, cs.DidResume, err)
		}
	}
}

func TestConfig(t *testing.T) {
	trust := load(t, Profile{})
	c := trust.Config(host)
	if c.InsecureSkipVerify || c.RootCAs != nil || c.MinVersion != tls.VersionTLS12 || c.MaxVersion != 0 || c.CurvePreferences != nil ||
		!slices.Equal(c.NextProtos, []string{"http/1.1"}) || c.GetClientCertificate != nil || c.Certificates != nil || c.KeyLogWriter != nil || c.ClientSessionCache == nil {
		t.Errorf("%+v", c)
	}
	c.InsecureSkipVerify, c.NextProtos = true, nil
	if d := trust.Config(host); d.InsecureSkipVerify || d.NextProtos == nil {
		t.Error("a change to one configuration shows in the next")
	}

	// ML-KEM is on, with an origin that has it.
	root := newRoot(t, "Root")
	o := serve(t, &tls.Config{Certificates: []tls.Certificate{root.server(host).with()}})
	cs, err := o.connect(t, load(t, Profile{Roots: []string{root.certFile()}}).Config(host))
	if err != nil || cs.CurveID != tls.X25519MLKEM768 || cs.NegotiatedProtocol != "" {
		t.Errorf("%v, %v", cs.CurveID, err)
	}
}

func TestZeroTrust(t *testing.T) {
	root := newRoot(t, "Root")
	o := serve(t, &tls.Config{Certificates: []tls.Certificate{root.server(host).with()}})
	var none *Trust
	for _, trust := range []*Trust{none, {}, none.HTTP1()} {
		if _, err := o.connect(t, trust.Config(host)); err == nil {
			t.Error("accepted")
		}
	}
}

func TestHTTP1(t *testing.T) {
	plain := load(t, Profile{})
	if plain.HTTP1() != plain {
		t.Error("another Trust for the same protocol")
	}
	root := newRoot(t, "Root")
	both := load(t, Profile{Roots: []string{root.certFile()}, ALPN: []string{"h2", "http/1.1"}, Pins: [][32]byte{root.pin()}})
	one := both.HTTP1()
	if one == both || one.HTTP1() != one || one.Key() == both.Key() {
		t.Error("the Trust for http/1.1 is not one of its own")
	}
	alone := load(t, Profile{Roots: []string{root.certFile()}, Pins: [][32]byte{root.pin()}})
	if one.Key() != alone.Key() {
		t.Error("the same trust has two keys")
	}
	o := serve(t, &tls.Config{Certificates: []tls.Certificate{root.server(host).with()}, NextProtos: []string{"h2", "http/1.1"}})
	for trust, want := range map[*Trust]string{both: "h2", one: "http/1.1"} {
		if cs, err := o.connect(t, trust.Config(host)); err != nil || cs.NegotiatedProtocol != want {
			t.Errorf("%q, %v, want %q", cs.NegotiatedProtocol, err, want)
		}
	}
}

// TestHTTP3IsNotOfferedByTCP: TLS does not tell what carries it.
func TestHTTP3IsNotOfferedByTCP(t *testing.T) {
	keys := map[string]bool{}
	for _, tt := range []struct{ alpn, want []string }{
		{[]string{"h3", "h2", "http/1.1"}, []string{"h2", "http/1.1"}},
		{[]string{"http/1.1", "h3"}, []string{"http/1.1"}},
		{[]string{"h2", "http/1.1"}, []string{"h2", "http/1.1"}},
		{[]string{"http/1.1"}, []string{"http/1.1"}},
		{[]string{"h3"}, []string{"h3"}}, // nobody asks by TCP, and if somebody did, no origin would agree
	} {
		trust := load(t, Profile{ALPN: tt.alpn})
		if got := trust.Config(host).NextProtos; !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v", tt.alpn, got)
		}
		if got := trust.HTTP1().Config(host).NextProtos; !slices.Equal(got, []string{"http/1.1"}) {
			t.Errorf("%v: %v for an upgrade", tt.alpn, got)
		}
		if keys[trust.Key()] {
			t.Errorf("%v: another's key", tt.alpn)
		}
		keys[trust.Key()] = true
	}
	_, err := Profile{Name: "x", ALPN: []string{"h2", "h3"}, MaxTLS: tls.VersionTLS12}.Load()
	if want := `certs: trust profile "x": alpn: h3 is by TLS 1.3 (RFC 9001), and max_tls is 1.2`; err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}
