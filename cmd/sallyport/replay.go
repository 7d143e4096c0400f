// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
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
	err := r.inOrder(log, func(j judged) {
		r.Lines++
		if seen != nil {
			seen(j.line)
		}
		r.gather(j)
	})
	r.finish()
	return err
}

// A judged line is what became of one line of the log.
type judged struct {
	line          int
	rec           recorded
	err           error           // why there is no decision in it; nothing below is set
	verified      bool            // it was recorded under a policy given here
	again         policy.Decision // by that policy
	faithful      bool            // again is what was recorded
	same          bool            // there is nothing else to compare with
	before, after policy.Decision
	consequence   policy.Consequence
}

var (
	errLineTooLong = errors.New("the line is longer than any that the gateway writes")
	errUnended     = errors.New("the log ends within the line")
	errNoRecord    = errors.New("a line without content")
)

// judge decides again what l tells. It is pure, and may be called for several
// lines at once.
func (r *replay) judge(l logLine) judged {
	j := judged{line: l.Number}
	text := bytes.TrimSpace(l.Text)
	switch {
	case l.TooLong:
		j.err = errLineTooLong
	case len(text) == 0:
		j.err = errNoRecord
	default:
		if j.rec, j.err = readRecord(text); j.err != nil && !l.Whole && !json.Valid(text) {
			j.err = errUnended
		}
	}
	if j.err != nil {
		return j
	}
	q := j.rec.Query
	p := r.after
	if r.before != nil && j.rec.of(r.before) {
		p = r.before
	}
	if j.verified = j.rec.of(p); j.verified {
		j.again = p.Decide(q)
		j.faithful = j.rec.same(j.again)
	}
	switch {
	case r.before != nil:
		j.before, j.after = r.before.DecideAll(q), r.after.DecideAll(q)
	case j.verified:
		j.same = true
		return j
	default:
		j.after = r.after.DecideAll(q)
		j.before = j.rec.decision(j.after)
	}
	j.consequence = policy.ConsequenceOf(j.before, j.after)
	return j
}

// gather counts what became of a line.
func (r *replay) gather(j judged) {
	switch {
	case j.err == nil:
	case errors.Is(j.err, errOtherLine), errors.Is(j.err, errNoRecord):
		r.OtherLines++
		return
	case errors.Is(j.err, errNotDecided):
		r.NotDecided++
		return
	case errors.Is(j.err, errUnended):
		r.Truncated = true
		return
	default:
		if r.Unreadable++; r.FirstBad == nil {
			r.FirstBad = &badLine{j.line, j.err.Error()}
		}
		return
	}
	r.Decisions++
	at := j.rec.Query.At
	if r.First.IsZero() || at.Before(r.First) {
		r.First = at
	}
	if at.After(r.Last) {
		r.Last = at
	}
	if j.verified {
		r.Verified++
	}
	if j.verified && !j.faithful {
		if r.Unfaithful++; len(r.Wrong) < maxWrong {
			r.Wrong = append(r.Wrong, unfaithful{j.line, j.rec.outcome(), outcomeOf(j.again), asked(j.rec.Query)})
		}
	}
	switch {
	case j.same && !j.faithful: // told already
	case j.same || j.consequence == 0:
		r.Unchanged++
	default:
		r.changed(j)
	}
}

// changed counts a request that is decided otherwise.
func (r *replay) changed(j judged) {
	key := shiftKey{j.consequence, outcomeOf(j.before), outcomeOf(j.after)}
	ch := r.changes[key]
	if ch == nil {
		ch = &shift{Consequences: key.consequence.Words(), Before: key.before, After: key.after, consequence: key.consequence, places: make(map[string]*place)}
		r.changes[key] = ch
	}
	ch.Requests++
	r.place(ch, j.line, j.rec)
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
	if r.before == nil && r.Verified == 0 { // the policy given says nothing about what was logged
		r.Unlogged = []string{}
	}
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
