// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"slices"
	"testing"

	"sallyport/policy"
)

// TestReadable: the origin is asked for what both the client and the gateway can read.
func TestReadable(t *testing.T) {
	for _, tt := range []struct{ in, want []string }{
		{nil, nil},
		{[]string{"gzip, deflate"}, []string{"gzip"}},
		{[]string{"gzip, deflate, br, zstd"}, []string{"gzip, br, zstd"}},
		{[]string{"ZSTD;q=1.0,BR ; q=0.250"}, []string{"br;q=0.25, zstd"}},
		{[]string{"br;q=0, zstd;q=0.000, gzip;q=0.5"}, []string{"gzip;q=0.5"}},
		{[]string{"x-gzip"}, []string{"gzip"}},
		{[]string{"*"}, []string{"gzip, br, zstd"}},
		{[]string{"*;q=0.1, br, gzip;q=0"}, []string{"br, zstd;q=0.1"}},
		{[]string{"identity, *;q=0"}, []string{"identity"}},
		{[]string{"deflate"}, []string{"identity"}},
		{[]string{"dcb, dcz, compress, exi"}, []string{"identity"}},
		{[]string{""}, []string{"identity"}},
		{[]string{"deflate", "br"}, []string{"br"}},
		{[]string{"br", "gzip;q=0", "zstd"}, []string{"br, zstd"}},
		{[]string{"gzip;q=2, br;q=-1, zstd;q=x"}, []string{"identity"}},
		{[]string{"gzip;q=NaN, br;q=1e0, zstd;q=0x1"}, []string{"identity"}},
		{[]string{"gzip;level=9, br;q=0.5;x=y, zstd;"}, []string{"zstd"}},
	} {
		var lines, want []string
		for _, v := range tt.in {
			lines = append(lines, "Accept-Encoding: "+v)
		}
		for _, v := range tt.want {
			want = append(want, "Accept-Encoding: "+v)
		}
		x := &Exchange{Secure: true, Plain: true, Policy: site, Rewrite: policy.Rewrite{Bodies: true}}
		if got := written(x.Request(fields(t, append([]string{"A: b"}, append(lines, "C: d")...)...))); !slices.Equal(got, slices.Concat([]string{"A: b"}, want, []string{"C: d"})) {
			t.Errorf("%q became %q, want %q", tt.in, got, want)
		}
		x = &Exchange{Secure: true, Plain: true, Policy: site}
		if got := written(x.Request(fields(t, lines...))); !slices.Equal(got, lines) {
			t.Errorf("without bodies, %q became %q", lines, got)
		}
	}
}

func TestCodingOf(t *testing.T) {
	for in, want := range map[string]Coding{"": Identity, "identity": Identity, "gzip": Gzip, "GZip ": Gzip, "x-gzip": Gzip, "br": Brotli, "Zstd": Zstd} {
		if got, ok := codingOf([]byte(in)); !ok || got != want {
			t.Errorf("%q is %s, %v", in, got, ok)
		}
	}
	for _, in := range []string{"deflate", "compress", "gzip, br", "gzip,", "br2", "x-br", "dcz", "aes128gcm"} {
		if got, ok := codingOf([]byte(in)); ok {
			t.Errorf("%q is %s", in, got)
		}
	}
}

// TestIfMatch: the ETags that were made weak on the way down are strong again where only
// strong ones match, and what is asked for is changed and not read.
func TestIfMatch(t *testing.T) {
	const in = `W/"a", "b",W/"c W/x"`
	for _, tt := range []struct {
		method string
		bodies bool
		want   string
	}{
		{"PUT", true, `"a", "b","c W/x"`},
		{"DELETE", true, `"a", "b","c W/x"`},
		{"PUT", false, in},
		{"GET", true, in},
		{"HEAD", true, in},
	} {
		x := &Exchange{Secure: true, Plain: true, Policy: site, Method: tt.method, Rewrite: policy.Rewrite{Bodies: tt.bodies}}
		got := written(x.Request(fields(t, "if-match: "+in, "If-None-Match: "+in, "If-Range: W/\"a\"")))
		if want := []string{"if-match: " + tt.want, "If-None-Match: " + in, "If-Range: W/\"a\""}; !slices.Equal(got, want) || slices.Contains(x.Changed, "If-Match") != (tt.want != in) {
			t.Errorf("%s, %v: %q, changed %q", tt.method, tt.bodies, got, x.Changed)
		}
	}
}

// TestNotModified: what is still as it was has the ETag that the client knows it by, the weak
// one of what was changed and the strong one of what was not.
func TestNotModified(t *testing.T) {
	for _, tt := range []struct {
		asked []string
		want  string
	}{
		{[]string{`If-None-Match: "a"`}, `ETag: "a"`},
		{[]string{`If-None-Match: "b", W/"a"`}, `ETag: W/"a"`},
		{[]string{`If-None-Match: W/"b", "a"`}, `ETag: "a"`},
		{[]string{"If-Modified-Since: x"}, `ETag: W/"a"`},
		{nil, `ETag: W/"a"`},
	} {
		x := &Exchange{Secure: true, Plain: true, Policy: site, Method: "GET", Rewrite: policy.Rewrite{Bodies: true}}
		x.Request(fields(t, tt.asked...))
		f, fitting := x.FitBody(fields(t, `ETag: "a"`), 304)
		if got := written(f); !slices.Equal(got, []string{tt.want}) || fitting.Links {
			t.Errorf("%q: %q", tt.asked, got)
		}
	}
}
