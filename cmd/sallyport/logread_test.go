// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sallyport/gateway"
	"sallyport/policy"
	"sallyport/tunnel"
)

// chance is randomness with the words this file needs.
type chance struct{ *rand.Rand }

func newChance(seed uint64) chance { return chance{rand.New(rand.NewPCG(seed, 4))} }

func (c chance) one(of ...string) string { return of[c.IntN(len(of))] }
func (c chance) in(n int) bool           { return c.IntN(n) == 0 }

// some is a flow list of one or more of the words.
func (c chance) some(of ...string) string {
	words := slices.Clone(of)
	c.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	return "[" + strings.Join(words[:1+c.IntN(min(3, len(words)))], ", ") + "]"
}

var (
	someClients = []string{"lan", "eva", "staff", "machine", "agents", "both", "10.1.0.0/16", `"2001:db8:1::/48"`, "192.0.2.7"}
	someHosts   = []string{"a.example", "b.a.example", ".a.example", "c.example", "192.0.2.9", "10.0.0.1", "198.51.100.0/24", `"2001:db8::1"`, "list"}
)

// randomPolicy writes a policy that loads, of every kind of condition.
func randomPolicy(c chance) string {
	var b strings.Builder
	b.WriteString(`version: 1
clients:
  lan: 10.0.0.0/8
  eva: {user: eva}
  staff: {group: [staff, sre]}
  machine: {cert: "spiffe://a.example/ci"}
  agents: {claim: "role=agent"}
  both: {group: staff, cidr: 10.1.0.0/16}
destinations:
  list: [.c.example, d.example, {host: intranet}, {glob: "x-*.y.example"}]
origins: {strict: {min_tls: "1.3", port: 8443}, own: {client_cert: {mint: {}}}}
schedules: {office: {tz: Europe/Prague, days: mon-fri, hours: "07:00-19:00"}}
`)
	if c.IntN(3) == 0 {
		fmt.Fprintf(&b, "never_intercept: %s\n", c.some(someHosts...))
	}
	b.WriteString("rules:\n")
	for i := range 1 + c.IntN(8) {
		mode := c.one("deny", "deny", "tunnel", "intercept", "originate", "relay", "[intercept, relay]", "[tunnel, originate]", "[originate, intercept]")
		fmt.Fprintf(&b, "  - name: r%d\n    mode: %s\n    from: %s\n    to: %s\n", i, mode,
			c.one("any", c.some(someClients...)), c.one("any", "any", c.some(someHosts...)))
		opens := mode == "deny" || strings.Contains(mode, "intercept")
		sees := !strings.Contains(mode, "tunnel")
		for _, key := range []struct {
			may  bool
			text string
		}{
			{true, "from_except: " + c.some(someClients...)},
			{true, "to_except: " + c.some(someHosts...)},
			{true, "ports: " + c.one("any", "443", "80", "[443, 8000-8099]", "22")},
			{sees, "methods: " + c.some("GET", "POST", "HEAD")},
			{sees, "paths: " + c.some("/", "/a/**", "/a/*/b", "/x")},
			{sees, "when: '" + c.one(`request.path.startsWith("/a")`, `request.method == "GET" || dest.port == 443`) + "'"},
			{true, "when: '" + c.one(`client.user == "eva"`, `"staff" in client.groups`, `dest.port > 442`, `now.getHours() < 12`, `client.claims.size() > 0`) + "'"},
			{true, "schedule: office"},
			{true, "until: " + c.one("2026-01-05", "2026-11-24")},
			{mode == "deny" && opens, "visible_only: true"},
			{mode != "deny", "allow_private: true"},
			{mode != "deny", "client_leg: tls"},
			{true, "audit: true"},
			{strings.Contains(mode, "originate"), "origin: " + c.one("strict", "own")},
			{mode == "intercept", "origin: own"},
		} {
			name, _, _ := strings.Cut(key.text, ":")
			if key.may && c.in(4) && !strings.Contains(lastRule(b.String()), name+":") {
				fmt.Fprintf(&b, "    %s\n", key.text)
			}
		}
	}
	return b.String()
}

func lastRule(text string) string { return text[strings.LastIndex(text, "- name:"):] }

// randomQuery is one that the gateway could ask.
func randomQuery(c chance) policy.Query {
	q := policy.Query{
		Client: policy.Client{Addr: netip.MustParseAddr(c.one("10.1.2.3", "10.9.9.9", "192.0.2.7", "2001:db8:1::5", "203.0.113.5"))},
		Kind:   policy.Kind(c.IntN(3)),
		At:     time.Unix(1767600000+c.Int64N(60*86400), c.Int64N(1e9)).In(time.FixedZone("", 3600*c.IntN(3))),
		MayAsk: c.in(3), ClientTLS: c.in(2),
	}
	q.Host, _ = policy.ParseHost(c.one("a.example", "b.a.example", "c.example", "z.c.example", "d.example", "x-1.y.example", "intranet",
		"192.0.2.9", "10.0.0.1", "198.51.100.7", "[2001:db8::1]", "other.test"))
	q.Port = []uint16{80, 443, 22, 8000, 8443}[c.IntN(5)]
	if c.in(2) {
		q.Client.User = c.one("eva", "bob", "<e\u00fc&\">", "a\nb")
	}
	for values, of := range map[*[]string][]string{
		&q.Client.Groups: {"staff", "sre", "x"}, &q.Client.Certs: {"spiffe://a.example/ci", "m@a.example"}, &q.Client.Claims: {"role=agent", "k=v,\x01"},
	} {
		switch c.IntN(3) {
		case 0:
			*values = []string{} // proven to have none, which is not the same as not asked
		case 1:
			*values = of[:1+c.IntN(len(of))]
		}
	}
	if q.Kind == policy.Connect {
		return q
	}
	q.Scheme = "https"
	if q.Kind == policy.Plain {
		q.Scheme = c.one("http", "https")
	}
	q.Method = c.one("GET", "POST", "HEAD", "OPTIONS", "PO!ST")
	q.Path = c.one("/", "*", "/a", "/a/x/b", "/a/./b%2e", "/a//b", "/a%2fb", "/\xff\x9b", "/%41<&>", "/x%00", "/a/../x", "/x;a=\u00e9")
	return q
}

// urlOf is how the gateway's record names what was asked for.
func urlOf(q policy.Query) string {
	authority := net.JoinHostPort(q.Host.String(), fmt.Sprint(q.Port))
	if q.Kind == policy.Connect {
		return authority
	}
	if q.Scheme == "http" && q.Port == 80 || q.Scheme == "https" && q.Port == 443 {
		authority = authority[:strings.LastIndexByte(authority, ':')]
	}
	return q.Scheme + "://" + authority + strings.TrimPrefix(q.Path, "*") + "?redacted"
}

// written is the line that the access log has for a decision.
func written(p *policy.Policy, q policy.Query, d policy.Decision) []byte {
	var b bytes.Buffer
	logger := zerolog.New(&b).With().Timestamp().Logger()
	method := q.Method
	if q.Kind == policy.Connect {
		method = http.MethodConnect
	}
	var leg *tls.ConnectionState
	if q.ClientTLS {
		leg = &tls.ConnectionState{Version: tls.VersionTLS13}
	}
	logRecord(&logger, &gateway.Record{
		ClientTLS: leg,
		Time:      q.At, ID: "abcdefghabcdefgh", Client: netip.AddrPortFrom(q.Client.Addr, 1234), Identity: q.Client,
		Method: method, URL: urlOf(q), Proto: "HTTP/1.1", Kind: q.Kind, MayAsk: q.MayAsk,
		Decision: d, Revision: p.Revision, Mode: d.Mode, Outcome: gateway.Done,
	})
	return b.Bytes()
}

// TestReplayReproducesEveryDecision: 10,000 decisions of random policies, written
// by the log's writer, read by its reader and decided again, are the same in all
// that is acted on.
func TestReplayReproducesEveryDecision(t *testing.T) {
	if _, err := newLogger("json"); err != nil { // the formats of times are set there
		t.Fatal(err)
	}
	c := newChance(1)
	seen := make(map[policy.Reason]int)
	modes := make(map[policy.Mode]int)
	for range 200 {
		src := randomPolicy(c)
		p, err := policy.Parse("random.yaml", []byte(src), t.TempDir())
		if err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
		for range 50 {
			q := randomQuery(c)
			d := p.Decide(q)
			seen[d.Reason]++
			modes[d.Mode]++
			line := written(p, q, d)
			r, err := readRecord(line)
			if err != nil {
				t.Fatalf("%v\n%s", err, line)
			}
			if again := p.Decide(r.Query); !r.same(again) || !r.of(p) || again != d {
				t.Fatalf("decided %+v, again %+v\nasked %+v\nread  %+v\n%s%s", d, again, q, r.Query, line, src)
			}
		}
	}
	for reason := policy.ByRule; reason <= policy.NoUser; reason++ {
		if seen[reason] == 0 {
			t.Errorf("no decision for the reason %s", reason)
		}
	}
	for mode := policy.Deny; mode <= policy.Relay; mode++ {
		if modes[mode] == 0 {
			t.Errorf("no decision for the mode %s", mode)
		}
	}
}

// TestReplayOfWhatTheGatewayServed sends requests of all kinds, well-formed and
// not, to a gateway; what it logs of them decides again as it was decided.
func TestReplayOfWhatTheGatewayServed(t *testing.T) {
	if _, err := newLogger("json"); err != nil {
		t.Fatal(err)
	}
	c := newChance(2)
	nowhere := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network") }}
	decided, undecided := 0, 0
	for range 12 {
		p, err := policy.Parse("random.yaml", []byte(randomPolicy(c)), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		gen := gateway.Generation{Policy: p}
		records := make(chan *gateway.Record, 1)
		var who atomic.Pointer[policy.Client]
		server := &gateway.Server{
			Generation: func() *gateway.Generation { return &gen },
			Identify:   func(gateway.Request) (gateway.Identity, error) { return gateway.Identity{Client: *who.Load()}, nil },
			Dialer:     tunnel.Dialer{Names: &tunnel.Names{Resolver: nowhere}, Timeout: time.Second},
			Observe:    func(r *gateway.Record) { records <- r },
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() { defer close(served); _ = server.Serve(l) }()
		for range 25 {
			q := randomQuery(c)
			who.Store(&q.Client)
			if q.Host.IsAddr() { // nobody is to be called up
				q.Host = policy.Host{Name: "d.example"}
			}
			target, method := strings.TrimSuffix(urlOf(q), "?redacted")+c.one("", "?a=%zz", "?", "#f"), q.Method
			if q.Kind == policy.Connect {
				target, method = urlOf(q), http.MethodConnect
			}
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, target)
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
			rec := <-records
			var b bytes.Buffer
			logger := zerolog.New(&b)
			logRecord(&logger, rec)
			r, err := readRecord(b.Bytes())
			if err != nil && rec.Revision == "" {
				undecided++
				continue
			}
			if again := p.Decide(r.Query); err != nil || again != rec.Decision || !r.same(again) {
				t.Fatalf("%s %s: %v\ndecided %+v\nagain   %+v\n%s", method, target, err, rec.Decision, again, b.Bytes())
			}
			decided++
		}
		if err := server.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-served
	}
	if decided < 100 || undecided < 10 {
		t.Errorf("%d requests decided and %d not: the test asks too little", decided, undecided)
	}
}

func TestReadRecord(t *testing.T) {
	const good = `{"start":"2026-11-24T10:00:00.5Z","client":"10.1.2.3:4","method":"GET","url":"http://a.example/","kind":"plain","mode":"deny","decision":"deny","reason":"no-rule","revision":"0123456789abcdef","message":"request"}`
	for _, c := range []struct{ change, to, want string }{
		{"", "", "<nil>"},
		{`"message":"request"`, `"message":"serving"`, errOtherLine.Error()},
		{good, `{"mode":7,"message":"serving"}`, errOtherLine.Error()},
		{`"revision":"0123456789abcdef",`, "", errNotDecided.Error()},
		{`"kind":"plain",`, "", errOldLine.Error()},
		{`"kind":"plain"`, `"kind":"plain","inexact":true`, errInexact.Error()},
		{`"decision":"deny",`, "", `"decision", "start" or "client" is missing`},
		{`"decision":"deny"`, `"decision":"allow"`, `"allow" is no mode`},
		{`"no-rule"`, `"because"`, `"because" is no reason`},
		{`"plain"`, `"fancy"`, `"fancy" is no kind`},
		{`http://a.example/`, `ftp://a.example/`, `the url "ftp://a.example/" is neither http nor https`},
		{`http://a.example/`, `http://127.1/`, `host ends in a number but is not an IPv4 address of four decimal parts`},
		{`http://a.example/`, `http://a.example:0/`, `the url "http://a.example:0/" has no port`},
		{`"kind":"plain"`, `"kind":"connect"`, `the url "http://a.example/" has no port`},
		{`10.1.2.3:4`, `10.1.2.3`, `not an ip:port`},
		{good, `{`, "unexpected end of JSON input"},
	} {
		_, err := readRecord([]byte(strings.Replace(good, c.change, c.to, 1)))
		if got := fmt.Sprint(err); !strings.Contains(got, c.want) {
			t.Errorf("%s -> %s: %s", c.change, c.to, got)
		}
	}
}

// What is proven and is no text cannot be decided again, and the line says so.
func TestInexactIdentityIsTold(t *testing.T) {
	p := policy.Starter()
	q := policy.Query{Client: policy.Client{Addr: netip.MustParseAddr("127.0.0.1"), Groups: []string{"\xff"}}, Kind: policy.Connect, Host: policy.Host{Name: "a.example"}, Port: 443, At: time.Unix(1e9, 0)}
	if _, err := readRecord(written(p, q, p.Decide(q))); err != errInexact {
		t.Error(err)
	}
}

func TestReadLog(t *testing.T) {
	long, tooLong := strings.Repeat("x", 200<<10), strings.Repeat("y", maxLogLine+70<<10)
	text := "a\r\n\n" + long + "\n" + tooLong + "\nb\nrest"
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, text)
	_ = z.Flush() // and not closed: still being written
	for name, r := range map[string]io.Reader{"text": strings.NewReader(text), "small pieces": bufio.NewReaderSize(strings.NewReader(text), 16), "gzip": &packed} {
		var got []string
		err := readLog(r, func(l logLine) error {
			got = append(got, fmt.Sprintf("%d %.3s %d %v %v", l.Number, l.Text, len(l.Text), l.Whole, l.TooLong))
			return nil
		})
		want := []string{"1 a 1 true false", "2  0 true false", "3 xxx 204800 true false", "4  0 true true", "5 b 1 true false", "6 res 4 false false"}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v\n%s", name, err, strings.Join(got, "\n"))
		}
	}
	if err := readLog(strings.NewReader("\x1f\x8bno gzip"), nil); err == nil {
		t.Error("a broken gzip file is read")
	}
	stop := errors.New("enough")
	if err := readLog(strings.NewReader("a\nb\n"), func(logLine) error { return stop }); err != stop {
		t.Error(err)
	}
}

// FuzzReadRecord: whatever a log holds, reading it ends, and what is read can be
// decided.
func FuzzReadRecord(f *testing.F) {
	c := newChance(3)
	p := policy.Starter()
	for range 20 {
		q := randomQuery(c)
		f.Add(written(p, q, p.Decide(q)))
	}
	f.Add([]byte(`{"message":"request","revision":"12345678","kind":"inner","decision":"tunnel","start":"2026-01-01T00:00:00Z","client":"[::1]:1","url":"https://[::]:/"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		_ = readLog(bytes.NewReader(line), func(l logLine) error {
			r, err := readRecord(l.Text)
			if err != nil {
				return nil
			}
			if r.Query.Host == (policy.Host{}) || r.Query.Port == 0 || r.Query.At.IsZero() || !r.Query.Client.Addr.IsValid() {
				t.Errorf("read %+v", r.Query)
			}
			if r.of(p) && r.same(p.Decide(r.Query)) && r.Query.Kind == policy.Connect && strings.ContainsAny(r.Query.Host.Name, "\n\x1b") {
				t.Errorf("a host with a control character: %q", r.Query.Host.Name)
			}
			return nil
		})
	})
}
