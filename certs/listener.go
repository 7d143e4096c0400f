// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"

	"golang.org/x/crypto/acme"
)

// Config is a new configuration for a listener: TLS 1.2 and 1.3, forward
// secrecy and authenticated encryption only, h2 and http/1.1. It belongs to the
// caller, who may add how clients are authenticated. Its session tickets are
// sealed with keys of its own, which crypto/tls replaces every day and which
// Clone copies. A session that is resumed has the certificate that the client
// has shown when it began: whether that is still believed is to be asked anew.
//
// A connection whose negotiated protocol is acme-tls/1 was a challenge
// (RFC 8737). It is answered completely by the handshake, shows a certificate
// that is good for nothing else, and has to be closed after it.
func (k *Keeper) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13,
		CipherSuites: []uint16{ // of TLS 1.2
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		CurvePreferences:   []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384},
		NextProtos:         []string{"h2", "http/1.1"},
		GetCertificate:     k.GetCertificate,
		GetConfigForClient: k.forClient,
	}
}

// forClient takes an authority's question out of everything that is asked of
// clients: it shows no certificate and speaks no HTTP. Who offers acme-tls/1
// beside another protocol is a client (RFC 8737 §3).
func (k *Keeper) forClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != acme.ALPNProto {
		return nil, nil // the listener's own
	}
	c := k.byName[strings.ToLower(hello.ServerName)]
	if c == nil {
		return nil, fmt.Errorf("certs: an ACME challenge for %s, which is not obtained here", asked(hello.ServerName))
	}
	m := c.solving.Load()
	if m == nil {
		return nil, fmt.Errorf("certs: an ACME challenge for %s, which is not being obtained now", printable(hello.ServerName))
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{acme.ALPNProto},
		GetCertificate: m.GetCertificate, SessionTicketsDisabled: true,
	}, nil
}

// HTTPHandler answers an authority's http-01 challenges (RFC 8555 §8.3) for
// requests whose path begins with /.well-known/acme-challenge/. Everything else
// is not found.
func (k *Keeper) HTTPHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if c := k.byName[strings.TrimSuffix(strings.ToLower(host), ".")]; c != nil {
			if m := c.solving.Load(); m != nil {
				m.HTTPHandler(http.NotFoundHandler()).ServeHTTP(w, r)
				return
			}
		}
		http.NotFound(w, r)
	})
}
