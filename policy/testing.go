// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"time"
)

// testTime is when a test asks that does not say. It never changes, so that a
// policy that loads today loads tomorrow: a working Monday, at noon.
var testTime = time.Date(2026, time.January, 5, 12, 0, 0, 0, time.UTC)

// A testCase is one line of a test: a request and what must become of it.
type testCase struct {
	test string // name of the test
	q    Query
	want Mode
	rule string // "": any
	node *node
	in   *compiler
}

func (c *compiler) test(p *Policy, n *node) {
	client, tls := c.testClient(n.get("as")), n.get("as").get("tls").yes()
	at := testTime
	if e := n.get("at"); e != nil {
		t, err := time.Parse(time.RFC3339, e.text)
		if err != nil {
			c.errorf(e, "P061", "", "%q is no time: write it as 2026-11-24T10:00:00+01:00", e.text)
		}
		at = t
	}
	found := false
	for _, word := range modeWords {
		for _, e := range n.get(word).each() {
			found = true
			tc := testCase{test: n.get("name").str(), want: modeByWord[word], node: e, in: c}
			request := e
			if e.kind == mapNode {
				request = e.get("request")
				tc.rule, tc.node = e.get("rule").str(), request
				c.knownRule(p, e.get("rule"))
			}
			if request == nil {
				continue
			}
			q, err := ParseRequest(request.text)
			if err != nil {
				c.errorf(request, "P080", "", "%s", err)
				continue
			}
			q.Client, q.At, q.ClientTLS = client, at, tls
			tc.q = q
			p.tests = append(p.tests, tc)
		}
	}
	if !found && !n.spoiled() {
		c.errorf(n, "P081", "give it deny, tunnel, intercept, originate or relay, each with requests", "this test asks nothing")
	}
	p.testCount++
}

func (c *compiler) knownRule(p *Policy, n *node) {
	if n == nil {
		return
	}
	var known []string
	for _, r := range p.Rules {
		if r.Name == n.text {
			return
		}
		known = append(known, r.Name)
	}
	c.errorf(n, "P030", suggest(n.text, known), "rule %q is not defined", n.text)
}

func (c *compiler) testClient(n *node) Client {
	var cl Client
	if e := n.get("ip"); e != nil {
		a, err := netip.ParseAddr(e.text)
		if err != nil || a.Zone() != "" {
			c.errorf(e, "P041", "", "%q is not an address", e.text)
		}
		cl.Addr = a.Unmap()
	}
	cl.User = n.get("user").str()
	cl.Groups = c.texts(n.get("group"))
	cl.Certs = c.texts(n.get("cert"))
	cl.Claims = c.texts(n.get("claim"))
	return cl
}

// outcome is what becomes of a request as a client writes it, which a mapping may
// make another one of.
func (p *Policy) outcome(q Query) Decision {
	q, _ = p.mapped(q)
	return p.DecideAll(q)
}

// DecideAll is Decide with the decision that must come first: a request of Kind
// Inner is decided only when p opens the connection that it would come in, and
// otherwise gets what the CONNECT gets.
func (p *Policy) DecideAll(q Query) Decision {
	if q.Kind != Inner {
		return p.Decide(q)
	}
	d, open := p.Decide(q.connect()).forTLS()
	if open {
		return p.Decide(q)
	}
	return d
}

// forTLS is what d, about a CONNECT, comes to for TLS inside it. Open says that the
// gateway ends that TLS, and that each request in it is decided on its own.
func (d Decision) forTLS() (_ Decision, open bool) {
	if d.Mode == Originate { // for requests in the clear, and no others
		return d.deny(WrongKind, d.Rule), false
	}
	return d, d.Mode == Intercept
}

// connect is the CONNECT that precedes a request inside it.
func (q Query) connect() Query {
	return Query{Client: q.Client, Kind: Connect, Host: q.Host, Port: q.Port, At: q.At, ClientTLS: q.ClientTLS, MayAsk: q.MayAsk}
}
