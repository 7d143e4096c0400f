// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h3

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// A Request is one to be sent, and who is told what becomes of it.
type Request struct {
	*http.Request // its URL's host is where to; with a Body only if there is one

	Answer   time.Duration // for the origin to begin its answer, from when it has the request
	Continue time.Duration // to wait for a 100 before the body is sent; 0: not at all

	// Got is called with the connection that the request goes out on, from the caller's
	// goroutine, and again when it goes out again on another.
	Got func(c *Conn, reused bool)

	// Interim is called with answers of class 1xx but 100, from the caller's goroutine.
	Interim func(status int, fields textproto.MIMEHeader) error
}

// Speaks reports whether a request with that method can be sent: to quic-go two
// words that are methods as any (RFC 9110 §9.1) mean others.
func Speaks(method string) bool {
	return method != http3.MethodGet0RTT && method != http3.MethodHead0RTT && method != http.MethodConnect
}

// openTime is how long a request may wait for the origin to allow it on a connection;
// silence how long a connection may be without a single packet behind a request, which
// an origin acknowledges whatever it makes of it (RFC 9000 §13.2.1).
const (
	openTime = time.Second
	silence  = 3 * time.Second
)

// An exchange is one request on one connection.
type exchange struct {
	*Request
	ctx    context.Context
	cancel context.CancelCauseFunc
	body   *upload // nil: none
	wrote  atomic.Bool
	spoke  bool // an interim answer has come
	late   *time.Timer
}

// ask sends r on c and reads the head of the answer.
// Its place in p is given back with the answer's body.
func (c *Conn) ask(r *Request, p *Pool) (*http.Response, error) {
	x := &exchange{Request: r}
	x.ctx, x.cancel = context.WithCancelCause(r.Context())
	res, err := x.run(c)
	if err != nil {
		e := x.judge(c, err)
		x.cancel(nil)
		p.give(c, e)
		return nil, e
	}
	res.Body = &download{ReadCloser: res.Body, done: func() {
		x.settle(c, p)
		x.cancel(nil)
		p.give(c, nil)
	}}
	return res, nil
}

func (x *exchange) run(c *Conn) (*http.Response, error) {
	x.late = time.AfterFunc(time.Hour, func() { x.cancel(errLate) })
	x.late.Stop()
	before := c.received()
	open := time.AfterFunc(openTime, func() {
		if !x.wrote.Load() {
			x.cancel(errFull)
		}
	})
	dead := time.AfterFunc(silence, func() {
		if c.received() == before {
			x.cancel(errSilent)
			c.Close() // for all others on it, too
		}
	})
	defer func() {
		open.Stop()
		dead.Stop()
		x.late.Stop()
	}()
	q := x.WithContext(httptrace.WithClientTrace(x.ctx, &httptrace.ClientTrace{
		WroteHeaders:   func() { x.wrote.Store(true) },
		WroteRequest:   func(httptrace.WroteRequestInfo) { x.late.Reset(x.Answer) },
		Got1xxResponse: x.interim,
		Got100Continue: x.proceed,
	}))
	if q.Body != nil {
		x.body = newUpload(q.Body, x.Continue)
		q.Body = x.body
	}
	res, err := c.http.RoundTrip(q)
	if x.body != nil {
		x.body.refuse()
	}
	if err != nil {
		return nil, err
	}
	if res.Status[:min(len(res.Status), 4)] != strconv.Itoa(res.StatusCode)+" " || res.StatusCode < 200 || res.StatusCode > 999 {
		res.Body.Close() // "+200" and "0200" are numbers, too; 101 there is none (RFC 9114 §4.5)
		return nil, fmt.Errorf("the answer's status code is none: %q", strings.TrimSpace(res.Status))
	}
	return res, nil
}

func (x *exchange) interim(status int, fields textproto.MIMEHeader) error {
	x.spoke = true
	if status == http.StatusContinue || x.Interim == nil {
		return nil
	}
	return x.Interim(status, fields)
}

func (x *exchange) proceed() {
	if x.body != nil {
		x.body.proceed()
	}
}

// touched reports whether something of the body was read, which nobody can undo.
func (x *exchange) touched() bool { return x.body != nil && x.body.touched.Load() }

// harmless reports whether the request may be sent twice, and nothing was heard of
// its answer.
func (x *exchange) harmless() bool {
	if x.spoke || x.body != nil {
		return false
	}
	switch x.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return false
}

// settle sees to it that nobody goes on writing a body to an origin that has answered
// and does not take the rest: quic-go would, for as long as the connection lasts. Then
// that is as long as what else is on it.
func (x *exchange) settle(c *Conn, p *Pool) {
	if x.body == nil || x.body.over() {
		return
	}
	time.AfterFunc(openTime, func() {
		if !x.body.over() {
			p.leave(c)
		}
	})
}
