// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"sallyport/gateway/h1"
	"sallyport/policy"
)

// changeRequest makes the rule's changes to the fields f of the request o, secrets
// among them. What it puts there is in the place of all that the client sent by
// that name, in any spelling, also behind the body.
func (p *passage) changeRequest(o *outgoing, f h1.Fields) (h1.Fields, error) {
	c := &p.decision.Rule.Request
	if len(c.Set)+len(c.Remove) == 0 {
		return f, nil
	}
	f = withoutChanged(f, c)
	if behind := p.up.trailers; behind != nil {
		p.up.trailers = func() h1.Fields { return withoutChanged(slices.Clone(behind()), c) }
	}
	for i := range c.Set {
		v := &c.Set[i]
		value, secret, err := p.fieldValue(v, o.secure)
		if err != nil {
			p.rec.Injected = nil
			return nil, err
		}
		if secret {
			p.rec.Injected = append(p.rec.Injected, v.Name)
		}
		f = append(f, h1.Field{Name: []byte(v.Name), Value: value})
	}
	slices.SortFunc(p.secrets, func(a, b []byte) int { return cmp.Compare(len(b), len(a)) }) // one may contain another
	return f, nil
}

// fieldValue makes the value of a field that a rule sets. Policies with secrets
// for a leg that is not verified TLS do not load; here is where one would leave,
// so here it is looked at again (law 2).
func (p *passage) fieldValue(v *policy.HeaderValue, secure bool) (value []byte, secret bool, err error) {
	for _, part := range v.Value {
		if part.Secret == "" {
			value = append(value, part.Text...)
			continue
		}
		if !secure {
			return nil, false, p.unsendable("it would go over a connection that is not verified TLS")
		}
		s := p.gen.Secrets[part.Secret]
		if s == "" {
			return nil, false, p.unsendable(fmt.Sprintf("secret %q is not loaded", part.Secret))
		}
		value, secret = append(value, s...), true
		quoted := strconv.Quote(s) // as errors say it
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s), quoted[1 : len(quoted)-1]} {
			if !slices.ContainsFunc(p.secrets, func(b []byte) bool { return string(b) == form }) {
				p.secrets = append(p.secrets, []byte(form))
			}
		}
	}
	return value, secret, nil
}

func (p *passage) unsendable(why string) error {
	rule := p.decision.Rule.Name
	return &Error{
		Status: http.StatusInternalServerError, Cause: "proxy_configuration_error", Outcome: Denied, Rule: rule,
		Msg: fmt.Sprintf("rule %q sends a secret with this request, and cannot: %s", rule, why),
	}
}

// withoutChanged are the fields of f that c neither sets nor removes.
func withoutChanged(f h1.Fields, c *policy.HeaderChanges) h1.Fields {
	return slices.DeleteFunc(f, func(f h1.Field) bool {
		return slices.ContainsFunc(c.Set, func(v policy.HeaderValue) bool { return policy.SameField(v.Name, f.Name) }) ||
			slices.ContainsFunc(c.Remove, func(name string) bool { return policy.SameField(name, f.Name) })
	})
}

// changeAnswer makes the rule's changes to the fields of the final answer.
func (p *passage) changeAnswer(f h1.Fields, status int) h1.Fields {
	f = p.changeBeside(f, status)
	if p.decision.Rule == nil {
		return f
	}
	for _, v := range p.decision.Rule.Response.Set {
		var value []byte
		for _, part := range v.Value {
			value = append(value, part.Text...)
		}
		f = append(f, h1.Field{Name: []byte(v.Name), Value: value})
	}
	return f
}

// changeBeside is changeAnswer for fields before or behind the answer, to which
// nothing is added.
func (p *passage) changeBeside(f h1.Fields, status int) h1.Fields {
	if r := p.decision.Rule; r != nil && len(r.Response.Set)+len(r.Response.Remove) > 0 {
		f = withoutChanged(f, &r.Response)
	}
	return p.reconcileAnswer(p.withoutEcho(f), status)
}

// echo stands where an origin has repeated a secret to a client that does not
// have it.
var echo = []byte("[secret]")

// withoutEcho takes the secrets that went with the request out of fields that
// came with its answer, such as the Location of a redirect. Content-Length stays:
// it was seen to be a number, by which the client finds the answer's end.
func (p *passage) withoutEcho(f h1.Fields) h1.Fields {
	if len(p.secrets) == 0 {
		return f
	}
	f = slices.DeleteFunc(f, func(f h1.Field) bool {
		if f.ID == h1.ContentLength {
			return false
		}
		name := bytes.ToLower(f.Name)
		return slices.ContainsFunc(p.secrets, func(s []byte) bool { return bytes.Contains(name, bytes.ToLower(s)) })
	})
	for i := range f {
		if f[i].ID != h1.ContentLength {
			f[i].Value = p.unsaid(f[i].Value)
		}
	}
	return f
}

// unsaid is text without the secrets that went with the request.
func (p *passage) unsaid(text []byte) []byte {
	for _, s := range p.secrets {
		if bytes.Contains(text, s) {
			text = bytes.ReplaceAll(text, s, echo)
		}
	}
	return text
}

// asError is Server's. What went wrong may quote what the origin has said.
func (p *passage) asError(err error) *Error {
	e := p.s.asError(err, p.target.host.String())
	msg, text := string(p.unsaid([]byte(e.Msg))), e.Error()
	said := string(p.unsaid([]byte(text)))
	event := string(p.unsaid([]byte(e.EventText)))
	if msg == e.Msg && said == text && event == e.EventText {
		return e
	}
	clean := *e
	clean.Msg, clean.Err, clean.EventText = msg, errors.New(said), event
	return &clean
}
