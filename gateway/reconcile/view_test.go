// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"cmp"
	"strings"
	"testing"

	"sallyport/gateway/h1"
	"sallyport/policy"
)

// bank is a client's view: http://gw.test:3128/bank/ is https://api.bank.example/v1/, and
// http://shop.corp.test:3128/ is https://shop.example:8443/.
type bank struct{}

func (bank) Down(host string, port uint16, path string) (string, bool) {
	path, err := policy.CleanPath(path)
	below, ok := strings.CutPrefix(path, "/v1/")
	switch {
	case err != nil:
	case host == "api.bank.example" && port == 443 && ok:
		return "http://gw.test:3128/bank/" + below, true
	case host == "shop.example" && port == 8443:
		return "http://shop.corp.test:3128" + path, true
	}
	return "", false
}

func (bank) Parts(host string, port uint16, path string) []string {
	path, err := policy.CleanPath(cmp.Or(path, "/"))
	below, ok := strings.CutPrefix(path, "/v1/")
	switch {
	case err != nil:
	case host == "api.bank.example" && port == 443 && ok:
		return []string{"http://gw.test:3128/bank/" + below}
	case host == "api.bank.example" && port == 443 && path == "/":
		return []string{"http://gw.test:3128/bank/", "http://gw.test:3128/more;and,more/"}
	case host == "shop.example" && port == 8443:
		return []string{"http://shop.corp.test:3128" + path}
	}
	return nil
}

func (bank) Up(scheme, host string, port uint16, path string) (string, bool) {
	below, ok := strings.CutPrefix(path, "/bank/")
	switch {
	case scheme != "http" || port != 3128:
	case host == "gw.test" && path == "":
		return "https://api.bank.example", true
	case host == "gw.test" && ok:
		return "https://api.bank.example/v1/" + below, true
	}
	return "", false
}

func viewed() *Exchange {
	return &Exchange{
		Method: "GET", Host: "api.bank.example", Secure: true, Plain: true, Key: NewKey(), Client: who("eva"), View: bank{},
		Place: Place{Base: "http://gw.test:3128", At: "/bank/", Path: "/v1/", Port: 443, For: "/v1/a/b", Origin: "https://api.bank.example"},
	}
}

type who string

func (w who) ClientName() string { return string(w) }

// Links lead to where the client has it, or to the origin, and never anywhere else.
func TestLinksOfAView(t *testing.T) {
	for in, want := range map[string]string{
		"https://api.bank.example/v1/x?y#z":       "http://gw.test:3128/bank/x?y#z",
		"HTTPS://api.bank.example:443/v1/":        "http://gw.test:3128/bank/",
		"http://api.bank.example/v1/x":            "http://gw.test:3128/bank/x",
		"http://api.bank.example:80/v1/x":         "",
		"https://api.bank.example/v1":             "",
		"https://api.bank.example/v2/x":           "",
		"https://api.bank.example/v1/../admin":    "",
		"https://api.bank.example/v1/..%2fadmin":  "",
		"https://shop.example:8443/a":             "http://shop.corp.test:3128/a",
		"https://shop.example/a":                  "",
		"https://eva@api.bank.example/v1/":        "",
		`https://api.bank.example\@evil.test/v1/`: "",
		"https://elsewhere.example/":              "",
		"http://elsewhere.example/":               "",
		"//api.bank.example/v1/x":                 "http://gw.test:3128/bank/x",
		"//elsewhere.example/x":                   "https://elsewhere.example/x",
		`/\elsewhere.example/x`:                   `https:/\elsewhere.example/x`,
		"/v1/x?a=/../":                            "/bank/x?a=/../",
		"/v1/č":                                   "/bank/%C4%8D",
		"/v2/x":                                   "https://api.bank.example/v2/x",
		"/":                                       "https://api.bank.example/",
		"/v1/../x":                                "https://api.bank.example/v1/../x",
		"x":                                       "",
		"?x=../..":                                "",
		"#x":                                      "",
		"":                                        "",
		"../x":                                    "/bank/x",
		"../../x":                                 "https://api.bank.example/v1/a/../../x",
		"%2e%2E/x":                                "/bank/x",
		"mailto:a..b@bank.example":                "",
		"https:../x":                              "",
	} {
		got, changed := viewed().down("GET", []byte(in))
		if want == "" {
			want = in
		}
		if string(got) != want || changed != (want != in) {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// TestContentPolicyOfAView: what a page may load and where its forms may go is named as
// the client has it. A form of a mapped page went nowhere in a browser.
func TestContentPolicyOfAView(t *testing.T) {
	for in, want := range map[string]string{
		"form-action https://api.bank.example":                                      "form-action https://api.bank.example http://api.bank.example http://gw.test:3128/bank/ http://gw.test:3128/more%3Band%2Cmore/",
		"default-src 'self'; img-src api.bank.example/":                             "default-src 'self'; img-src api.bank.example/ http://gw.test:3128/bank/ http://gw.test:3128/more%3Band%2Cmore/",
		"img-src http://api.bank.example/v1/x":                                      "img-src http://api.bank.example/v1/x http://gw.test:3128/bank/x",
		" img-src\thttp://api.bank.example/v1/x ":                                   "img-src\thttp://api.bank.example/v1/x http://gw.test:3128/bank/x",
		"img-src http://api.bank.example/v2/":                                       "",
		"img-src http://api.bank.example/v1/../v2/x":                                "",
		"connect-src wss://shop.example:8443":                                       "connect-src wss://shop.example:8443 ws://shop.example:8443 ws://shop.corp.test:3128/",
		"form-action http://shop.example:8443/a, frame-ancestors shop.example:8443": "form-action http://shop.example:8443/a http://shop.corp.test:3128/a, frame-ancestors shop.example:8443 http://shop.corp.test:3128/",
		"img-src 'none'": "", "img-src *": "", "img-src data: 'nonce-api.bank.example' *.bank.example": "", "report-uri http://api.bank.example/v1/": "",
		"img-src ftp://api.bank.example/v1/ http://eva@api.bank.example/v1/": "",
	} {
		x := viewed()
		got, changed := x.contentPolicy([]byte(in))
		if want == "" {
			want = in
		}
		if string(got) != want || changed != (want != in) {
			t.Errorf("%q became\n %q, want\n %q", in, got, want)
		}
	}
	x := viewed()
	x.Plain = false // TLS with the client: nothing is allowed without
	if got, _ := x.contentPolicy([]byte("upgrade-insecure-requests; img-src https://api.bank.example/v1/")); string(got) != "upgrade-insecure-requests; img-src https://api.bank.example/v1/ http://gw.test:3128/bank/" {
		t.Errorf("%q", got)
	}
}

// A cookie goes back to the mapping it came by and to nothing else that the client has
// under the same name.
func TestCookiesOfAView(t *testing.T) {
	for in, want := range map[string]string{
		"a=1":                                   "a=1",
		"a=1; Path=/":                           "a=1; Path=/bank/",
		"a=1; Path=/v1":                         "a=1; Path=/bank/",
		"a=1; path = /v1/":                      "a=1; Path=/bank/",
		"a=1; Path=/v1/deep; HttpOnly":          "a=1; Path=/bank/deep; HttpOnly",
		"a=1; Path=/v":                          "",
		"a=1; Path=/v2":                         "",
		"a=1; Path=v1":                          "a=1",
		"a=1; Path=":                            "a=1",
		"a=1; Path=/v2; Path=/":                 "",
		"a=1; Domain=bank.example; Path=/":      "a=1; Path=/bank/",
		"a=1; Domain=.api.bank.example":         "a=1",
		"a=1; Domain=gw.test; Path=/":           "",
		"a=1; Domain=evil.example":              "",
		"a=1; Domain=bank.example; Domain=test": "",
	} {
		f := viewed().Answer(h1.Fields{{Name: []byte("Set-Cookie"), Value: []byte(in), ID: h1.SetCookie}}, 200)
		got := ""
		if len(f) > 0 {
			got = string(f[0].Value)
		}
		if got != want || len(f) > 1 {
			t.Errorf("%q became %q (%d), want %q", in, got, len(f), want)
		}
	}
	// Sealed and marked ones, too; and with TLS, and a rule that leaves cookies alone.
	for _, change := range []func(*Exchange){func(*Exchange) {}, func(x *Exchange) { x.Plain = false }, func(x *Exchange) { x.Rewrite.KeepCookies = true }} {
		x := viewed()
		change(x)
		for _, in := range []string{"__Host-a=1; Path=/; Secure; HttpOnly", "b=1; Secure; Domain=bank.example; Path=/", "c=1; Path=/; Max-Age=0"} {
			for _, f := range x.Answer(h1.Fields{{Name: []byte("Set-Cookie"), Value: []byte(in), ID: h1.SetCookie}}, 200) {
				if !bytes.Contains(f.Value, []byte("; Path=/bank/")) || bytes.Contains(f.Value, []byte("Domain")) {
					t.Errorf("%q became %q", in, f.Value)
				}
			}
		}
	}
}

// What the origin says of itself is not the gateway's, whoever is asked.
func TestViewHidesWhatIsOfTheOriginsName(t *testing.T) {
	for _, plain := range []bool{true, false} {
		x := viewed()
		x.Plain, x.Rewrite = plain, policy.Rewrite{KeepHSTS: true, KeepAltSvc: true}
		f := x.Answer(h1.Fields{
			{Name: []byte("Strict-Transport-Security"), Value: []byte("max-age=1"), ID: h1.StrictTransport},
			{Name: []byte("Alt-Svc"), Value: []byte(`h3=":443"`), ID: h1.AltSvc},
		}, 200)
		if len(f) > 0 {
			t.Errorf("%s passes", f[0].Name)
		}
	}
}

func TestRequestsOfAView(t *testing.T) {
	x := viewed()
	f := x.Request(h1.Fields{
		{Name: []byte("Origin"), Value: []byte("http://gw.test:3128"), ID: h1.Origin},
		{Name: []byte("Referer"), Value: []byte("http://gw.test:3128/bank/a?b"), ID: h1.Referer},
		{Name: []byte("Destination"), Value: []byte("http://gw.test:3128/bank/c")},
		{Name: []byte("Referer"), Value: []byte("http://gw.test/bank/a"), ID: h1.Referer},
		{Name: []byte("Origin"), Value: []byte("null"), ID: h1.Origin},
	})
	for i, want := range []string{"https://api.bank.example", "https://api.bank.example/v1/a?b", "https://api.bank.example/v1/c", "http://gw.test/bank/a", "null"} {
		if string(f[i].Value) != want {
			t.Errorf("%s: %q, want %q", f[i].Name, f[i].Value, want)
		}
	}
	f = x.Answer(h1.Fields{{Name: []byte("Access-Control-Allow-Origin"), Value: []byte("https://api.bank.example"), ID: h1.AllowOrigin}}, 200)
	if got := string(f[0].Value); got != "http://gw.test:3128" {
		t.Errorf("allowed: %s", got)
	}
}

// Whatever an origin says: no link leaves TLS but for what the gateway itself has, no
// cookie is for more than the mapping, and nothing becomes two fields.
func FuzzView(f *testing.F) {
	for _, s := range []string{"https://api.bank.example/v1/x", "../../x", "//x", "a=b; Path=/; Domain=x", "/v1/;x", "a=b;Path=/v1/\\..", "/v1/%"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if bytes.ContainsAny(in, "\r\n\x00") {
			return
		}
		before := bytes.Clone(in)
		out, changed := viewed().down("GET", in)
		ours := bytes.HasPrefix(out, []byte("http://gw.test:3128/bank/")) || bytes.HasPrefix(out, []byte("http://shop.corp.test:3128/")) ||
			bytes.HasPrefix(out, []byte("/bank/")) || bytes.HasPrefix(out, []byte("https:"))
		if bytes.ContainsAny(out, "\r\n\x00") || changed && !ours {
			t.Fatalf("%q became %q", in, out)
		}
		cookie, ok := viewed().viewCookie(in)
		if bytes.ContainsAny(cookie, "\r\n\x00") || !ok && cookie != nil {
			t.Fatalf("%q became %q", in, cookie)
		}
		for _, a := range bytes.Split(cookie, []byte{';'})[min(1, bytes.Count(cookie, []byte{';'})):] {
			k, v, _ := bytes.Cut(a, []byte{'='})
			k, v = bytes.Trim(k, " \t"), bytes.Trim(v, " \t")
			if ok && bytes.Contains(cookie, []byte{';'}) && (bytes.EqualFold(k, []byte("domain")) || bytes.EqualFold(k, []byte("path")) && !bytes.HasPrefix(v, []byte("/bank/"))) {
				t.Fatalf("%q became %q", in, cookie)
			}
		}
		if !bytes.Equal(before, in) {
			t.Fatalf("%q was changed in place to %q", before, in)
		}
	})
}
