// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"slices"
	"strings"
)

// Squid converts a squid.conf; name is its path, beside which the files it
// names are looked for. An error means that there is no policy at all.
func Squid(name string, src []byte, read ReadFile, o Options) (*Result, error) {
	lines, notes := squidLines(name, src, read)
	s := &squid{
		draft: draft{Options: o, lists: map[string][]byte{}, names: map[string]bool{}, review: notes},
		name:  name, acls: squidACLs(lines, read), made: map[string]string{}, taken: unique{}, tunnels: allPorts,
	}
	s.bump = s.readBump(lines)
	s.access(lines)
	s.others(lines)
	if err := s.tryOut(lines); err != nil {
		return nil, err
	}
	if s.private {
		s.note(Note{File: name, Message: "names that resolve to private addresses are refused, whatever the rule: name the network in to:, or give the rule allow_private"})
	}
	s.note(Note{File: name, Message: tunnelsAreTLS})
	if s.byName {
		s.note(Note{File: name, Message: "for an address in a URL, Squid looks up its name for dstdomain; a policy never does: an address is matched by to: [address] only"})
	}
	s.head = []string{
		"Converted from " + name + ". Look for REVIEW before it is used.",
		"Squid lets a rule serve CONNECT and plain http:// alike, hence mode: [tunnel, relay]. Where clients",
		"send http:// for what the origin serves as https, originate is the better mode: the gateway then",
		"speaks TLS to the origin, and nothing goes out in the clear.",
	}
	for _, n := range s.review {
		if n.Line == 0 {
			s.head = append(s.head, "REVIEW: "+n.Message)
		}
	}
	return s.finish()
}

const tunnelsAreTLS = "a tunnel has to carry TLS for the host asked for: where other protocols go through CONNECT, give the rule tunnel: {tls: optional}"

type squid struct {
	draft
	name    string
	acls    map[string]*acl
	made    map[string]string // names in the policy by what they stand for
	taken   unique
	tunnels []portRange // what a CONNECT may go to, as far as rules for CONNECT only have said
	bump    bumping
	private bool // a rule lets to what may be a private address
	byName  bool // a rule is about names
	banned  bool // a rule denied private addresses
}

// access converts http_access.
func (s *squid) access(lines []directive) {
	last, total := "", false
	for _, name := range s.bump.terminated {
		s.rules = append(s.rules, rule{
			comments: []string{"REVIEW: ssl_bump terminate: here it holds for plain HTTP too"},
			name:     s.ruleName("terminated"), keys: [][2]string{{"from", "any"}, {"to", name}, {"mode", "deny"}},
		})
	}
	for _, d := range lines {
		if d.words[0] != "http_access" || len(d.words) < 2 {
			continue
		}
		switch d.words[1] {
		case "allow", "deny":
			last, total = d.words[1], slices.Equal(d.words[2:], []string{"all"})
			s.accessLine(d, d.words[1] == "allow")
		default:
			s.note(d.note("neither allow nor deny: left out"))
		}
	}
	d := directive{file: s.name, text: "(no rule matches)"}
	if total {
		return // nothing is left to match no rule
	}
	switch last {
	case "deny": // Squid: the opposite of the last rule
		d.words = []string{"http_access", "allow", "all"}
		s.accessLine(d, true)
		s.note(Note{File: s.name, Message: "the last http_access is a deny, so Squid allows whatever no rule matches; the last rule here says so: is that meant?"})
	case "allow":
		s.rules = append(s.rules, rule{
			comments: []string{"the last http_access is an allow, so Squid denies whatever no rule matches"},
			name:     s.ruleName("no-rule-matches"), keys: [][2]string{{"from", "any"}, {"to", "any"}, {"mode", "deny"}},
		})
	default:
		s.note(Note{File: s.name, Message: "there is no http_access: Squid denies everything, and so does the policy"})
	}
}

// accessLine converts one line, which may become several rules or none.
func (s *squid) accessLine(d directive, allow bool) {
	word := map[bool]string{true: "allow", false: "deny"}[allow]
	comments := []string{strings.TrimSpace(fmt.Sprintf("%s:%d: %s", d.file, d.line, d.text))}
	if d.line == 0 {
		comments = []string{"Squid's last word where no rule matches: the opposite of the last rule"}
	}
	cases, err := s.expand(d.words[2:], 0)
	if err != nil {
		if allow {
			s.leaveOut(d, comments, []string{err.Error()})
			return
		}
		cases = [][]term{{{lost: err.Error()}}}
	}
	for _, terms := range cases {
		for _, c := range s.conditions(terms, allow) {
			base := policyName(word + "-" + strings.Join(d.words[2:], "-"))
			switch {
			case c.never:
				s.rules = append(s.rules, rule{comments: append(slices.Clone(comments), "left out: it never holds")})
			case allow && len(c.lost) > 0, c.limit:
				s.leaveOut(d, comments, c.lost)
			case allow:
				s.allow(d, comments, base, c)
			default:
				s.deny(d, comments, base, c)
			}
		}
	}
}

// leaveOut keeps of a rule that allows what a person needs to write it.
func (s *squid) leaveOut(d directive, comments, why []string) {
	comments = slices.Clone(comments)
	for _, w := range why {
		comments = append(comments, "REVIEW: left out: "+w)
		s.note(d.note("left out: " + w))
	}
	s.rules = append(s.rules, rule{comments: comments})
}

// notes are the comments for what is to be looked at, and lists them.
func (s *squid) notes(d directive, comments []string, notes []string) []string {
	comments = slices.Clone(comments)
	for _, n := range notes {
		comments = append(comments, "REVIEW: "+n)
		s.note(d.note(n))
	}
	return comments
}

// allow writes a rule for what both kinds of request may do, or one for each.
func (s *squid) allow(d directive, comments []string, base string, c condition) {
	comments = s.notes(d, comments, c.notes)
	if c.to == nil {
		s.private = true
	}
	tunnel, relay := []portRange(nil), []portRange(nil)
	if c.connect {
		tunnel = intersect(c.ports, s.tunnels)
	}
	if c.plain {
		relay = c.ports
	}
	mode := "tunnel"
	if tunnel != nil {
		var more []string
		mode, more = s.bump.mode(c.to)
		comments = s.notes(d, comments, more)
	}
	same := slices.Equal(tunnel, relay) && c.methods == nil
	named := func(to []string, mode, what string) { // some names before the others
		if to == nil || c.to != nil || tunnel == nil {
			return
		}
		first := c
		first.to = to
		if same {
			mode = "[" + mode + ", relay]"
		}
		s.rules = append(s.rules, rule{append(slices.Clone(comments), "ssl_bump "+what), s.ruleName(base + "-" + what), s.keys(first, tunnel, nil, mode)})
	}
	if relay == nil && tunnel != nil {
		comments = s.notes(d, comments, []string{"it is for CONNECT only: plain HTTP to the same ports is refused here, and not judged by the rules below"})
	}
	switch {
	case tunnel == nil && relay == nil:
		s.rules = append(s.rules, rule{comments: append(comments, "left out: rules before it leave nothing")})
	case same:
		named(s.bump.named(mode))
		s.rules = append(s.rules, rule{comments, s.ruleName(base), s.keys(c, tunnel, nil, "["+mode+", relay]")})
	default:
		if relay != nil {
			only := c
			switch {
			case c.methods != nil: // no CONNECT has one of them
			case tunnel == nil:
				only.when = append(slices.Clone(c.when), `request.scheme != ''`)
			default: // a CONNECT to these ports goes on to the next rule
				relay = subtract(relay, tunnel)
			}
			if relay != nil {
				s.rules = append(s.rules, rule{comments, s.ruleName(base + "-http"), s.keys(only, relay, c.methods, "relay")})
				comments = nil
			}
		}
		if tunnel != nil {
			named(s.bump.named(mode))
			s.rules = append(s.rules, rule{comments, s.ruleName(base), s.keys(c, tunnel, nil, mode)})
		}
	}
}

// deny writes a rule that denies.
func (s *squid) deny(d directive, comments []string, base string, c condition) {
	if c.connect && c.plain && c.methods != nil {
		tunnels := c
		tunnels.plain, tunnels.methods, c.connect = false, nil, false
		s.deny(d, comments, base, tunnels)
	}
	for _, l := range c.lost {
		c.notes = append(c.notes, "this denies more than Squid does: "+l)
	}
	if c.connect && !c.plain {
		if c.from == "" && c.fromExcept == nil && c.to == nil && c.toExcept == nil && c.when == nil && c.schedule == "" && len(c.lost) == 0 {
			s.tunnels = subtract(s.tunnels, c.ports)
			s.rules = append(s.rules, rule{comments: append(comments, "the rules below tunnel to ports "+portText(s.tunnels)+" only")})
			return
		}
		c.notes = append(c.notes, "a deny for CONNECT only cannot be said: this is for plain HTTP too")
		c.plain = true
	}
	comments = s.notes(d, comments, c.notes)
	if !c.connect && c.methods == nil {
		c.when = append(c.when, `request.scheme != ''`)
	}
	keys := s.keys(c, c.ports, c.methods, "deny")
	if !c.connect {
		keys = append(keys, [2]string{"visible_only", "true"})
	}
	s.rules = append(s.rules, rule{comments, s.ruleName(base), keys})
}

// keys are those of a rule.
func (s *squid) keys(c condition, ports []portRange, methods []string, mode string) [][2]string {
	orAny := func(s string) string {
		if s == "" {
			return "any"
		}
		return s
	}
	keys := [][2]string{{"from", orAny(c.from)}}
	if c.fromExcept != nil {
		keys = append(keys, [2]string{"from_except", flow(c.fromExcept)})
	}
	to := "any"
	if c.to != nil {
		to = flow(c.to)
	}
	keys = append(keys, [2]string{"to", to})
	if c.toExcept != nil {
		keys = append(keys, [2]string{"to_except", flow(c.toExcept)})
	}
	if mode != "deny" || !slices.Equal(ports, allPorts) {
		keys = append(keys, [2]string{"ports", portText(ports)})
	}
	if methods != nil {
		keys = append(keys, [2]string{"methods", flow(methods)})
	}
	if c.when != nil {
		keys = append(keys, [2]string{"when", quote(strings.Join(c.when, " && "))})
	}
	if c.schedule != "" {
		keys = append(keys, [2]string{"schedule", c.schedule})
	}
	return append(keys, [2]string{"mode", mode})
}

func portText(ports []portRange) string {
	if slices.Equal(ports, allPorts) {
		return "any"
	}
	var texts []string
	for _, p := range ports {
		if p.from == p.to {
			texts = append(texts, fmt.Sprint(p.from))
		} else {
			texts = append(texts, fmt.Sprintf("%d-%d", p.from, p.to))
		}
	}
	if len(texts) == 1 {
		return texts[0]
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// union is ports in order, without overlaps.
func union(ports []portRange) (out []portRange) {
	ports = slices.Clone(ports)
	slices.SortFunc(ports, func(a, b portRange) int { return a.from - b.from })
	for _, p := range ports {
		if n := len(out); n > 0 && p.from <= out[n-1].to+1 {
			out[n-1].to = max(out[n-1].to, p.to)
		} else {
			out = append(out, p)
		}
	}
	return out
}

func subtract(a, b []portRange) (out []portRange) {
	for _, p := range union(a) {
		for _, q := range union(b) {
			if q.to < p.from || q.from > p.to {
				continue
			}
			if q.from > p.from {
				out = append(out, portRange{p.from, q.from - 1})
			}
			p.from = q.to + 1
		}
		if p.from <= p.to {
			out = append(out, p)
		}
	}
	return out
}

func intersect(a, b []portRange) []portRange { return subtract(a, subtract(allPorts, b)) }
