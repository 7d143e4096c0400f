// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"

	"sallyport/gateway/h1"
)

// roundTrip is exchange by net/http.
func (p *passage) roundTrip(o *outgoing, r route, trust Trust) (*answer, error) {
	x := &standardExchange{p: p}
	trace := &httptrace.ClientTrace{Got1xxResponse: x.interim, GotConn: x.gotConn}
	// net/http retries on a fresh connection only what had not been sent, or
	// is idempotent and without a body (RFC 9110 §9.2.2); a body is never
	// sent twice because no GetBody is set.
	ctx := p.client.context()
	if p.up.hold != nil {
		p.up.gone = ctx.Done()
	}
	req := p.request(o, x).WithContext(httptrace.WithClientTrace(ctx, trace))
	res, err := p.s.transport(r, trust, p.decision, o.upgrade).RoundTrip(req)
	x.end()
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 100 { // 042 is three digits, too
		res.Body.Close()
		return nil, &legError{stage: stageExchange, addr: hostPort(o.host, o.port), err: h1Fault("the answer's status code is none")}
	}
	return x.begin(res), nil
}

// begin is the head of res as an answer, whose body x is.
func (x *standardExchange) begin(res *http.Response) *answer {
	x.res = res
	a := &answer{
		status: res.StatusCode, version: protocolOf(res.ProtoMinor), length: res.ContentLength, body: x,
		none: res.Body == http.NoBody || x.p.method == http.MethodHead, fields: toFields(res.Header),
	}
	switch res.ProtoMajor {
	case 2:
		a.version = http2
	case 3: // where net/http's NoBody is not known
		a.version = http3
		a.none = a.none || res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified
		if res.ContentLength < 0 && res.Header["Grpc-Status"] != nil {
			// A call that is over with its head, which quic-go does not tell. Its end is here.
			if _ = x.wait(); x.err == io.EOF && len(x.have) == 0 {
				a.length, res.ContentLength = 0, 0
			}
		}
	}
	if res.ContentLength == 0 && !a.none && hasLength(res.StatusCode) && res.Header["Content-Length"] == nil {
		// By HTTP/2 the head may be the end, and say so by a flag. HTTP/1.1 has none for
		// it, and a client would wait for the rest.
		a.fields = append(a.fields, noLength)
	}
	if 0 <= res.ContentLength && res.ContentLength <= onePiece && !a.none && a.status != http.StatusSwitchingProtocols && x.buf == nil {
		_ = x.wait() // next tells
	}
	for _, name := range slices.Sorted(maps.Keys(res.Trailer)) {
		a.fields = append(a.fields, field("Trailer", name))
	}
	return a
}

var noLength = field("Content-Length", "0")

// hasLength reports whether an answer with that status has to say how long its body
// is, be it empty (RFC 9110 §8.6).
func hasLength(status int) bool {
	return status >= http.StatusOK && status != http.StatusNoContent && status != http.StatusNotModified
}

// onePiece is how large an answer may be that is expected to come as one, head
// and body: both leave in one write then. Where nothing but its end is to come, one by
// HTTP/2 that is all head has to leave as that: gRPC takes a status from no other
// ("Trailers-Only"). A timer that lets go of a head whose
// body is late after all wakes an idle machine for every request, which costs
// more than the write.
const onePiece = 16 << 10

func h1Fault(msg string) error { return &h1.Error{Status: http.StatusBadGateway, Msg: msg} }

// request is o in net/http's terms.
func (p *passage) request(o *outgoing, x *standardExchange) *http.Request {
	h := toHeader(o.fields)
	delete(h, "Host")
	delete(h, "Content-Length")
	delete(h, "Trailer")
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = []string{""} // keeps net/http from adding its own
	}
	if o.upgrade {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	}
	r := &http.Request{
		Method: p.method, URL: o.url(), Host: string(o.fields.Get(h1.Host)), Header: h,
		ProtoMajor: 1, ProtoMinor: 1, // without them net/http does not wait for a 100
		ContentLength: o.length, Body: http.NoBody,
	}
	if o.length != 0 {
		r.Body = p.up
	}
	// To keep the connection of an origin that refused without a 100, net/http
	// would send it the body all the same, and so ask the client for it.
	r.Close = h.Get("Expect") != ""
	if o.length < 0 {
		// Announced names now, with the body's end also their values and those of others.
		r.Trailer = make(http.Header)
		for i := range o.fields {
			if o.fields[i].ID == h1.Trailer {
				for name := range bytes.SplitSeq(o.fields[i].Value, []byte{','}) {
					r.Trailer[textproto.CanonicalMIMEHeaderKey(string(bytes.TrimSpace(name)))] = nil
				}
			}
		}
		r.Body = &trailing{p.up, r.Trailer}
	}
	return r
}

// url is where o goes, as net/http writes it byte for byte.
func (o *outgoing) url() *url.URL {
	u := &url.URL{Scheme: "http", Host: hostPort(o.host, o.port), RawQuery: strings.TrimPrefix(o.target[1], "?"), ForceQuery: o.target[1] == "?"}
	if o.secure {
		u.Scheme = "https"
	}
	if path := o.target[0]; strings.HasPrefix(path, "//") {
		u.RawPath = path
		u.Path, _ = url.PathUnescape(path)
	} else {
		u.Opaque = path
	}
	return u
}

// A trailing body enters the trailers behind it where net/http looks for them.
type trailing struct {
	*upload
	to http.Header
}

func (t *trailing) Read(b []byte) (int, error) {
	n, err := t.upload.Read(b)
	if err == io.EOF && t.trailers != nil {
		maps.Copy(t.to, toHeader(passOn(nil, t.trailers())))
	}
	return n, err
}

// A standardExchange is one exchange by net/http.
type standardExchange struct {
	p    *passage
	res  *http.Response
	wire net.Conn // the connection the request went out on
	buf  *[]byte
	have []byte
	err  error

	mu    sync.Mutex
	ended bool // net/http may still call when the final answer has begun
}

// gotConn enters the leg in the record. net/http calls it from the passage's goroutine.
func (x *standardExchange) gotConn(i httptrace.GotConnInfo) {
	c := i.Conn
	x.wire = c
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if l, ok := c.(*leg); ok {
		x.p.rec.Origin = l.record(i.Reused)
	}
}

func (x *standardExchange) interim(code int, h textproto.MIMEHeader) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return nil
	}
	return x.p.interim(code, toFields(http.Header(h)))
}

func (x *standardExchange) end() {
	x.mu.Lock()
	x.ended = true
	x.mu.Unlock()
}

func (x *standardExchange) next() ([]byte, error) {
	if len(x.have) == 0 {
		return nil, x.err
	}
	data := x.have
	x.have = nil
	return data, nil
}

func (x *standardExchange) wait() error {
	if x.buf == nil {
		x.buf = buffers.Get().(*[]byte)
	}
	n, err := x.res.Body.Read(*x.buf)
	x.have = (*x.buf)[:n]
	x.err = err
	if err != io.EOF && n == 0 {
		return err
	}
	return nil
}

func (x *standardExchange) trailers() h1.Fields { return toFields(x.res.Trailer) }

func (x *standardExchange) close() {
	x.res.Body.Close()
	if x.buf != nil {
		buffers.Put(x.buf)
		x.buf = nil
	}
}

func (x *standardExchange) upgraded() net.Conn {
	rw, ok := x.res.Body.(io.ReadWriteCloser)
	if !ok {
		return nil
	}
	return bodied{x.wire, rw}
}

// bodied is an origin's connection that net/http reads ahead on, so that bytes
// come and go through the body it gives for it.
type bodied struct {
	net.Conn
	body io.ReadWriteCloser
}

func (b bodied) Read(p []byte) (int, error)  { return b.body.Read(p) }
func (b bodied) Write(p []byte) (int, error) { return b.body.Write(p) }
func (b bodied) Close() error                { return b.body.Close() }

// NetConn is the connection beneath.
func (b bodied) NetConn() net.Conn { return b.Conn }

func (b bodied) CloseWrite() error {
	if half, ok := b.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// toFields is a header as fields, in the order of names.
func toFields(h http.Header) h1.Fields {
	var out h1.Fields
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			out = append(out, field(name, value))
		}
	}
	return out
}

func toHeader(fields h1.Fields) http.Header {
	h := make(http.Header, len(fields))
	for i := range fields {
		h.Add(string(fields[i].Name), string(fields[i].Value))
	}
	return h
}
