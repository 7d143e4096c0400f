// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"sallyport/gateway/h1"
)

// A standardClient is a request that came by net/http's server.
type standardClient struct {
	s       *Server
	conn    *strictConn
	w       http.ResponseWriter
	rc      *http.ResponseController
	r       *http.Request
	up      upload
	armed   time.Time // the write deadline
	aborted bool
	untie   func() bool
	http2   bool
	stream  *stream // of a CONNECT by HTTP/2 that was accepted
}

func (s *Server) standardServer(ctx context.Context) *http.Server {
	return &http.Server{
		Handler:           http.HandlerFunc(s.serveStandard),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: s.Limits.headTime(),
		IdleTimeout:       s.Limits.idle(),
		// strictConn and readHTTP2 have the say, and say it with a record.
		MaxHeaderBytes: s.Limits.head() + 1000*http2FieldCost,
		ConnContext:    withConn,
		ErrorLog:       log.New(faultLines{s}, "", 0),
		// OPTIONS * and CONNECT are requests like any other here.
		DisableGeneralOptionsHandler: true,
	}
}

// serveStandard is pass for a request that net/http has read.
func (s *Server) serveStandard(w http.ResponseWriter, r *http.Request) {
	of := clientOf(r.Context())
	c := &standardClient{s: s, w: w, r: r, rc: http.NewResponseController(w), conn: of.strict, http2: r.ProtoMajor == 2}
	from := Request{TLS: of.tls, http2: c.http2, inside: of.inside}
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		from.From = netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
	}
	var fault *h1.Error
	var q *h1.Request
	if c.http2 {
		q, fault = c.readHTTP2()
	} else {
		q = c.request()
	}
	if r.Method == malformedMethod && !c.http2 {
		if fault = c.conn.faulty(); fault == nil {
			fault = &h1.Error{Status: http.StatusBadRequest, Msg: "the request cannot be read"}
		}
	}
	var p passage
	p.open(s, c, q, from)
	p.pass(fault)
	if c.stream != nil && c.stream.wait() {
		c.aborted = true
	}
	if c.aborted {
		panic(http.ErrAbortHandler) // net/http closes the connection
	}
}

// request is the request in the engine's terms.
func (c *standardClient) request() *h1.Request {
	r := c.r
	q := &h1.Request{Method: []byte(r.Method), Target: []byte(r.RequestURI)}
	q.Minor, q.Length, q.Chunked, q.KeepAlive = r.ProtoMinor, r.ContentLength, r.ContentLength < 0, !r.Close
	fields := append(h1.Fields{field("Host", r.Host)}, toFields(r.Header)...)
	for name := range r.Trailer {
		fields = append(fields, field("Trailer", name))
	}
	q.Adopt(fields)
	q.Expect = q.Fields.Get(h1.Expect) != nil && r.ContentLength != 0 && r.ProtoMinor == 1
	q.WebSocket = r.Method == http.MethodGet && r.ProtoMinor == 1 && r.ContentLength == 0 &&
		q.Fields.HasToken(h1.Connection, "upgrade") && len(r.Header["Upgrade"]) == 1 && equal(q.Fields.Get(h1.Upgrade), "websocket")
	return q
}

func (c *standardClient) context() context.Context { return c.r.Context() }

func (c *standardClient) tie(to io.Closer) {
	if c.untie != nil {
		c.untie()
		c.untie = nil
	}
	if to != nil {
		c.untie = context.AfterFunc(c.r.Context(), func() { to.Close() })
	}
}

func (c *standardClient) upload() *upload {
	if c.r.ContentLength == 0 || c.http2 && c.r.Method == http.MethodConnect {
		return &nothing
	}
	stall := c.s.Limits.stall()
	c.up = upload{
		body: checkedBody{c.r.Body, c}, length: c.r.ContentLength,
		arm: func() { _ = c.rc.SetReadDeadline(time.Now().Add(stall)) },
		halt: func() {
			if c.conn != nil {
				c.conn.stop()
			}
			_ = c.rc.SetReadDeadline(past)
		},
	}
	if c.r.ContentLength < 0 {
		c.up.trailers = func() h1.Fields { return toFields(c.r.Trailer) }
	}
	c.mayTake() // net/http writes a 100 when the body is first read
	// An origin may answer before it has taken the whole body; net/http would
	// otherwise read the rest of it first. HTTP/2 needs no such call.
	_ = c.rc.EnableFullDuplex()
	return &c.up
}

// A checkedBody tells what was wrong with a body, whatever net/http made of it.
type checkedBody struct {
	io.Reader
	c *standardClient
}

func (b checkedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		_ = b.c.rc.SetReadDeadline(time.Time{})
	} else if f := b.c.conn.spoilt(); err != nil && f != nil {
		err = f
	} else if err != nil && b.c.http2 {
		err = bodyError2(err)
	}
	return n, err
}

// ready: what net/http has read ahead cannot be seen.
func (c *standardClient) ready() int64 { return 0 }

func (c *standardClient) interim(status int, fields h1.Fields) error {
	h := c.w.Header()
	for i := range fields {
		h.Add(string(fields[i].Name), string(fields[i].Value))
	}
	c.mayTake()
	c.w.WriteHeader(status)
	clear(h)
	return nil
}

func (c *standardClient) begin(r *reply) error {
	h := c.w.Header()
	for i := range r.fields {
		h.Add(string(r.fields[i].Name), string(r.fields[i].Value))
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // keeps net/http from guessing one
	}
	if r.close && !c.http2 { // there it would end what other requests are using, too
		h.Set("Connection", "close")
	}
	c.mayTake()
	c.w.WriteHeader(r.status)
	return nil
}

func (c *standardClient) write(body []byte) error {
	if now := time.Now(); now.Sub(c.armed) > c.s.Limits.stall()/64 { // for every piece of a large body it would cost more than it says
		c.mayTake()
	}
	_, err := c.w.Write(body)
	return err
}

func (c *standardClient) flush() error { return c.rc.Flush() }

func (c *standardClient) finish(trailers h1.Fields) error {
	h := c.w.Header()
	for i := range trailers {
		h.Add(http.TrailerPrefix+string(trailers[i].Name), string(trailers[i].Value)) // announced or not
	}
	return nil
}

func (c *standardClient) abort() {
	c.aborted = true
	if c.conn != nil {
		c.conn.abort()
	}
}

func (c *standardClient) reusable() bool { return c.conn == nil || c.conn.resume() }

// mayTake gives the client its time to take what is written next. net/http
// keeps a deadline from one request of a connection to the next: one that was
// set for an earlier answer would cut off a later one.
func (c *standardClient) mayTake() {
	c.armed = time.Now()
	_ = c.rc.SetWriteDeadline(c.armed.Add(c.s.Limits.stall()))
}

// takeOver gets the client's connection and the bytes that were read from it
// already, in their order: net/http's buffer first, then strictConn's.
func (c *standardClient) takeOver(say []byte) (net.Conn, []byte, error) {
	if c.http2 {
		return c.takeStream()
	}
	conn, rw, err := c.rc.Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("taking over the client's connection: %w", err)
	}
	// The answers to requests before this one may fill what the client does not read.
	_ = conn.SetDeadline(time.Now().Add(c.s.Limits.stall()))
	if _, err := conn.Write(say); err != nil {
		conn.Close()
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	early = slices.Clone(early)
	if sc, ok := conn.(*strictConn); ok {
		raw, rest := sc.surrender()
		return raw, append(early, rest...), nil
	}
	return conn, early, nil
}

// takeStream accepts a CONNECT by HTTP/2.
func (c *standardClient) takeStream() (net.Conn, []byte, error) {
	c.mayTake()
	c.w.WriteHeader(http.StatusOK)
	if err := c.rc.Flush(); err != nil {
		return nil, nil, err
	}
	_ = c.rc.SetWriteDeadline(time.Time{})
	c.stream = &stream{r: c.r, w: c.w, rc: c.rc, done: make(chan struct{})}
	return c.stream, nil, nil
}
