// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"reflect"
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

// TestAnswerThatNeedsNothingCostsNothing: what is not touched is not copied.
func TestAnswerThatNeedsNothingCostsNothing(t *testing.T) {
	f := fields(t, plainAnswer...)
	x := &Exchange{Secure: true, Plain: true, Policy: site, Method: "GET"}
	if n := testing.AllocsPerRun(100, func() { f = x.Request(x.Answer(f, 200)) }); n != 0 || len(f) != len(plainAnswer) {
		t.Errorf("%v allocations, %d fields", n, len(f))
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
