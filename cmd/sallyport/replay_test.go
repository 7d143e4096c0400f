// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"sallyport/policy"
)

// TestReplayIsWhatEachPolicyDecides: what a replay of random traffic under two
// random policies reports is what a plain comparison of every decision gives.
func TestReplayIsWhatEachPolicyDecides(t *testing.T) {
	if _, err := newLogger("json"); err != nil {
		t.Fatal(err)
	}
	c := newChance(5)
	changed := 0
	for range 40 {
		var log bytes.Buffer
		old, next := randomLoaded(t, c), randomLoaded(t, c)
		want := make(map[string]int)
		unchanged := 0
		for range 100 {
			q := randomQuery(c)
			log.Write(written(old, q, old.Decide(q)))
			b, a := old.DecideAll(q), next.DecideAll(q)
			consequence := policy.ConsequenceOf(b, a)
			if consequence == 0 {
				unchanged++
				continue
			}
			want[fmt.Sprintln(consequence, outcomeOf(b), outcomeOf(a), net.JoinHostPort(q.Host.String(), fmt.Sprint(q.Port)))]++
		}
		r := newReplay(old, next)
		if err := r.run(iotest.HalfReader(&log), nil); err != nil {
			t.Fatal(err)
		}
		got := make(map[string]int)
		for _, ch := range r.Changes {
			total := ch.Elsewhere
			for _, p := range ch.Hosts {
				got[fmt.Sprintln(ch.consequence, ch.Before, ch.After, p.Host)] += p.Requests
				total += p.Requests
			}
			if total != ch.Requests {
				t.Errorf("%d requests in %d hosts", ch.Requests, total)
			}
			changed += ch.Requests
		}
		if !maps.Equal(got, want) || r.Unchanged != unchanged {
			t.Fatalf("got  %v\nwant %v", got, want)
		}
		// What connects the two is verified on the way, and came out the same.
		if r.Verified != 100 || r.Unfaithful != 0 || r.Lines != 100 || r.Decisions != 100 {
			t.Fatalf("%+v", r)
		}
	}
	if changed < 1000 {
		t.Errorf("%d changes only", changed)
	}
}

func randomLoaded(t *testing.T, c chance) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("random.yaml", []byte(randomPolicy(c)), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestReplayAgainstTheRecord: compared with a record, the consequences are those
// of comparing with the policy that made it, but for what the log does not tell.
func TestReplayAgainstTheRecord(t *testing.T) {
	const head = "version: 1\norigins: {red: {client_cert: {secret: red}}, blue: {client_cert: {secret: blue}}, none: {min_tls: '1.3'}}\nrules:\n"
	rule := func(name, rest string) string {
		return head + "  - {name: " + name + ", from: any, to: any, ports: any, " + rest + "}\n"
	}
	var policies []*policy.Policy
	for _, src := range []string{
		rule("a", "mode: [tunnel, originate]"),
		rule("b", "mode: [tunnel, originate]"),
		rule("a", "mode: [intercept, originate], origin: red"),
		rule("a", "mode: [intercept, originate], origin: blue"),
		rule("a", "mode: [intercept, originate], origin: none"),
		rule("a", "mode: [intercept, relay]"),
		rule("a", "mode: deny"),
		rule("a", "mode: deny, methods: GET"),
		head + "  - {name: x, from: 192.0.2.0/24, to: any, mode: deny}\n",
	} {
		p, err := policy.Parse("p.yaml", []byte(src), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		policies = append(policies, p)
	}
	seen := policy.Consequence(0)
	for _, old := range policies {
		for _, next := range policies {
			for _, request := range []string{"GET http://a.example/", "CONNECT a.example:443", "https://a.example/"} {
				q, err := policy.ParseRequest(request)
				if err != nil {
					t.Fatal(err)
				}
				q.Client.Addr, q.At = netip.MustParseAddr("10.0.0.1"), time.Unix(1e9, 0)
				d := old.Decide(q)
				if q.Kind == policy.Inner && old.DecideAll(q) != d {
					continue // no request inside a connection that is not opened
				}
				rec, err := readRecord(written(old, q, d))
				if err != nil {
					t.Fatal(err)
				}
				after := next.DecideAll(q)
				got, want := policy.ConsequenceOf(rec.decision(after), after), policy.ConsequenceOf(d, after)
				const untold = policy.Trusts | policy.Terms
				if want &^= untold; got != want && !(want == 0 && got&(policy.AnotherRule|policy.Refuses) == got) {
					t.Errorf("%s, %s -> %s: %s, want %s", request, outcomeOf(d), outcomeOf(after), got, want)
				}
				seen |= got
			}
		}
	}
	for _, must := range []policy.Consequence{policy.Opens, policy.Closes, policy.Exposes, policy.Reads, policy.LosesClient, policy.LosesCert, policy.SwapsCert, policy.Blinds, policy.AnotherRule, policy.Refuses} {
		if seen&must == 0 {
			t.Errorf("nothing %s", must)
		}
	}
}

// TestReplayRemembersSoMuch: a log of any size takes only so much memory, and
// what is not remembered by name is counted.
func TestReplayRemembersSoMuch(t *testing.T) {
	next, err := policy.Parse("p.yaml", []byte("version: 1\nrules: [{name: all, from: any, to: any, mode: tunnel}]\n"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const line = `{"start":"2026-11-24T10:00:00Z","client":"10.1.%d.%d:4","method":"CONNECT","url":"h%d.example:443","kind":"connect","mode":"deny","decision":"deny","reason":"no-rule","revision":"0123456789abcdef","message":"request"}` + "\n"
	more := 3
	r := newReplay(nil, next)
	reader, writer := io.Pipe()
	go func() {
		for i := range maxPlaces + more {
			fmt.Fprintf(writer, line, 0, 1, i)
		}
		for i := range maxWho + 5 {
			fmt.Fprintf(writer, line, 1, i, 0)
		}
		writer.Close()
	}()
	if err := r.run(reader, nil); err != nil {
		t.Fatal(err)
	}
	if len(r.Changes) != 1 {
		t.Fatalf("%d changes", len(r.Changes))
	}
	ch := r.Changes[0]
	if ch.Elsewhere != more || len(ch.Hosts) != maxPlaces || ch.Requests != maxPlaces+more+maxWho+5 {
		t.Errorf("%d hosts, %d requests elsewhere of %d", len(ch.Hosts), ch.Elsewhere, ch.Requests)
	}
	if p := ch.Hosts[0]; p.Host != "h0.example:443" || p.Requests != maxWho+6 || len(p.Clients) != maxWho || !p.More {
		t.Errorf("the first: %+v", p)
	}
	for _, want := range []string{
		"    h0.example:443                   26 requests by 10.1.0.1, 10.1.1.0, 10.1.1.1 and more than 17 others\n",
		fmt.Sprintf("    and %d requests to other hosts; --json tells more\n", maxPlaces-shownPlaces+more),
	} {
		if !strings.Contains(r.String(), want) {
			t.Errorf("%q is not in\n%s", want, r.String())
		}
	}
}

// A log is not to be trusted with the terminal of the one who reads it.
func TestReplayPrintsNothingThatATerminalObeys(t *testing.T) {
	next := policy.Starter()
	line := `{"start":"2026-11-24T10:00:00Z","client":"10.1.0.1:4","user":"\u001b[2Jeva\n\u202e","groups":["\u009b1m"],"method":"G\u0007","url":"http://a.example/\u001b]0;x","kind":"plain","rule":"r\rx","mode":"deny","decision":"tunnel","reason":"rule","error":"\u001b[1m","revision":"0123456789abcdef","message":"request","id":"\u0000"}`
	r := newReplay(nil, next)
	if err := r.run(strings.NewReader(line+"\n{\"\x1b\n"), nil); err != nil {
		t.Fatal(err)
	}
	rec, err := readRecord([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{printable(r.String()), printable(whyOf(next, rec).String())} {
		if i := strings.IndexFunc(text, unprintable); i >= 0 {
			t.Errorf("%q", text)
		}
		if !strings.Contains(text, `\x1b`) {
			t.Errorf("nothing of it is shown:\n%s", text)
		}
	}
}

func TestReplayOfABrokenLog(t *testing.T) {
	broken := errors.New("input/output error")
	r := newReplay(nil, policy.Starter())
	if err := r.run(io.MultiReader(strings.NewReader("{}\n"), iotest.ErrReader(broken)), nil); !errors.Is(err, broken) || r.Lines != 1 {
		t.Errorf("%v after %d lines", err, r.Lines)
	}
	r = newReplay(nil, policy.Starter())
	if err := r.run(strings.NewReader(strings.Repeat("x", maxLogLine+1<<17)+"\n\n{\"message\":\"serving\"}\nhalf"), nil); err != nil {
		t.Fatal(err)
	}
	if r.Unreadable != 1 || r.FirstBad.Line != 1 || !strings.Contains(r.FirstBad.Why, "longer than any") || r.OtherLines != 2 || !r.Truncated {
		t.Errorf("%+v", r)
	}
}

// What a policy leaves out of the log is told of the policy that wrote it only.
func TestReplayTellsWhatIsNotInTheLog(t *testing.T) {
	const src = "version: 1\nrules:\n  - {name: quiet, from: 192.0.2.0/24, to: any, mode: tunnel, log: none}\n  - {name: web, from: any, to: any, mode: %s}\n"
	quiet, err := policy.Parse("quiet.yaml", fmt.Appendf(nil, src, "tunnel"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	other, err := policy.Parse("other.yaml", fmt.Appendf(nil, src, "deny"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	q := policy.Query{Client: policy.Client{Addr: netip.MustParseAddr("10.0.0.1")}, Kind: policy.Connect, Host: policy.Host{Name: "a.example"}, Port: 443, At: time.Unix(1e9, 0)}
	line := written(quiet, q, quiet.Decide(q))
	for _, c := range []struct {
		before, after *policy.Policy
		want          []string
	}{{nil, quiet, []string{"quiet"}}, {nil, other, []string{}}, {quiet, policy.Starter(), []string{"quiet"}}, {policy.Starter(), quiet, []string{}}} {
		r := newReplay(c.before, c.after)
		if err := r.run(bytes.NewReader(line), nil); err != nil || !slices.Equal(r.Unlogged, c.want) {
			t.Errorf("%v, not in the log: %q, want %q", err, r.Unlogged, c.want)
		}
	}
}
