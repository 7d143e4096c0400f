// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"sallyport/policy"
)

// What of limits can be reached, as the access log has it.
const (
	limitRate         = "rate"
	limitConcurrent   = "concurrent"
	limitBandwidth    = "bandwidth"
	limitRequestBody  = "request_body"
	limitResponseBody = "response_body"
)

// admit puts an allowed request to the limits of its rule. A nil error means
// that it is let in: p.hold is its place, and its body is bounded.
func (p *passage) admit() error {
	rule := p.decision.Rule
	l := rule.Limits
	if l == nil || p.query.Kind == policy.Connect && p.decision.Mode != policy.Tunnel { // what comes inside is counted
		return nil
	}
	p.rec.Limits = l.Name
	h, reached, wait := p.s.meters.enter(l, rule.Name, p.rec.Identity, p.now)
	if h == nil {
		return overLimit(rule, reached, wait)
	}
	p.hold = h
	if p.up.length == 0 || p.method == http.MethodConnect {
		return nil
	}
	if l.RequestBody > 0 {
		p.up.most, p.up.over = l.RequestBody, tooLarge(rule)
		if p.up.length > l.RequestBody {
			return p.up.over
		}
	}
	if l.Bandwidth > 0 {
		p.up.hold, p.up.cut = h, make(chan struct{})
	}
	return nil
}

// overLimit refuses a request for a rate or for how many are in progress.
func overLimit(rule *policy.Rule, reached string, wait time.Duration) *Error {
	l := rule.Limits
	most := fmt.Sprintf("%d at once (requests, tunnels, WebSockets)", l.Concurrent)
	if reached == limitRate {
		most = "a rate of " + l.Rate.String()
	}
	whose := ""
	if l.Per != policy.PerRule {
		whose = " for each " + l.Per.String()
	}
	return &Error{
		Status: http.StatusTooManyRequests, Cause: "http_request_denied", Outcome: Denied, Rule: rule.Name,
		Limit: reached, RetryAfter: wait,
		Msg: fmt.Sprintf("rule %q allows %s%s", rule.Name, most, whose),
	}
}

// tooLarge refuses a request for its body.
func tooLarge(rule *policy.Rule) *Error {
	return &Error{
		Status: http.StatusRequestEntityTooLarge, Cause: "http_request_error", Outcome: Denied, Rule: rule.Name, NoReuse: true,
		Limit: limitRequestBody,
		Msg:   fmt.Sprintf("rule %q allows request bodies of up to %d bytes", rule.Name, rule.Limits.RequestBody),
	}
}

// tooLargeAnswer refuses an answer, or the rest of one, for its body.
func tooLargeAnswer(rule *policy.Rule) *Error {
	return &Error{
		Status: http.StatusBadGateway, Cause: "http_response_body_size", Outcome: Closed, Rule: rule.Name,
		Limit: limitResponseBody,
		Msg:   fmt.Sprintf("the origin's answer is larger than the %d bytes that rule %q allows", rule.Limits.ResponseBody, rule.Name),
	}
}

// answerFits refuses an answer that says itself that it is too large.
func (p *passage) answerFits(a *answer) error {
	if p.hold == nil || a.none || p.hold.limits.ResponseBody == 0 || a.length <= p.hold.limits.ResponseBody {
		return nil
	}
	return tooLargeAnswer(p.decision.Rule)
}

// give passes a piece of the answer's body on, as the limits allow.
func (p *passage) give(a *answer, data []byte) error {
	if p.hold == nil {
		return p.put(data)
	}
	over := false
	if most := p.hold.limits.ResponseBody; most > 0 {
		left := most - p.rec.Received
		if over = int64(len(data)) > left; over {
			data = data[:left]
		}
	}
	for len(data) > 0 {
		n, wait := p.hold.pace(len(data))
		if wait > 0 {
			if err := p.client.flush(); err != nil {
				return gone(err)
			}
			if err := p.hold.sleep(p.client.context(), wait); err != nil {
				return err
			}
			p.now = time.Now()
		}
		if p.rec.Received+int64(n) == a.length {
			p.hold.release() // whoever has the last byte may ask anew
		}
		if err := p.put(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	if over {
		return tooLargeAnswer(p.decision.Rule)
	}
	return nil
}

// put writes a piece of the answer's body.
func (p *passage) put(data []byte) error {
	if err := p.client.write(data); err != nil {
		return gone(err)
	}
	p.rec.Received += int64(len(data))
	return nil
}

// sleep returns after d, or with the cause of ctx's end.
func (h *hold) sleep(ctx context.Context, d time.Duration) error {
	defer h.waited(time.Now())
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// waited notes that bytes have waited since began.
func (h *hold) waited(began time.Time) { h.paced.Add(int64(time.Since(began))) }

// tunnelled notes how long they have in a tunnel. A nil hold has none.
func (h *hold) tunnelled(paced time.Duration) {
	if h != nil {
		h.paced.Add(int64(paced))
	}
}

// errLargeBody says that a request's body has grown larger than its limit.
var errLargeBody = errors.New("the request's body is larger than its limit")

// paced enters in the record how long bytes have waited under h.
func (r *Record) paced(h *hold) {
	if h == nil {
		return
	}
	if r.Paced = time.Duration(h.paced.Load()); r.Paced > 0 && r.Limit == "" {
		r.Limit = limitBandwidth
	}
}
