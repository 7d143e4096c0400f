// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"sallyport/gateway/h1"
	"sallyport/policy"
)

// fields reads lines of a head.
func fields(t testing.TB, lines ...string) h1.Fields {
	t.Helper()
	var r h1.Response
	if _, err := r.Parse([]byte("HTTP/1.1 200 OK\r\n"+strings.Join(append(lines, "", ""), "\r\n")), "GET"); err != nil {
		t.Fatal(err)
	}
	return r.Fields
}

// written is the reverse.
func written(f h1.Fields) (lines []string) {
	for i := range f {
		lines = append(lines, string(f[i].Name)+": "+string(f[i].Value))
	}
	return lines
}

func TestAnswer(t *testing.T) {
	in := []string{
		"Server: x", "location: https://site.test/a", "Strict-Transport-Security: max-age=1", "Alt-Svc: h3=\":443\"", "ALT-SVC: clear",
		"Content-Location: https://site.test/b", "Link: <https://site.test/c>", "Refresh: 0; url=https://site.test/d",
		"Content-Security-Policy: upgrade-insecure-requests", "Content-Security-Policy-Report-Only: img-src https:", "X: https://site.test/",
	}
	for _, tt := range []struct {
		rewrite policy.Rewrite
		want    []string
		changed []string
	}{
		{policy.Rewrite{}, []string{
			"Server: x", "location: http://site.test/a", "Content-Location: http://site.test/b", "Link: <http://site.test/c>",
			"Refresh: 0; url=http://site.test/d", "Content-Security-Policy-Report-Only: img-src https: http:", "X: https://site.test/",
		}, []string{"Location", "Strict-Transport-Security", "Alt-Svc", "Content-Location", "Link", "Refresh", "Content-Security-Policy", "Content-Security-Policy-Report-Only"}},
		{policy.Rewrite{KeepLinks: true, KeepHSTS: true, KeepAltSvc: true}, in, nil},
		{policy.Rewrite{KeepLinks: true, KeepAltSvc: true}, append(append([]string(nil), in[:2]...), in[3:]...), []string{"Strict-Transport-Security"}},
	} {
		x := &Exchange{Secure: true, Plain: true, Policy: site, Method: "GET", Rewrite: tt.rewrite}
		got := written(x.Answer(fields(t, in...), 302))
		if !reflect.DeepEqual(got, tt.want) || !reflect.DeepEqual(x.Changed, tt.changed) {
			t.Errorf("%+v:\n%q\nwant\n%q\nchanged %q", tt.rewrite, got, tt.want, x.Changed)
		}
	}
}

// TestOrigin: who asks is told to the origin in its own terms, and the answer names
// the one who asked in the client's.
func TestOrigin(t *testing.T) {
	page := originated{"GET http://site.test"}
	x := &Exchange{Secure: true, Plain: true, Policy: page, Method: "POST"}
	up := written(x.Request(fields(t, "Origin: http://site.test", "Referer: http://site.test/a", "Cookie: a=b")))
	if want := []string{"Origin: https://site.test", "Referer: https://site.test/a", "Cookie: a=b"}; !reflect.DeepEqual(up, want) {
		t.Errorf("%q", up)
	}
	for in, want := range map[string]string{"https://site.test": "http://site.test", "*": "*", "https://other.test": "https://other.test", "https://site.test:443": "https://site.test:443"} {
		got := written(x.Answer(fields(t, "Access-Control-Allow-Origin: "+in), 200))
		if got[0] != "Access-Control-Allow-Origin: "+want {
			t.Errorf("%q", got)
		}
	}
	// A page that came in the clear is not said to have come by https.
	x = &Exchange{Secure: true, Plain: true, Policy: page, Method: "POST"}
	up = written(x.Request(fields(t, "Origin: http://relayed.test", "Referer: http://relayed.test/")))
	if want := []string{"Origin: http://relayed.test", "Referer: http://relayed.test/"}; !reflect.DeepEqual(up, want) || x.Changed != nil {
		t.Errorf("%q", up)
	}
	if got := written(x.Answer(fields(t, "Access-Control-Allow-Origin: https://relayed.test"), 200)); got[0] != "Access-Control-Allow-Origin: https://relayed.test" {
		t.Errorf("%q", got)
	}
}

var plainAnswer = []string{"Date: x", "Server: x", "Content-Type: text/html", "Content-Length: 3", "Cache-Control: no-store", "Vary: Accept", "ETag: \"a\""}

// TestAnswerThatNeedsNothingCostsNothing: what is not touched is not copied, of the
// answer and of the request, also where bodies are rewritten, and these are none.
func TestAnswerThatNeedsNothingCostsNothing(t *testing.T) {
	image := slices.Concat(plainAnswer[:2], []string{"Content-Type: image/png", "Content-Encoding: zstd", "Accept-Ranges: bytes", "Digest: x"}, plainAnswer[3:])
	for _, tt := range []struct {
		lines  []string
		bodies bool
	}{{plainAnswer, false}, {image, false}, {image, true}} {
		f := fields(t, tt.lines...)
		asked := fields(t, "Host: site.test", "Accept: */*", "Cookie: a=b; c=d", "Origin: null", "Referer: https://site.test/", "If-None-Match: W/\"x\"")
		x := &Exchange{Secure: true, Plain: true, Policy: site, Method: "GET", Rewrite: policy.Rewrite{Bodies: tt.bodies}}
		n := testing.AllocsPerRun(100, func() {
			asked = x.Request(asked)
			f = x.Answer(f, 200)
			f, _ = x.FitBody(f, 200)
		})
		if n != 0 || len(f) != len(tt.lines) || len(asked) != 6 || x.Changed != nil {
			t.Errorf("%q, %v: %v allocations, %d and %d fields, changed %q", tt.lines, tt.bodies, n, len(f), len(asked), x.Changed)
		}
	}
}

// TestKept: a switch of the rule is of what it names alone, and by TLS a client that knows
// no proxy gets the policy of its page as it is.
func TestKept(t *testing.T) {
	in := []string{"Location: https://site.test/", "Set-Cookie: a=b; Secure; HttpOnly", "Content-Security-Policy: img-src https:", "Content-Security-Policy-Report-Only: upgrade-insecure-requests"}
	x := &Exchange{Secure: true, Plain: true, Policy: site, Method: "GET", Host: "site.test", Client: who("a"), Rewrite: policy.Rewrite{KeepCookies: true}}
	want := []string{"Location: http://site.test/", in[1], "Content-Security-Policy: img-src https: http:"}
	if got := written(x.Answer(fields(t, in...), 302)); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	x = viewed()
	x.Plain = false
	if got := written(x.Answer(fields(t, in[2:]...), 200)); !slices.Equal(got, in[2:]) {
		t.Errorf("%q, want %q", got, in[2:])
	}
}

// TestFitBody: what a body that is changed is told by, and what leaves it whole.
func TestFitBody(t *testing.T) {
	changed := []string{
		"Content-Length: 5", "ETag: \"a\"", "Digest: a", "Content-Digest: a", "Repr-Digest: a", "Content-MD5: a", "Accept-Ranges: bytes", "X-Digest: a",
	}
	for _, tt := range []struct {
		status int
		lines  []string // beside changed
		fits   bool
	}{
		{200, []string{"Content-Type: text/html"}, true},
		{404, []string{"content-type: Text/CSS ; Charset=\"UTF-8\""}, true},
		{200, []string{"Content-Type: application/json"}, true},
		{200, []string{"Content-Type: application/manifest+JSON"}, true},
		{200, []string{"Content-Type: application/xhtml+xml; charset=iso-8859-15"}, true},
		{200, []string{"Content-Type: text/html", "Content-Encoding: br"}, true},
		{200, []string{"Content-Type: text/html", "Cache-Control: no-store"}, true},
		{200, nil, false},
		{200, []string{"Content-Type: text/plain"}, false},
		{200, []string{"Content-Type: text/html5"}, false},
		{200, []string{"Content-Type: image/svg+xml"}, false},
		{200, []string{"Content-Type: application/xml"}, false},
		{200, []string{"Content-Type: application/javascript"}, false},
		{200, []string{"Content-Type: text/event-stream"}, false},
		{200, []string{"Content-Type: application/+json"}, false},
		{200, []string{"Content-Type: audio/x+json"}, false},
		{200, []string{"Content-Type: text/html; charset=shift_jis"}, false},
		{200, []string{"Content-Type: text/html; charset"}, false},
		{206, []string{"Content-Type: text/html"}, false},
		{200, []string{"Content-Type: text/html", "Content-Range: bytes 0-4/5"}, false},
		{103, []string{"Content-Type: text/html"}, false},
		{204, []string{"Content-Type: text/html"}, false},
		{200, []string{"Content-Type: text/html", "Cache-Control: private, No-Transform"}, false},
		{200, []string{"Content-Type: text/html", "Content-Encoding: deflate"}, false},
		{200, []string{"Content-Type: text/html", "Content-Encoding: gzip, br"}, false},
		{200, []string{"Content-Type: text/html", "Content-Encoding: gzip", "Content-Encoding: br"}, false},
	} {
		for _, x := range []*Exchange{
			{Secure: true, Plain: true, Policy: site, Method: "GET", Rewrite: policy.Rewrite{Bodies: true}},
			{Secure: true, Plain: true, Policy: site, Method: "GET"},
			{Secure: true, Policy: site, Method: "GET", Rewrite: policy.Rewrite{Bodies: true}},
			{Plain: true, Policy: site, Method: "GET", Rewrite: policy.Rewrite{Bodies: true}},
		} {
			in := slices.Concat(tt.lines, changed)
			out, fitting := x.FitBody(fields(t, in...), tt.status)
			got, want := written(out), in
			fits := tt.fits && x.Secure && x.Plain && x.Rewrite.Bodies
			if fits {
				want = slices.DeleteFunc(slices.Clone(tt.lines), func(line string) bool { return line == "Content-Encoding: br" })
				want = append(want, "ETag: W/\"a\"", "X-Digest: a")
			}
			if fitting.Links != fits || !slices.Equal(got, want) || (x.Changed != nil) != fits {
				t.Errorf("%d, %q: %+v, %q, want %q, changed %q", tt.status, tt.lines, fitting, got, want, x.Changed)
			}
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	for _, bench := range []struct {
		name  string
		lines []string
	}{
		{"untouched", plainAnswer},
		{"redirect", append([]string{"Location: https://site.test/a", "Strict-Transport-Security: max-age=1"}, plainAnswer...)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			in := fields(b, bench.lines...)
			f, policy := make(h1.Fields, len(in)), Policy(site)
			b.ReportAllocs()
			for b.Loop() {
				x := Exchange{Secure: true, Plain: true, Policy: policy, Method: "GET"}
				x.Answer(f[:copy(f, in)], 302)
			}
		})
	}
}
