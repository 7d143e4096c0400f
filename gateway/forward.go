// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sallyport/gateway/h1"
	"sallyport/gateway/reconcile"
	"sallyport/policy"
)

// forward sends an allowed plain request to its origin, over verified TLS
// (originate) or as it came (relay), and the answer back.
func (p *passage) forward() {
	out, err := p.outgoing()
	if err != nil {
		p.refuse(err)
		return
	}
	a, err := p.exchange(out)
	p.rec.Sent = p.up.sent()
	if err != nil {
		p.refuse(p.broken(err))
		return
	}
	defer func() { a.body.close() }() // the one that it is by then
	p.now = time.Now()
	p.rec.FirstByte = p.now.Sub(p.rec.Time)
	p.heedHSTS(a)
	if err := p.up.failed(); err != nil {
		// An origin may answer the stump of a request whose body turned out to
		// be malformed, as fast as it is hung up on.
		p.refuse(err)
		return
	}
	if a.status == http.StatusSwitchingProtocols {
		p.switchProtocols(a, out.upgrade)
		return
	}
	if err := p.answerFits(a); err != nil {
		p.refuse(err)
		return
	}
	p.answer(a)
}

// An outgoing is a request as the origin gets it.
type outgoing struct {
	secure  bool
	host    string // and port: where it goes, which is the decision's
	port    uint16
	target  [2]string // path and query
	fields  h1.Fields
	length  int64 // of the body; -1: in chunks
	upgrade bool  // asks to change to WebSocket
}

// outgoing makes the request for the origin: the target's authority is its
// Host whatever the client's Host said (RFC 9112 §3.2.2), and what belongs to
// the client's hop stays behind.
func (p *passage) outgoing() (*outgoing, error) {
	t, d, in := p.target, p.decision, p.req
	o := &p.out
	*o = outgoing{
		secure: d.Mode == policy.Originate || d.Mode == policy.Intercept, host: t.host.String(), port: d.Port,
		length: in.Length, upgrade: in.WebSocket,
	}
	scheme := "https"
	if !o.secure {
		if scheme = "http"; t.scheme == "https" {
			return nil, errCleartext // the policy never decides so; law 1 is checked where it counts
		}
	}
	var err error
	if o.target, err = t.onTheWire(d); err != nil {
		return nil, err
	}
	f, err := p.changeRequest(o, p.reconcileRequest(passOn(p.fields[:0], in.Fields), o.secure))
	if err != nil {
		return nil, err
	}
	p.authority = t.appendAuthority(p.authority[:0], scheme, d.Port)
	if !in.Has(h1.Host) { // HTTP/1.0
		f = append(f, h1.Field{})
		copy(f[1:], f)
		f[0] = h1.Field{Name: hostName, ID: h1.Host}
	}
	f = set(f, h1.Host, "Host", p.authority)
	if in.Has(h1.Expect) && !in.Expect {
		f = without(f, h1.Expect)
	}
	if p.method == http.MethodOptions {
		if n, limited, _ := hopsLeft(f); limited {
			f = set(f, h1.MaxForwards, "Max-Forwards", decimal(int64(n-1)))
		}
	}
	if in.Has(h1.TE) && in.Fields.HasToken(h1.TE, "trailers") {
		f = append(f, teTrailers)
	}
	if in.Chunked {
		f = announce(f, in.Fields)
	}
	f = via(f, p.received)
	p.fields, o.fields = f, f
	return o, nil
}

var (
	hostName   = []byte("Host")
	teTrailers = field("TE", "trailers")
)

// onTheWire carries path and query byte for byte as the client wrote them,
// unless a rule has looked at the path: then what was looked at is what goes.
func (t target) onTheWire(d policy.Decision) ([2]string, error) {
	path := t.path
	if d.Path != "" {
		path = d.Path
	}
	if strings.HasPrefix(path, "//") { // some read that as an authority, and net/http cannot write it in any other way
		u := url.URL{RawPath: path}
		u.Path, _ = url.PathUnescape(path)
		if u.EscapedPath() != path {
			return [2]string{}, badTarget(errors.New("the path begins with // and has characters that no URL has, so that it cannot be passed on as it is"))
		}
	}
	return [2]string{path, t.query}, nil
}

// announce passes on which trailers will come (RFC 9110 §6.6.2).
func announce(f, in h1.Fields) h1.Fields {
	for i := range in {
		if in[i].ID == h1.Trailer && h1.Announced(in[i].Value) == nil { // of a request it was seen to
			f = append(f, in[i])
		}
	}
	return f
}

// An answer is what an origin said, whoever spoke with it.
type answer struct {
	status  int
	reason  []byte
	version protocol
	fields  h1.Fields
	length  int64 // of the body; -1: not known
	none    bool  // no body follows, whatever the fields say of one
	body    answerBody
}

// An answerBody is the body of an answer.
type answerBody interface {
	// next returns what has come of it, nothing when that has to be waited for,
	// and io.EOF at the end. The bytes are valid until the next call.
	next() ([]byte, error)

	// wait waits until there is a next.
	wait() error

	// trailers are the fields behind a body that has ended.
	trailers() h1.Fields

	// close gives the origin's connection back, or up where the body has not ended.
	close()

	// upgraded is the origin's connection behind a 101; nil: there is none.
	upgraded() net.Conn
}

// answer passes the origin's answer on.
func (p *passage) answer(a *answer) {
	f := p.fitBody(a, p.changeAnswer(passOn(p.fields[:0], a.fields), a.status))
	announced := announce(f, a.fields)
	if len(announced) > len(f) && !a.none && p.req.Minor == 1 && p.req.Fields.HasToken(h1.TE, "trailers") {
		a.length = -1 // HTTP/2 has trailers behind a known length, HTTP/1.1 only behind chunks
	}
	if a.length < 0 || a.status == http.StatusNoContent {
		f = without(f, h1.ContentLength)
		if p.req.Minor == 1 && !a.none {
			f = announce(f, a.fields)
		}
	}
	f = via(f, a.version)
	p.fields = f
	p.rec.Status = a.status
	err := p.client.begin(&reply{
		status: a.status, reason: p.unsaid(a.reason), fields: f, length: a.length, none: a.none, close: !p.reusable(),
	})
	if err == nil {
		err = p.copyBody(a)
	}
	if err == nil {
		p.hold.release() // who has the answer may ask anew
		behind := p.changeBeside(passOn(p.fields[:0], a.body.trailers()), a.status)
		if p.fitted {
			behind = reconcile.WithoutDigests(behind)
		}
		err = gone(p.client.finish(behind))
	}
	p.rec.Sent = p.up.sent()
	if err != nil {
		p.abort(p.broken(err))
		return
	}
	p.rec.Outcome = Done
}

// copyBody moves the body as it comes: what has come is sent before more is
// waited for, so that event streams and long polls live, and nothing more is
// read before the client has taken it.
func (p *passage) copyBody(a *answer) error {
	if a.none {
		return nil
	}
	for {
		data, err := a.body.next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return incomplete(err)
		case len(data) > 0:
			if err := p.give(a, data); err != nil {
				return err
			}
			continue
		}
		if err := p.client.flush(); err != nil {
			return gone(err)
		}
		if err := a.body.wait(); err != nil {
			return incomplete(err)
		}
		p.now = time.Now()
	}
}

func incomplete(err error) error {
	return &Error{Cause: "http_response_incomplete", Outcome: Failed, Err: fmt.Errorf("reading the answer's body: %w", err)}
}

func gone(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Cause: "connection_write_timeout", Outcome: Gone, Err: fmt.Errorf("writing to the client: %w", err)}
}

// interim passes a 1xx answer on (RFC 9110 §15.2), but not 100, which is made
// here when the body is wanted, and not to HTTP/1.0, which does not know any.
func (p *passage) interim(status int, fields h1.Fields) error {
	if status == http.StatusContinue || p.req.Minor == 0 {
		return nil
	}
	return gone(p.client.interim(status, p.changeBeside(without(passOn(p.fields[:0], fields), h1.ContentLength), status)))
}
