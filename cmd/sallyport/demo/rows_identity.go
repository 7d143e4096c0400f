// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

func identityRows() group {
	return group{"identity", "Which client certificate reaches the origin", []row{
		{
			"own", "The client's own",
			"The client has a certificate, and the origin requires one and says whose it got.",
			[]string{ownHost},
			func(c *column) Cell { return identityCell(c, ownHost, "client") },
		},
		{
			"gateway", "The gateway's",
			"The client has none; the gateway has one, and the rule names it where the mode lets it.",
			[]string{oursHost},
			func(c *column) Cell { return identityCell(c, oursHost, "gateway") },
		},
		{
			"delegated", "The user's, delegated",
			"The client has none, but proves by a password to be " + user + "; where the mode lets it, the rule has the gateway mint a certificate in that name.",
			[]string{delegatedHost},
			func(c *column) Cell { return identityCell(c, delegatedHost, user) },
		},
	}}
}

func identityCell(c *column, name, wanted string) Cell {
	x := c.exchange(name)
	if len(x.visits) == 0 {
		text := "no: the origin refuses"
		if x.refusedBy() == byPolicy {
			text = "no: refused before"
		}
		return Cell{Text: text, Value: "refused by the " + lastToRefuse(x), Verdict: Bad}
	}
	switch v := x.visits[0]; {
	case !v.tls:
		return Cell{Text: "none: no TLS to ask for it", Value: "none", Verdict: Bad}
	case v.subject != wanted:
		return Cell{Text: "another: " + v.subject, Value: v.subject, Verdict: Bad}
	default:
		return Cell{Text: v.subject + ", by " + v.issuer, Value: v.subject, Verdict: Good}
	}
}

// lastToRefuse is the origin where it was the one who wanted a certificate, also
// if it was the gateway who said so.
func lastToRefuse(x *exchange) string {
	if by := x.refusedBy(); by == byPolicy {
		return by
	}
	return byOrigin
}
