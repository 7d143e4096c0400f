// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"time"

	"sallyport/policy"
)

// A replay decides the requests of an access log again, and gathers what comes
// out differently.
type replay struct {
	Lines     int       `json:"lines"`
	Decisions int       `json:"decisions"` // made again
	First     time.Time `json:"first,omitzero"`
	Last      time.Time `json:"last,omitzero"`
	Unchanged int       `json:"unchanged"`

	// Verified decisions were recorded under one of the policies given, and had
	// to come out as recorded; Unfaithful did not.
	Verified   int          `json:"verified"`
	Unfaithful int          `json:"unfaithful"`
	Wrong      []unfaithful `json:"unfaithful_lines"` // the first of them

	NotDecided int      `json:"not_decided"` // records of requests that no policy was asked about
	OtherLines int      `json:"other_lines"` // of the log that are about no request
	Unreadable int      `json:"unreadable"`
	FirstBad   *badLine `json:"first_unreadable,omitempty"`
	Truncated  bool     `json:"truncated"` // the last line is not complete: it is being written, perhaps

	Unlogged []string `json:"unlogged_rules"` // whose requests are not in the log: log: none
	Changes  []*shift `json:"changes"`        // the gravest consequence first, then by requests

	before, after *policy.Policy // before nil: what was recorded
	changes       map[shiftKey]*shift
	places        int // remembered, of all changes
}

// maxPlaces bounds the hosts that are remembered by name, maxWho the clients of
// each, maxWrong the lines that came out wrong.
const (
	maxPlaces = 20000
	maxWho    = 20
	maxWrong  = 20
)

type unfaithful struct {
	Line     int            `json:"line"`
	Recorded policy.Outcome `json:"recorded"`
	Decided  policy.Outcome `json:"decided"`
	Request  string         `json:"request"`
}

type badLine struct {
	Line int    `json:"line"`
	Why  string `json:"why"`
}

type shiftKey struct {
	consequence   policy.Consequence
	before, after policy.Outcome
}

// A shift is one kind of difference, and the requests it happens to.
type shift struct {
	Consequences []string       `json:"consequences"`
	Before       policy.Outcome `json:"before"`
	After        policy.Outcome `json:"after"`
	Requests     int            `json:"requests"`
	Hosts        []*place       `json:"hosts"`     // by requests, the most first
	Elsewhere    int            `json:"elsewhere"` // requests to hosts beyond those that are remembered
	consequence  policy.Consequence
	places       map[string]*place
}

// A place is an origin as the requests name it.
type place struct {
	Host     string   `json:"host"` // with its port
	Requests int      `json:"requests"`
	Clients  []string `json:"clients"` // users or addresses, up to maxWho
	More     bool     `json:"more_clients,omitempty"`
	Asks     bool     `json:"asks_for_certificate,omitempty"` // the origin did ask for a client certificate, and got one
	Line     int      `json:"line"`                           // of the first of the requests
	Sample   string   `json:"sample"`
	who      map[string]bool
}

func newReplay(before, after *policy.Policy) *replay {
	r := &replay{before: before, after: after, changes: make(map[shiftKey]*shift), Wrong: []unfaithful{}, Unlogged: []string{}, Changes: []*shift{}}
	logged := before
	if logged == nil {
		logged = after
	}
	for _, rule := range logged.Rules {
		if rule.Log == policy.LogNone {
			r.Unlogged = append(r.Unlogged, rule.Name)
		}
	}
	return r
}

// run reads the whole log. seen, when not nil, is told of each line.
func (r *replay) run(log io.Reader, seen func(line int)) error {
	err := readLog(log, func(l logLine) error {
		r.Lines++
		if seen != nil {
			seen(l.Number)
		}
		r.line(l)
		return nil
	})
	r.finish()
	return err
}

func (r *replay) line(l logLine) {
	rec, err := recorded{}, errors.New("the line is longer than any that the gateway writes")
	if !l.TooLong {
		rec, err = readRecord(bytes.TrimSpace(l.Text))
	}
	switch {
	case err == nil:
		r.decision(l.Number, rec)
	case errors.Is(err, errOtherLine) || len(l.Text) == 0 && !l.TooLong:
		r.OtherLines++
	case errors.Is(err, errNotDecided):
		r.NotDecided++
	case !l.Whole:
		r.Truncated = true
	default:
		if r.Unreadable++; r.FirstBad == nil {
			r.FirstBad = &badLine{l.Number, err.Error()}
		}
	}
}

// decision makes one decision again.
func (r *replay) decision(line int, rec recorded) {
	r.Decisions++
	if at := rec.Query.At; r.First.IsZero() || at.Before(r.First) {
		r.First = at
	}
	if rec.Query.At.After(r.Last) {
		r.Last = rec.Query.At
	}
	faithful := r.verify(line, rec)
	var before, after policy.Decision
	switch {
	case r.before == nil && rec.of(r.after): // what was recorded and what is compared with are one
		if faithful {
			r.Unchanged++
		}
		return
	case r.before == nil:
		after = decideAgain(r.after, rec.Query)
		before = rec.decision(after)
	default:
		before, after = decideAgain(r.before, rec.Query), decideAgain(r.after, rec.Query)
	}
	c := policy.ConsequenceOf(before, after)
	if c == 0 {
		r.Unchanged++
		return
	}
	key := shiftKey{c, outcomeOf(before), outcomeOf(after)}
	ch := r.changes[key]
	if ch == nil {
		ch = &shift{Consequences: c.Words(), Before: key.before, After: key.after, consequence: c, places: make(map[string]*place)}
		r.changes[key] = ch
	}
	ch.Requests++
	r.place(ch, line, rec)
}

// verify holds a decision to its record when one of the policies is the one that
// made it, and reports whether it came out the same.
func (r *replay) verify(line int, rec recorded) bool {
	p := r.after
	if r.before != nil && rec.of(r.before) {
		p = r.before
	}
	if !rec.of(p) {
		return true
	}
	r.Verified++
	d := p.Decide(rec.Query)
	if rec.same(d) {
		return true
	}
	if r.Unfaithful++; len(r.Wrong) < maxWrong {
		r.Wrong = append(r.Wrong, unfaithful{line, rec.outcome(), outcomeOf(d), asked(rec.Query)})
	}
	return false
}

// decision is what was recorded as far as the log tells, to be compared with
// after: of what it does not tell, how a rule holds its tunnels or verifies its
// origins, nothing is said to have changed.
func (r recorded) decision(after policy.Decision) policy.Decision {
	d := policy.Decision{Mode: r.Mode, Reason: r.Reason, Port: after.Port}
	if r.Rule == "" {
		return d
	}
	rule := policy.Rule{}
	if after.Rule != nil {
		rule = *after.Rule
	}
	rule.Name, rule.Line = r.Rule, 0
	d.Rule = &rule
	now := policy.Decision{Mode: r.Mode, Rule: &rule}
	if r.Mode == policy.Deny || r.OriginAuth == "" || now.Contract().OriginAuth == r.OriginAuth {
		return d
	}
	var origin policy.Origin
	if rule.Origin != nil {
		origin = *rule.Origin
	}
	rule.Origin, origin.ClientCert = &origin, nil
	if now.Contract().OriginAuth != r.OriginAuth { // it was shown some other certificate
		origin.ClientCert = &policy.ClientCert{Secret: r.OriginAuth}
	}
	return d
}

// place counts a request where it went.
func (r *replay) place(ch *shift, line int, rec recorded) {
	name := net.JoinHostPort(rec.Query.Host.String(), strconv.Itoa(int(rec.Query.Port)))
	p := ch.places[name]
	if p == nil {
		if r.places >= maxPlaces {
			ch.Elsewhere++
			return
		}
		r.places++
		p = &place{Host: name, Line: line, Sample: asked(rec.Query), who: make(map[string]bool)}
		ch.places[name] = p
	}
	p.Requests++
	p.Asks = p.Asks || rec.ClientCert != ""
	who := cmp.Or(rec.Query.Client.User, rec.Query.Client.Addr.String())
	switch {
	case p.who[who]:
	case len(p.who) >= maxWho:
		p.More = true
	default:
		p.who[who] = true
		p.Clients = append(p.Clients, who)
	}
}

// asked is a query in one line.
func asked(q policy.Query) string {
	s := clipped(q.String(), 120)
	if q.Kind == policy.Inner {
		s += " (inside intercept)"
	}
	return s + " from " + clipped(q.Client.String(), 200)
}

// outcomeOf is a decision as far as decisions are told apart.
func outcomeOf(d policy.Decision) policy.Outcome {
	o := policy.Outcome{Mode: d.Mode, Reason: d.Reason, Rule: d.RuleName()}
	if d.Rule != nil {
		o.Line = d.Rule.Line
	}
	return o
}

// finish puts what was gathered in order.
func (r *replay) finish() {
	for _, ch := range r.changes {
		for _, p := range ch.places {
			slices.Sort(p.Clients)
			ch.Hosts = append(ch.Hosts, p)
		}
		slices.SortFunc(ch.Hosts, func(a, b *place) int { return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Host, b.Host)) })
		r.Changes = append(r.Changes, ch)
	}
	slices.SortFunc(r.Changes, func(a, b *shift) int {
		return cmp.Or(
			cmp.Compare(a.consequence.Gravest(), b.consequence.Gravest()), cmp.Compare(b.Requests, a.Requests),
			cmp.Compare(a.Before.String(), b.Before.String()), cmp.Compare(a.After.String(), b.After.String()), cmp.Compare(a.consequence, b.consequence),
		)
	})
}
