// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"sallyport/gateway/h1"
	"sallyport/gateway/wire"
)

// A hop is a connection to an origin that the engine speaks HTTP/1.1 on, one
// exchange at a time.
type hop struct {
	*leg
	route route
	wire  *wire.Conn
	tls   *tls.Conn // nil: relay
	in    input     // what the origin says
	w     io.Writer // what it is told

	pool  *pool
	known *known    // where it is kept; nil: not yet
	since time.Time // idle
	turn  uint64    // of the pool, when this was made

	// Deadlines that are set, so that they are not for every request anew.
	readBy, writeBy time.Time

	unasked bool // kept before anything was asked on it
	kept    bool // taken from the pool

	// Of the present exchange.
	reused bool
	spoke  bool // the origin has, since the request
	res    h1.Response
	body   h1.Body
	used   int  // bytes of in that were handed out, the head among them
	over   bool // the connection has ended, and with it the body
	up     *uploading
	said   answer
	p      *passage
	out    *outgoing
	say    func() error // send, made once
}

// hop returns a connection for the route: one that is idle or, when fresh is
// asked for or there is none, a new one.
func (p *passage) hop(r route, trust Trust, fresh bool) (*hop, error) {
	s := p.s
	if !fresh {
		h, k := s.pool.take(r, p.known)
		p.known = k
		if h != nil {
			h.kept, h.reused, h.unasked = true, !h.unasked, false
			return h, nil
		}
		defer s.pool.made(k)
	}
	h, err := p.meet(r, trust)
	if again(err) {
		return p.meet(r, trust)
	}
	return h, err
}

// again reports whether a handshake failed only because of what the session
// remembered that it resumed. crypto/tls has thrown that session away, so that
// the next handshake is a whole one. Nothing was sent yet.
func again(err error) bool {
	var e interface{ Again() bool }
	return errors.As(err, &e) && e.Again()
}

// meet makes a connection for the route.
func (p *passage) meet(r route, trust Trust) (*hop, error) {
	s, ctx := p.s, p.client.context()
	h := &hop{route: r, pool: &s.pool, turn: s.pool.turn.Load()}
	h.say = h.send
	var err error
	if !r.secure {
		if h.leg, err = s.dial(ctx, p.decision, r.host, r.port); err != nil {
			return nil, err
		}
		h.wire = wire.New(h.leg.Conn)
		h.in, h.w = h.wire, h.wire
		return h, nil
	}
	m := meeting{
		s: s, decision: p.decision, host: r.host, port: r.port, ech: r.ech, trust: trust,
		config: func() *tls.Config { return s.pool.config(r, func() *tls.Config { return engineConfig(trust, r) }) },
		over:   func(l *leg) net.Conn { h.wire = wire.NewTLS(l.Conn); return h.wire },
	}
	if h.leg, h.tls, err = m.meet(ctx); err != nil {
		return nil, err
	}
	h.in, h.w = &decrypted{conn: h.tls, wire: h.wire}, h.tls
	return h, nil
}

// engineConfig is what the engine meets origins of a route with: HTTP/1.1, and
// tickets that are the route's own.
func engineConfig(trust Trust, r route) *tls.Config {
	cfg := trust.Config(r.host)
	if cfg == nil {
		return nil
	}
	cfg = cfg.Clone()
	cfg.NextProtos = []string{"http/1.1"}
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	return cfg
}

// drop closes the connection at once. What crypto/tls would say for a goodbye
// nobody waits for, and saying it could block.
func (h *hop) drop() { h.wire.Close() }

// clean reports whether nothing is left of what the origin said.
func (h *hop) clean() bool {
	if len(h.in.Buffered()) > 0 {
		return false
	}
	d, ok := h.in.(*decrypted)
	return !ok || d.err == nil && h.wire.Between()
}

// head reads the head of the final answer. interim is shown those before it,
// late asked whether to go on after an error of waiting.
func (h *hop) head(method string, interim func(*h1.Response) error, late func(error) error) error {
	for interims := 0; ; {
		if b := h.in.Buffered(); len(b) > 0 {
			h.spoke = true
			n, err := h.res.Parse(b, method)
			switch {
			case err != nil:
				return err
			case n > 0 && (h.res.Status >= 200 || h.res.Status == http.StatusSwitchingProtocols):
				h.used = n
				h.body = h1.NewBody(h.res.Length, h.res.Chunked)
				h.body.Lenient = true
				return nil
			case n > 0:
				if interims++; interims > maxInterim {
					return &h1.Error{Msg: "too many interim answers"}
				}
				if err := interim(&h.res); err != nil {
					return err
				}
				h.in.Discard(n)
				continue
			}
		}
		err := h.in.Fill()
		if err == io.ErrShortBuffer {
			return &h1.Error{Msg: "the answer's head is too large"}
		}
		if err != nil {
			if err = late(err); err != nil {
				return err
			}
		}
	}
}

// maxInterim bounds how long an origin can keep a client with answers that are none.
const maxInterim = 100

func (h *hop) next() ([]byte, error) {
	h.in.Discard(h.used)
	h.used = 0
	for !h.body.Done() && !h.over {
		in := h.in.Buffered()
		if len(in) == 0 {
			return nil, nil
		}
		data, n, _, err := h.body.Next(in)
		if err != nil {
			return nil, err
		}
		if len(data) > 0 {
			h.used = n
			return data, nil
		}
		h.in.Discard(n)
	}
	return nil, io.EOF
}

func (h *hop) wait() error {
	for {
		err := h.in.Fill()
		switch {
		case err == io.EOF && h.body.ToEnd():
			h.over = true
			return nil
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case isTimeout(err): // of the head: a body may take its time
			h.readBy = time.Time{}
			if err := h.wire.SetReadDeadline(h.readBy); err != nil {
				return err
			}
			continue
		}
		return err
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func (h *hop) trailers() h1.Fields { return h.body.Trailers() }

func (h *hop) upgraded() net.Conn {
	c := &switched{Conn: h.wire, ahead: append([]byte(nil), h.in.Buffered()[h.used:]...)}
	if h.tls != nil {
		c.Conn = h.tls
	}
	h.in.Discard(len(h.in.Buffered()))
	h.used = 0
	_ = h.wire.SetDeadline(time.Time{})
	return c
}

// allowRead and allowWrite see to it that a wait can last for most of limit at
// least. A deadline that is long enough is left as it is: setting one costs as
// much as reading a head does.
func (h *hop) allowRead(now time.Time, limit time.Duration) {
	if h.readBy.Sub(now) < limit-limit/8 {
		h.readBy = now.Add(limit)
		_ = h.wire.SetReadDeadline(h.readBy)
	}
}

func (h *hop) allowWrite(now time.Time, limit time.Duration) {
	if h.writeBy.Sub(now) < limit-limit/8 {
		h.writeBy = now.Add(limit)
		_ = h.wire.SetWriteDeadline(h.writeBy)
	}
}
