// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"sallyport/policy"
)

// A trial is a request of which Squid's answer is worked out from squid.conf
// itself, rule by rule.
type trial struct {
	addr    netip.Addr
	user    string
	connect bool
	host    string
	port    int
}

func (t trial) String() string {
	switch {
	case t.connect:
		return fmt.Sprintf("CONNECT %s:%d", t.host, t.port)
	case t.port == 80:
		return "http://" + t.host + "/"
	}
	return fmt.Sprintf("http://%s:%d/", t.host, t.port)
}

// truth has a third value: it depends on what is not known here.
type truth int8

const (
	unknown truth = iota
	holds
	fails
)

func truthOf(b bool) truth {
	if b {
		return holds
	}
	return fails
}

const maxTests = 60

// tryOut asks Squid's rules and the policy the same questions. Where the answer
// is the same it becomes a test; the policy must not allow what Squid denies.
func (s *squid) tryOut(lines []directive) error {
	p, err := s.load()
	if err != nil {
		return err
	}
	for _, t := range s.trials() {
		allowed := s.decide(lines, t)
		if allowed == unknown {
			continue
		}
		q, err := policy.ParseRequest(t.String())
		if err != nil {
			continue
		}
		q.Client = policy.Client{Addr: t.addr, User: t.user}
		d := p.Decide(q)
		if d.Mode != policy.Deny && allowed == fails {
			return fmt.Errorf("what it was converted to allows %s from %s (rule %s), which Squid denies: please report this", t, t.addr, d.RuleName())
		}
		if (d.Mode != policy.Deny) != (allowed == holds) || len(s.tests) >= maxTests {
			continue
		}
		as := "{ip: " + quote(t.addr.String()) + "}"
		if t.user != "" {
			as = "{ip: " + quote(t.addr.String()) + ", user: " + quote(t.user) + "}"
		}
		s.tests = append(s.tests, test{as, d.Mode.String(), t.String()})
	}
	return nil
}

// trials are requests to and by everybody that an acl names.
func (s *squid) trials() (all []trial) {
	names := make([]string, 0, len(s.acls))
	for name := range s.acls {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return s.acls[a].at.line - s.acls[b].at.line })
	clients := []trial{}
	hosts := []string{}
	ports := []int{443, 80, 25}
	for _, name := range names {
		a := s.acls[name]
		switch {
		case a.kind == "src" && len(a.nets) > 0 && !coversAll(a.nets) && len(clients) < 8:
			p := a.nets[0]
			addr := p.Addr()
			if next := addr.Next(); !p.IsSingleIP() && p.Contains(next) {
				addr = next
			}
			clients = append(clients, trial{addr: addr})
		case a.kind == "proxy_auth" && len(a.values) > 0 && a.values[0] != "REQUIRED" && len(clients) < 10:
			clients = append(clients, trial{addr: netip.MustParseAddr("192.0.2.77"), user: a.values[0]})
		case a.kind == "dstdomain" && len(hosts) < 16:
			for i, e := range a.values {
				if e = strings.ToLower(e); i == 2 || !validEntry(e) || !strings.Contains(strings.Trim(e, "."), ".") {
					break
				}
				if rest, ok := strings.CutPrefix(e, "."); ok {
					hosts = append(hosts, rest, "www"+e)
				} else {
					hosts = append(hosts, e, "www."+e)
				}
			}
		}
	}
	clients = append(clients, trial{addr: netip.MustParseAddr("192.0.2.77")})
	hosts = append(hosts, "unlisted.example")
	for _, c := range clients {
		for _, h := range hosts {
			for _, port := range ports {
				if port == 25 && h != "unlisted.example" {
					continue
				}
				c.host, c.port = h, port
				c.connect = port != 80
				all = append(all, c)
			}
		}
	}
	return slices.Compact(all)
}

// decide is what Squid answers, by http_access alone: unknown when that depends
// on what is not known here.
func (s *squid) decide(lines []directive, t trial) truth {
	last := holds           // no rule at all denies
	may := map[truth]bool{} // answers of rules that may hold
	answer := func(a truth) truth {
		if may[holds] && a != holds || may[fails] && a != fails {
			return unknown
		}
		return a
	}
	for _, d := range lines {
		if d.words[0] != "http_access" || len(d.words) < 2 || d.words[1] != "allow" && d.words[1] != "deny" {
			continue
		}
		last = truthOf(d.words[1] == "allow")
		switch s.all(d.words[2:], t, 0) {
		case holds:
			return answer(last)
		case unknown:
			may[last] = true
		}
	}
	return answer(truthOf(last == fails))
}

func (s *squid) all(words []string, t trial, depth int) truth {
	out := holds
	for _, w := range words {
		name, not := strings.CutPrefix(w, "!")
		v := s.one(s.acls[name], t, depth)
		if not && v != unknown {
			v = holds + fails - v
		}
		switch v {
		case fails:
			return fails
		case unknown:
			out = unknown
		}
	}
	return out
}

func (s *squid) one(a *acl, t trial, depth int) truth {
	if a == nil || a.err != nil || len(a.wrong) > 0 || depth > 8 {
		return unknown
	}
	some := func(hit func(v string) bool) truth { return truthOf(slices.ContainsFunc(a.values, hit)) }
	switch a.kind {
	case "src":
		return truthOf(slices.ContainsFunc(a.nets, func(p netip.Prefix) bool { return p.Contains(t.addr) }))
	case "dst":
		if coversAll(a.nets) {
			return holds
		}
		if guarded(a.nets) { // names of the trials are public
			return fails
		}
	case "dstdomain":
		found := a.names[t.host] || a.names["."+t.host]
		for _, rest, more := strings.Cut(t.host, "."); more && !found; _, rest, more = strings.Cut(rest, ".") {
			found = a.names["."+rest]
		}
		return truthOf(found)
	case "port":
		return truthOf(slices.ContainsFunc(a.ports, func(p portRange) bool { return p.from <= t.port && t.port <= p.to }))
	case "method":
		return some(func(v string) bool {
			return strings.EqualFold(v, "CONNECT") && t.connect || strings.EqualFold(v, "GET") && !t.connect
		})
	case "proxy_auth":
		if slices.Contains(a.values, "REQUIRED") {
			return truthOf(t.user != "")
		}
		if t.user == "" { // Squid asks for it
			return fails
		}
		return some(func(v string) bool { return v == t.user || a.fold && strings.EqualFold(v, t.user) })
	case "dstdom_regex", "url_regex":
		subject := t.host
		if a.kind == "url_regex" {
			if subject = t.String(); t.connect {
				subject = strings.TrimPrefix(subject, "CONNECT ")
			}
		}
		if re, err := a.regexps(); err == nil {
			if re, err := regexp.Compile(re); err == nil {
				return truthOf(re.MatchString(subject))
			}
		}
	case "any-of":
		out := fails
		for _, w := range a.values {
			switch s.all([]string{w}, t, depth+1) {
			case holds:
				return holds
			case unknown:
				out = unknown
			}
		}
		return out
	case "all-of":
		return s.all(a.values, t, depth+1)
	}
	return unknown
}
