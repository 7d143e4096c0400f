// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"sallyport/policy"
)

// files is a ReadFile of files that are nowhere else.
func files(m map[string]string) ReadFile {
	return func(path string) ([]byte, error) {
		if s, ok := m[path]; ok {
			return []byte(s), nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
}

// loaded is the policy of a result.
func loaded(t *testing.T, r *Result) *policy.Policy {
	t.Helper()
	d := draft{lists: r.Lists}
	p, err := policy.LoadWith("policy.yaml", d.reader(r.Policy))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const usual = `
acl localnet src 10.0.0.0/8
acl SSL_ports port 443
acl Safe_ports port 80 443 1025-65535
http_access deny !Safe_ports
http_access deny CONNECT !SSL_ports
`

// What a squid.conf decides, worked out by hand from Squid's documentation.
func TestSquid(t *testing.T) {
	for _, c := range []struct {
		what, conf string
		files      map[string]string
		decisions  string // client request decision, one a line
		review     string // must be listed
	}{
		{
			what: "the usual", conf: usual + "http_access allow localnet\nhttp_access deny all\n",
			decisions: `
10.1.1.1 CONNECT a.example:443 tunnel
10.1.1.1 CONNECT a.example:8443 deny
10.1.1.1 http://a.example/ relay
10.1.1.1 http://a.example:8080/ relay
10.1.1.1 http://a.example:25/ deny
192.0.2.1 CONNECT a.example:443 deny
10.1.1.1 CONNECT 127.0.0.1:443 deny`,
		},
		{
			what: "no rule matches: the opposite of the last", conf: "acl a dstdomain .a.example\nhttp_access deny a\n",
			decisions: "192.0.2.1 CONNECT b.example:443 tunnel\n192.0.2.1 CONNECT b.example:25 tunnel\n192.0.2.1 http://b.example/ relay\n192.0.2.1 CONNECT x.a.example:443 deny\n192.0.2.1 http://a.example/ deny",
			review:    "so Squid allows whatever no rule matches",
		},
		{
			what: "no rule matches: after an allow", conf: "acl a dstdomain .a.example\nhttp_access allow a\n",
			decisions: "192.0.2.1 CONNECT b.example:443 deny\n192.0.2.1 CONNECT a.example:443 tunnel",
		},
		{
			what: "no rules", conf: "http_port 3128\n", decisions: "10.1.1.1 http://a.example/ deny", review: "there is no http_access",
		},
		{
			what: "lines are or, words are and", conf: usual + "acl boss src 10.1.1.1\nacl boss src 10.1.1.2\nacl x dstdomain x.example\nhttp_access allow boss x\nhttp_access allow localnet !boss !x\nhttp_access deny all\n",
			decisions: `
10.1.1.1 CONNECT x.example:443 tunnel
10.1.1.2 http://x.example/ relay
10.1.1.2 http://y.x.example/ deny
10.1.1.3 http://x.example/ deny
10.1.1.3 http://y.x.example/ relay
10.1.1.1 http://y.example/ deny`,
		},
		{
			what: "two networks at once", conf: "acl a src 10.0.0.0/8\nacl b src 10.1.0.0/16 192.0.2.0/24\nhttp_access allow a b\nhttp_access deny all\n",
			decisions: "10.1.1.1 http://x.example/ relay\n10.2.1.1 http://x.example/ deny\n192.0.2.1 http://x.example/ deny",
		},
		{
			what: "a file of names", conf: usual + "acl bad dstdomain \"bad.txt\"\nhttp_access deny bad\nhttp_access allow localnet\nhttp_access deny all\n",
			files:     map[string]string{"conf/bad.txt": "# names\n.bad.example\nworse.example # one\n\n"},
			decisions: "10.1.1.1 http://a.bad.example/ deny\n10.1.1.1 http://worse.example/ deny\n10.1.1.1 http://a.worse.example/ relay",
		},
		{
			what: "a deny whose file is not there denies everything", conf: usual + "acl bad dstdomain \"bad.txt\"\nhttp_access deny bad\nhttp_access allow localnet\n",
			decisions: "10.1.1.1 http://a.example/ deny", review: "this denies more than Squid does: acl bad: its file cannot be read",
		},
		{
			what: "an allow whose file is not there allows nothing", conf: usual + "acl good dstdomain \"good.txt\"\nhttp_access allow good\nhttp_access deny all\n",
			decisions: "10.1.1.1 http://a.example/ deny", review: "left out: acl good: its file cannot be read",
		},
		{
			what: "included", conf: "include more.conf\nhttp_access allow localnet\n", files: map[string]string{"conf/more.conf": usual},
			decisions: "10.1.1.1 http://a.example/ relay\n10.1.1.1 http://a.example:22/ deny",
		},
		{
			what: "includes itself", conf: usual + "include squid.conf\nhttp_access deny all\n", files: map[string]string{"conf/squid.conf": usual + "include squid.conf\n"},
			decisions: "10.1.1.1 http://a.example/ deny", review: "includes are nested too deeply",
		},
		{
			what: "an external program allows nothing", conf: usual + "acl ok external prog\nhttp_access allow ok\nhttp_access allow localnet\n",
			decisions: "10.1.1.1 http://a.example/ relay\n192.0.2.1 http://a.example/ deny", review: "left out: acl ok (external): it asks a program",
		},
		{
			what: "not an external program denies everything", conf: usual + "acl ok external prog\nhttp_access deny !ok\nhttp_access allow localnet\n",
			decisions: "10.1.1.1 http://a.example/ deny", review: "this denies more than Squid does: acl !ok (external)",
		},
		{
			what: "regular expressions", conf: usual + "acl ads dstdom_regex -i ^ads?[0-9]*\\. \\<track\\>\nhttp_access deny ads\nhttp_access allow localnet\nhttp_access deny all\n",
			decisions: "10.1.1.1 http://ad7.example/ deny\n10.1.1.1 CONNECT my.track.example:443 deny\n10.1.1.1 http://bads.example/ relay", review: "a regular expression",
		},
		{
			what: "what RE2 reads otherwise", conf: usual + "acl ads dstdom_regex (a)\\1\nhttp_access deny ads\nhttp_access allow localnet\n",
			decisions: "10.1.1.1 http://x.example/ deny", review: "is not the same in RE2",
		},
		{
			what: "URLs: CONNECT by host and port, plain HTTP not at all", conf: usual + "acl bad url_regex -i badword\nhttp_access deny bad\nhttp_access allow localnet\nhttp_access deny all\n",
			decisions: "10.1.1.1 CONNECT x.badword.example:443 deny\n10.1.1.1 CONNECT x.example:443 tunnel\n10.1.1.1 http://x.example/ deny", review: "queries are not seen",
		},
		{
			what: "URLs that are allowed", conf: usual + "acl good url_regex ^x\\.example:443$ ^http://y\\.example/\nhttp_access allow good\nhttp_access deny all\n",
			decisions: "10.1.1.1 CONNECT x.example:443 tunnel\n10.1.1.1 CONNECT y.example:443 deny\n10.1.1.1 http://y.example/ deny",
		},
		{
			what: "methods", conf: usual + "acl up method POST PUT\nacl x dstdomain x.example\nhttp_access deny up x\nhttp_access allow localnet\nhttp_access deny all\n",
			decisions: "10.1.1.1 POST http://x.example/ deny\n10.1.1.1 http://x.example/ relay\n10.1.1.1 CONNECT x.example:443 tunnel\n10.1.1.1 POST http://y.example/ relay",
		},
		{
			what: "CONNECT only", conf: "acl x dstdomain x.example\nacl y dstdomain y.example\nhttp_access allow CONNECT x\nhttp_access allow !CONNECT y\nhttp_access deny all\n",
			decisions: "10.1.1.1 CONNECT x.example:443 tunnel\n10.1.1.1 http://x.example/ deny\n10.1.1.1 CONNECT y.example:443 deny\n10.1.1.1 http://y.example/ relay",
		},
		{
			what: "addresses are not looked up", conf: usual + "acl nets dst 93.184.216.0/24\nhttp_access allow localnet nets\nhttp_access deny all\n",
			decisions: "10.1.1.1 CONNECT 93.184.216.34:443 tunnel\n10.1.1.1 CONNECT x.example:443 deny", review: "names that lead there are not let through",
		},
		{
			what: "public addresses that are denied", conf: usual + "acl nets dst 93.184.216.0/24\nhttp_access deny nets\nhttp_access allow localnet\n",
			decisions: "10.1.1.1 CONNECT x.example:443 deny", review: "this denies more than Squid does: acl nets (dst)",
		},
		{
			what: "users", conf: usual + "acl auth proxy_auth REQUIRED\nacl staff proxy_auth eva petr\nacl x dstdomain x.example\nhttp_access deny !auth\nhttp_access allow staff x\nhttp_access allow localnet\nhttp_access deny all\n",
			decisions: "10.1.1.1 http://y.example/ deny\neva@192.0.2.1 http://x.example/ relay\neva@192.0.2.1 http://y.example/ deny\niva@10.1.1.1 http://y.example/ relay", review: "users have to be proven",
		},
		{
			what: "times", conf: usual + "acl work time MTWHF 09:00-17:00\nhttp_access allow localnet work\nhttp_access deny all\n",
			decisions: "10.1.1.1 http://y.example/ relay", review: "give the time zone with --zone", // asked on a Monday at noon
		},
		{
			what: "times, denied", conf: usual + "acl work time MTWHF 09:00-17:00\nhttp_access deny localnet !work\nhttp_access deny work\nhttp_access allow localnet\nhttp_access deny all\n",
			decisions: "10.1.1.1 http://y.example/ deny",
		},
		{
			what: "any-of and all-of", conf: usual + "acl a dstdomain a.example\nacl b dstdomain b.example\nacl either any-of a b\nacl boss src 10.1.1.1\nacl both all-of boss a\nhttp_access deny both\nhttp_access allow localnet either\nhttp_access deny all\n",
			decisions: "10.1.1.1 http://a.example/ deny\n10.1.1.2 http://a.example/ relay\n10.1.1.2 http://b.example/ relay\n10.1.1.2 http://c.example/ deny",
		},
		{
			what: "limits are no permissions", conf: usual + "acl many maxconn 10\nhttp_access deny localnet many\nhttp_access allow localnet\nhttp_access deny all\n",
			decisions: "10.1.1.1 http://a.example/ relay", review: "a limit is no permission",
		},
		{
			what: "everything opened", conf: usual + "acl bank ssl::server_name .bank.example\nacl bad ssl::server_name .bad.example\nssl_bump peek all\nssl_bump terminate bad\nssl_bump splice bank\nssl_bump bump all\nhttp_access allow localnet\nhttp_access deny all\n",
			decisions: "10.1.1.1 CONNECT www.bank.example:443 tunnel\n10.1.1.1 CONNECT x.example:443 intercept\n10.1.1.1 CONNECT bad.example:443 deny\n10.1.1.1 http://x.example/ relay\n10.1.1.1 http://bank.example/ relay", review: "connections are intercepted",
		},
		{
			what: "some opened", conf: usual + "acl bad ssl::server_name .bad.example\nssl_bump bump bad\nssl_bump splice all\nhttp_access allow localnet\nhttp_access deny all\n",
			decisions: "10.1.1.1 CONNECT bad.example:443 intercept\n10.1.1.1 CONNECT x.example:443 tunnel",
		},
		{
			what: "an acl that is not defined", conf: usual + "http_access allow nobody\nhttp_access deny nobody\nhttp_access allow localnet\n",
			decisions: "10.1.1.1 http://x.example/ deny", review: "acl nobody is not defined",
		},
		{
			what: "control characters", conf: usual + "acl x dstdomain \x1b[31m.example \u202e.example\nhttp_access deny x\nhttp_access allow localnet\nhttp_access deny all\n",
			decisions: "10.1.1.1 http://x.example/ deny",
		},
	} {
		for _, listFiles := range []bool{false, true} {
			r, err := Squid("conf/squid.conf", []byte(c.conf), files(c.files), Options{ListFiles: listFiles})
			if err != nil {
				t.Errorf("%s: %v", c.what, err)
				continue
			}
			p := loaded(t, r)
			for row := range strings.SplitSeq(strings.TrimSpace(c.decisions), "\n") {
				client, request, _ := strings.Cut(row, " ")
				request, want := request[:strings.LastIndex(request, " ")], request[strings.LastIndex(request, " ")+1:]
				q, err := policy.ParseRequest(request)
				if err != nil {
					t.Fatal(err)
				}
				user, addr, ok := strings.Cut(client, "@")
				if !ok {
					user, addr = "", client
				}
				q.Client = policy.Client{Addr: netip.MustParseAddr(addr), User: user}
				q.At = noon
				if d := p.Decide(q); d.Mode.String() != want {
					t.Errorf("%s: %s is %s by rule %s, want %s\n%s", c.what, row, d.Mode, d.RuleName(), want, r.Policy)
				}
			}
			var review strings.Builder
			for _, n := range r.Review {
				review.WriteString(n.String() + "\n")
			}
			if !strings.Contains(review.String(), c.review) {
				t.Errorf("%s: %q is not in the review\n%s", c.what, c.review, review.String())
			}
			if strings.ContainsAny(string(r.Policy), "\x1b\u202e") {
				t.Errorf("%s: control characters in the policy\n%q", c.what, r.Policy)
			}
		}
	}
}

// Whatever a squid.conf says, the policy made of it allows nothing that Squid
// would not, and the other way round where nothing is listed for review.
func TestSquidIsNotWidened(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 18))
	acls := []string{
		"acl lan src 10.0.0.0/8", "acl lan src 192.168.1.0/255.255.255.0", "acl boss src 10.1.1.1-10.1.1.5", "acl a dstdomain .a.example b.example",
		"acl c dstdomain c.example .d.example", "acl safe port 80 443 1025-65535", "acl ssl port 443 8443", "acl get method GET", "acl post method POST",
		"acl getcon method GET CONNECT", "acl re dstdom_regex ^x\\.", "acl url url_regex b\\.example", "acl auth proxy_auth REQUIRED", "acl eva proxy_auth eva",
		"acl ext external foo", "acl priv dst 10.0.0.0/8", "acl pub dst 93.184.0.0/16", "acl any any-of a boss", "acl both all-of lan !c", "acl ftp proto FTP",
	}
	names := []string{"all", "lan", "boss", "a", "c", "safe", "ssl", "get", "post", "getcon", "re", "url", "auth", "eva", "ext", "priv", "pub", "any", "both", "ftp", "CONNECT", "manager", "localhost", "to_localhost"}
	conf := strings.Join(acls, "\n") + "\n"
	asked, allowed, same := 0, 0, 0
	rounds := 80
	if testing.Short() {
		rounds = 20
	}
	for range rounds {
		var b strings.Builder
		b.WriteString(conf)
		for range 1 + rnd.IntN(6) {
			fmt.Fprintf(&b, "http_access %s", []string{"allow", "deny"}[rnd.IntN(2)])
			for range 1 + rnd.IntN(3) {
				fmt.Fprintf(&b, " %s%s", []string{"", "", "!"}[rnd.IntN(3)], names[rnd.IntN(len(names))])
			}
			b.WriteByte('\n')
		}
		r, err := Squid("squid.conf", []byte(b.String()), files(nil), Options{})
		if err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		p := loaded(t, r)
		lines, _ := squidLines("squid.conf", []byte(b.String()), files(nil))
		s := &squid{acls: squidACLs(lines, files(nil))}
		for range 100 {
			tr := trial{
				addr:    netip.MustParseAddr([]string{"10.1.1.1", "10.2.2.2", "192.168.1.9", "192.0.2.1", "127.0.0.1"}[rnd.IntN(5)]),
				user:    []string{"", "", "eva", "petr"}[rnd.IntN(4)],
				connect: rnd.IntN(2) == 0,
				host:    []string{"a.example", "w.a.example", "b.example", "w.b.example", "c.example", "w.d.example", "x.example", "free.test"}[rnd.IntN(8)],
				port:    []int{80, 443, 8443, 25, 8080}[rnd.IntN(5)],
			}
			want := s.decide(lines, tr)
			if want == unknown {
				continue
			}
			q, err := policy.ParseRequest(tr.String())
			if err != nil {
				t.Fatal(err)
			}
			q.Client = policy.Client{Addr: tr.addr, User: tr.user}
			d := p.Decide(q)
			asked++
			if want == holds {
				allowed++
				if d.Mode != policy.Deny {
					same++
				}
			} else if d.Mode != policy.Deny {
				t.Fatalf("%+v is %s by rule %s\n%s\n%s", tr, d.Mode, d.RuleName(), b.String(), r.Policy)
			}
		}
	}
	if asked < rounds*30 || same < allowed/3 {
		t.Errorf("asked %d, Squid allows %d, the policy %d of them", asked, allowed, same)
	}
}

// Lists too long for one file are told, and have files of their own when asked.
func TestSquidLongList(t *testing.T) {
	var list strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&list, "n%d.a-rather-long-name.example\n", i)
	}
	conf := []byte("acl l dstdomain \"l.txt\"\nhttp_access deny l\nhttp_access allow all\n")
	from := files(map[string]string{"l.txt": list.String()})
	if _, err := Squid("squid.conf", conf, from, Options{}); !errors.Is(err, ErrTooLong) {
		t.Errorf("in one file: %v", err)
	}
	r, err := Squid("squid.conf", conf, from, Options{ListFiles: true})
	if err != nil || len(r.Lists["lists/l.txt"]) != list.Len() {
		t.Errorf("with a file: %v", err)
	}
}

func TestSquidManyIncludes(t *testing.T) {
	conf := strings.Repeat("include squid.conf\n", 10)
	lines, notes := squidLines("squid.conf", []byte(conf), files(map[string]string{"squid.conf": conf}))
	if len(lines) != 0 || len(notes) > 20*maxFiles {
		t.Errorf("%d lines, %d notes", len(lines), len(notes))
	}
}

func FuzzSquid(f *testing.F) {
	f.Add([]byte(usual + "http_access allow localnet\n"))
	f.Add([]byte("acl a dstdomain .a.example\nacl b time MTW 9:00-10:00\nacl c any-of a !b\nssl_bump splice a\nhttp_access deny !c\n"))
	f.Add([]byte("acl a src 1.2.3.4-1.2.3.9/32\nacl a src 1::/x\nacl u url_regex -i ^x\nhttp_access allow !a u \\\n CONNECT # x\ninclude x\n"))
	f.Fuzz(func(t *testing.T, conf []byte) {
		r, err := Squid("squid.conf", conf, files(nil), Options{})
		if err != nil {
			t.Fatal(err)
		}
		loaded(t, r)
	})
}
