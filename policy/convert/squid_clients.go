// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sallyport/policy"
)

func (s *squid) src(c *condition, t term) {
	if len(t.nets) == 0 {
		c.never = c.never || !t.not
		return
	}
	everybody := coversAll(t.nets)
	switch {
	case t.not && everybody:
		c.never = true
	case t.not:
		c.fromExcept = append(c.fromExcept, s.groupOf(t.name, t.nets))
	case everybody:
	case !c.hasNets:
		c.nets, c.hasNets, c.srcNames = t.nets, true, []string{t.name}
	default:
		c.nets, c.srcNames = overlaps(c.nets, t.nets), append(c.srcNames, t.name)
		c.never = c.never || len(c.nets) == 0
	}
}

// client names the group of clients that c is about.
func (s *squid) client(c *condition) {
	if c.never || !c.hasNets && c.users == nil {
		return
	}
	name := strings.Join(c.srcNames, "-and-")
	if c.users == nil {
		c.from = s.groupOf(name, c.nets)
		return
	}
	value := "{user: " + flowLine(c.users)
	if c.hasNets {
		value += ", cidr: " + flowLine(netTexts(c.nets))
	}
	c.from = s.define(&s.clients, name, value+"}")
}

// groupOf is the name of a group with these networks.
func (s *squid) groupOf(name string, nets []netip.Prefix) string {
	return s.define(&s.clients, name, flow(netTexts(nets)))
}

// define gives a value a name in one part of the policy, once.
func (s *squid) define(in *[]definition, name, value string) string {
	key := name + "\n" + value
	if s.made[key] == "" {
		s.made[key] = s.taken.name(name)
		*in = append(*in, definition{s.made[key], value})
	}
	return s.made[key]
}

func (s *squid) user(c *condition, t term, lose func(string, ...any)) {
	if slices.Contains(t.values, "REQUIRED") {
		if t.not {
			c.when = append(c.when, `client.user == ''`)
		} else {
			c.when = append(c.when, `client.user != ''`)
		}
		c.notes = append(c.notes, fmt.Sprintf("acl %s: users have to be proven to the gateway, which it cannot do yet", t.name))
		return
	}
	switch {
	case t.fold:
		lose("names without regard to case: write them as they are sent")
	case len(t.values) == 0:
		c.never = c.never || !t.not
	case t.not:
		c.when = append(c.when, "!(client.user in ["+strings.Join(quoteAll(t.values), ", ")+"])")
	case c.users != nil:
		lose("two conditions on the user at once")
	default:
		c.users, c.srcNames = t.values, append(c.srcNames, t.name)
	}
	c.notes = append(c.notes, fmt.Sprintf("acl %s: users have to be proven to the gateway, which it cannot do yet", t.name))
}

// validEntry reports whether s can stand in a list of a policy.
func validEntry(s string) bool {
	h, err := policy.ParseHost(strings.TrimPrefix(s, "."))
	return err == nil && (!h.IsAddr() || s[0] != '.') && !strings.ContainsAny(s, "[]")
}

func netTexts(nets []netip.Prefix) (texts []string) {
	for _, p := range nets {
		if p.IsSingleIP() {
			texts = append(texts, p.Addr().String())
		} else {
			texts = append(texts, p.Masked().String())
		}
	}
	return texts
}

// flowLine is a list in brackets, on one line.
func flowLine(values []string) string {
	q := make([]string, len(values))
	for i, v := range values {
		q[i] = quote(v)
	}
	return "[" + strings.Join(q, ", ") + "]"
}
