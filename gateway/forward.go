// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"sallyport/policy"
)

// forward sends an allowed plain request to its origin, over verified TLS
// (originate) or as it came (relay), and the answer back.
func (p *passage) forward() {
	upgrade := upgradeOf(p.r)
	transport, err := p.transport(upgrade != "")
	if err != nil {
		p.refuse(err)
		return
	}
	up := p.up
	out, err := p.outgoing(upgrade)
	if err != nil {
		p.refuse(err)
		return
	}
	interim := &interim{p: p, old: !p.r.ProtoAtLeast(1, 1)}
	ctx := p.traced(p.r.Context(), &httptrace.ClientTrace{Got1xxResponse: interim.pass})
	// net/http retries on a fresh connection only what had not been sent, or
	// is idempotent and without a body (RFC 9110 §9.2.2); a body is never
	// sent twice because no GetBody is set.
	res, err := transport.RoundTrip(out.WithContext(ctx))
	interim.end()
	p.rec.Sent = up.sent()
	if err != nil {
		p.refuse(p.broken(err))
		return
	}
	p.rec.FirstByte = time.Since(p.rec.Time)
	if err := up.failed(); err != nil {
		// An origin may answer the stump of a request whose body turned out to
		// be malformed, as fast as net/http hangs up on it.
		res.Body.Close()
		p.refuse(err)
		return
	}
	switch {
	case res.StatusCode == http.StatusSwitchingProtocols:
		p.switchProtocols(res, upgrade)
		return
	case res.StatusCode < 200: // 042 is three digits, too
		res.Body.Close()
		p.refuse(p.broken(fmt.Errorf("status %03d", res.StatusCode)))
		return
	}
	p.answer(res)
}

// outgoing makes the request for the origin: the target's authority is its
// Host whatever the client's Host said (RFC 9112 §3.2.2), and what belongs to
// the client's hop stays behind.
func (p *passage) outgoing(upgrade string) (*http.Request, error) {
	t, d := p.target, p.decision
	scheme := "http"
	if d.Mode == policy.Originate {
		scheme = "https"
	} else if t.scheme == "https" {
		return nil, errCleartext // the policy never decides so; law 1 is checked where it counts
	}
	h := nextHop(p.r.Header)
	via(h, p.r.ProtoMajor, p.r.ProtoMinor)
	if hasToken(p.r.Header, "Te", "trailers") {
		h.Set("Te", "trailers")
	}
	if !p.r.ProtoAtLeast(1, 1) {
		h.Del("Expect") // RFC 9110 §10.1.1
	}
	if _, ok := h["User-Agent"]; !ok {
		h.Set("User-Agent", "") // keeps net/http from adding its own
	}
	if upgrade != "" {
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", upgrade)
	}
	if err := maxForwards(p.r.Method, h); err != nil {
		return nil, err
	}
	u, err := t.originURL(scheme, d)
	if err != nil {
		return nil, err
	}
	out := &http.Request{
		Method:        p.r.Method,
		URL:           u,
		Host:          t.authority(scheme, d.Port),
		ProtoMajor:    1, // without it net/http does not wait for a 100
		ProtoMinor:    1,
		Header:        h,
		ContentLength: p.r.ContentLength,
		Body:          http.NoBody,
	}
	if p.r.ContentLength != 0 {
		out.Body = p.up
	}
	// To keep the connection of an origin that refused without a 100, net/http
	// would send it the body all the same, and so ask the client for it.
	out.Close = h.Get("Expect") != ""
	if p.r.ContentLength < 0 {
		out.Trailer = p.up.trailers(p.r)
	}
	return out, nil
}

// originURL carries path and query byte for byte as the client wrote them,
// unless a rule has looked at the path: then what was looked at is what goes.
func (t target) originURL(scheme string, d policy.Decision) (*url.URL, error) {
	u := &url.URL{Scheme: scheme, Host: t.hostPort(d.Port)}
	path := t.path
	if d.Path != "" {
		path = d.Path
	}
	if strings.HasPrefix(path, "//") { // url.URL would take it for an authority
		u.RawPath = path
		u.Path, _ = url.PathUnescape(path)
	} else {
		u.Opaque = path
	}
	u.RawQuery = strings.TrimPrefix(t.query, "?")
	u.ForceQuery = t.query == "?"
	if u.RequestURI() != path+t.query {
		return nil, badTarget(errors.New("the path begins with // and has characters that no URL has, so that it cannot be passed on as it is"))
	}
	return u, nil
}

// maxForwards refuses TRACE, which would show the client what the gateway adds
// to its requests, and stops OPTIONS that asks to be stopped (RFC 9110 §7.6.2).
func maxForwards(method string, h http.Header) error {
	if method == http.MethodTrace {
		return &Error{Status: http.StatusMethodNotAllowed, Cause: "http_request_denied", Outcome: Denied, Msg: "TRACE is not passed on"}
	}
	v := h.Get("Max-Forwards")
	if method != http.MethodOptions || v == "" {
		return nil
	}
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		return &Error{Status: http.StatusBadRequest, Cause: "http_request_error", Outcome: Invalid, Msg: "Max-Forwards is not a number"}
	}
	if n == 0 {
		return &Error{Status: http.StatusOK, Cause: "proxy_internal_response", Outcome: Done, Msg: "Max-Forwards ended here"}
	}
	h.Set("Max-Forwards", strconv.FormatUint(n-1, 10))
	return nil
}

// broken finds out why an exchange broke off with err. What happened to the
// client comes first, whatever the origin's leg made of it: net/http cancels a
// request when its client leaves or its body cannot be read.
func (p *passage) broken(err error) error {
	cause := context.Cause(p.r.Context())
	if bodyErr := p.up.failed(); bodyErr != nil && !errors.Is(cause, errDrained) {
		return bodyErr
	}
	if cause != nil {
		return cause
	}
	var l *legError
	if !errors.As(err, &l) {
		err = &legError{stage: stageExchange, addr: p.target.hostPort(p.decision.Port), err: err}
	}
	return err
}

// answer passes the origin's answer on.
func (p *passage) answer(res *http.Response) {
	defer res.Body.Close()
	h := p.w.Header()
	passOn(h, res.Header)
	via(h, res.ProtoMajor, res.ProtoMinor)
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // keeps net/http from guessing one
	}
	for name := range res.Trailer {
		h.Add("Trailer", name)
	}
	announced := len(res.Trailer)
	if announced > 0 && p.r.Method != http.MethodHead && p.r.ProtoAtLeast(1, 1) && hasToken(p.r.Header, "Te", "trailers") {
		h.Del("Content-Length") // HTTP/2 has trailers behind a known length, HTTP/1.1 only behind chunks
	}
	if !p.reusable() {
		h.Set("Connection", "close")
	}
	p.rec.Status = res.StatusCode
	p.mayTake()
	p.w.WriteHeader(res.StatusCode)
	err := p.copyBody(res)
	p.rec.Sent = p.up.sent()
	if err != nil {
		p.abort(err)
	}
	p.rec.Outcome = Done
	for name, values := range nextHop(res.Trailer) {
		if len(res.Trailer) != announced {
			name = http.TrailerPrefix + name // came without having been announced
		}
		h[name] = values
	}
}

// copyBody moves the body as it comes: what was read is flushed at once, so
// that event streams and long polls live, and nothing more is read before the
// client has taken it.
func (p *passage) copyBody(res *http.Response) error {
	rc := http.NewResponseController(p.w)
	if res.ContentLength < 0 || res.ContentLength > onePiece {
		_ = rc.Flush() // the head must not wait for the body
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	stall, armed := p.s.Limits.stall(), time.Now() // mayTake has set the first deadline
	for {
		n, err := res.Body.Read(*buf)
		if n > 0 {
			if now := time.Now(); now.Sub(armed) > stall/64 { // for every piece of a large body it would cost more than it says
				_ = rc.SetWriteDeadline(now.Add(stall))
				armed = now
			}
			m, writeErr := p.w.Write((*buf)[:n])
			p.rec.Received += int64(m)
			if writeErr == nil {
				writeErr = rc.Flush()
			}
			if writeErr != nil {
				return p.broken(&Error{Cause: "connection_write_timeout", Outcome: Gone, Err: fmt.Errorf("writing to the client: %w", writeErr)})
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return p.broken(&Error{Cause: "http_response_incomplete", Outcome: Failed, Err: fmt.Errorf("reading the answer's body: %w", err)})
		}
	}
}

// onePiece is how large an answer may be that is expected to come as one, head
// and body: both leave in one write then. A timer that lets go of a head whose
// body is late after all wakes an idle machine for every request, which costs
// more than the write.
const onePiece = 16 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// abort ends an answer that cannot be completed so that the client notices:
// by a reset, because a mere end could look like the body's (RFC 9112 §8).
func (p *passage) abort(err error) {
	p.fail(p.s.asError(err, p.target.host.String()))
	if p.conn != nil {
		p.conn.abort()
	}
	panic(http.ErrAbortHandler)
}

// interim passes 1xx answers on (RFC 9110 §15.2), but not 100: net/http sends
// that itself as soon as the body is wanted, which is when the origin's came.
type interim struct {
	mu    sync.Mutex
	p     *passage
	old   bool // an HTTP/1.0 client, which must not get any
	ended bool // net/http may still call when the final answer has begun
}

func (i *interim) pass(code int, h textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended || i.old || code == http.StatusContinue {
		return nil
	}
	to := i.p.w.Header()
	for name, values := range nextHop(http.Header(h)) {
		to[name] = values
	}
	i.p.mayTake()
	i.p.w.WriteHeader(code)
	clear(to)
	return nil
}

func (i *interim) end() {
	i.mu.Lock()
	i.ended = true
	i.mu.Unlock()
}
