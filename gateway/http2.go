// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//lint:file-ignore SA1019 net/http's own HTTP/2 server gives every request a TLS state; see docs/design.md

package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"

	h2 "golang.org/x/net/http2"

	"sallyport/gateway/h1"
)

// Bounds of an HTTP/2 connection (RFC 9113 §6.5.2). A stream's window is what a
// tunnel carries in a round trip; the connection's is what one client can make
// the gateway hold when origins take nothing, and large enough that a few such
// tunnels do not stop the others.
const (
	maxStreams     = 128
	streamWindow   = 256 << 10
	sharedWindow   = 8 << 20
	maxFrame       = 16 << 10
	http2FieldCost = 32 // bytes that RFC 9113 §6.5.2 counts for each field on top
)

// serveHTTP2 has hs serve HTTP/2, by golang.org/x/net/http2 itself: the copy in
// net/http gives every handler a TLS state, and by that alone could be told which
// :scheme was asked for.
//
// How many requests a connection can begin and give up (CVE-2023-44487) it bounds
// by the number of streams; how many CONTINUATION frames make a head
// (CVE-2024-27316) by MaxHeaderBytes.
func (s *Server) serveHTTP2(hs *http.Server) {
	by := &h2.Server{
		MaxConcurrentStreams:         maxStreams,
		MaxUploadBufferPerStream:     streamWindow,
		MaxUploadBufferPerConnection: sharedWindow,
		MaxReadFrameSize:             maxFrame,
		WriteByteTimeout:             s.Limits.stall(),
		CountError: func(kind string) {
			s.faults.tell(s.ErrorLog, "HTTP/2: a client's stream or connection was ended for an error of its own: "+kind)
		},
	}
	if err := h2.ConfigureServer(hs, by); err != nil {
		panic("gateway: HTTP/2 cannot be configured: " + err.Error()) // only for cipher suites, which are not set here
	}
	serve := func(hs *http.Server, c net.Conn, of http.Handler, begun bool) {
		ctx := of.(interface{ BaseContext() context.Context }).BaseContext()
		by.ServeConn(c, &h2.ServeConnOpts{Context: ctx, BaseConfig: hs, Handler: http.HandlerFunc(s.serveStandard), SawClientPreface: begun})
	}
	hs.TLSNextProto["h2"] = func(hs *http.Server, c *tls.Conn, of http.Handler) {
		serve(hs, overhearing{c, insideOf(c)}, of, false)
	}
	// net/http calls this for connections that begin as HTTP/2 without TLS does.
	hs.TLSNextProto["unencrypted_http2"] = func(hs *http.Server, c *tls.Conn, of http.Handler) {
		serve(hs, schemes{c.NetConn().(interface{ UnencryptedNetConn() net.Conn }).UnencryptedNetConn()}, of, true)
	}
	hs.Protocols = new(http.Protocols)
	hs.Protocols.SetHTTP1(true)
	hs.Protocols.SetHTTP2(true)
	hs.Protocols.SetUnencryptedHTTP2(true)
}

// A clear2Conn is a client's connection that has begun as HTTP/2 without TLS does.
type clear2Conn struct {
	net.Conn
	held []byte // what was read to find that out
}

func (c *clear2Conn) Read(b []byte) (int, error) {
	if len(c.held) > 0 {
		n := copy(b, c.held)
		c.held = c.held[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// schemes is a connection without TLS of which package http2 tells what :scheme its
// requests name. It does so by a TLS state, and without one would have https pass for
// http: law 1 would hang on it. What the client's leg is, connOf tells.
type schemes struct{ net.Conn }

func (schemes) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, HandshakeComplete: true}
}

// readHTTP2 reads a request that came by HTTP/2 as the HTTP/1.1 one it stands
// for, by the same grammar: net/http's is wider, and what passes here leaves by
// HTTP/1.1. The target is in absolute-form, as a proxy is sent it (RFC 9113
// §8.3.1), or a CONNECT's host and port.
func (c *standardClient) readHTTP2() (*h1.Request, *h1.Error) {
	r := c.r
	target := r.Host
	switch {
	case r.Host == "":
		return &h1.Request{}, malformed2("no :authority")
	case r.Method == http.MethodConnect:
	case r.RequestURI == "*" && r.Method == http.MethodOptions:
		target = scheme2(r) + "://" + r.Host
	case !strings.HasPrefix(r.RequestURI, "/"):
		return &h1.Request{}, malformed2(":path is no path")
	default:
		target = scheme2(r) + "://" + r.Host + r.RequestURI
	}
	for _, host := range r.Header["Host"] {
		if !strings.EqualFold(host, r.Host) {
			return &h1.Request{}, malformed2("Host is another than :authority (RFC 9113 §8.3.1)")
		}
	}
	b := h1.AppendRequestLine(make([]byte, 0, 1<<10), []byte(r.Method), target)
	b = h1.AppendField(b, "Host", r.Host)
	fields := slices.DeleteFunc(toFields(r.Header), func(f h1.Field) bool { return f.ID == h1.Host })
	b = h1.AppendFields(b, fields)
	lines := 1 + len(fields)
	for name := range r.Trailer {
		b = h1.AppendField(b, "Trailer", name)
		lines++
	}
	if r.ContentLength < 0 && r.Method != http.MethodConnect {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		lines++
	}
	b = append(b, "\r\n"...)
	if len(b) > c.s.Limits.head() {
		return &h1.Request{}, errLargeHead
	}
	q := new(h1.Request)
	n, err := q.Parse(b)
	switch {
	case err != nil:
		return &h1.Request{}, asFault(err)
	case n != len(b), len(q.Fields) != lines, string(q.Method) != r.Method, string(q.Target) != target:
		return &h1.Request{}, malformed2("a field or a pseudo-field holds what would be several in HTTP/1.1")
	case q.Length != r.ContentLength && r.Method != http.MethodConnect:
		return &h1.Request{}, malformed2("Content-Length is not the body's (RFC 9113 §8.1.1)")
	case q.WebSocket || q.Has(h1.Upgrade) || q.Has(h1.Connection):
		return &h1.Request{}, malformed2("a field of HTTP/1.1 connections (RFC 9113 §8.2.2)")
	}
	return q, nil
}

func malformed2(msg string) *h1.Error {
	return &h1.Error{Status: http.StatusBadRequest, Msg: msg + ", by HTTP/2"}
}

// scheme2 is :scheme, of which package http2 keeps only whether it was https, as
// the presence of a TLS state; it refuses any other than these two.
func scheme2(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// bodyError2 is what became of a body: net/http has no type for a stream that its
// client has given up.
func bodyError2(err error) error {
	if err == io.EOF || errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(err.Error(), "Content-Length") {
		return err
	}
	return io.ErrUnexpectedEOF
}

// protocolName is how the record has it.
func protocolName(p protocol) string {
	switch p {
	case http10:
		return "HTTP/1.0"
	case http2:
		return "HTTP/2"
	}
	return "HTTP/1.1"
}
