// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

func sessionRows() group {
	return group{"session", "What goes on working", []row{
		{
			"redirect", "A redirect to https",
			"The origin redirects to its own https URL, as origins do, and the client follows.",
			[]string{redirectHost},
			func(c *column) Cell {
				x := c.exchange(redirectHost)
				yes := x.saw(func(v visit) bool { return v.path == "/account" }) > 0
				return works(x, yes, "followed, by "+x.answers[0].scheme, "lost: "+x.answers[0].outcomeShort())
			},
		},
		{
			"cookie", "A Secure cookie",
			"The origin sets a cookie with the attribute Secure, and looks for it in the client's next request (RFC 6265 §4.1.2.5).",
			[]string{cookieHost},
			func(c *column) Cell {
				x := c.exchange(cookieHost)
				text := "comes back"
				if !x.answers[0].secure {
					text = "comes back, Secure taken off"
				}
				return works(x, x.saw(func(v visit) bool { return v.path == "/account" && v.cookie == c.trial.canary }) > 0, text, "does not come back")
			},
		},
		{
			"ssh", "Another protocol (ssh)",
			"An ssh origin says its banner first and then what it heard. Where it passes, the rule says tunnel: {tls: optional}.",
			[]string{sshHost},
			func(c *column) Cell {
				x := c.exchange(sshHost)
				if x.said == sshBanner && x.err == nil {
					return Cell{Text: "passes", Value: true}
				}
				return Cell{Text: "does not pass", Value: false}
			},
		},
		{
			"early_data", "Early data (0-RTT)",
			"The client's ClientHello offers early data, which whoever records it can replay (RFC 8446 §8), and the ClientHello on the origin's wire is looked at.",
			[]string{earlyHost},
			earlyCell,
		},
	}}
}

// works is a cell about what a user would miss.
func works(x *exchange, yes bool, good, bad string) Cell {
	switch {
	case len(x.visits) == 0:
		return Cell{Text: "nothing arrived", Value: "nothing", Verdict: Bad}
	case yes:
		return Cell{Text: good, Value: true, Verdict: Good}
	}
	return Cell{Text: bad, Value: false, Verdict: Bad}
}

// outcomeShort is an outcome for a narrow column.
func (a answer) outcomeShort() string {
	switch {
	case a.byProxy:
		return statusText(a.status) + " by the gateway"
	case a.err != nil:
		return "no answer"
	}
	return statusText(a.status)
}

func earlyCell(c *column) Cell {
	x := c.exchange(earlyHost)
	if x == nil {
		return notHere("no TLS of the client's")
	}
	flows := x.origin
	if c.id == direct {
		flows = x.client
	}
	for _, f := range flows {
		if offersEarlyData(f.bytes(false)) {
			return Cell{Text: "offer reaches the origin", Value: true}
		}
	}
	return Cell{Text: "offer ends at the gateway", Value: false}
}
