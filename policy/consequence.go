// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"reflect"
	"strings"
)

// A Consequence is what it means for people that a request is decided
// differently: a set of the things below, as bits. The zero value means that
// nothing changes.
type Consequence uint16

// The gravest come first; a request that is decided differently has at least
// one of them.
const (
	Opens       Consequence = 1 << iota // refused before, allowed now
	Exposes                             // went out over verified TLS, goes out in the clear now
	Reads                               // only client and origin could read it, the gateway can now
	LosesClient                         // the client could show the origin a certificate of its own, and nobody shows one now
	LosesCert                           // the gateway showed the origin a client certificate, and shows none now
	SwapsCert                           // the origin sees another client certificate, or sees one for the first time
	Closes                              // allowed before, refused now
	Blinds                              // the gateway read and judged what is inside, and passes it through unread now
	Trusts                              // the origin is verified, named or met in another way
	Secures                             // went out in the clear, goes out over verified TLS now
	Looks                               // the gateway looks into the connection because of another rule
	Terms                               // by the same mode, with other options, limits or logging
	Refuses                             // refused as before, for another reason or by another rule
	AnotherRule                         // allowed as before, by another rule
)

// consequences are the words for each bit: one for programs and one sentence
// for people.
var consequences = []struct {
	is         Consequence
	word, text string
}{
	{Opens, "opens", "opens: what was refused is allowed"},
	{Exposes, "exposes", "exposes: what went out over verified TLS goes out in the clear"},
	{Reads, "reads", "reads: the gateway will read what only client and origin could"},
	{LosesClient, "loses-client-authentication", "loses client authentication: an origin that asks the client for its certificate will get none and may refuse"},
	{LosesCert, "loses-certificate", "loses a certificate: the gateway showed the origin a client certificate and will show none"},
	{SwapsCert, "swaps-certificate", "swaps a certificate: the origin will see another client certificate"},
	{Closes, "closes", "closes: what was allowed is refused"},
	{Blinds, "blinds", "blinds: the gateway passes through unread what it read and judged"},
	{Trusts, "trusts", "trusts: the origin is verified, named or met in another way"},
	{Secures, "secures", "secures: what went out in the clear goes out over verified TLS"},
	{Looks, "looks", "looks: the connection is opened for another reason or another rule"},
	{Terms, "terms", "terms: the same mode with other options, limits or logging"},
	{Refuses, "refuses", "refuses: denied as before, for another reason or by another rule"},
	{AnotherRule, "another-rule", "another rule: allowed as before, by another rule"},
}

// Words are the words of c for programs, the gravest first.
func (c Consequence) Words() []string {
	words := []string{}
	for _, k := range consequences {
		if c&k.is != 0 {
			words = append(words, k.word)
		}
	}
	return words
}

// Texts are the sentences of c for people, the gravest first.
func (c Consequence) Texts() []string {
	var texts []string
	for _, k := range consequences {
		if c&k.is != 0 {
			texts = append(texts, k.text)
		}
	}
	return texts
}

func (c Consequence) String() string {
	if c == 0 {
		return "none"
	}
	return strings.Join(c.Words(), ", ")
}

// Gravest is the first of c, by which changes are grouped and ordered.
func (c Consequence) Gravest() Consequence { return c & -c }

// ConsequenceOf says what it means that the same query was decided as before
// and is decided as after, by two policies. It is zero when the decisions do
// the same by rules of the same name.
func ConsequenceOf(before, after Decision) Consequence {
	switch {
	case before.Mode == Deny && after.Mode == Deny:
		if before.Reason != after.Reason || before.RuleName() != after.RuleName() || !sameTerms(before.Rule, after.Rule) {
			return Refuses
		}
		return 0
	case before.Mode == Deny:
		return Opens
	case after.Mode == Deny:
		return Closes
	}
	c := legs(before, after) | certificates(before, after)
	if before.Mode != Tunnel && after.Mode != Tunnel && before.Mode != Relay && after.Mode != Relay &&
		!sameTrust(before.Rule, after.Rule) || before.Mode == after.Mode && before.Port != after.Port {
		c |= Trusts
	}
	if before.Mode == after.Mode && (!sameTerms(before.Rule, after.Rule) || before.Rule.PermitKey() != after.Rule.PermitKey()) {
		c |= Terms
	}
	if c == 0 && (before.RuleName() != after.RuleName() || before.Reason != after.Reason) {
		if before.Reason == ToLookInside || after.Reason == ToLookInside {
			return Looks
		}
		return AnotherRule
	}
	return c
}

// legs is what a change of mode means for who can read the bytes.
func legs(before, after Decision) Consequence {
	switch {
	case before.Mode == after.Mode:
		return 0
	case after.Mode == Relay:
		return Exposes
	case before.Mode == Relay:
		return Secures
	case before.Mode == Tunnel:
		return Reads
	case after.Mode == Tunnel:
		return Blinds
	}
	return 0
}

// certificates is what changes about who proves itself to the origin.
func certificates(before, after Decision) Consequence {
	had, has := before.clientCert(), after.clientCert()
	switch {
	case before.Mode == Tunnel && after.Mode == Tunnel:
		return 0
	case before.Mode == Tunnel && has == nil:
		return LosesClient
	case before.Mode == Tunnel:
		return SwapsCert
	case had != nil && has == nil:
		return LosesCert
	case has != nil && (had == nil || *had != *has):
		return SwapsCert
	case has != nil && has.Mint.ruled() && before.RuleName() != after.RuleName():
		return SwapsCert // it has the rule's name in it
	}
	return 0
}

// clientCert is the certificate the gateway shows the origin; nil: none.
func (d Decision) clientCert() *ClientCert {
	if d.Rule == nil || d.Rule.Origin == nil || d.Mode != Originate && d.Mode != Intercept {
		return nil
	}
	return d.Rule.Origin.ClientCert
}

// sameTrust reports whether two rules verify and meet their origins alike,
// whatever the profiles are called. Certificates are looked at apart.
func sameTrust(a, b *Rule) bool {
	return reflect.DeepEqual(a.trust(), b.trust())
}

func (r *Rule) trust() Origin {
	if r == nil || r.Origin == nil {
		return Origin{}
	}
	o := *r.Origin
	o.Name, o.ClientCert = "", nil
	return o
}

func sameTerms(a, b *Rule) bool {
	return a == b || a != nil && b != nil && a.terms == b.terms
}

// terms is a hash of what the rule n says about requests it has decided, as
// opposed to which it decides and what it trusts.
func (c *compiler) terms(n *node) string {
	said := &node{kind: mapNode}
	for _, key := range []string{"tunnel", "intercept", "request", "response", "plain_http", "deny", "limits", "log"} {
		v := n.get(key)
		if v == nil {
			continue
		}
		if d := c.limits[v.text]; key == "limits" && v.kind == textNode && d != nil {
			v = d.node
		}
		said.pairs = append(said.pairs, pair{&node{kind: textNode, text: key}, v})
	}
	return fingerprint(said)
}
