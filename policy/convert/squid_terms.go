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

// quote2 is a text in CEL.
func quote2(s string) string {
	return `'` + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + `'`
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
