// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"slices"
)

// bumping is what ssl_bump says about CONNECTs that http_access has allowed.
type bumping struct {
	lines      bool
	bump       bool     // whatever no line names
	spliced    []string // lists of names, by name
	bumped     []string
	terminated []string
}

// readBump reads ssl_bump as far as it goes by names. Where it does not, the
// connection is opened: what is inside is then subject to the rules.
func (s *squid) readBump(lines []directive) (b bumping) {
	const review = "ssl_bump: connections are intercepted, which takes a CA whose certificate clients trust; look at each rule with mode intercept"
	open := true // lines after one for all say nothing
	for _, d := range lines {
		if d.words[0] != "ssl_bump" || len(d.words) < 2 {
			continue
		}
		b.lines = true
		action := d.words[1]
		switch action {
		case "peek", "stare":
			continue // the ClientHello is always looked at
		case "none":
			action = "splice"
		case "server-first", "client-first":
			action = "bump"
		}
		names, all, err := s.bumpNames(d)
		switch {
		case !open:
		case err != nil && action == "splice":
			s.note(d.note(fmt.Sprintf("left out: %v; these connections are not passed through unread", err)))
			b.bump = true
		case err != nil:
			s.note(d.note(fmt.Sprintf("%v: this is taken as ssl_bump %s all", err, action)))
			all = true
			fallthrough
		case all:
			open = false
			switch action {
			case "bump":
				b.bump = true
			case "terminate":
				s.tunnels = nil
			case "splice":
			default:
				s.note(d.note("not known: left out"))
			}
		case action == "splice" && b.bumped == nil:
			b.spliced = append(b.spliced, names...)
		case action == "bump" && b.spliced == nil:
			b.bumped = append(b.bumped, names...)
		case action == "terminate":
			b.terminated = append(b.terminated, names...)
		default:
			s.note(d.note("left out: the order of splice and bump by names cannot be kept; all is intercepted"))
			b.bump, b.spliced = true, nil
		}
	}
	if open && b.lines && b.bumped == nil && b.spliced != nil {
		b.bump = false // what nothing names is spliced, after a peek
	}
	if b.bump || b.bumped != nil {
		s.note(Note{File: s.name, Message: review})
	}
	return b
}

// bumpNames are the destination lists that a line is about.
func (s *squid) bumpNames(d directive) (names []string, all bool, err error) {
	all = true
	for _, w := range d.words[2:] {
		a := s.acls[w]
		switch {
		case a == nil:
			return nil, false, fmt.Errorf("acl %s cannot be said about a connection by its name", w)
		case a.name == "all", a.kind == "at_step":
		case a.kind == "ssl::server_name" || a.kind == "dstdomain":
			entries, wrong := a.hosts()
			if len(wrong) > 0 || len(entries) == 0 || a.err != nil || !all {
				return nil, false, fmt.Errorf("acl %s cannot be said about a connection by its name", w)
			}
			name := s.taken.name(a.name)
			s.list(name, entries)
			names, all = append(names, name), false
		default:
			return nil, false, fmt.Errorf("acl %s (%s) cannot be said about a connection by its name", w, a.kind)
		}
	}
	return names, all, nil
}

// mode is what a rule that allows CONNECT does with the connection.
func (b *bumping) mode(to []string) (mode string, notes []string) {
	switch {
	case b.bump && to != nil && b.spliced != nil && !slices.Equal(to, b.spliced):
		return "intercept", []string{"ssl_bump splice is for some names: give those that are in this rule one with mode tunnel before it"}
	case b.bump:
		return "intercept", nil
	case b.bumped != nil && to != nil:
		return "intercept", []string{"ssl_bump bump is for some names: if none of them is in this rule, mode tunnel is right"}
	}
	return "tunnel", nil
}

// named are the names for which another mode than that of all others holds.
func (b *bumping) named(mode string) (to []string, other, what string) {
	if mode == "intercept" {
		return b.spliced, "tunnel", "splice"
	}
	return b.bumped, "intercept", "bump"
}
