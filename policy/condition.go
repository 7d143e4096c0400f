// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "slices"

// A condition is one key of a rule that must hold. They are judged in this
// order: who, where to, and then what costs more.
type condition uint8

const (
	condFrom condition = iota
	condFromExcept
	condTo
	condToExcept
	condWithin
	condPorts
	condURLs  // what of to and to_except needs to see the request
	condPaths // before the rest, so that a path nobody can read is refused
	condMethods
	condSchedule
	condUntil
	condWhen
	conditions
)

func (c condition) String() string {
	return [...]string{
		"from", "from_except", "to", "to_except", "within", "ports", "url", "paths", "methods", "schedule", "until", "when",
	}[c]
}

// holds says whether one condition of r holds for the query of w. Everything
// that judges or explains a rule comes through here.
func (r *Rule) holds(c condition, w *walk) verdict {
	q := &w.q
	switch c {
	case condFrom:
		return r.from.has(&q.Client, q.MayAsk)
	case condFromExcept:
		return r.fromExcept.has(&q.Client, q.MayAsk).not()
	case condTo:
		return verdictOf(r.to.has(q.Host) || r.urls && r.to.hasURLs(q.Host))
	case condToExcept:
		return verdictOf(!r.toExcept.has(q.Host))
	case condWithin:
		return r.within.holds(q)
	case condPorts:
		return verdictOf(r.portHolds(q))
	case condURLs:
		if !r.urls {
			return yes
		}
		return r.urlsHold(w)
	case condPaths:
		if r.paths == nil {
			return yes
		}
		if q.Kind == Connect {
			return r.unseen(q)
		}
		path, err := w.cleanPath()
		return verdictOf(err == nil && r.paths.holds(path, r.denies()))
	case condMethods:
		if r.methods == nil {
			return yes
		}
		if q.Kind == Connect {
			return r.unseen(q)
		}
		return verdictOf(slices.Contains(r.methods, q.Method))
	case condSchedule:
		return verdictOf(r.schedule == nil || r.schedule.holds(q.At))
	case condUntil:
		return verdictOf(r.until.IsZero() || q.At.Before(r.until))
	case condWhen:
		if r.when == nil {
			return yes
		}
		return r.when.holds(w, r)
	}
	return no
}

// judge is the AND of the conditions.
func (r *Rule) judge(w *walk) verdict {
	v := yes
	for c := range conditions {
		if v = min(v, r.holds(c, w)); v == no {
			return no
		}
	}
	return v
}

// unseen is what a condition on the request is while only the CONNECT q is known.
// A rule that can look inside, or that denies, waits for the request; one that
// speaks only about plain requests does not speak about a CONNECT that none of
// them come in.
func (r *Rule) unseen(q *Query) verdict {
	if r.looks() || r.announced(q) {
		return look
	}
	return no
}

// looks reports whether r waits for the request at any CONNECT.
func (r *Rule) looks() bool { return r.has(Intercept) || r.denies() && !r.visibleOnly }

// announced reports whether q is, to r, a CONNECT in which requests for
// http://host/ come: to port 80, where r originates and does not say that it
// tunnels or intercepts that very port. Browsers ask for ws:// so (RFC 6455 §4.1).
func (r *Rule) announced(q *Query) bool {
	return q.Kind == Connect && q.Port == 80 && r.has(Originate) && (len(r.Modes) == 1 || !r.ports.has(80))
}

// portHolds compares ports, which speak about the origin. A plain request for
// http://host means, to originate, port 443 of the origin; any other port
// means itself. A rule that will only tell the client that it came the wrong
// way matches by either reading, and so does a deny.
func (r *Rule) portHolds(q *Query) bool {
	relayOnly := r.has(Relay) && len(r.Modes) == 1
	if q.Kind != Plain && !r.announced(q) {
		if relayOnly {
			return r.relayPorts.has(q.Port)
		}
		return r.ports.has(q.Port)
	}
	switch r.serves(q) {
	case Originate:
		return r.ports.has(originPort(q))
	case Relay:
		return r.relayPorts.has(q.Port)
	}
	if r.has(Relay) && r.relayPorts.has(q.Port) {
		return true
	}
	return !relayOnly && (r.ports.has(originPort(q)) || r.ports.has(q.Port))
}

// originPort is the port of the origin that a plain request means when it is
// originated, or the requests that a CONNECT announces.
func originPort(q *Query) uint16 {
	if (q.Scheme == "http" || q.Kind == Connect) && q.Port == 80 {
		return 443
	}
	return q.Port
}

// serves is the mode of r that serves the query's kind; Deny when none does.
func (r *Rule) serves(q *Query) Mode {
	if r.announced(q) {
		return Originate
	}
	for _, m := range r.Modes {
		switch {
		case q.Kind == Plain && m == Originate,
			q.Kind == Plain && m == Relay && q.Scheme == "http", // law 1: https is never relayed
			q.Kind == Connect && (m == Tunnel || m == Intercept),
			q.Kind == Inner && m == Intercept:
			return m
		}
	}
	return Deny
}

func (r *Rule) has(m Mode) bool { return slices.Contains(r.Modes, m) }

// denies reports whether r is a deny. A rule without modes is one (law 3).
func (r *Rule) denies() bool { return len(r.Modes) == 0 || r.has(Deny) }
