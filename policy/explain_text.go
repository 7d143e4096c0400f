// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
)

// String is the explanation as the command line prints it.
func (e Explanation) String() string {
	var b strings.Builder
	for i := range e.Steps {
		e.Steps[i].print(&b, i+1)
	}
	return b.String()
}

func (s *Step) print(b *strings.Builder, number int) {
	fmt.Fprintf(b, "step %d    %s\n", number, s.Request)
	if s.Mapped != "" {
		fmt.Fprintf(b, "mapped    from %s\n", s.Mapped)
	}
	leg := ""
	if s.ClientTLS {
		leg = ", TLS to the gateway"
	}
	fmt.Fprintf(b, "client    %s%s%s\n", s.Client, leg, listed("groups", s.Groups))
	fmt.Fprintf(b, "host      %s port %d%s\n", s.Host, s.Port, listed("lists", s.Lists))
	elsewhere, otherwise := 0, 0
	for _, r := range s.Rules {
		switch {
		case r.Verdict != no.String() || len(r.Failed) == 1 && r.Failed[0] != condTo.String() && r.Failed[0] != condToExcept.String():
			fmt.Fprintf(b, "  %-7s %-24s %-9s %s\n", r.Verdict, r.Rule, r.place, r.note(s))
		case slices.Contains(r.Failed, condTo.String()) || slices.Contains(r.Failed, condToExcept.String()):
			elsewhere++
		default:
			otherwise++
		}
	}
	if elsewhere > 0 {
		fmt.Fprintf(b, "  (%s for other destinations)\n", counted(elsewhere, "rule"))
	}
	if otherwise > 0 {
		fmt.Fprintf(b, "  (%s with more than one condition that does not hold)\n", counted(otherwise, "rule"))
	}
	fmt.Fprintf(b, "decision  %s\n", s.verdict())
	if c := s.Contract; c != nil && s.Reason == ByRule {
		origin := fmt.Sprintf("port %d", s.DialPort)
		if s.Path != "" {
			origin += ", path " + s.Path
		}
		for _, line := range [][2]string{
			{"origin", origin},
			{"client leg", c.ClientLeg},
			{"origin leg", c.OriginLeg},
			{"origin auth", c.OriginAuth},
			{"readers", c.Readers},
			{"client sees", c.ClientSees},
		} {
			fmt.Fprintf(b, "  %-13s %s\n", line[0], line[1])
		}
		if c.Adds != "" {
			fmt.Fprintf(b, "  %-13s %s\n", "gateway adds", c.Adds)
		}
		if s.Limits != "" {
			fmt.Fprintf(b, "  %-13s %s\n", "limits", s.Limits)
		}
	}
}

// verdict is the decision in one line.
func (s *Step) verdict() string {
	switch {
	case s.Reason == ByRule && s.Mode == Deny && s.Decision.Rule.Deny.Message != "":
		return fmt.Sprintf("deny by rule %q (%s): %s", s.Rule, s.Decision.Rule.place(), s.Detail)
	case s.Reason == ByRule:
		return fmt.Sprintf("%s by rule %q (%s)", s.Mode, s.Rule, s.Decision.Rule.place())
	}
	return fmt.Sprintf("%s: %s", s.Mode, s.Detail)
}

// note says what was special about a rule: the one condition that kept it
// from matching, or what it still needs.
func (c *Considered) note(s *Step) string {
	var note string
	switch c.Verdict {
	case no.String():
		failed := c.Failed[0]
		if failed == condPorts.String() {
			failed = fmt.Sprintf("ports (port %d)", s.Port)
		}
		note = fmt.Sprintf("only %s does not hold", failed)
	case look.String():
		note = fmt.Sprintf("needs to see the request (%s)", strings.Join(c.Open, ", "))
	case ask.String():
		note = fmt.Sprintf("needs to know who the client is (%s)", strings.Join(c.Open, ", "))
	default:
		var modes []string
		for _, m := range c.Modes {
			modes = append(modes, m.String())
		}
		note = "mode " + strings.Join(modes, ", ")
	}
	if c.Audit {
		note += " (audit: counted only)"
	}
	return note
}

func listed(what string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(" -> %s: %s", what, strings.Join(names, ", "))
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
