// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var long = flag.Bool("long", false, "ask a million random queries of each generated policy")

// A world is what generated policies and queries speak of: few enough things
// that they meet.
type world struct {
	*rand.Rand
	dir   string
	rules int
	// one rule in so many has a condition of a kind; 0: none
	when, any, broad int
}

func (w *world) one(in int) bool { return in > 0 && w.IntN(in) == 0 }

func choose[T any](w *world, from ...T) T { return from[w.IntN(len(from))] }

func (w *world) list(most int, one func() string) string {
	var all []string
	for range 1 + w.IntN(most) {
		if s := one(); !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func (w *world) name() string {
	name := choose(w, "example", "test", "co.test", "amazonaws.com")
	for range w.IntN(4) {
		name = choose(w, "a", "b", "c", "s3", "bucket-1", fmt.Sprintf("n%d", w.IntN(1+w.rules))) + "." + name
	}
	return name
}

func (w *world) network() string {
	return choose(w, "10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0", "::/0",
		fmt.Sprintf("10.%d.0.0/16", w.IntN(4)), fmt.Sprintf("10.%d.%d.0/24", w.IntN(4), w.IntN(4)),
		fmt.Sprintf("10.%d.%d.7", w.IntN(4), w.IntN(4)), "2001:db8:1::/48", "1.1.1.1", "169.254.169.254")
}

func (w *world) path() string {
	return "/" + choose(w, "", "a", "a/b", "a/b/c", "v1/x", "x//y", "a/./b", "b/../a", "%61", "a%2Fb", "%zz", "a%00", "%2541", "a b", "A/%7e")
}

func (w *world) entry() string {
	switch n := w.name(); w.IntN(12) {
	case 0, 1, 2:
		if strings.Contains(n, ".") {
			return n
		}
		return fmt.Sprintf("{host: %s}", n)
	case 3, 4:
		return "." + n
	case 5, 6:
		return fmt.Sprintf("%q", w.network())
	case 7:
		return fmt.Sprintf("{glob: %q}", choose(w, "bucket-*.s3.amazonaws.com", "*.a.example", "*b*.co.test", "a.*.b.test", "*.amazonaws.com", "n*.example.test"))
	case 8:
		return fmt.Sprintf("{url: %q}", choose(w, "http", "https")+"://"+choose(w, n, n+":8443", "10.1.2.7")+choose(w, "", "/", "/a", "/a/b"))
	default:
		return fmt.Sprintf("{file: l%d.txt, format: %s}", w.IntN(8), choose(w, "domains", "domains, match: exact", "hosts", "hosts, match: below", "cidr", "urls"))
	}
}

func (w *world) client() string {
	if w.one(2) {
		return fmt.Sprintf("%q", w.network())
	}
	var keys []string
	for _, k := range []struct {
		key string
		one func() string
	}{
		{"cidr", func() string { return fmt.Sprintf("%q", w.network()) }},
		{"user", func() string { return choose(w, "u1", "u2", "u3") }},
		{"group", func() string { return fmt.Sprintf("g%d", w.IntN(6)) }},
		{"cert", func() string { return choose(w, "c1", "c2") }},
		{"claim", func() string { return choose(w, "r=1", "r=2") }},
	} {
		if w.one(3) {
			keys = append(keys, k.key+": "+w.list(3, k.one))
		}
	}
	if keys == nil {
		keys = []string{"group: g1"}
	}
	return "{" + strings.Join(keys, ", ") + "}"
}

func (w *world) lists(t testing.TB) {
	for i := range 8 {
		var b strings.Builder
		for range 40 {
			fmt.Fprintf(&b, "%s\n", choose(w, w.name(), "."+w.name(), strings.ToUpper(w.name()), w.network(), "0.0.0.0 "+w.name()+" "+w.name(), w.name()+"/a/b", "no good!"))
		}
		if err := os.WriteFile(filepath.Join(w.dir, fmt.Sprintf("l%d.txt", i)), []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) rule(i int, within bool) string {
	var b strings.Builder
	set := func(key, value string) { fmt.Fprintf(&b, ", %s: %s", key, value) }
	mode := choose(w, "deny", "deny", "tunnel", "intercept", "originate", "relay", "[originate, tunnel]", "[intercept, relay]", "[tunnel, relay]", "[originate, intercept]")
	from, to := "any", "any"
	if !w.one(w.any) {
		from = w.list(3, func() string { return fmt.Sprintf("who%d", w.IntN(20)) })
	}
	if !w.one(w.any) {
		to = w.list(3, func() string { return fmt.Sprintf("dest%d", w.IntN(30)) })
	}
	tunnels := strings.Contains(mode, "tunnel")
	if tunnels { // nobody sees the path there
		to = strings.ReplaceAll(to, "dest", "host")
	}
	fmt.Fprintf(&b, "  - {name: r%d, from: %s, to: %s, mode: %s", i, from, to, mode)
	if w.one(5) {
		set("from_except", w.list(2, func() string { return fmt.Sprintf("who%d", w.IntN(20)) }))
	}
	if w.one(5) {
		set("to_except", w.list(2, func() string { return fmt.Sprintf("host%d", w.IntN(30)) }))
	}
	if w.one(2) {
		set("ports", choose(w, "any", "443", "80", "[80, 443]", "8000-8999", fmt.Sprint(440+w.IntN(8))))
	}
	if w.one(3) && !tunnels {
		set("methods", choose(w, "GET", "[GET, HEAD]", "POST"))
	}
	if w.one(3) && !tunnels {
		set("paths", choose(w, "/a/**", "[/a, /v1/*]", "/a/b", "/**"))
	}
	if w.one(6) {
		set("schedule", choose(w, "day", "night"))
	}
	if w.one(8) {
		set("until", "2026-01-07")
	}
	if w.one(w.when) {
		set("when", choose(w, `"dest.port == 443"`, `"client.ip != '10.1.2.7'"`, `"'g1' in client.groups"`, `"client.user == 'u1' || dest.port > 443"`))
	} else if w.one(w.when) && !tunnels {
		set("when", choose(w, `"request.method == 'GET'"`, `"request.path.startsWith('/a')"`, `"dest.port == 443 && request.path != '/a'"`))
	}
	if w.one(8) {
		set("audit", "true")
	}
	if mode == "deny" && w.one(3) {
		set("visible_only", "true")
	}
	if !within && (mode == "intercept" || strings.Contains(mode, "originate")) && i%2 == 0 {
		set("origin", "{client_cert: {mint: {}}}")
	}
	if mode != "deny" && w.one(4) {
		set("client_leg", choose(w, "tls", "tls", "any"))
	}
	if mode != "deny" && w.one(4) && !within {
		set("allow_private", "true")
	}
	return b.String() + "}\n"
}

// policy makes a policy of random rules.
func (w *world) policy(t testing.TB) *Policy {
	w.lists(t)
	var b strings.Builder
	b.WriteString("version: 1\nclients:\n")
	for i := range 20 {
		fmt.Fprintf(&b, "  who%d: %s\n", i, w.list(2, w.client))
	}
	b.WriteString("destinations:\n")
	for i := range 30 {
		fmt.Fprintf(&b, "  dest%d: %s\n", i, w.list(1+w.broad, w.entry))
		host := w.entry
		for s := host(); ; s = host() {
			if !strings.Contains(s, "url") {
				fmt.Fprintf(&b, "  host%d: [%s, {host: n%d}]\n", i, s, i)
				break
			}
		}
	}
	b.WriteString("schedules:\n  day: {tz: Europe/Prague, days: mon-fri, hours: \"07:00-19:00\"}\n  night: {tz: UTC, days: daily, hours: \"19:00-07:00\"}\n")
	part := "version: 1\nrules:\n"
	for i := range 1 + w.rules/10 {
		part += w.rule(w.rules+i, true)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "part.yaml"), []byte(part), 0o600); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "include: [{file: part.yaml, within: {from: [who0, who1, who2, who3], to: [host0, host1, host2, host3, host4], modes: [deny, tunnel, intercept, originate, relay]}}]\n")
	b.WriteString("rules:\n")
	for i := range w.rules {
		b.WriteString(w.rule(i, false))
	}
	p, err := Parse("random.yaml", []byte(b.String()), w.dir)
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	return p
}

func (w *world) query() Query {
	q := Query{
		Kind: choose(w, Connect, Plain, Inner), Port: choose[uint16](w, 80, 443, 443, 8443, 8080, 22, 445),
		At: testTime.Add(time.Duration(w.IntN(96)) * time.Hour), ClientTLS: w.one(2), MayAsk: w.one(3),
	}
	if q.Kind != Connect {
		q.Method, q.Path = choose(w, "GET", "POST", "HEAD"), w.path()
		q.Scheme = choose(w, "http", "https")
	}
	host := w.name()
	switch w.IntN(6) {
	case 0:
		host = choose(w, "1.1.1.1", "192.0.2.9", "[2001:db8:1::5]", "169.254.169.254", "127.0.0.1", fmt.Sprintf("10.%d.%d.7", w.IntN(4), w.IntN(4)))
	case 1:
		host = fmt.Sprintf("n%d", w.IntN(30))
	}
	q.Host, _ = ParseHost(host)
	q.Client.Addr = netip.MustParseAddr(choose(w, "10.1.2.7", "10.2.3.4", "192.0.2.200", "2001:db8:1::9", "2001:db8::1", "8.8.8.8",
		fmt.Sprintf("10.%d.%d.7", w.IntN(4), w.IntN(4))))
	if w.one(3) {
		q.Client.User = choose(w, "u1", "u2", "u9")
	}
	for w.one(2) {
		q.Client.Groups = append(q.Client.Groups, fmt.Sprintf("g%d", w.IntN(8)))
	}
	if w.one(4) {
		q.Client.Certs = []string{choose(w, "c1", "c2", "c3")}
	}
	if w.one(4) {
		q.Client.Claims = []string{choose(w, "r=1", "r=2", "r=3")}
	}
	if w.one(200) { // what no parser makes
		q.Host, q.Kind = Host{Name: choose(w, "", ".", "a..example", ".a.example", "a.example.", strings.Repeat("a.", 200)+"example")}, choose[Kind](w, Plain, 9)
	}
	if w.one(200) {
		q.Client.Addr = choose(w, netip.Addr{}, netip.MustParseAddr("::ffff:10.1.2.7"), netip.MustParseAddr("fe80::1%eth0"))
	}
	return q
}

// The index finds what asking one rule after the other finds, in every respect.
func TestIndexIsTheLinearWalk(t *testing.T) {
	sets := []struct {
		name             string
		rules, asked     int
		when, any, broad int
		setup            func(t *testing.T)
	}{
		{"few", 5, 20_000, 3, 2, 4, nil},
		{"some", 70, 20_000, 0, 4, 2, nil},
		{"narrow", 300, 20_000, 0, 0, 1, nil},
		{"any", 150, 10_000, 20, 1, 2, nil},
		{"many", 1000, 3_000, 0, 20, 1, nil},
		{"expressions", 60, 3_000, 2, 10, 2, nil},
		{"long lists", 70, 20_000, 0, 6, 4, func(t *testing.T) { replace(t, &longNames, 10) }},
		{"rows apart", 200, 10_000, 0, 6, 2, func(t *testing.T) { replace(t, &maxUnions, 0) }},
		{"ports of rules", 200, 10_000, 0, 6, 2, func(t *testing.T) { replace(t, &maxPortRows, 0) }},
	}
	for i, s := range sets {
		t.Run(s.name, func(t *testing.T) {
			if s.setup != nil {
				s.setup(t)
			}
			asked := s.asked
			if *long {
				asked = 1_000_000
			}
			w := &world{Rand: rand.New(rand.NewPCG(uint64(i), 5)), dir: t.TempDir(), rules: s.rules, when: s.when, any: s.any, broad: s.broad}
			p := w.policy(t)
			if p.index == nil {
				t.Fatal("there is no index")
			}
			reasons := make(map[Reason]int)
			for range asked {
				q := w.query()
				got, want := p.Decide(q), p.walk(q, nil)
				if got != want {
					t.Fatalf("%+v\n got  %s audited %v hidden %v\n want %s audited %v hidden %v", q, answer(got), got.Audited, got.Hidden, answer(want), want.Audited, want.Hidden)
				}
				reasons[got.Reason]++
			}
			for _, r := range []Reason{ByRule, WrongKind, BadPath, PlainLeg, NoUser} {
				if reasons[r] == 0 {
					t.Errorf("no query was answered with %s", r)
				}
			}
			t.Log(reasons)
		})
	}
}

// replace gives a variable another value for the time of a test.
func replace(t *testing.T, v *int, value int) {
	old := *v
	*v = value
	t.Cleanup(func() { *v = old })
}

func TestIndexAtOnce(t *testing.T) {
	replace(t, &longNames, 10)
	w := &world{Rand: rand.New(rand.NewPCG(7, 7)), dir: t.TempDir(), rules: 100, any: 5, broad: 2}
	p := w.policy(t)
	var queries []Query
	var want []Decision
	for range 500 {
		queries = append(queries, w.query())
		want = append(want, p.walk(queries[len(queries)-1], nil))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i, q := range queries {
				if d := p.Decide(q); d != want[i] {
					t.Errorf("%s: %s, want %s", q, answer(d), answer(want[i]))
				}
			}
		})
	}
	wg.Wait()
}

// Rules that are not those the index was made of are asked one by one.
func TestIndexIsOfItsRules(t *testing.T) {
	p := mustParse(t, "version: 1\nrules: [{name: a, from: any, to: a.example, mode: tunnel}, {name: b, from: any, to: any, mode: deny}]\n")
	q := Query{Client: Client{Addr: netip.MustParseAddr("10.0.0.1")}, Kind: Connect, Host: Host{Name: "a.example"}, Port: 443}
	if d := p.Decide(q); d.RuleName() != "a" {
		t.Fatal(answer(d))
	}
	other := *p
	other.Rules = p.Rules[1:]
	if d := other.Decide(q); d.RuleName() != "b" {
		t.Error(answer(d))
	}
	other.Rules = slices.Clone(p.Rules)
	slices.Reverse(other.Rules)
	if d := other.Decide(q); d.RuleName() != "b" {
		t.Error(answer(d))
	}
}
