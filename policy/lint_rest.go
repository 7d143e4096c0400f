// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"time"
)

const day = 24 * time.Hour

// soon is how long before a rule expires that is told.
const soon = 14 * day

// tests reports rules that no test of the policy reaches.
func (l *lintRun) tests() {
	if len(l.p.Rules) == 0 {
		return
	}
	if len(l.p.tests) == 0 {
		l.say(l.p.Rules[0], "L030", SeverityWarning, "write tests: for what must be allowed and what must be denied; they are run whenever the policy is loaded",
			"the policy has no tests: nothing keeps a rule from being changed by mistake")
		return
	}
	reached := make(map[*Rule]bool)
	for _, t := range l.p.tests {
		if t.q.Kind == Inner {
			d := l.p.Decide(t.q.connect())
			reached[d.Rule], reached[d.Audited] = true, true
		}
		d := l.p.outcome(t.q)
		reached[d.Rule], reached[d.Audited] = true, true
	}
	for _, r := range l.p.Rules {
		if !reached[r] && !l.dead[r] && (r.until.IsZero() || r.until.After(l.at)) {
			l.say(r, "L030", SeverityWarning, "", "no test reaches rule %q", r.Name)
		}
	}
}

// times reports rules that have expired or soon will.
func (l *lintRun) times() {
	for _, r := range l.p.Rules {
		switch left := r.until.Sub(l.at); {
		case r.until.IsZero():
		case left <= 0:
			l.say(r, "L042", SeverityWarning, "remove it, or give it another until:", "rule %q has expired: it is past its until: and matches nothing any more", r.Name)
		case left <= soon:
			l.say(r, "L042", SeverityWarning, "", "rule %q expires in %s", r.Name, inDays(left))
		}
	}
}

// hits reports rules that have had no hit for long.
func (l *lintRun) hits(set Linter) {
	if set.Unused <= 0 || set.Hits == nil {
		return
	}
	for _, r := range l.p.Rules {
		known, last := set.Hits(r.Name)
		switch {
		case known.IsZero() || l.at.Sub(known) < set.Unused:
		case last.IsZero():
			l.say(r, "L031", SeverityWarning, "", "rule %q has never had a hit, and has been known for %s", r.Name, inDays(l.at.Sub(known)))
		case l.at.Sub(last) >= set.Unused:
			l.say(r, "L031", SeverityWarning, "", "rule %q has had no hit for %s", r.Name, inDays(l.at.Sub(last)))
		}
	}
}

func inDays(d time.Duration) string {
	if n := int(d / day); n > 1 {
		return fmt.Sprintf("%d days", n)
	}
	return "a day"
}
