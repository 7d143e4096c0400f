// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/gateway/h1"
)

type named string

func (n named) ClientName() string { return string(n) }

var (
	testKey = NewKey()
	noon    = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
)

// exchange is one of a client with host, by https unless the origin is met in the clear.
func exchange(client, host string, secure bool) *Exchange {
	return &Exchange{Policy: site, Client: named(client), Method: "GET", Host: host, Secure: secure, Plain: true, Key: testKey, Now: noon}
}

// set is what a client is told by Set-Cookie when host sets these.
func set(t *testing.T, x *Exchange, lines ...string) []string {
	t.Helper()
	for i := range lines {
		lines[i] = "Set-Cookie: " + lines[i]
	}
	got := written(x.Answer(fields(t, lines...), 200))
	for i := range got {
		got[i] = strings.TrimPrefix(got[i], "Set-Cookie: ")
	}
	return got
}

// sent is the Cookie field that an origin gets; "" for none.
func sent(t *testing.T, x *Exchange, cookie string) string {
	t.Helper()
	got := written(x.Request(fields(t, "Cookie: "+cookie)))
	if len(got) == 0 {
		return ""
	}
	return strings.TrimPrefix(got[0], "Cookie: ")
}

// pair is the name and value of a Set-Cookie field.
func pair(line string) string { p, _, _ := strings.Cut(line, ";"); return p }

func TestSetCookie(t *testing.T) {
	const gone = " Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
	for _, tt := range []struct {
		in   string
		want []string // @ is a sealed value
	}{
		{"a=b; Path=/", []string{"a=b; Path=/"}},
		{"a=b; SameSite=None", []string{"a=b; SameSite=None"}}, // which browsers refuse by https, too
		{"a=b; Secure; HttpOnly; Path=/x; SameSite=Strict", []string{"sallyport-0-a=@; HttpOnly; Path=/x; SameSite=Strict"}},
		{"a=b;SECURE ;HTTPONLY;samesite = none;Partitioned;Max-Age=9", []string{"sallyport-0-a=@;HTTPONLY;Max-Age=9"}},
		{"a=b; Secure=yes; HttpOnly; Domain=.Site.test", []string{"sallyport-2-a=@; HttpOnly; Domain=.Site.test"}},
		{"a=b; Secure; HttpOnly; Domain=www.site.test", []string{"sallyport-3-a=@; HttpOnly; Domain=www.site.test"}},
		{"__Host-a=b; Secure; Path=/", []string{"sallyport-0-__Host-a=@; Path=/"}},
		{"__SECURE-a=b; Secure", []string{"sallyport-0-__SECURE-a=@"}},
		{"csrf=b; Secure; Path=/", []string{"csrf=b; Path=/", "sallyport-m-csrf=1; Path=/; HttpOnly"}},
		{"a=" + strings.Repeat("b", 4000) + "; Secure; HttpOnly", []string{"a=" + strings.Repeat("b", 4000) + "; HttpOnly", "sallyport-m-a=1; HttpOnly; HttpOnly"}},

		// What ends a cookie ends it in each form it may have.
		{"a=; Max-Age=0; Path=/x", []string{"sallyport-0-a=;" + gone + "; Path=/x", "sallyport-m-a=;" + gone + "; Path=/x", "a=; Max-Age=0; Path=/x"}},
		{"a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; HttpOnly", []string{
			"sallyport-m-a=;" + gone, "a=;" + gone, "sallyport-0-a=@; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly",
		}},
		{"a=; Max-Age=-1; Secure; Domain=site.test", []string{
			"sallyport-m-a=1; Max-Age=-1; Domain=site.test; HttpOnly", "sallyport-2-a=;" + gone + "; Domain=site.test", "a=; Max-Age=-1; Domain=site.test",
		}},
		{"a=b; Expires=Thu, 01 Jan 2037 00:00:00 GMT", []string{"a=b; Expires=Thu, 01 Jan 2037 00:00:00 GMT"}},
		{"a=b; Max-Age=0x", []string{"a=b; Max-Age=0x"}},

		// What a browser by https would not keep, or nobody should.
		{"__Host-a=b; Secure; Path=/; Domain=www.site.test", nil},
		{"__host-a=b; Secure", nil},
		{"__Host-a=b; Path=/", nil},
		{"__Secure-a=b", nil},
		{"__Http-a=b; Secure", nil},
		{"a=b; Secure; Domain=other.test", nil},
		{"a=b; Secure; Domain=ite.test", nil},
		{"a=b; Secure; Domain=sub.www.site.test", nil},
		{"b; Secure", nil},
		{"=b; Secure", nil},
		{"sallyport-0-a=b", nil},
		{"sallyport-m-a=1; Max-Age=0", nil},
		{" =sallyport-m-a=1", nil},
		{"sallyport-x=1", nil},
	} {
		got := set(t, exchange("eva", "www.site.test", true), tt.in)
		if len(got) != len(tt.want) {
			t.Errorf("%q became\n%q, want\n%q", tt.in, got, tt.want)
			continue
		}
		for i := range got {
			before, after, sealed := strings.Cut(tt.want[i], "@")
			if sealed && (!strings.HasPrefix(got[i], before) || !strings.HasSuffix(got[i], after)) || !sealed && got[i] != tt.want[i] {
				t.Errorf("%q became\n%q, want\n%q", tt.in, got, tt.want)
			}
		}
	}
}

// TestEmptyPathIsNone: Fossil writes Path=; and curl, which had kept its cookie in a
// file, did not find it there again when Fossil ended it.
func TestEmptyPathIsNone(t *testing.T) {
	for in, want := range map[string]string{
		"a=b; Path=; HttpOnly;  secure; Version=1": "; HttpOnly; Version=1",
		"a=b; Path; HttpOnly; Secure":              "; HttpOnly",
		"a=b; Path=; HttpOnly; Secure; Path=/x":    "; HttpOnly; Path=/x",
		"a=b; Path=/x; HttpOnly; Secure; Path=":    "; Path=/x; HttpOnly; Path=", // the last one counts
	} {
		got := set(t, exchange("eva", "www.site.test", true), in)
		if len(got) != 1 || !strings.HasSuffix(got[0], want) || strings.Count(got[0], ";") != strings.Count(want, ";") {
			t.Errorf("%q became %q, want …%q", in, got, want)
		}
	}
	for _, line := range set(t, exchange("eva", "www.site.test", true), "a=null; Path=; max-age=-86400; HttpOnly; secure") {
		if strings.Contains(line, "Path") {
			t.Errorf("ended at another path than it was set for: %q", line)
		}
	}
	if got := set(t, exchange("eva", "www.site.test", true), "__Host-a=b; Secure; Path="); len(got) != 0 {
		t.Errorf("without Path=/: %q", got)
	}
}

// TestEndedCookieIsEndedLast: curl 7.88, with a jar in a file, keeps a cookie that is
// ended when another Set-Cookie follows.
func TestEndedCookieIsEndedLast(t *testing.T) {
	for _, tt := range []struct{ set, end string }{
		{"sid=v; Secure; HttpOnly; Path=/", "sid=; Secure; HttpOnly; Path=/; Max-Age=0"},
		{"sid=v; Secure; HttpOnly; Path=/", "sid=; Path=/; Max-Age=0"},
		{"sid=v; Secure; HttpOnly; Path=/", "sid=; Secure; Path=/; Max-Age=0"},
		{"sid=v; Secure; Path=/", "sid=; Secure; Path=/; Max-Age=0"},
		{"sid=v; Path=/", "sid=; Path=/; Max-Age=0"},
		{"__Host-sid=v; Secure; Path=/", "__Host-sid=; Secure; Path=/; Max-Age=0"},
	} {
		has := set(t, exchange("eva", "www.site.test", true), tt.set)
		x := exchange("eva", "www.site.test", true)
		sent(t, x, pair(has[0]))
		got := set(t, x, tt.end)
		name, _, _ := strings.Cut(has[0], "=")
		if len(got) == 0 || !strings.HasPrefix(got[len(got)-1], name+"=") || !strings.Contains(got[len(got)-1], "Max-Age=0") {
			t.Errorf("%q, ended by %q: %q", has, tt.end, got)
		}
	}
}

// TestSecureCookieComesBack: by https to where it was set for, as it was, and
// nowhere else, and nobody else's.
func TestSecureCookieComesBack(t *testing.T) {
	host := pair(set(t, exchange("eva", "www.site.test", true), "sid=s3=cr3t x; Secure; HttpOnly")[0])
	wide := pair(set(t, exchange("eva", "www.site.test", true), "wide=w; Secure; HttpOnly; Domain=site.test")[0])
	hostOnly := pair(set(t, exchange("eva", "www.site.test", true), "__Host-h=h; Secure; Path=/")[0])
	if strings.Contains(host+wide+hostOnly, "cr3t") {
		t.Errorf("%s", host)
	}
	all := host + "; x=y; " + wide + "; " + hostOnly
	for _, tt := range []struct {
		name   string
		x      *Exchange
		cookie string
		want   string
	}{
		{"there", exchange("eva", "www.site.test", true), all, "sid=s3=cr3t x; x=y; wide=w; __Host-h=h"},
		{"beside", exchange("eva", "api.site.test", true), all, "x=y; wide=w"},
		{"below", exchange("eva", "a.www.site.test", true), all, "x=y; wide=w"},
		{"above", exchange("eva", "site.test", true), all, "x=y; wide=w"},
		{"elsewhere", exchange("eva", "site.test.evil.test", true), all, "x=y"},
		{"top", exchange("eva", "test", true), all, "x=y"},
		{"in the clear", exchange("eva", "www.site.test", false), all, "x=y"},
		{"somebody else", exchange("adam", "www.site.test", true), all, "x=y"},
		{"another name", exchange("eva", "www.site.test", true), strings.Replace(host, "0-sid", "0-__Host-h", 1), ""},
		{"another place", exchange("eva", "www.site.test", true), strings.Replace(host, "0-sid", "3-sid", 1), ""},
		{"made up", exchange("eva", "www.site.test", true), "sallyport-0-sid=admin; sallyport-m-sid=1; sallyport-=; sallyport-00-a=b; sallyport--1-a=b; sallyport-0-=; sallyport-0-sid", ""},
		{"without the set's leave", exchange("eva", "www.site.test", true), "sid=evil; " + host + "; sid=evil", "sid=s3=cr3t x"},
		{"two paths", exchange("eva", "www.site.test", true), host + ";" + host, "sid=s3=cr3t x; sid=s3=cr3t x"},
		{"not ours", exchange("eva", "www.site.test", true), "a=b;c=d", "a=b;c=d"},
	} {
		if got := sent(t, tt.x, tt.cookie); got != tt.want {
			t.Errorf("%s: the origin gets %q, want %q", tt.name, got, tt.want)
		}
	}
	// A client that asks by https has cookies of its own.
	x := exchange("eva", "www.site.test", true)
	x.Plain = false
	if got := sent(t, x, "sid=new; "+host); got != "sid=new" {
		t.Errorf("by https: %q", got)
	}
	// A gateway with another key, or none, opens nothing.
	for _, k := range []Key{nil, NewKey()} {
		x := exchange("eva", "www.site.test", true)
		x.Key = k
		if got := sent(t, x, all); got != "x=y" {
			t.Errorf("with another key: %q", got)
		}
	}
	x = exchange("eva", "www.site.test", true)
	x.Key = nil
	if got := set(t, x, "a=b; Secure; HttpOnly"); got != nil {
		t.Errorf("without a key: %q", got)
	}
}

// TestSealedCookieEnds: what the origin said of its end holds for the sealed value,
// too, whatever its client makes of it; and every one ends some day (RFC 6265bis §5.5).
func TestSealedCookieEnds(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		says string
		good time.Duration // and not a second longer; 0: not at all
	}{
		{"", 400 * day},
		{"Max-Age=60", time.Minute},
		{"Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", time.Minute},
		{"Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60; Max-Age=90", 90 * time.Second},
		{"Max-Age=soon; Expires=" + noon.Add(time.Hour).UTC().Format(http.TimeFormat), time.Hour},
		{"Max-Age=+60", 400 * day}, // says nothing
		{"Max-Age=6 0", 400 * day},
		{"Max-Age=9999999999999999999999", 400 * day},
		{"Max-Age=-9999999999999999999999", 0},
		{"Max-Age=00", 0},
		{"Expires=tomorrow", 400 * day},
		{"Expires=" + noon.Add(500*day).UTC().Format(http.TimeFormat), 400 * day},
		{"Expires=Mon, 01 Jan 1601 00:00:00 GMT", 0},
	} {
		line := "sid=1; Secure; HttpOnly"
		if tt.says != "" {
			line += "; " + tt.says
		}
		told := set(t, exchange("eva", "site.test", true), line)
		i := slices.IndexFunc(told, func(l string) bool { return strings.HasPrefix(l, "sallyport-0-sid=") })
		if i < 0 {
			t.Errorf("%s: it is told as %q", tt.says, told)
			continue
		}
		sealed := pair(told[i])
		for at, want := range map[time.Duration]string{0: "sid=1", tt.good - time.Second: "sid=1", tt.good: "", tt.good + day: ""} {
			if tt.good == 0 {
				want = ""
			}
			x := exchange("eva", "site.test", true)
			x.Now = noon.Add(at)
			if got := sent(t, x, sealed); got != want {
				t.Errorf("%s: after %v the origin gets %q, want %q", tt.says, at, got, want)
			}
		}
	}
}

// TestEveryBitOfASealedCookieCounts: no other value is taken for it.
func TestEveryBitOfASealedCookieCounts(t *testing.T) {
	good := pair(set(t, exchange("eva", "site.test", true), "a=b; Secure; HttpOnly")[0])
	from := strings.IndexByte(good, '=') + 1
	for i := from; i < len(good); i++ {
		for _, c := range []byte("A9_-=~ ") {
			b := []byte(good)
			if b[i] == c {
				continue
			}
			b[i] = c
			if got := sent(t, exchange("eva", "site.test", true), string(b)); strings.Contains(got, "a=b") {
				t.Fatalf("%q was opened to %q", b, got)
			}
		}
	}
}

// TestClearAnswerLeavesSecureCookiesAlone (RFC 6265bis §5.6).
func TestClearAnswerLeavesSecureCookiesAlone(t *testing.T) {
	sid := pair(set(t, exchange("eva", "site.test", true), "sid=1; Secure; HttpOnly")[0])
	x := exchange("eva", "site.test", false)
	if got := sent(t, x, sid+"; csrf=2; sallyport-m-csrf=1; a=b"); got != "a=b" {
		t.Errorf("in the clear goes %q", got)
	}
	got := set(t, x, "sid=evil; Path=/", "csrf=evil", "CSRF=mine", "a=c", "sallyport-0-sid=", "sallyport-m-csrf=; Max-Age=0", "=sid=evil", " sid =evil", "x")
	if want := []string{"CSRF=mine", "a=c", "x"}; !reflect.DeepEqual(got, want) || !reflect.DeepEqual(x.Changed, []string{"Cookie", "Set-Cookie"}) {
		t.Errorf("%q, changed %q", got, x.Changed)
	}
}

// TestLogoutWithoutSecure: an origin that ends, or replaces, a session without saying
// Secure again has ended it.
func TestLogoutWithoutSecure(t *testing.T) {
	sid := pair(set(t, exchange("eva", "site.test", true), "sid=1; Secure; HttpOnly")[0])
	for in, want := range map[string]string{
		"sid=; Path=/; Max-Age=0": "sid=; Path=/; Max-Age=0|sallyport-m-sid=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/|sallyport-0-sid=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/",
		"sid=guest":               "sid=guest|sallyport-0-sid=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
		"sid=guest; Secure":       "sid=guest|sallyport-m-sid=1; HttpOnly|sallyport-0-sid=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
	} {
		x := exchange("eva", "site.test", true)
		sent(t, x, sid)
		if got := strings.Join(set(t, x, in), "|"); got != want {
			t.Errorf("%q became\n%s, want\n%s", in, got, want)
		}
	}
}

// TestManySealedCookies: what one head can make the gateway compute has an end, and what
// was not looked at goes nowhere.
func TestManySealedCookies(t *testing.T) {
	one := pair(set(t, exchange("eva", "site.test", true), "sid=1; Secure; HttpOnly")[0])
	x := exchange("eva", "site.test", true)
	if got := sent(t, x, strings.Repeat(one+"; ", 1000)+"a=b"); strings.Count(got, "sid=1") != mostSealed || !strings.HasSuffix(got, "; a=b") || strings.Contains(got, ours) {
		t.Errorf("%d of 1000 were opened: %.100s", strings.Count(got, "sid=1"), got)
	}
}

func TestPlaces(t *testing.T) {
	for _, tt := range []struct {
		host, domain string
		labels       int // -1: not kept
	}{
		{"a.site.test", "", 0},
		{"a.site.test", ".", 0},
		{"a.site.test", "A.site.test", 3},
		{"a.site.test", "test", 1},
		{"a.site.test", "b.site.test", -1},
		{"a.site.test", "..site.test", -1},
		{"192.0.2.1", "192.0.2.1", 0},
		{"192.0.2.1", "2.1", -1},
		{"2001:db8::1", "[2001:db8::1]", 0},
		{"host", "host", 1},
	} {
		p, ok := placeOf(tt.host, tt.domain)
		if ok != (tt.labels >= 0) || ok && p.labels != tt.labels {
			t.Errorf("%s of %s: %+v, %v", tt.domain, tt.host, p, ok)
		}
		if back, found := placeIn(tt.host, p.labels); ok && (!found || back != p) {
			t.Errorf("%s of %s is found again as %+v, %v", tt.domain, tt.host, back, found)
		}
	}
	if p, ok := placeIn("192.0.2.1", 2); ok {
		t.Errorf("%+v of an address", p)
	}
}

// FuzzCookies: whatever an origin sets, no line grows, the client is told of no
// Secure, and what it sends back reaches the origin by https as it was, and not in the
// clear where it was Secure.
func FuzzCookies(f *testing.F) {
	for _, s := range []string{"a=b; Secure; HttpOnly", "__Host-a=b=c; Path=/; secure", "a=b", "a=\"b c\"; Secure; Domain=site.test; HttpOnly", "sallyport-0-a=b", "=;Secure"} {
		f.Add(s, "x=y")
	}
	f.Fuzz(func(t *testing.T, in, beside string) {
		if strings.ContainsFunc(in+beside, func(r rune) bool { return r < ' ' || r == 0x7f }) || strings.TrimSpace(in) != in || strings.TrimSpace(beside) != beside {
			return
		}
		x := exchange("eva", "site.test", true)
		lines := set(t, x, in)
		var jar []string
		for _, l := range lines {
			for i, a := range strings.Split(l, ";") {
				if name, _, _ := strings.Cut(a, "="); i > 0 && strings.EqualFold(strings.TrimSpace(name), "secure") {
					t.Fatalf("%q became %q", in, l)
				}
			}
			jar = append(jar, pair(l))
		}
		if len(jar) == 0 {
			return
		}
		was, err := http.ParseSetCookie(in)
		if err != nil {
			return
		}
		over := false
		if c, ok := x.readSetCookie([]byte(in)); ok {
			over = c.ends
		}
		open := sent(t, exchange("eva", "site.test", true), jar[0]+"; "+beside)
		if want := strings.TrimSpace(pair(in)); was.Secure && !strings.Contains(strings.ReplaceAll(open, " ", ""), strings.ReplaceAll(want, " ", "")) && !over {
			t.Fatalf("%q was told to the client as %q and came back as %q", in, lines, open)
		}
		clear := exchange("eva", "site.test", false)
		if got := sent(t, clear, strings.Join(jar, "; ")); was.Secure && strings.Contains(got, was.Name+"=") {
			t.Fatalf("%q goes in the clear as %q", in, got)
		}
	})
}

// TestCookiesThatAreNotOursCostNothing: neither on the way up nor down.
func TestCookiesThatAreNotOursCostNothing(t *testing.T) {
	f := fields(t, "Cookie: a=b; c=d", "Cookie: e=f")
	x := exchange("eva", "site.test", true)
	if n := testing.AllocsPerRun(100, func() { f = x.Request(f) }); n != 0 || len(f) != 2 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCookie(b *testing.B) {
	x := exchange("address 10.1.1.1", "www.site.test", true)
	in := fields(b, "Set-Cookie: sid="+strings.Repeat("x", 32)+"; Secure; HttpOnly; Path=/")
	line := x.setCookie(nil, in[0])[0]
	back := fields(b, fmt.Sprintf("Cookie: %s", bytes.SplitN(line.Value, []byte(";"), 2)[0]))
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			x.setCookie(nil, in[0])
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		f := make(h1.Fields, 1)
		for b.Loop() {
			copy(f, back)
			x := *x
			x.Request(f)
		}
	})
}
