// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"
	qh "github.com/quic-go/quic-go/http3"

	"sallyport/policy"
)

// openOrigins originates everything to this machine.
const openOrigins = "  - {name: all, from: any, to: 127.0.0.0/8, ports: any, mode: originate, allow_private: true}\n"

// A newOrigin speaks HTTP/3, and HTTP/2 or HTTP/1.1 on the same port of TCP, and says so.
type newOrigin struct {
	tb       testing.TB
	addr     string
	tcp      *http.Server
	udp      *qh.Server
	wire     net.PacketConn
	sessions atomic.Int32 // QUIC connections that were made
	altSvc   atomic.Pointer[string]
}

// newest starts one that answers by h. tlsOf changes how it is met by QUIC.
func (r *rig) newest(h http.Handler, tlsOf ...func(*tls.Config, *qh.Server)) *newOrigin {
	r.tb.Helper()
	o := &newOrigin{tb: r.tb}
	var l net.Listener
	for range 100 { // until a port is free on both
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			r.tb.Fatal(err)
		}
		if o.wire, err = net.ListenPacket("udp", l.Addr().String()); err == nil {
			break
		}
		l.Close()
	}
	o.addr = l.Addr().String()
	_, port, _ := net.SplitHostPort(o.addr)
	offer := fmt.Sprintf("h3=\":%s\"; ma=3600", port)
	o.altSvc.Store(&offer)
	both := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if v := *o.altSvc.Load(); v != "" {
			w.Header().Set("Alt-Svc", v)
		}
		h.ServeHTTP(w, q)
	})
	o.tcp = &http.Server{Handler: both, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: &tls.Config{Certificates: []tls.Certificate{r.cert}, NextProtos: []string{"h2", "http/1.1"}}}
	go func() { _ = o.tcp.ServeTLS(l, "", "") }()
	o.serve(r, both, tlsOf...)
	r.tb.Cleanup(func() {
		o.tcp.Close()
		o.udp.Close()
		o.wire.Close()
	})
	return o
}

// serve begins to speak HTTP/3 on o.wire.
func (o *newOrigin) serve(r *rig, h http.Handler, tlsOf ...func(*tls.Config, *qh.Server)) {
	cfg := &tls.Config{Certificates: []tls.Certificate{r.cert}}
	o.udp = &qh.Server{Handler: h, QUICConfig: &quic.Config{}, ConnContext: func(ctx context.Context, _ *quic.Conn) context.Context {
		o.sessions.Add(1)
		return ctx
	}}
	for _, f := range tlsOf {
		f(cfg, o.udp)
	}
	o.udp.TLSConfig = qh.ConfigureTLSConfig(cfg)
	s, wire := o.udp, o.wire
	go func() { _ = s.Serve(wire) }()
}

// crash ends what speaks HTTP/3 without a word to anybody, and starts another in its place.
func (o *newOrigin) restart(r *rig, h http.Handler, tlsOf ...func(*tls.Config, *qh.Server)) {
	o.mute()
	var err error
	if o.wire, err = net.ListenPacket("udp", o.addr); err != nil {
		o.tb.Fatal(err)
	}
	o.serve(r, h, tlsOf...)
}

// mute ends what speaks HTTP/3 without a word to anybody.
func (o *newOrigin) mute() {
	o.wire.Close() // first: nothing that says goodbye leaves
	o.udp.Close()
}

// meetsBy has origins met by these protocols.
func (r *rig) meetsBy(protocols ...string) {
	alpn := strings.Join(protocols, " ")
	var tcp []string
	for _, p := range protocols {
		if p != "h3" {
			tcp = append(tcp, p)
		}
	}
	now := *r.generation.Load()
	now.Trust = func(*policy.Origin) (Trust, error) {
		return Trust{
			Key: alpn, HTTP2: strings.Contains(alpn, "h2"), HTTP3: strings.Contains(alpn, "h3"), OnlyHTTP3: alpn == "h3",
			Config: func(host string) *tls.Config { return &tls.Config{ServerName: host, RootCAs: r.roots, NextProtos: tcp} },
		}, nil
	}
	r.generation.Store(&now)
}
