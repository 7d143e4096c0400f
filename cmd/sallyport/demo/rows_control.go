// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

func controlRows() group {
	return group{"control", "What the gateway can see and decide on", []row{
		{
			"read", "Reads the requests",
			"Whether a request reached the origin with the Via field that the gateway adds to what it has read.",
			[]string{loginHost},
			readCell,
		},
		{
			"logged", "Logs of a login",
			"What the access log has of the login: looked for in its lines.",
			[]string{loginHost},
			loggedCell,
		},
		{
			"host", "Denies a host",
			"Two hosts are asked for, one of which a rule denies.",
			[]string{deniedHost},
			func(c *column) Cell {
				x := c.exchange(deniedHost)
				return effect(c, x, c.reached(allowedHost, "/"), c.reached(deniedHost, "/"))
			},
		},
		{
			"fronting", "Denied host behind another",
			"The client asks for an allowed host and names the denied one by SNI or, where it speaks plain HTTP, by Host.",
			[]string{frontHost},
			frontCell,
		},
		{
			"method", "Denies a method",
			"GET and DELETE, the second of which a rule denies.",
			[]string{methodHost},
			func(c *column) Cell {
				x := c.exchange(methodHost)
				return effect(c, x, x.saw(func(v visit) bool { return v.method == http.MethodGet }) > 0,
					x.saw(func(v visit) bool { return v.method == http.MethodDelete }) > 0)
			},
		},
		{
			"path", "Denies a path",
			"/public/a and /private/a, the second of which a rule denies.",
			[]string{pathHost},
			func(c *column) Cell {
				x := c.exchange(pathHost)
				return effect(c, x, x.saw(func(v visit) bool { return v.path == "/public/a" }) > 0,
					x.saw(func(v visit) bool { return v.path == "/private/a" }) > 0)
			},
		},
		{
			"body", "Limits a body",
			fmt.Sprintf("A small body, and one of four times %d kB, which is the limit: of a request's body, or of a tunnel's bytes where nobody sees bodies.", maxBody/1000),
			[]string{uploadHost},
			bodyCell,
		},
	}}
}

// reached reports whether a request for a path got to a host of the column.
func (c *column) reached(first, path string) bool {
	for _, v := range c.trial.origin.seen(hostOf(first, c.id)) {
		if v.path == path {
			return true
		}
	}
	return false
}

// saw counts the visits that are so.
func (x *exchange) saw(is func(visit) bool) int {
	n := 0
	for _, v := range x.visits {
		if is(v) {
			n++
		}
	}
	return n
}

// effect judges a rule by what became of a request that it lets through and of one
// that it does not.
func effect(c *column, x *exchange, first, second bool) Cell {
	switch {
	case c.id == direct && first && second:
		return Cell{Text: "nobody decides", Value: "no rule"}
	case first && !second:
		status := 0
		if n := len(x.answers); n > 0 {
			status = x.answers[n-1].status
		}
		return Cell{Text: "yes: " + statusText(status), Value: "yes", Verdict: Good}
	case first && second:
		return Cell{Text: "no: both pass", Value: "no", Verdict: Bad}
	case !first && !second:
		return Cell{Text: "cannot tell: refuses both", Value: "refuses both", Verdict: Bad}
	}
	return Cell{Text: "the wrong one", Value: "wrong", Verdict: Bad}
}

func statusText(status int) string {
	if status == 0 {
		return "cut"
	}
	return fmt.Sprint(status)
}

func readCell(c *column) Cell {
	x := c.exchange(loginHost)
	switch {
	case len(x.visits) == 0:
		return Cell{Text: "nothing arrived", Value: "nothing"}
	case x.visits[0].via != "":
		return Cell{Text: "yes: it added Via", Value: true}
	case c.id == direct:
		return notHere("no gateway")
	}
	return Cell{Text: "no", Value: false}
}

func loggedCell(c *column) Cell {
	if c.id == direct {
		return notHere("no gateway")
	}
	var has []string
	add := func(what string, is bool) {
		if is && !slices.Contains(has, what) {
			has = append(has, what)
		}
	}
	for _, r := range c.exchange(loginHost).records {
		inside := r.Method != http.MethodConnect
		add("method", inside)
		add("path", strings.HasSuffix(r.URL, "/login"))
		add("status", inside && r.Status == http.StatusOK)
		add("refusal", r.Status >= http.StatusBadRequest)
		add("SNI", r.Hello.SNI != "")
	}
	slices.Sort(has)
	text := strings.Join(append([]string{"host"}, has...), ", ")
	return Cell{Text: text, Value: text}
}

func frontCell(c *column) Cell {
	switch {
	case c.reached(deniedHost, frontPath):
		return Cell{Text: "gets through", Value: "gets through", Verdict: judge(false)}
	case c.reached(frontHost, frontPath):
		return Cell{Text: "no: sent to the allowed one", Value: "as allowed", Verdict: Good}
	}
	return Cell{Text: "no: refused", Value: "refused", Verdict: Good}
}

func bodyCell(c *column) Cell {
	x := c.exchange(uploadHost)
	whole := func(path string, n int64) bool {
		return x.saw(func(v visit) bool { return v.path == path && v.body == n }) > 0
	}
	cell := effect(c, x, whole("/small", maxBody/64), whole("/large", maxBody*4))
	if cell.Value == "yes" && x.answers[1].status == 0 {
		return Cell{Text: "only by cutting the tunnel", Value: "cut"}
	}
	return cell
}
