// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"sallyport/policy"
)

// A term is an acl in a rule, or the contrary of it.
type term struct {
	*acl
	not  bool
	lost string // instead of an acl: what is not known
}

func (t term) String() string {
	if t.not {
		return "!" + t.name
	}
	return t.name
}

// A condition is what a rule of a policy can say.
type condition struct {
	from       string // a group; "": any
	nets       []netip.Prefix
	hasNets    bool
	users      []string
	fromExcept []string
	to         []string // nil: any
	toExcept   []string
	ports      []portRange
	connect    bool     // about CONNECT
	plain      bool     // about plain requests
	methods    []string // of plain requests; nil: any
	when       []string
	schedule   string
	never      bool
	limit      bool     // it depends on how much goes on
	lost       []string // what it cannot say
	notes      []string // what is to be looked at

	srcNames []string
}

const maxCases = 64

// expand makes of the words of a rule the cases in which it holds: any-of has
// one for each of its acls.
func (s *squid) expand(words []string, depth int) (cases [][]term, err error) {
	cases = [][]term{nil}
	for _, w := range words {
		name, not := strings.CutPrefix(w, "!")
		a := s.acls[name]
		if a == nil {
			return nil, fmt.Errorf("acl %s is not defined", name)
		}
		options := [][]term{{{acl: a, not: not}}}
		if a.kind == "any-of" || a.kind == "all-of" {
			if depth > 8 {
				return nil, fmt.Errorf("acl %s is nested too deeply", name)
			}
			if options, err = s.group(a, not, depth); err != nil {
				return nil, err
			}
		}
		var next [][]term
		for _, c := range cases {
			for _, o := range options {
				next = append(next, slices.Concat(c, o))
			}
		}
		if cases = next; len(cases) > maxCases {
			return nil, errors.New("it has too many cases")
		}
	}
	return cases, nil
}

// group are the cases of an any-of or all-of.
func (s *squid) group(a *acl, not bool, depth int) (options [][]term, err error) {
	words := slices.Clone(a.values)
	if not {
		for i, w := range words {
			if name, was := strings.CutPrefix(w, "!"); was {
				words[i] = name
			} else {
				words[i] = "!" + w
			}
		}
	}
	if (a.kind == "all-of") != not {
		return s.expand(words, depth+1)
	}
	for _, w := range words {
		o, err := s.expand([]string{w}, depth+1)
		if err != nil {
			return nil, err
		}
		options = append(options, o...)
	}
	return options, nil
}

// conditions are what terms, which hold together, come to.
func (s *squid) conditions(terms []term, allow bool) []condition {
	c := condition{ports: allPorts, connect: true, plain: true}
	var urls []term
	for _, t := range terms {
		switch {
		case t.acl == nil:
			c.lost = append(c.lost, t.lost)
		case t.err != nil:
			c.lost = append(c.lost, fmt.Sprintf("acl %s: %v", t.name, t.err))
		case (t.kind == "url_regex" || t.kind == "urlpath_regex") && t.name != "manager":
			urls = append(urls, t)
		default:
			s.term(&c, t, allow)
		}
	}
	s.client(&c)
	out := []condition{c}
	for _, t := range urls {
		var next []condition
		for _, c := range out {
			next = append(next, s.url(c, t, allow)...)
		}
		out = next
	}
	return out
}

// term adds one to c.
func (s *squid) term(c *condition, t term, allow bool) {
	lose := func(format string, args ...any) {
		c.lost = append(c.lost, fmt.Sprintf("acl %s (%s): ", t, t.kind)+fmt.Sprintf(format, args...))
	}
	if len(t.wrong) > 0 {
		// Values that are not understood may match more: what needs them not to
		// match cannot be said, and what needs them to is narrower.
		if t.not == allow {
			lose("%s is not understood", t.wrong[0])
			return
		}
		c.notes = append(c.notes, fmt.Sprintf("acl %s: %s is not understood and left out", t.name, t.wrong[0]))
	}
	switch t.kind {
	case "src":
		s.src(c, t)
	case "dst":
		s.dst(c, t, allow, lose)
	case "dstdomain":
		s.dstdomain(c, t, allow, lose)
	case "dstdom_regex":
		s.byName = true
		s.matches(c, t, "dest.host", lose)
	case "port":
		if ports := union(t.ports); t.not {
			c.ports = subtract(c.ports, ports)
		} else {
			c.ports = intersect(c.ports, ports)
		}
		c.never = c.never || len(c.ports) == 0
	case "method":
		c.method(t, lose)
	case "proto":
		odd := !slices.ContainsFunc(t.values, func(v string) bool { return slices.Contains([]string{"http", "https"}, strings.ToLower(v)) })
		switch {
		case !odd:
			lose("Squid knows no protocol of a CONNECT")
		case !t.not:
			c.never = true // ftp, cache_object and the like are not served
		}
	case "url_regex": // Squid's own manager: pages of its own
		c.never = c.never || !t.not
	case "proxy_auth":
		s.user(c, t, lose)
	case "proxy_auth_regex":
		s.matches(c, t, "client.user", lose)
	case "time":
		s.time(c, t, allow, lose)
	case "maxconn", "max_user_ip":
		c.limit = true
		lose("a limit is no permission: write it under limits: (concurrent, per: client) in the rules it is for")
	case "external":
		lose("it asks a program")
	default:
		lose("a policy cannot look at that")
	}
}

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

func coversAll(nets []netip.Prefix) bool {
	v4, v6 := false, false
	for _, p := range nets {
		v4 = v4 || p.Bits() == 0 && p.Addr().Is4()
		v6 = v6 || p.Bits() == 0 && p.Addr().Is6()
	}
	return v4 && v6
}

func overlaps(a, b []netip.Prefix) (out []netip.Prefix) {
	for _, p := range a {
		for _, q := range b {
			switch {
			case !p.Overlaps(q):
			case p.Bits() >= q.Bits():
				out = append(out, p)
			default:
				out = append(out, q)
			}
		}
	}
	return out
}

// notPublic are the networks that no rule reaches by a name.
var notPublic = func() (nets []netip.Prefix) {
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3",
		"::/127", "fc00::/7", "fe80::/10",
	} {
		nets = append(nets, netip.MustParsePrefix(s))
	}
	return nets
}()

// guarded reports whether the gateway keeps names from leading there by itself.
func guarded(nets []netip.Prefix) bool {
	return !slices.ContainsFunc(nets, func(p netip.Prefix) bool {
		return !slices.ContainsFunc(notPublic, func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) })
	})
}

// dst is about addresses, for which Squid looks up names; a policy does not.
func (s *squid) dst(c *condition, t term, allow bool, lose func(string, ...any)) {
	const literals = "Squid resolves names to compare them with these addresses; a policy compares addresses in URLs only"
	switch {
	case coversAll(t.nets):
		c.never = c.never || t.not
	case len(t.nets) == 0:
		c.never = c.never || !t.not
	case !t.not && (c.to != nil):
		lose("together with another condition on the destination")
	case t.not && allow && !guarded(t.nets):
		lose(literals)
	case !t.not && !allow && !guarded(t.nets):
		lose(literals)
	case t.not:
		c.toExcept = append(c.toExcept, netTexts(t.nets)...)
		if !allow {
			c.notes = append(c.notes, literals+": names that lead there are denied too")
		}
	default:
		c.to = netTexts(t.nets)
		if allow {
			c.notes = append(c.notes, literals+": names that lead there are not let through")
		} else {
			s.banned = true
		}
	}
}

func (s *squid) dstdomain(c *condition, t term, allow bool, lose func(string, ...any)) {
	s.byName = true
	entries, wrong := t.hosts()
	if len(wrong) > 0 {
		if t.not == allow {
			lose("%s is no host", wrong[0])
			return
		}
		c.notes = append(c.notes, fmt.Sprintf("acl %s: %s is no host and left out", t.name, wrong[0]))
	}
	if allow && !t.not && s.banned {
		entries = slices.DeleteFunc(entries, func(e string) bool { _, err := netip.ParseAddr(e); return err == nil })
	}
	if len(entries) == 0 {
		c.never = c.never || !t.not
		return
	}
	name := t.name
	key := "to\n" + name + fmt.Sprint(len(entries))
	if s.made[key] == "" {
		s.made[key] = s.taken.name(name)
		s.list(s.made[key], entries)
	}
	switch name = s.made[key]; {
	case t.not:
		c.toExcept = append(c.toExcept, name)
	case c.to != nil:
		lose("two conditions on the destination at once")
	default:
		c.to = []string{name}
	}
}

// matches adds regular expressions on something.
func (s *squid) matches(c *condition, t term, what string, lose func(string, ...any)) {
	re, err := t.regexps()
	if err != nil {
		lose("%v", err)
		return
	}
	expr := what + ".matches(" + quote2(re) + ")"
	if t.not {
		expr = "!" + expr
	}
	c.when = append(c.when, expr)
	c.notes = append(c.notes, fmt.Sprintf("acl %s: a regular expression; list the names instead, if they are known", t.name))
}

// quote2 is a text in CEL.
func quote2(s string) string {
	return `'` + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + `'`
}

// url is about a whole URL, of which a policy never sees the query.
func (s *squid) url(c condition, t term, allow bool) []condition {
	why := fmt.Sprintf("acl %s (%s): queries are not seen, so it cannot be said for plain HTTP", t, t.kind)
	plain, connect := c, c
	plain.connect, plain.lost = false, append(slices.Clone(c.lost), why)
	connect.plain = false
	re, err := t.regexps()
	if err == nil && t.kind == "url_regex" {
		var expr string
		if expr = "(dest.host + ':' + string(dest.port)).matches(" + quote2(re) + ")"; t.not {
			expr = "!" + expr
		}
		connect.when = append(slices.Clone(c.when), expr)
		connect.notes = append(slices.Clone(c.notes), fmt.Sprintf("acl %s: for a CONNECT, Squid compares host:port", t.name))
		connect.plain = !allow && c.plain // what it says of host:port, all are denied
	} else if err == nil {
		empty := regexp.MustCompile(re).MatchString("")
		connect.never = connect.never || empty == t.not
	} else {
		connect.lost = append(slices.Clone(c.lost), fmt.Sprintf("acl %s: %v", t, err))
	}
	var out []condition
	if c.connect && !connect.never {
		out = append(out, connect)
	}
	if c.plain {
		out = append(out, plain)
	}
	if out == nil {
		c.never = true
		out = append(out, c)
	}
	return out
}

func (c *condition) method(t term, lose func(string, ...any)) {
	var others []string
	connect := false
	for _, m := range t.values {
		if m = strings.ToUpper(m); m == "CONNECT" {
			connect = true
		} else if isMethod(m) {
			others = append(others, m)
		} else {
			lose("%s is no method", m)
			return
		}
	}
	switch {
	case !t.not:
		c.connect = c.connect && connect
		if c.plain = c.plain && others != nil; c.plain {
			if c.methods != nil {
				lose("two conditions on the method at once")
				return
			}
			c.methods = others
		}
	default:
		c.connect = c.connect && !connect
		if others != nil && c.plain {
			if c.connect {
				lose("methods left out of a rule for CONNECT too")
				return
			}
			c.when = append(c.when, "!(request.method in ["+strings.Join(quoteAll(others), ", ")+"])")
		}
	}
	c.never = c.never || !c.connect && !c.plain
}

func quoteAll(words []string) []string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = quote2(w)
	}
	return q
}

var methodText = regexp.MustCompile(`^[A-Z][A-Z-]*$`)

func isMethod(s string) bool { return methodText.MatchString(s) }

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
