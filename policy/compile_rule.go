// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

var modeByWord = map[string]Mode{"deny": Deny, "tunnel": Tunnel, "intercept": Intercept, "originate": Originate, "relay": Relay}

func (c *compiler) rule(n *node) *Rule {
	r := &Rule{Name: n.get("name").str(), Line: n.line}
	if name := n.get("name"); name != nil {
		r.col = name.span().Col
	}
	if name := n.get("name"); name != nil && !goodName.MatchString(name.text) {
		c.errorf(name, "P024", hintName, "%q is not a name", name.text)
	}
	c.modes(r, n.get("mode"))

	var prints, more []string
	r.from, prints = c.from(n.get("from"))
	r.fromExcept, more = c.from(n.get("from_except"))
	prints = append(prints, more...)
	r.to, more = c.to(n.get("to"))
	prints = append(prints, more...)
	r.toExcept, more = c.to(n.get("to_except"))
	prints = append(prints, more...)
	r.urls = r.to.hasPaths() || r.toExcept.hasPaths()
	if c.within != nil {
		prints = append(prints, c.within.print)
	}
	if c.never != nil && r.has(Intercept) {
		r.never = c.never
		prints = append(prints, c.never.print)
	}
	what := fmt.Sprintf("rule %q", r.Name)
	c.needClients(&r.from, n.get("from"), what)
	c.needClients(&r.fromExcept, n.get("from_except"), what)

	c.ports(r, n.get("ports"))
	c.conditions(r, n, &prints)
	c.options(r, n, &prints)
	c.fits(r, n)
	c.secretsOnlyOverTLS(r, n)

	c.delegated(r, n)
	r.guard(r.within.named(r.to.named()), r.toExcept.prefixes())
	r.summary = summarize(n)
	r.print = fingerprint(n, prints...)
	r.terms = c.terms(n)
	return r
}

func (c *compiler) modes(r *Rule, n *node) {
	for _, e := range n.each() {
		m := modeByWord[e.text]
		for _, other := range r.Modes {
			switch {
			case other == m:
				c.errorf(e, "P070", "", "%s stands here twice", m)
			case other == Deny || m == Deny:
				c.errorf(e, "P070", "", "deny stands alone")
			case connects(other) == connects(m) && connects(m):
				c.errorf(e, "P070", "a CONNECT gets one of the two; write two rules", "tunnel and intercept exclude each other")
			case connects(other) == connects(m):
				c.errorf(e, "P070", "a plain request gets one of the two; write two rules", "originate and relay exclude each other")
			}
		}
		r.Modes = append(r.Modes, m)
		if m == Intercept {
			c.need(FactCA, e, fmt.Sprintf("rule %q", r.Name))
		}
	}
}

// connects reports whether a mode serves CONNECT.
func connects(m Mode) bool { return m == Tunnel || m == Intercept }

func (c *compiler) ports(r *Rule, n *node) {
	if n == nil {
		r.ports, r.relayPorts = portSet{{443, 443}}, portSet{{80, 80}}
		if r.denies() {
			r.ports = anyPort
		}
		return
	}
	for _, e := range n.each() {
		p, err := parsePorts(e.text)
		if err != nil {
			c.errorf(e, "P076", "", "%s", err)
		}
		r.ports = append(r.ports, p...)
	}
	r.ports = portsOf(r.ports)
	r.relayPorts = r.ports
}

func (c *compiler) conditions(r *Rule, n *node, prints *[]string) {
	for _, e := range n.get("methods").each() {
		if !isToken(e.text) || strings.ToUpper(e.text) != e.text {
			hint := ""
			if isToken(e.text) {
				hint = "methods are case-sensitive (RFC 9110 §9.1): write " + strings.ToUpper(e.text)
			}
			c.errorf(e, "P074", hint, "%q is no method", e.text)
		}
		r.methods = append(r.methods, e.text)
	}
	if slices.Contains(r.methods, "CONNECT") {
		c.errorf(n.get("methods"), "P074", "CONNECT is what tunnel and intercept serve", "CONNECT is not a method of a request that can be seen")
	}
	for _, e := range n.get("paths").each() {
		p, err := parsePattern(e.text)
		if err != nil {
			c.errorf(e, "P075", "", "%q: %s", e.text, err)
		}
		r.paths = append(r.paths, p)
	}
	if e := n.get("schedule"); e != nil {
		if d := refer(c, e, "schedule", c.schedules, c.buildSchedule); d != nil {
			r.schedule = &d.made
			*prints = append(*prints, d.print)
		}
	}
	if e := n.get("until"); e != nil {
		r.until = c.until(e, r.schedule)
	}
	if e := n.get("when"); e != nil {
		r.when = c.when(e)
		if r.when != nil {
			for _, f := range r.when.facts {
				c.need(f, e, fmt.Sprintf("rule %q", r.Name))
			}
		}
	}
	if r.has(Tunnel) {
		for k, set := range map[string]*hostSet{"to": &r.to, "to_except": &r.toExcept} {
			if set.hasPaths() {
				c.errorf(n.get(k), "P072", "use mode: intercept, or name the hosts", "%s has URLs, and nobody sees the path inside a tunnel", k)
			}
		}
		for _, k := range []string{"methods", "paths"} {
			if e := n.get(k); e != nil {
				c.errorf(e, "P072", "use mode: intercept, or drop the condition", "nobody sees the method or the path inside a tunnel")
			}
		}
		if r.when != nil && r.when.readsRequest {
			c.errorf(n.get("when"), "P072", "use mode: intercept, or drop the condition", "nobody sees the request inside a tunnel")
		}
	}
}

// How long a minted certificate may be good. Shorter ones would make the gateway
// mint all day; longer ones would be worth stealing.
const (
	shortestLeaf = 10 * time.Minute
	longestLeaf  = 7 * 24 * time.Hour
)

func (c *compiler) options(r *Rule, n *node, prints *[]string) {
	if t := n.get("tunnel"); t != nil {
		r.Tunnel = TunnelOptions{
			AnySNI:      t.get("sni").str() == "any",
			OptionalTLS: t.get("tls").str() == "optional",
			ALPN:        c.texts(t.get("alpn")),
		}
		r.Tunnel.HiddenName = t.get("ech").str() == "allow" || t.get("ech") == nil && r.Tunnel.AnySNI
		if e := t.get("idle"); e != nil {
			r.Tunnel.Idle, _ = c.duration(e)
		}
		if e := t.get("max_duration"); e != nil {
			r.Tunnel.MaxDuration, _ = c.duration(e)
		}
		if e := t.get("max_bytes"); e != nil {
			r.Tunnel.MaxBytes = c.size(e)
		}
	}
	if i := n.get("intercept"); i != nil {
		r.Intercept.BadAlert = i.get("bad_origin").str() == "alert"
		r.Intercept.ALPN = c.texts(i.get("alpn"))
		if e := i.get("leaf_ttl"); e != nil {
			if d, ok := c.duration(e); ok && (d < shortestLeaf || d > longestLeaf) {
				c.errorf(e, "P062", "", "%s: a minted certificate is good for 10m to 7d", e.text)
			} else {
				r.Intercept.LeafTTL = d
			}
		}
	}
	if d := n.get("deny"); d != nil {
		r.Deny.Message = d.get("message").str()
		if e := d.get("status"); e != nil {
			status, err := strconv.Atoi(e.text)
			if err != nil || status < 400 || status > 599 {
				c.errorf(e, "P071", "", "%s is no status of a refusal: 400 to 599", e.text)
			}
			r.Deny.Status = status
		}
	}
	if o := n.get("origin"); o != nil {
		if o.kind == mapNode {
			r.Origin = c.origin(o, "rule/"+r.Name) // no profile can have that name
		} else if d := refer(c, o, "origin", c.origins, c.buildOrigin); d != nil {
			r.Origin = &d.made
			*prints = append(*prints, d.print)
		}
		if r.minted() {
			c.need(FactUser, o, fmt.Sprintf("rule %q", r.Name))
			c.need(FactDelegated, o, fmt.Sprintf("rule %q", r.Name))
		}
	}
	r.Request, r.Response = c.headers(n, "request"), c.headers(n, "response")
	r.Rewrite = c.rewrite(r, n.get("response").get("rewrite"))
	c.limitRule(r, n, prints)
	switch n.get("log").str() {
	case "none":
		r.Log = LogNone
	case "full":
		r.Log = LogFull
	}
	r.RedirectPlain = n.get("plain_http").str() == "redirect"
	if e := n.get("client_leg"); e.str() == "tls" {
		r.ClientTLS = true
		c.need(FactTLS, e, fmt.Sprintf("rule %q", r.Name))
	}
	r.AllowPrivate = n.get("allow_private").yes()
	r.Audit = n.get("audit").yes()
	r.visibleOnly = n.get("visible_only").yes()
}

// fits reports keys that say nothing in the rule's mode: whoever wrote them
// meant something, and would not get it.
func (c *compiler) fits(r *Rule, n *node) {
	if len(r.Modes) == 0 {
		return
	}
	for i := range ruleSection.keys {
		k := &ruleSection.keys[i]
		if at := n.keyNode(k.name); at != nil && k.misfit != "" && !k.fits(r.Modes) {
			c.errorf(at, "P071", "", "%s %s", k.name, k.misfit)
		}
	}
}

// secretsOnlyOverTLS is law 2: what proves the gateway to an origin never
// travels in the clear. Not loading the rule is the only way to be sure.
func (c *compiler) secretsOnlyOverTLS(r *Rule, n *node) {
	if !r.has(Relay) {
		return
	}
	if r.Origin != nil && r.Origin.ClientCert != nil {
		c.errorf(n.keyNode("origin"), "P073", "write one rule for relay and one with this origin", "a client certificate cannot be shown over relay, which is plain HTTP")
	}
	set := n.get("request").get("headers").get("set")
	if set == nil {
		return
	}
	for _, p := range set.pairs {
		if strings.Contains(p.value.text, "{secret:") {
			c.errorf(p.value, "P073", "use mode: originate", "a secret cannot be sent over relay, which is plain HTTP")
		}
	}
}

// isToken is RFC 9110 §5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}
