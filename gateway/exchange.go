// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"io"
	"net/http"
	"sync"
	"time"

	"sallyport/gateway/h1"
	"sallyport/gateway/wire"
)

// exchange sends the request to its origin and reads the head of the answer. An
// error is the client's or a *legError.
func (p *passage) exchange(o *outgoing) (*answer, error) {
	r, trust, err := p.route(o)
	if err != nil {
		return nil, err
	}
	if trust.HTTP3 {
		return p.exchangeNewest(o, r, trust)
	}
	return p.exchangeTCP(o, r, trust)
}

// exchangeTCP is exchange by HTTP/2 or HTTP/1.1.
func (p *passage) exchangeTCP(o *outgoing, r route, trust Trust) (*answer, error) {
	if p.s.Standard || trust.HTTP2 && !o.upgrade {
		return p.roundTrip(o, r, trust)
	}
	for fresh := false; ; fresh = true {
		h, err := p.hop(r, trust, fresh)
		if err != nil {
			return nil, err
		}
		h.p = p
		p.client.tie(h.wire)
		p.rec.Origin = h.record(h.reused)
		if err = p.ask(h, o); err == nil {
			return h.answer(), nil
		}
		h.close()
		if err == wire.ErrSpoke { // in this very moment, and nothing was said to it
			continue
		}
		// A kept connection may end just as it is used again. Then what can be
		// repeated is, once, on a new one (RFC 9110 §9.2.2); a body never is.
		if !h.kept || h.spoke || isTimeout(err) || o.length != 0 || !safe(p.method) || p.cause() != nil {
			return nil, err
		}
	}
}

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// ask has one exchange on h, up to the head of the answer.
func (p *passage) ask(h *hop, o *outgoing) error {
	h.spoke, h.over, h.up = false, false, nil
	limit := p.s.Limits.answer()
	h.allowRead(p.rec.Time, limit)
	h.allowWrite(p.rec.Time, p.s.Limits.stall())
	h.out = o
	if err := h.wire.Ask(h.say, h.reused); err != nil {
		if err == wire.ErrSpoke || h.up == nil && !h.spoke && p.cause() == nil && h.reused {
			return err
		}
		// It may have answered before it stopped listening.
		if p.await(h, limit) == nil {
			return nil
		}
		return err
	}
	return p.await(h, limit)
}

// await reads the head of the answer, for which the origin has limit from when
// it was sent the last of the request.
func (p *passage) await(h *hop, limit time.Duration) error {
	err := h.head(p.method, func(r *h1.Response) error {
		if r.Status == http.StatusContinue && h.up != nil {
			h.up.proceed()
		}
		return p.interim(r.Status, r.Fields)
	}, func(err error) error {
		if !isTimeout(err) {
			return err
		}
		from := p.rec.Time
		if h.up != nil {
			from = h.up.since()
		}
		left := limit - time.Since(from)
		if left <= 0 {
			return err
		}
		h.readBy = time.Now().Add(left)
		return h.wire.SetReadDeadline(h.readBy)
	})
	if h.up != nil {
		h.up.refuse() // whoever has answered will not say 100 any more
	}
	return err
}

// answer is the answer whose head was read.
func (h *hop) answer() *answer {
	r := &h.res
	h.said = answer{
		status: r.Status, reason: r.Reason, version: protocolOf(r.Minor), fields: r.Fields,
		length: r.Length, none: h.body.Done(), body: h,
	}
	if r.Length == 0 && r.Announced() == 0 { // an empty body, and one that is none, are one
		h.said.none = true
	}
	return &h.said
}

// send writes the request: in one piece when the body is here and small, or the
// head now, and the body by a goroutine, so that an early answer is heard.
func (h *hop) send() error {
	p, o := h.p, h.out
	buf := messages.Get().(*[]byte)
	b := h1.AppendRequestLine((*buf)[:0], p.req.Method, o.target[0], o.target[1])
	b = h1.AppendFields(b, o.fields)
	switch {
	case o.upgrade:
		b = append(b, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	case o.fields.Get(h1.TE) != nil: // RFC 9110 §10.1.4
		b = append(b, "Connection: TE\r\n"...)
	}
	if o.length < 0 {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	b = append(b, "\r\n"...)
	streamed := o.length != 0
	if n := int(o.length); o.length > 0 && !p.req.Expect && p.up.hold == nil && len(b)+n <= cap(b) && p.client.ready() >= o.length {
		m, err := io.ReadFull(p.up, b[len(b):len(b)+n])
		b, streamed = b[:len(b)+m], err != nil
	}
	_, err := h.w.Write(b)
	*buf = b
	messages.Put(buf)
	if err == nil && streamed {
		h.up = newUploading(p.up, h, p.s.Limits.stall(), o.length < 0, p.req.Expect)
	}
	return err
}

// messages are buffers for heads, and bodies that fit behind them.
var messages = sync.Pool{New: func() any { b := make([]byte, 0, messageSize); return &b }}

const messageSize = 16 << 10

// close ends the exchange. The connection is kept when both sides have said all
// that there was to say, in an order that leaves no doubt.
func (h *hop) close() {
	sent := h.up == nil || h.up.stop(h)
	h.in.Discard(h.used)
	h.used = 0
	h.p.client.tie(nil)
	now := h.p.now
	h.p, h.out = nil, nil
	if sent && h.spoke && h.body.Done() && !h.over && h.res.KeepAlive && !h.res.Odd && h.res.Status >= 200 && h.clean() {
		h.reused = true
		h.pool.keep(h, now)
		return
	}
	h.drop()
}
