// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
)

// a policy that originates what begins with one of these, and answers nothing else.
type originated []string

func (o originated) Originates(method, url string, port uint16) bool {
	for _, prefix := range o {
		if strings.HasPrefix(method+" "+url, prefix) {
			return true
		}
	}
	return false
}

var site = originated{"GET http://site.test/", "GET http://site.test:8443/", "GET http://[2001:db8::1]/", "POST http://site.test/form", "GET http://xn--bcher-kva.test/", "GET http://SITE.test/", "GET http://site.test?"}

// TestLocation: an https URL becomes the http URL that means the same to this
// gateway; whatever could be read in two ways, or leads elsewhere, stays, and a URL
// without a scheme never comes to mean http where that is not the same.
func TestLocation(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"https://site.test/", "http://site.test/"},
		{"HTTPS://site.test/a?b=c#d", "http://site.test/a?b=c#d"},
		{"https://SITE.test/A", "http://SITE.test/A"},
		{"https://site.test:443/a", "http://site.test/a"},
		{"https://site.test:/a", "http://site.test/a"},
		{"https://site.test:8443/a", "http://site.test:8443/a"},
		{"https://site.test?q", "http://site.test?q"},
		{"https://[2001:db8::1]/", "http://[2001:db8::1]/"},
		{"https://xn--bcher-kva.test/", "http://xn--bcher-kva.test/"},
		{"https://site.test/\xc3\xbc b", "http://site.test/\xc3\xbc b"},

		{"https://site.test:80/a", ""},        // http would mean port 443
		{"https://site.test:0443/a", ""},      // some read it, some do not
		{"https://site.test:99999/a", ""},     // no port
		{"https://other.test/", ""},           // not by http
		{"https://site.test@evil.test/", ""},  // evil.test's
		{"https://evil@site.test/", ""},       // user information
		{`https:\\site.test/`, ""},            // https to browsers, a path to others
		{`https://site.test\@evil.test/`, ""}, // either's
		{"https:/site.test/", ""},
		{"https:site.test/", ""},
		{"https:///site.test/", ""},
		{"ht\ttps://site.test/", ""},
		{"https://site\t.test/", ""},
		{" https://site.test/", ""},
		{"https://b\xc3\xbccher.test/", ""}, // IDN not in its ASCII form
		{"https://site.test%2f@evil.test/", ""},
		{"https://", ""},
		{"https://:443/", ""},
		{"http://site.test/", ""},
		{"/a", ""},
		{"a/b", ""},
		{"?q=https://site.test/", ""},
		{"javascript:https://site.test/", ""},
		{"", ""},

		{"//site.test/a", "http://site.test/a"},
		{"//site.test:443/a", "http://site.test/a"},
		{"//other.test/a", "https://other.test/a"},
		{"//site.test:80/a", "https://site.test:80/a"},
		{"//u@site.test/", "https://u@site.test/"},
		{`/\other.test/`, `https:/\other.test/`},
		{`\\other.test/`, `https:\\other.test/`},
		{"/\t/other.test/", "https:/\t/other.test/"},
		{"//", "https://"},
	} {
		got, changed := down(site, "GET", []byte(tt.in))
		want := tt.want
		if want == "" {
			want = tt.in
		}
		if string(got) != want || changed != (tt.want != "") {
			t.Errorf("%q became %q (%v), want %q", tt.in, got, changed, want)
		}
	}
}

// TestLocationByMethod: where a redirect leads is asked for with the method it is
// followed by.
func TestLocationByMethod(t *testing.T) {
	for _, tt := range []struct {
		status int
		method string
		want   string
	}{
		{302, "POST", "GET"},
		{301, "POST", "GET"},
		{303, "POST", "GET"},
		{303, "PUT", "GET"},
		{201, "PUT", "GET"},
		{307, "POST", "POST"},
		{308, "PUT", "PUT"},
		{302, "PUT", "PUT"},
		{303, "HEAD", "HEAD"},
		{302, "HEAD", "HEAD"},
	} {
		if got := followed(tt.status, tt.method); got != tt.want {
			t.Errorf("%d to %s is followed by %s, want %s", tt.status, tt.method, got, tt.want)
		}
	}
}

func TestAsked(t *testing.T) {
	for in, want := range map[string]string{
		"http://h/a#b":           "http://h/a",
		"http://h/a b\xc3\xbc":   "http://h/a%20b%C3%BC",
		`http://h/a\..\b?c\d`:    `http://h/a/../b?c\d`,
		"http://h/a\tb":          "http://h/ab",
		"http://h/%2e%2e/?x#y?z": "http://h/%2e%2e/?x",
	} {
		if got := asked([]byte(in)); got != want {
			t.Errorf("%q is asked for as %q, want %q", in, got, want)
		}
	}
}

func TestLinksAndRefresh(t *testing.T) {
	for _, tt := range []struct {
		of       func(*Exchange, []byte) ([]byte, bool)
		in, want string
	}{
		{(*Exchange).links, `<https://site.test/a>; rel=preload, </b>; rel="x", <https://other.test/>`, `<http://site.test/a>; rel=preload, </b>; rel="x", <https://other.test/>`},
		{(*Exchange).links, `</a>; title="<https://site.test/>"; rel=next`, ""},
		{(*Exchange).links, `</a>; title="a\"<https://site.test/>", <https://site.test/b>`, `</a>; title="a\"<https://site.test/>", <http://site.test/b>`},
		{(*Exchange).links, `<//other.test/x>`, `<https://other.test/x>`},
		{(*Exchange).links, `<https://site.test/`, ""},
		{(*Exchange).links, `"`, ""},
		{(*Exchange).links, `"\`, ""},
		{(*Exchange).refresh, "5", ""},
		{(*Exchange).refresh, "0; url=https://site.test/a", "0; url=http://site.test/a"},
		{(*Exchange).refresh, "0;URL = 'https://site.test/a' b", "0;URL = 'http://site.test/a' b"},
		{(*Exchange).refresh, `1,url="https://site.test/`, `1,url="http://site.test/`},
		{(*Exchange).refresh, "0; https://site.test/a", "0; http://site.test/a"},
		{(*Exchange).refresh, "0; url=https://other.test/", ""},
		{(*Exchange).refresh, "0; url=//other.test/", "0; url=https://other.test/"},
		{(*Exchange).refresh, "0;", ""},
		{(*Exchange).refresh, "0; ur", ""},
	} {
		got, changed := tt.of(&Exchange{Policy: site}, []byte(tt.in))
		want := tt.want
		if want == "" {
			want = tt.in
		}
		if string(got) != want || changed != (tt.want != "") {
			t.Errorf("%q became %q (%v), want %q", tt.in, got, changed, want)
		}
	}
}

func TestUp(t *testing.T) {
	for in, want := range map[string]string{
		"http://site.test":             "", // the policy of this test wants a path
		"http://site.test/a?b":         "https://site.test/a?b",
		"http://site.test:8443/":       "https://site.test:8443/",
		"http://other.test/":           "",
		"https://site.test/":           "",
		"null":                         "",
		"http://u@site.test/":          "",
		"http://site.test:80/":         "",
		"http://site.test/\" x: y<z>":  "https://site.test/\" x: y<z>",
		"http://site.test/a, http://b": "https://site.test/a, http://b",
	} {
		got, ok := up(site, []byte(in))
		if string(got) != want || ok != (want != "") {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestContentPolicy(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"default-src 'self'; upgrade-insecure-requests", "default-src 'self'"},
		{"upgrade-insecure-requests; Block-All-Mixed-Content", ""},
		{"upgrade-insecure-requests;", ""},
		{"script-src https: 'nonce-x'", "script-src https: 'nonce-x' http:"},
		{"connect-src https://api.test:8443/a wss://ws.test", "connect-src https://api.test:8443/a wss://ws.test http://api.test:8443/a ws://ws.test"},
		{"img-src HTTPS://*.cdn.test:443", "img-src HTTPS://*.cdn.test:443 http://*.cdn.test"},
		{"img-src https://cdn.test:80 https://cdn.test:*", "img-src https://cdn.test:80 https://cdn.test:* http://cdn.test:*"},
		{"form-action https://pay.test; report-uri https://r.test/", "form-action https://pay.test http://pay.test; report-uri https://r.test/"},
		{"default-src 'none', upgrade-insecure-requests, img-src https:", "default-src 'none', img-src https: http:"},
		{"upgrade-insecure-requests, default-src 'none'", "default-src 'none'"},
		{"default-src 'self'", "="},
		{"sandbox allow-scripts; trusted-types https:", "="},
		{"", "="},
		{";;", "="},
		{"https:", "="},
	} {
		got, changed := contentPolicy([]byte(tt.in))
		if tt.want == "=" {
			if changed {
				t.Errorf("%q became %q, want no change", tt.in, got)
			}
			continue
		}
		if string(got) != tt.want || !changed {
			t.Errorf("%q became %q (%v), want %q", tt.in, got, changed, tt.want)
		}
	}
}

// FuzzLinks: no value grows a byte that could end a line, nothing is changed but
// schemes and ports, and a URL that is changed named https for a host that the
// policy originates: so Go's reader of URLs says, too.
func FuzzLinks(f *testing.F) {
	for _, s := range []string{"https://site.test/", "//site.test", `https:\\site.test`, "0;url=https://site.test:443/", "<https://site.test/>, <//x>", "https://a@site.test/"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if bytes.ContainsAny(in, "\r\n\x00") {
			return
		}
		before := bytes.Clone(in)
		out, changed := down(everything{t, in}, "GET", in)
		if changed && bytes.HasPrefix(out, []byte("http://")) {
			was, err1 := url.Parse(string(in))
			is, err2 := url.Parse(string(out))
			if err1 == nil && (err2 != nil || was.Scheme != "https" && was.Scheme != "" || was.User != nil || was.Hostname() != is.Hostname() || was.RawPath != is.RawPath || was.Path != is.Path || was.RawQuery != is.RawQuery) {
				t.Fatalf("%q became %q", in, out)
			}
		}
		for _, of := range []func(*Exchange, []byte) ([]byte, bool){(*Exchange).links, (*Exchange).refresh, func(_ *Exchange, b []byte) ([]byte, bool) { return contentPolicy(b) }} {
			out, changed := of(&Exchange{Policy: everything{t, in}}, in)
			if bytes.ContainsAny(out, "\r\n\x00") || !changed && len(out) > len(in) {
				t.Fatalf("%q became %q", in, out)
			}
		}
		if !bytes.Equal(before, in) {
			t.Fatalf("%q was changed in place to %q", before, in)
		}
	})
}

// everything originates all, and checks what it is asked.
type everything struct {
	t  *testing.T
	in []byte
}

func (e everything) Originates(_, asked string, port uint16) bool {
	if strings.ContainsAny(asked, " \t\r\n#") || !strings.HasPrefix(asked, "http://") || port == 80 {
		e.t.Fatalf("of %q the policy was asked for %q port %d", e.in, asked, port)
	}
	if _, rest, _ := strings.Cut(asked, "://"); strings.ContainsAny(rest[:strings.IndexAny(rest+"/", "/?")], "@\\") {
		e.t.Fatalf("of %q the policy was asked for %q", e.in, asked)
	}
	return true
}
