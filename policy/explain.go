// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
)

// An Explanation is how a request was decided, step by step.
type Explanation struct {
	Steps []Step `json:"steps"`
}

// A Step is one decision: of a plain request, of a CONNECT, or of a request
// inside an intercepted connection.
type Step struct {
	Request   string       `json:"request"`
	Mapped    string       `json:"mapped,omitempty"` // what the client asks for, which a mapping has made Request of
	Client    string       `json:"client"`
	ClientTLS bool         `json:"client_tls,omitempty"` // it speaks TLS to the gateway
	Groups    []string     `json:"groups"`               // that the client is in
	Host      string       `json:"host"`
	Port      uint16       `json:"port"`
	Lists     []string     `json:"lists"` // that the host is on
	Rules     []Considered `json:"rules"` // as far as the walk went
	Mode      Mode         `json:"mode"`
	Reason    Reason       `json:"reason"`
	Rule      string       `json:"rule,omitempty"`
	File      string       `json:"file,omitempty"` // the included file the rule stands in
	Line      int          `json:"line,omitempty"`
	DialPort  uint16       `json:"dial_port,omitempty"`
	Path      string       `json:"path,omitempty"` // canonical, as sent to the origin
	Detail    string       `json:"detail"`
	Contract  *Contract    `json:"contract,omitempty"`
	Limits    string       `json:"limits,omitempty"` // that the rule sets, for people

	Decision Decision `json:"-"`
}

// A Considered rule is one the walk came by.
type Considered struct {
	Rule    string   `json:"rule"`
	File    string   `json:"file,omitempty"` // the included file it stands in
	Line    int      `json:"line"`
	Verdict string   `json:"verdict"` // no, ask, open, match
	Failed  []string `json:"failed,omitempty"`
	Open    []string `json:"open,omitempty"` // conditions that need to see the request, or who the client is
	Modes   []Mode   `json:"modes"`
	Audit   bool     `json:"audit,omitempty"`

	place string
}

// Decision is the last step's.
func (e Explanation) Decision() Decision {
	if len(e.Steps) == 0 {
		return Decision{}
	}
	return e.Steps[len(e.Steps)-1].Decision
}

// Explain is Decide with its reasons. For a query of kind Inner it explains
// the CONNECT first and the request inside only if that is intercepted.
func (p *Policy) Explain(q Query) Explanation {
	if to, ok := p.mapped(q); ok {
		s := p.step(to)
		s.Mapped = q.String()
		return Explanation{Steps: []Step{s}}
	}
	if q.Kind != Inner {
		return Explanation{Steps: []Step{p.step(q)}}
	}
	first := p.step(q.connect())
	if d, open := first.Decision.forTLS(); !open {
		first.conclude(d)
		return Explanation{Steps: []Step{first}}
	}
	return Explanation{Steps: []Step{first, p.step(q)}}
}

func (p *Policy) step(q Query) Step {
	s := Step{Request: q.String(), Client: q.Client.String(), ClientTLS: q.ClientTLS, Host: q.Host.String(), Port: q.Port, Groups: []string{}, Lists: []string{}, Rules: []Considered{}}
	if p != nil {
		for _, g := range p.groups {
			if g.set.has(&q.Client, false) == yes {
				s.Groups = append(s.Groups, g.name)
			}
		}
		for _, l := range p.lists {
			if l.has(q.Host) || l.hasURLs(q.Host) {
				s.Lists = append(s.Lists, l.name)
			}
		}
	}
	// The walk is the one that decides; what each condition said is asked of
	// the same function the walk asked.
	d := p.walk(q, func(r *Rule, v verdict) {
		c := Considered{Rule: r.Name, File: r.File, Line: r.Line, Verdict: v.String(), Modes: r.Modes, Audit: r.Audit, place: r.place()}
		w := walk{q: q}
		for cond := range conditions {
			switch r.holds(cond, &w) {
			case no:
				c.Failed = append(c.Failed, cond.String())
			case ask, look:
				c.Open = append(c.Open, cond.String())
			}
		}
		s.Rules = append(s.Rules, c)
	})
	s.conclude(d)
	return s
}

// conclude says what the walk came to.
func (s *Step) conclude(d Decision) {
	s.Decision, s.Contract, s.Limits = d, nil, ""
	s.Mode, s.Reason, s.Rule, s.DialPort, s.Path, s.Detail = d.Mode, d.Reason, d.RuleName(), d.Port, d.Path, d.Detail()
	if d.Rule != nil {
		s.File, s.Line = d.Rule.File, d.Rule.Line
	}
	if d.Mode != Deny {
		c := d.Contract()
		s.Contract = &c
		s.Limits = d.Rule.Limits.String()
	}
}

// String is the request as a person would write it.
func (q Query) String() string {
	host := q.Host.String()
	if q.Host.Addr.Is6() {
		host = "[" + host + "]"
	}
	if q.Host == (Host{}) { // one of the gateway's own
		return q.Method + " " + q.Path
	}
	if q.Kind == Connect {
		return fmt.Sprintf("CONNECT %s:%d", host, q.Port)
	}
	port := fmt.Sprintf(":%d", q.Port)
	if q.Scheme == "http" && q.Port == 80 || q.Scheme == "https" && q.Port == 443 {
		port = ""
	}
	return fmt.Sprintf("%s %s://%s%s%s", q.Method, q.Scheme, host, port, q.Path)
}

// String is the client with what is proven about it.
func (c Client) String() string {
	parts := []string{c.Addr.String()}
	if c.User != "" {
		parts = append(parts, "user:"+c.User)
	}
	for _, x := range []struct {
		kind   string
		values []string
	}{{"group", c.Groups}, {"cert", c.Certs}, {"claim", c.Claims}} {
		for _, v := range x.values {
			parts = append(parts, x.kind+":"+v)
		}
	}
	return strings.Join(parts, " ")
}
