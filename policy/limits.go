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

// Limits bound how much goes by a rule. A field that is zero bounds nothing.
// They are immutable once loaded.
type Limits struct {
	Name         string // as they are defined, FILE:NAME in an included file, rule/NAME where they stand in a rule
	Rate         Rate   // of requests and CONNECTs
	Burst        int    // how many of them may come at once; with a Rate at least 1
	Concurrent   int    // requests in progress, open tunnels and WebSockets
	Bandwidth    int64  // of bodies and tunnels, both directions together, in bytes per second; at least MinBandwidth
	RequestBody  int64  // of one request, in bytes
	ResponseBody int64  // of one answer, in bytes as they come, compressed or not
	Per          Per    // what Rate, Concurrent and Bandwidth are counted for
}

// A Rate is Count in each Period. The zero Rate is none.
type Rate struct {
	Count  int           // 1 to a million
	Period time.Duration // a second, minute, hour or day
}

// String is the rate as it is written: "20/s".
func (r Rate) String() string {
	for _, p := range periods {
		if p.length == r.Period {
			return fmt.Sprintf("%d/%s", r.Count, p.word)
		}
	}
	return fmt.Sprintf("%d/%s", r.Count, r.Period)
}

var periods = []struct {
	word   string
	length time.Duration
}{{"s", time.Second}, {"min", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}}

// Per says what is counted together.
type Per uint8

const (
	PerRule   Per = iota // all that goes by the rule
	PerClient            // all of a client's that goes by these limits; a client is an IPv4 address or an IPv6 /64
	PerUser              // all of a user's; who is not proven to be one is counted as a client
)

// String is the word for it in policy files.
func (p Per) String() string {
	if int(p) >= len(perWords) {
		return fmt.Sprintf("per %d", uint8(p))
	}
	return perWords[p]
}

var perWords = []string{PerRule: "rule", PerClient: "client", PerUser: "user"}

// MarshalText makes a Per a word in JSON.
func (p Per) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// MinBandwidth and MaxBandwidth bound what can be asked for, in bytes per
// second: below, nothing that waits for an answer would get one in time.
const (
	MinBandwidth = 1_000
	MaxBandwidth = 125_000_000_000 // 1Tbit/s
)

// maxCount is the greatest count, rate and burst.
const maxCount = 1_000_000

func (c *compiler) buildLimits(d *definition[Limits], name string) {
	d.print = fingerprint(d.node)
	if c.parent != nil { // another file may have some of that name, which are counted apart
		name = c.name + ":" + name
	}
	d.made = c.limit(d.node, name)
}

func (c *compiler) limit(n *node, name string) Limits {
	l := Limits{Name: name}
	if e := n.get("rate"); e != nil {
		l.Rate = c.rate(e)
		l.Burst = l.Rate.Count
	}
	if e := n.get("burst"); e != nil {
		l.Burst = c.count(e, "burst")
		if !n.has("rate") {
			c.errorf(e, "P063", "", "burst goes with rate")
		}
	}
	if e := n.get("concurrent"); e != nil {
		l.Concurrent = c.count(e, "concurrent")
	}
	if e := n.get("bandwidth"); e != nil {
		l.Bandwidth = c.bandwidth(e)
	}
	if e := n.get("request_body"); e != nil {
		l.RequestBody = c.size(e)
	}
	if e := n.get("response_body"); e != nil {
		l.ResponseBody = c.size(e)
	}
	l.Per = Per(max(0, slices.Index(perWords, n.get("per").str())))
	has := func(keys ...string) bool { return slices.ContainsFunc(keys, n.has) }
	counts := has("rate", "concurrent", "bandwidth")
	switch {
	case n.spoiled() || counts:
	case !has("request_body", "response_body"):
		c.errorf(n, "P063", "write rate, concurrent, bandwidth, request_body or response_body", "these limits limit nothing")
	case has("per"):
		c.errorf(n.keyNode("per"), "P063", "per goes with rate, concurrent or bandwidth", "the limit of a body is each message's own, whoever sends it")
	}
	return l
}

// rate reads 20/s, 100/min, 5/h or 50/d.
func (c *compiler) rate(n *node) Rate {
	digits, word, _ := strings.Cut(n.text, "/")
	count, err := strconv.Atoi(digits)
	for _, p := range periods {
		if p.word == word && err == nil && 0 < count && count <= maxCount && digits[0] != '+' {
			return Rate{count, p.length}
		}
	}
	c.errorf(n, "P063", "", "%q is no rate: %s, with at most %d", n.text, hintRate, maxCount)
	return Rate{}
}

func (c *compiler) count(n *node, what string) int {
	v, err := strconv.Atoi(n.text)
	if err != nil || v <= 0 || v > maxCount {
		c.errorf(n, "P063", "for no limit leave the key out; for nothing at all write mode: deny", "%s is %s: write a whole number from 1 to %d", what, n.text, maxCount)
		return 0
	}
	return v
}

// bandwidth reads 20Mbit/s or 2MB/s, as bytes per second.
func (c *compiler) bandwidth(n *node) int64 {
	v, ok := parseBandwidth(n.text)
	switch {
	case !ok:
		c.errorf(n, "P063", "", "%q is no bandwidth: %s", n.text, hintBandwidth)
	case v < MinBandwidth || v > MaxBandwidth:
		c.errorf(n, "P063", "", "%q is no bandwidth that can be kept: from 1kB/s to 1Tbit/s", n.text)
	default:
		return v
	}
	return 0
}

func parseBandwidth(s string) (bytes int64, ok bool) {
	amount, ok := strings.CutSuffix(s, "/s")
	if !ok {
		return 0, false
	}
	if bits, ok := strings.CutSuffix(amount, "bit"); ok {
		// A letter and B is how the same amount of bytes is written.
		v, ok := parseSize(bits + "B")
		return v / 8, ok
	}
	if !strings.HasSuffix(amount, "B") {
		return 0, false
	}
	return parseSize(amount)
}

// limitRule gives r its limits, and reports those that nobody could keep there.
func (c *compiler) limitRule(r *Rule, n *node, prints *[]string) {
	e := n.get("limits")
	switch {
	case e == nil:
		return
	case e.kind == mapNode:
		l := c.limit(e, "rule/"+r.Name) // no limits can be named so
		r.Limits = &l
	default:
		d := refer(c, e, "limits", c.limits, c.buildLimits)
		if d == nil {
			return
		}
		r.Limits = &d.made
		*prints = append(*prints, d.print)
	}
	if !r.has(Tunnel) || len(r.Modes) > 1 {
		return
	}
	for _, body := range []struct {
		key  string
		size int64
	}{{"request_body", r.Limits.RequestBody}, {"response_body", r.Limits.ResponseBody}} {
		at := e.keyNode(body.key)
		if at == nil {
			at = e
		}
		if body.size > 0 {
			c.errorf(at, "P072", "use tunnel: {max_bytes: …}, which counts both directions", "nobody sees a body inside a tunnel, so %s cannot be kept", body.key)
		}
	}
}
