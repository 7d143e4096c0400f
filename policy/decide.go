// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

// Decide answers q: the first rule whose conditions hold decides, and when
// none holds, the request is denied. It is pure and total; it never resolves a
// name. A nil Policy denies everything.
func (p *Policy) Decide(q Query) Decision {
	if p == nil || !p.index.serves(p.Rules, &q) {
		return p.walk(q, nil)
	}
	var w walk
	if !w.begin(p, &q) {
		return w.d
	}
	return p.index.decide(&w)
}

// A walk is one query on its way through the rules.
type walk struct {
	q       Query
	path    string // canonical, once a rule has looked at it
	pathErr error

	d      Decision
	inside *Rule // the first intercept rule that must see the request
	opens  *Rule // the first originate rule that must see the requests which a CONNECT announces
	nobody *Rule // the first that must, and has a certificate in the user's name, which nobody has proven to be
	blind  *Rule // the first deny that must see the request
	match  *Rule // the first rule that holds
	reach  bool  // one of the rules that may decide inside permits the address asked for
}

// cleanPath is the canonical path, made when the first rule asks for it.
func (w *walk) cleanPath() (string, error) {
	if w.path == "" && w.pathErr == nil {
		w.path, w.pathErr = CleanPath(w.q.Path)
	}
	return w.path, w.pathErr
}

// begin makes w a walk for q; false when q asks nothing that a rule could
// answer.
func (w *walk) begin(p *Policy, q *Query) (ready bool) {
	if p == nil {
		return false
	}
	w.q = *q
	w.d.Generation, w.d.Reason, w.d.kind = p.Generation, NoRule, q.Kind
	w.d.clientTLS = q.ClientTLS
	return q.Host != (Host{}) && q.Port != 0
}

// walk goes through the rules in file order. visit, when not nil, is told what
// each rule considered said.
func (p *Policy) walk(q Query, visit func(*Rule, verdict)) Decision {
	var w walk
	if !w.begin(p, &q) {
		return w.d
	}
	for _, r := range p.Rules {
		v := r.judge(&w)
		if visit != nil {
			visit(r, v)
		}
		if w.heard(r, v) {
			break
		}
	}
	return w.decision()
}

// heard takes in what the next rule in order says; true ends the walk. Nothing
// is skipped because it cannot serve the request or cannot see enough: it
// answers, or the request is refused.
func (w *walk) heard(r *Rule, v verdict) (end bool) {
	if r.Audit { // evaluation goes on, whatever it says
		w.pathErr = nil
		if v == yes && w.d.Audited == nil {
			w.d.Audited = r
		}
		return false
	}
	announced := r.announced(&w.q)
	switch {
	case w.pathErr != nil:
		w.d = w.d.deny(BadPath, r)
		return true
	case v == no:
		return false
	case v == ask:
		w.d = w.d.deny(NeedIdentity, r)
		return true
	case v == look && announced:
		if w.opens == nil {
			w.opens = r
		}
	case v == look && r.has(Intercept):
		if r.minted() && w.q.Client.User == "" {
			if w.nobody == nil {
				w.nobody = r
			}
			return false // what it finds inside is refused
		}
		if w.inside == nil {
			w.inside = r
		}
	case v == look && w.blind == nil:
		w.blind = r
	}
	w.reach = w.reach || (announced || r.has(Intercept)) && r.reaches(w.q.Host)
	if v == yes {
		w.match = r
		return true
	}
	return false
}

// decision is what the rules heard come to.
func (w *walk) decision() Decision {
	d, q := w.d, &w.q
	if d.Reason != NoRule { // refused on the way
		return d
	}
	d.Path = w.path
	if inside := w.inside; inside != nil {
		// Every request inside is walked anew, from the first rule.
		switch {
		case inside.never.has(q.Host):
			return d.deny(NeverIntercept, inside)
		case !w.reach:
			return d.deny(PrivateAddress, inside)
		}
		d.Mode, d.Reason, d.Rule, d.Port = Intercept, ToLookInside, inside, q.Port
		return d
	}
	match := w.match
	if w.nobody != nil && (match == nil || match.serves(q) != Intercept) {
		return d.deny(NoUser, w.nobody)
	}
	mode := Deny
	if match != nil {
		mode = match.serves(q)
	}
	switch {
	case w.opens != nil && mode != Tunnel && mode != Intercept: // which would serve the CONNECT itself
		if !w.reach {
			return d.deny(PrivateAddress, w.opens)
		}
		d.Mode, d.Reason, d.Rule, d.Port = Originate, ToLookInside, w.opens, w.opens.dialPort(Originate, q)
		return d
	case match == nil:
		return d
	case match.denies():
		return d.deny(ByRule, match)
	case mode == Deny:
		return d.deny(WrongKind, match)
	case mode == Tunnel && w.blind != nil:
		d.Hidden = match
		return d.deny(Blind, w.blind)
	case mode == Intercept && match.never.has(q.Host):
		return d.deny(NeverIntercept, match)
	case !match.reaches(q.Host):
		return d.deny(PrivateAddress, match)
	case match.ClientTLS && !q.ClientTLS:
		return d.deny(PlainLeg, match)
	case (mode == Originate || mode == Intercept) && match.minted() && q.Client.User == "":
		return d.deny(NoUser, match)
	}
	d.Mode, d.Reason, d.Rule, d.Port = mode, ByRule, match, match.dialPort(mode, q)
	return d
}

// deny is d, refused by r for a reason.
func (d Decision) deny(why Reason, r *Rule) Decision {
	d.Mode, d.Reason, d.Rule, d.Port = Deny, why, r, 0
	return d
}

// reaches reports whether r may connect to the host, as far as its spelling
// tells: a name is judged when it has been resolved, by Permit.
func (r *Rule) reaches(h Host) bool {
	return !h.IsAddr() || r.permit(h.Addr) == nil
}

// minted reports whether origins are shown a certificate in the user's name.
func (r *Rule) minted() bool {
	return r.Origin != nil && r.Origin.ClientCert != nil && r.Origin.ClientCert.Minted
}

func (r *Rule) dialPort(mode Mode, q *Query) uint16 {
	switch {
	case mode == Tunnel || mode == Relay:
		return q.Port
	case r.Origin != nil && r.Origin.Port != 0:
		return r.Origin.Port
	case mode == Originate:
		return originPort(q)
	}
	return q.Port
}
