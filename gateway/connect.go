// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"sallyport/policy"
	"sallyport/tunnel"
)

// connect carries out what decide said about a CONNECT.
func (p *passage) connect() {
	switch p.decision.Mode {
	case policy.Tunnel:
		p.tunnel()
	case policy.Intercept:
		p.intercept()
	case policy.Originate:
		p.announced()
	default: // no answer to a CONNECT
		p.refuse(&Error{
			Status: http.StatusNotImplemented, Cause: "proxy_configuration_error", Outcome: Denied, Rule: p.decision.Rule.Name,
			Msg: fmt.Sprintf("rule %q asks for %s, which this gateway does not do", p.decision.Rule.Name, p.decision.Mode),
		})
	}
}

// established is the whole answer to an accepted CONNECT: no field of ours
// makes sense to the client beyond it (RFC 9110 §9.3.6 forbids framing ones).
var established = []byte("HTTP/1.1 200 Connection established\r\n\r\n")

// tunnel dials first and says 200 after, so that what the client learns is
// true. Then the connection is given away: nothing of the request, its buffers
// or its goroutine is kept while the tunnel lives.
func (p *passage) tunnel() {
	origin, err := p.s.dial(p.client.context(), p.decision, p.target.host.String(), p.decision.Port)
	if err != nil {
		if cause := p.cause(); cause != nil {
			err = cause
		}
		p.refuse(err)
		return
	}
	p.rec.Origin = origin.record(false)
	live, err := p.enter()
	if err != nil {
		origin.Close()
		p.refuse(err)
		return
	}
	p.rec.Status = http.StatusOK
	client, early, err := p.client.takeOver(established)
	if err != nil {
		p.s.tunnels.closed(live)
		origin.Close()
		p.rec.fail(tunnelError(err, tunnel.ReasonClient, p.decision.Rule.Name))
		p.client.abort()
		return
	}
	p.passed = true
	s, o, hold := p.s, p.decision.Rule.Tunnel, p.hold // the passage does not outlive its request
	s.tunnels.start(live, &tunnel.Tunnel{
		Client:      client,
		Origin:      origin.Conn,
		Early:       early,
		Check:       live.checkHello,
		ClientFirst: !o.OptionalTLS,
		Idle:        or(o.Idle, s.Limits.tunnel()),
		MaxDuration: o.MaxDuration,
		MaxBytes:    o.MaxBytes,
		Pace:        hold.tunnelPace(),
	}, func(res tunnel.Result, err error) { s.tunnelEnded(live, hold, res, err) })
}

// tunnelEnded hands over the record of a tunnel.
func (s *Server) tunnelEnded(live *liveTunnel, hold *hold, res tunnel.Result, err error) {
	defer s.tunnels.closed(live)
	hold.release()
	rec := live.rec
	rec.Sent, rec.Received, rec.Hello = res.Sent, res.Received, res.Hello
	rec.Outcome = Done
	if err != nil {
		rec.fail(tunnelError(err, res.Reason, rec.Decision.Rule.Name))
	}
	hold.tunnelled(res.Paced)
	rec.paced(hold)
	s.report(rec)
}

// errCrashed is a defect of ours, in a goroutine that is no handler's: it would
// end the program.
var errCrashed = errors.New("panic")

// checkHello holds the client to what was decided: the policy judged the name
// in the CONNECT, so the name in the ClientHello has to be the same one, or the
// tunnel would lead to a host nobody decided about (domain fronting). With an
// address there is no name to send (policy.md §4.5).
func (l *liveTunnel) checkHello(h tunnel.Hello, err error) (refusal error) {
	defer func() {
		if v := recover(); v != nil {
			refusal = fmt.Errorf("%w: %v\n%s", errCrashed, v, debug.Stack())
		}
	}()
	rule := l.rec.Decision.Rule
	o := rule.Tunnel
	switch {
	case errors.Is(err, tunnel.ErrNotTLS) && o.OptionalTLS:
		return nil
	case errors.Is(err, tunnel.ErrNotTLS):
		return fmt.Errorf("the payload is not TLS, which rule %q requires (tunnel: {tls: optional} would let it pass): %w", rule.Name, err)
	case err != nil:
		return fmt.Errorf("reading the ClientHello: %w", err)
	}
	if err := l.checkName(h, o); err != nil {
		return err
	}
	if len(o.ALPN) > 0 {
		for _, proto := range h.ALPN {
			if !slices.Contains(o.ALPN, proto) {
				return fmt.Errorf("the ClientHello offers %q, rule %q allows %s only", clip(proto, 40), rule.Name, strings.Join(o.ALPN, ", "))
			}
		}
	}
	return nil
}

// checkName holds the name in the ClientHello to the CONNECT. Behind ECH (RFC 9849)
// there is a second one that nobody but the origin can read, and what looks like
// it may be GREASE (§6.2), which has the true name outside: so the outer name
// tells. One that is the CONNECT's passes whatever stands behind it.
func (l *liveTunnel) checkName(h tunnel.Hello, o policy.TunnelOptions) error {
	got, hidden := h.ServerName, h.ECH
	switch {
	case strings.EqualFold(got, l.host.Name), hidden && o.HiddenName, !hidden && o.AnySNI:
		return nil
	case hidden:
		return fmt.Errorf("the name is encrypted (ECH) behind %q in a tunnel decided for %q: %w", clip(got, 253), l.host, errHidden)
	}
	return fmt.Errorf("SNI %q in a tunnel decided for %q: %w", clip(got, 253), l.host, tunnel.ErrName)
}

// errHidden is a name that nobody can hold to the CONNECT.
var errHidden = fmt.Errorf("tunnel: {ech: allow} on the rule lets it pass, and then nobody knows which host it is for: %w", tunnel.ErrName)

// tunnelError says how a tunnel that did not simply end came to its end.
func tunnelError(err error, why tunnel.Reason, rule string) *Error {
	e := &Error{Outcome: Failed, Cause: "connection_terminated", Err: err, Rule: rule}
	switch why {
	case tunnel.ReasonRefused:
		e.Outcome, e.Cause = Denied, "http_request_denied"
		switch {
		case errors.Is(err, errHidden):
			e.Cause, e.Event, e.EventText = "authority_mismatch", "client_hides_name", err.Error()
		case errors.Is(err, tunnel.ErrName):
			e.Cause, e.Event, e.EventText = "authority_mismatch", "client_sni_mismatch", err.Error()
		case errors.Is(err, errCrashed):
			e.Outcome, e.Cause = Failed, "proxy_internal_error"
		}
	case tunnel.ReasonIdle, tunnel.ReasonMaxDuration, tunnel.ReasonMaxBytes, tunnel.ReasonHelloTimeout:
		e.Outcome, e.Cause = Closed, "connection_limit_reached"
	case tunnel.ReasonContext:
		e.Outcome, e.Cause = Closed, "proxy_internal_response"
	case tunnel.ReasonClient:
		e.Outcome = Gone
	}
	return e
}
