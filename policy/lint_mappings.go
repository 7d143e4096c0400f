// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "slices"

// mappings reports those whose origin no rule originates requests to, for anybody: what
// is asked for by them is refused.
func (l *lintRun) mappings() {
	for _, m := range l.p.mappings.all {
		if slices.ContainsFunc(l.p.Rules, func(r *Rule) bool { return r.mayOriginate(m) }) {
			continue
		}
		d := l.source("").diagnostic(m.line, m.col, 1, "L025",
			"give a rule that originates the host and the port of its to",
			"no rule originates requests to "+hostPort(m.To, m.Port)+": what is asked for by the mapping "+m.String()+" is refused")
		d.Severity = SeverityWarning
		l.found = append(l.found, d)
	}
}

// mayOriginate reports whether the destination and the port of r let it originate what
// has m. Which clients, methods and paths it is for is not looked at.
func (r *Rule) mayOriginate(m *Mapping) bool {
	if r.Audit || !r.has(Originate) {
		return false
	}
	w := walk{q: m.Query(Query{Method: "GET"}, m.Path)}
	may := func(c condition) bool { return r.holds(c, &w) != no }
	return may(condPorts) && (r.to.hasURLs(m.To) || may(condTo)) && (r.toExcept.hasURLs(m.To) || may(condToExcept)) && r.reaches(m.To)
}

func hostPort(h Host, port uint16) string {
	return Query{Kind: Connect, Host: h, Port: port}.String()[len("CONNECT "):]
}
