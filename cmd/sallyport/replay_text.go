// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"sallyport/policy"
)

// shownPlaces of each change are printed; --json has them all.
const shownPlaces = 10

// String is what the command prints: what was not as recorded, then what
// changes, by its consequence.
func (r *replay) String() string {
	var b strings.Builder
	for _, w := range r.Wrong {
		fmt.Fprintf(&b, "line %d: recorded %s, decided %s by the same policy: %s\n", w.Line, w.Recorded, w.Decided, w.Request)
	}
	if n := r.Unfaithful - len(r.Wrong); n > 0 {
		fmt.Fprintf(&b, "and %s more\n", count(n, "line", "lines"))
	}
	if r.Unfaithful > 0 {
		fmt.Fprintf(&b, "a decision of one policy has to come out the same: please report this\n")
	}
	for bit := policy.Consequence(1); bit != 0; bit <<= 1 {
		var with []*shift
		requests := 0
		for _, ch := range r.Changes {
			if ch.consequence&bit != 0 {
				with = append(with, ch)
				requests += ch.Requests
			}
		}
		if requests > 0 {
			fmt.Fprintf(&b, "%s: %s\n", bit.Texts()[0], count(requests, "request", "requests"))
		}
		for _, ch := range with {
			fmt.Fprintf(&b, "  %s -> %s: %s\n", ch.Before, ch.After, count(ch.Requests, "request", "requests"))
			ch.print(&b, bit)
		}
	}
	r.summary(&b)
	return b.String()
}

// print lists the hosts of a change.
func (ch *shift) print(b *strings.Builder, bit policy.Consequence) {
	hosts := ch.Hosts[:min(len(ch.Hosts), shownPlaces)]
	for _, p := range hosts {
		fmt.Fprintf(b, "    %-32s %s by %s", p.Host, count(p.Requests, "request", "requests"), p.clients())
		if bit == policy.LosesCert && p.Asks {
			b.WriteString("; it asked for the certificate and will break")
		}
		fmt.Fprintf(b, "\n      line %d: %s\n", p.Line, p.Sample)
	}
	n := ch.Elsewhere
	for _, p := range ch.Hosts[len(hosts):] {
		n += p.Requests
	}
	if n > 0 {
		fmt.Fprintf(b, "    and %s to other hosts; --json tells more\n", count(n, "request", "requests"))
	}
}

// clients are some of those who asked.
func (p *place) clients() string {
	const most = 3
	shown := slices.Clone(p.Clients[:min(len(p.Clients), most)])
	switch n := len(p.Clients) - len(shown); {
	case p.More:
		return fmt.Sprintf("%s and more than %d others", strings.Join(shown, ", "), n)
	case n > 0:
		return fmt.Sprintf("%s and %s", strings.Join(shown, ", "), count(n, "other", "others"))
	}
	return strings.Join(shown, ", ")
}

func (r *replay) summary(b *strings.Builder) {
	fmt.Fprintf(b, "%s decided again", count(r.Decisions, "request", "requests"))
	if r.Decisions > 0 {
		fmt.Fprintf(b, ", from %s to %s", shortTime(r.First), shortTime(r.Last))
	}
	changed := 0
	for _, ch := range r.Changes {
		changed += ch.Requests
	}
	fmt.Fprintf(b, ": %d as before, %d otherwise\n", r.Unchanged, changed)
	switch {
	case r.Unfaithful > 0:
		fmt.Fprintf(b, "%s recorded under a policy given here: %d did not come out as recorded\n", count(r.Verified, "was", "were"), r.Unfaithful)
	case r.Verified > 0:
		fmt.Fprintf(b, "%s recorded under a policy given here: all came out as recorded\n", count(r.Verified, "was", "were"))
	}
	if len(r.Unlogged) > 0 {
		fmt.Fprintf(b, "not in the log, because of log: none: what was decided by %s\n", strings.Join(r.Unlogged, ", "))
	}
	if r.NotDecided > 0 {
		fmt.Fprintf(b, "%s could not be read by the gateway then: no policy was asked\n", count(r.NotDecided, "request", "requests"))
	}
	if r.Unreadable > 0 {
		fmt.Fprintf(b, "%s cannot be decided again; the first is line %d: %s\n", count(r.Unreadable, "line", "lines"), r.FirstBad.Line, r.FirstBad.Why)
	}
	if r.Truncated {
		b.WriteString("the last line is not complete and was left out\n")
	}
}
