// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"

	"sallyport/gateway/h1"
	"sallyport/gateway/h3"
)

// exchangeNewest is exchange where the origin may be asked by HTTP/3.
func (p *passage) exchangeNewest(o *outgoing, r route, trust Trust) (*answer, error) {
	a, err := p.exchangeHTTP3(o, r, trust)
	if a == nil && err == nil {
		a, err = p.exchangeTCP(o, r, trust)
	}
	if err == nil {
		p.heedAltSvc(o, r, trust, a)
	}
	return a, err
}

// maxDisowned bounds how often a request looks for other connections because those that
// it waits for are not to be used any more, by a reload in this very moment.
const maxDisowned = 16

// takesHTTP3 reports whether the request o is to be tried by HTTP/3. Whether the
// origin has it is what it has said over verified TLS, or what the DNS says.
func (p *passage) takesHTTP3(o *outgoing, trust Trust, at h3.Origin) (bool, error) {
	switch {
	case !trust.HTTP3 || !o.secure:
		return false, nil
	case trust.OnlyHTTP3 && o.upgrade:
		return false, p.notByHTTP3("WebSocket needs HTTP/1.1")
	case trust.OnlyHTTP3 && !h3.Speaks(p.method):
		return false, p.notByHTTP3("the method has another meaning there")
	case trust.OnlyHTTP3:
		return true, nil
	case o.upgrade, !h3.Speaks(p.method):
		return false, nil
	}
	known, now := &p.s.known3, p.rec.Time
	return known.Has(at, false, now) || known.Has(at, true, now) && p.toldByDNS(at), nil
}

// toldByDNS reports whether the origin's HTTPS record says that it has HTTP/3 on the
// very port (RFC 9460). The record is believed to be true of where to knock, and no more.
func (p *passage) toldByDNS(at h3.Origin) bool {
	if p.s.Dialer.Names == nil {
		return false
	}
	service, err := p.s.Dialer.Names.Service(p.client.context(), at.Host, at.Port)
	return err == nil && slices.Contains(service.ALPN, h3.ALPN)
}

func (p *passage) notByHTTP3(why string) error {
	return &Error{
		Status: http.StatusNotImplemented, Cause: "proxy_configuration_error", Outcome: Denied, Rule: p.decision.Rule.Name,
		Msg: fmt.Sprintf("this request cannot go by HTTP/3, because %s, and the origin's trust profile allows nothing else (alpn: [h3, http/1.1] would)", why),
	}
}

// exchangeHTTP3 is exchange by HTTP/3. No answer and no error say that it is to go by
// TCP: a QUIC connection that cannot be had, or did not last, is none that was refused.
//
// A certificate that is not accepted is no exception. To refuse the request would let
// whoever can answer on UDP in the origin's place break what works by TCP; and nothing is
// won by it that way, because the same trust verifies what comes by TCP, which has the
// whole say. The record tells of it.
func (p *passage) exchangeHTTP3(o *outgoing, r route, trust Trust) (*answer, error) {
	at := h3.Origin{Trust: r.trust, Host: r.host, Port: r.port}
	if takes, err := p.takesHTTP3(o, trust, at); !takes {
		return nil, err
	}
	a, err := p.roundTrip3(o, r, trust)
	switch {
	case err == nil && a.status == http.StatusMisdirectedRequest && !trust.OnlyHTTP3 && o.length == 0:
		a.body.close() // RFC 7838 §6
		p.s.known3.Broke(at, p.rec.Time)
		p.rec.NoHTTP3 = errMisdirected
	case err == nil:
		p.s.known3.Works(at)
		return a, nil
	default:
		var e *h3.Error
		if p.cause() != nil || trust.OnlyHTTP3 || !errors.As(err, &e) {
			return nil, err
		}
		if e.Lost {
			p.s.known3.Broke(at, p.rec.Time)
			p.rec.NoHTTP3 = err
		}
		if !e.Repeat {
			return nil, err
		}
	}
	p.rec.Origin = OriginLeg{}
	return nil, nil
}

var errMisdirected = errors.New("the origin says by HTTP/3 that it is not the one to ask there (421)")

// heedAltSvc remembers what an origin that was met by verified TLS says of HTTP/3, where
// it is to be used.
func (p *passage) heedAltSvc(o *outgoing, r route, trust Trust, a *answer) {
	if !trust.HTTP3 || trust.OnlyHTTP3 || !o.secure {
		return
	}
	var said []byte
	for i := range a.fields {
		if a.fields[i].ID == h1.AltSvc {
			if said != nil {
				said = append(said, ", "...)
			}
			said = append(said, a.fields[i].Value...)
		}
	}
	if said != nil {
		p.s.known3.Hear(h3.Origin{Trust: r.trust, Host: r.host, Port: r.port}, string(said), ageOf(a.fields), p.rec.Time)
	}
}

func ageOf(f h1.Fields) string {
	for i := range f {
		if equal(f[i].Name, "age") {
			return string(f[i].Value)
		}
	}
	return ""
}

// roundTrip3 is one exchange by HTTP/3.
func (p *passage) roundTrip3(o *outgoing, r route, trust Trust) (*answer, error) {
	x := &standardExchange{p: p}
	ctx := p.client.context()
	if p.up.hold != nil {
		p.up.gone = ctx.Done()
	}
	req := p.request(o, x).WithContext(ctx)
	if o.length == 0 {
		req.Body = nil
	}
	ask := &h3.Request{
		Request: req, Answer: p.s.Limits.answer(),
		Got: func(c *h3.Conn, reused bool) { p.rec.Origin = c.With.(*leg).record(reused) },
		Interim: func(status int, fields textproto.MIMEHeader) error {
			return p.interim(status, toFields(http.Header(fields)))
		},
	}
	if req.Header.Get("Expect") != "" {
		ask.Continue = continueTime
	}
	var res *http.Response
	var err error
	for range maxDisowned {
		res, err = p.s.transport(r, trust, p.decision, false).quic.RoundTrip(ask)
		if !errors.Is(err, h3.ErrClosed) {
			break
		}
	}
	if err != nil {
		var l *legError
		if !errors.As(err, &l) {
			err = &legError{stage: stageExchange, addr: hostPort(o.host, o.port), err: err, quic: true}
		}
		return nil, err
	}
	return x.begin(res), nil
}
