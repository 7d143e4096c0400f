// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package policy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A benchSet is a policy of many rules and lists, and requests for it.
type benchSet struct {
	name  string
	rules int
	names int // on the lists together
	lists int
}

var benchSets = []benchSet{
	{"10 rules, 100 names", 10, 100, 1},
	{"10000 rules, 100 names", 10_000, 100, 1},
	{"10 rules, 1000000 names in 60 lists", 10, 1_000_000, 60},
	{"10000 rules, 1000000 names in 60 lists", 10_000, 1_000_000, 60},
	{"10000 rules, 1000000 names in 1 list", 10_000, 1_000_000, 1},
}

// listedName is a name of a list: three labels, as long as those of real lists.
func listedName(i int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	r := rand.New(rand.NewPCG(uint64(i), 1))
	b := make([]byte, 3+r.IntN(9))
	for i := range b {
		b[i] = letters[r.IntN(26)]
	}
	return fmt.Sprintf("%s%d.%s", b, i, []string{"example", "test", "com", "net", "co.uk"}[r.IntN(5)])
}

// policy makes the policy: each rule is for one of two hundred groups of
// clients, most of them networks, some of them users, and for hosts of its own
// and one of the lists; one in fifty is for any host.
func (s benchSet) policy(tb testing.TB) *Policy {
	tb.Helper()
	dir := tb.TempDir()
	for l := range s.lists {
		var b bytes.Buffer
		for i := l; i < s.names; i += s.lists {
			b.WriteString(listedName(i) + "\n")
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("l%d.txt", l)), b.Bytes(), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	var b strings.Builder
	b.WriteString("version: 1\nclients:\n")
	for i := range 200 {
		switch i % 4 {
		case 0, 1:
			fmt.Fprintf(&b, "  c%d: 10.%d.0.0/16\n", i, i)
		case 2:
			fmt.Fprintf(&b, "  c%d: {group: [g%d, g%d]}\n", i, i, i+1)
		case 3:
			fmt.Fprintf(&b, "  c%d: {group: g%d, cidr: 10.0.0.0/8}\n", i, i)
		}
	}
	b.WriteString("destinations:\n")
	for l := range s.lists {
		fmt.Fprintf(&b, "  list%d: {file: l%d.txt}\n", l, l)
	}
	b.WriteString("rules:\n")
	for i := range s.rules {
		to := fmt.Sprintf("[.own%d.example, www.own%d.test]", i, i)
		if each := max(5, s.rules/s.lists/2); i%each == 1 { // two for each list
			to = fmt.Sprintf("[list%d, own%d.net]", i/each%s.lists, i)
		} else if i%50 == 49 {
			to = "any"
		}
		mode, more := "[originate, tunnel]", ""
		switch i % 5 {
		case 1:
			mode = "deny"
		case 2:
			mode, more = "originate", ", methods: [GET, HEAD], paths: /v1/**"
		case 3:
			more = ", ports: [443, 8443]"
		}
		fmt.Fprintf(&b, "  - {name: r%d, from: c%d, to: %s, mode: %s%s}\n", i, i*7%200, to, mode, more)
	}
	b.WriteString("  - {name: rest, from: any, to: any, mode: tunnel}\n")
	p, err := Parse("bench.yaml", []byte(b.String()), dir)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// queries are requests for n hosts, by clients of several kinds: a third for
// hosts of rules, a third for listed ones, the rest for hosts nobody named.
func (s benchSet) queries(tb testing.TB, n int) []Query {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	qs := make([]Query, n)
	for i := range qs {
		q := Query{Kind: Connect, Port: 443, At: testTime}
		if i%2 == 0 {
			q.Kind, q.Scheme, q.Method, q.Port, q.Path = Plain, "http", "GET", 80, "/v1/x"
		}
		name := fmt.Sprintf("www.nobody%d.org", r.IntN(1<<20))
		switch i % 3 {
		case 0:
			name = fmt.Sprintf("www.own%d.example", r.IntN(s.rules))
		case 1:
			name = "www." + listedName(r.IntN(s.names))
		}
		var err error
		if q.Host, err = ParseHost(name); err != nil {
			tb.Fatal(err)
		}
		q.Client = Client{Addr: netip.AddrFrom4([4]byte{10, byte(r.IntN(256)), 1, 1}), User: "u", Groups: []string{fmt.Sprintf("g%d", r.IntN(200)), "staff"}}
		qs[i] = q
	}
	return qs
}

// BenchmarkParseHost measures a name as clients send it, and what the close
// inspection of the same name costs.
func BenchmarkParseHost(b *testing.B) {
	for _, c := range []struct {
		name  string
		parse func(string) (Host, error)
	}{{"one pass", ParseHost}, {"closely", parseName}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.parse("www.some-name.example.com"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIndex measures what a decision costs at several sizes of policy, for
// 256 requests that come again and again and for 65,536 that are seldom in a
// cache, and by the plain walk over the rules. A machine is not the same from
// one minute to the next: the sizes take turns, what is counted is the
// processor time of the thread, and what is told beside it is the median, with
// the least and the most, of the ratios to the first size in the same round.
func BenchmarkIndex(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const rounds = 15
	type measured struct {
		policy    *Policy
		hot, cold []Query
		times     [3][rounds]float64 // ns of a decision: hot, cold, linear
	}
	all := make([]measured, len(benchSets))
	for i, s := range benchSets {
		all[i] = measured{policy: s.policy(b), hot: s.queries(b, 256), cold: s.queries(b, 1<<16)}
	}
	runtime.GC()
	for round := range rounds {
		for i := range all {
			m := &all[i]
			decide := func(q Query) Decision { return m.policy.Decide(q) }
			linear := func(q Query) Decision { return m.policy.walk(q, nil) }
			cpu(decide, m.hot, len(m.hot))
			m.times[0][round] = cpu(decide, m.hot, 40*len(m.hot))
			m.times[1][round] = cpu(decide, m.cold[round%4*(1<<14):], 1<<14)
			m.times[2][round] = cpu(linear, m.hot, 20)
		}
	}
	for i, s := range benchSets {
		b.Run(s.name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			for k, what := range []string{"hot", "cold", "linear"} {
				ns, ratios := all[i].times[k], all[i].times[k]
				for round := range ratios {
					ratios[round] /= all[0].times[k][round]
				}
				slices.Sort(ns[:])
				slices.Sort(ratios[:])
				b.ReportMetric(ns[rounds/2], what+"-cpu-ns")
				b.ReportMetric(ns[0], what+"-cpu-ns-least")
				if k < 2 {
					b.ReportMetric(ratios[rounds/2], what+"-ratio")
					b.ReportMetric(ratios[0], what+"-ratio-least")
					b.ReportMetric(ratios[rounds-1], what+"-ratio-most")
				}
			}
			var gain []float64
			for round := range rounds {
				gain = append(gain, all[i].times[2][round]/all[i].times[0][round])
			}
			slices.Sort(gain)
			b.ReportMetric(gain[rounds/2], "linear-by-hot")
			b.ReportMetric(gain[0], "linear-by-hot-least")
			b.ReportMetric(gain[rounds-1], "linear-by-hot-most")
		})
	}
}

// cpu is the processor time of one decision, in nanoseconds, of n.
func cpu(decide func(Query) Decision, queries []Query, n int) float64 {
	var before, after unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &before)
	for i := range n {
		sink = decide(queries[i%len(queries)])
	}
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &after)
	return float64(after.Nano()-before.Nano()) / float64(n)
}

var sink Decision
