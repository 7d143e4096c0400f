// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// refuse answers with what err says: one line for curl, a page for browsers,
// problem details (RFC 9457) for programs, and for all of them Proxy-Status
// (RFC 9209). It is called at most once, before anything else was answered.
func (p *passage) refuse(err error) {
	p.hold.release() // who has the answer may ask anew
	e := p.asError(err)
	p.fail(e)
	p.rec.Status = e.Status
	if errors.Is(err, context.Canceled) {
		p.rec.Status = 0 // nobody is there to get it
	}
	answer := answerText{Status: e.Status, Title: http.StatusText(e.Status), Detail: e.Msg, Rule: e.Rule, ID: p.rec.ID, Cause: e.Cause, Own: p.s.OwnURL}
	if p.gen != nil && p.gen.Policy != nil {
		answer.Contact = p.gen.Policy.Pages.Contact
	}
	kind, body := answer.render(p.req.Fields.Value("Accept"))
	fields := append(p.fields[:0],
		field("Proxy-Status", proxyStatus(e, p.rec.ID)),
		field("Cache-Control", "no-store"),
		field("X-Content-Type-Options", "nosniff"),
		field("Content-Type", kind),
		field("Content-Length", strconv.Itoa(len(body))),
	)
	if e.Location != "" {
		fields = append(fields, field("Location", e.Location))
	}
	for _, c := range e.Challenges {
		fields = append(fields, field("Proxy-Authenticate", c))
	}
	if e.RetryAfter > 0 { // in whole seconds, and not too early
		fields = append(fields, field("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10)))
	}
	head := p.method == http.MethodHead
	err = p.client.begin(&reply{
		status: e.Status, fields: fields, length: int64(len(body)), none: head, close: e.NoReuse || !p.reusable(),
	})
	if err == nil && !head {
		err = p.client.write(body)
	}
	if err == nil {
		_ = p.client.finish(nil) // nobody is left to tell when this fails
	}
}

// fail enters e in the record.
func (p *passage) fail(e *Error) { p.rec.fail(e) }

func (r *Record) fail(e *Error) {
	r.Mode = 0
	if e.Outcome == Failed || e.Outcome == Gone || e.Outcome == Closed && (r.Status != 0 || r.FirstByte != 0) {
		r.Mode = r.Decision.Mode // it was allowed, and tried
	}
	r.Outcome, r.Cause, r.Limit, r.Err = e.Outcome, e.Cause, e.Limit, e
	r.Event, r.EventText = e.Event, e.EventText
	r.HSTS = e.HSTS
}

// reusable reports whether another request may follow on this connection: not
// when there is a body left, which has nowhere to go. A refused CONNECT leaves
// it usable when nothing came behind the CONNECT, so that the client can try
// again, with credentials for example.
func (p *passage) reusable() bool { return p.up.complete() && p.client.reusable() }

// proxyStatus is a Proxy-Status field value: a structured field item (RFC 8941)
// with the parameters of RFC 9209 §2.1 and, as its §2.2 allows, two of ours.
func proxyStatus(e *Error, id string) string {
	v := "sallyport; error=" + e.Cause + "; details=" + sfString(e.Msg)
	if e.Rule != "" {
		v += "; rule=" + sfString(e.Rule)
	}
	return v + "; id=" + sfString(id)
}

// sfString writes a structured field string (RFC 8941 §3.3.3): printable ASCII.
func sfString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '…':
			b.WriteString("...")
		case r == '§':
			b.WriteString("section ")
		case r < ' ' || r > '~':
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// An answerText is what the client gets to read.
type answerText struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Rule   string `json:"rule,omitempty"`
	Cause  string `json:"cause"`
	ID     string `json:"id"`

	Contact string `json:"contact,omitempty"` // whom people are to ask
	Own     string `json:"-"`                 // where the gateway's own pages are
}

//go:embed refuse.html
var pageSource string

var page = template.Must(template.New("refuse").Parse(pageSource))

func (a answerText) render(accept string) (contentType string, body []byte) {
	accept = strings.ToLower(accept)
	switch {
	case strings.Contains(accept, "text/html"):
		var b strings.Builder
		if err := page.Execute(&b, a); err == nil {
			return "text/html; charset=utf-8", []byte(b.String())
		}
	case strings.Contains(accept, "json"):
		a.Type = "about:blank"
		if b, err := json.Marshal(a); err == nil {
			return "application/problem+json", append(b, '\n')
		}
	}
	line := fmt.Sprintf("sallyport: %s", a.Detail)
	if a.Rule != "" && !strings.Contains(a.Detail, a.Rule) {
		line += fmt.Sprintf(" (rule %q)", a.Rule)
	}
	line += " [" + a.ID + "]"
	if a.Contact != "" {
		line += "; if this is wrong, ask " + a.Contact
	}
	return "text/plain; charset=utf-8", []byte(line + "\n")
}
