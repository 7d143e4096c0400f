// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// listenBoth listens at one port of TCP and, if wanted, UDP.
func listenBoth(addr string, both bool) (net.Listener, net.PacketConn, error) {
	for tries := 0; ; tries++ {
		l, err := net.Listen("tcp", addr)
		if err != nil || !both {
			return l, nil, err
		}
		udp, err := net.ListenPacket("udp", l.Addr().String())
		if err == nil {
			return l, udp, nil
		}
		l.Close()
		if tries == 100 {
			return nil, nil, err
		}
	}
}

// startHTTP3 has o offer HTTP/3, and speak it on udp with a certificate of that kind.
func (o *testOrigin) startHTTP3(w *world, udp net.PacketConn, kind, name string, names []string, trust *originTrust) error {
	_, port, err := net.SplitHostPort(udp.LocalAddr().String())
	if err != nil {
		return err
	}
	o.altSvc = `h3=":` + port + `"; ma=600`
	switch kind {
	case "nobody":
		return udp.Close()
	case "silent":
		o.h3 = udp
		return nil
	}
	cert, err := w.originCert(kind, name, names, trust)
	if err != nil {
		return err
	}
	cfg := o.tls.Clone()
	cfg.Certificates = []tls.Certificate{cert}
	s := &http3.Server{
		Handler: o, TLSConfig: http3.ConfigureTLSConfig(cfg),
		ConnContext: func(ctx context.Context, c *quic.Conn) context.Context {
			t := c.ConnectionState().TLS
			o.note("quic connection sni=%s alpn=%s resumed=%v", t.ServerName, t.NegotiatedProtocol, t.DidResume)
			o.note("quic session sni=%s ech=%v", t.ServerName, t.ECHAccepted)
			return context.WithValue(ctx, usesKey{}, new(atomic.Int64))
		},
	}
	o.h3 = quicServer{s, udp}
	o.wg.Go(func() { _ = s.Serve(udp) })
	return nil
}

// A quicServer is HTTP/3 on a socket.
type quicServer struct {
	*http3.Server
	udp net.PacketConn
}

// Close says goodbye and closes both.
func (s quicServer) Close() error {
	err := s.Server.Close()
	s.udp.Close()
	return err
}
