// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"strings"
	"testing"
)

// texts are what Body and Page have in common.
type texts interface {
	Write(out, in []byte) []byte
	End(out []byte) []byte
}

// through gives in to b in pieces of the lengths given, and then the rest.
func through(b texts, in []byte, pieces ...int) string {
	var out []byte
	for _, n := range pieces {
		n = min(n, len(in))
		out, in = b.Write(out, in[:n]), in[n:]
	}
	return string(b.End(b.Write(out, in)))
}

var bodies = []struct{ in, want string }{ // "" stays
	{`<a href="https://site.test/a?b=https://site.test/">`, `<a href="http://site.test/a?b=https://site.test/">`},
	{`<a href=HTTPS://site.test/>`, `<a href=HTTP://site.test/>`},
	{`https://site.test`, `http://site.test`}, // as the policy has it, whose links end in a slash
	{`url(https://site.test/x) url('https://site.test:8443/x')`, `url(http://site.test/x) url('http://site.test:8443/x')`},
	{`{"a":"https:\/\/site.test\/a","b":"https://site.test/"}`, `{"a":"http:\/\/site.test\/a","b":"http://site.test/"}`},
	{`&quot;https://site.test/a&quot;`, `&quot;http://site.test/a&quot;`},
	{`<img srcset="https://site.test/a 1x, https://site.test/b 2x">`, `<img srcset="http://site.test/a 1x, http://site.test/b 2x">`},
	{"h ht https https: https:/ https://site.test/ hhttps://site.test/", "h ht https https: https:/ http://site.test/ hhttps://site.test/"},
	{`"https://other.test/" "https://site.test:80/" "https://u@site.test/"`, ""},
	{`"https://site.test\\@evil.test/" "https://site.test/a\\..\\b"`, ""},
	{`/login?next=https://site.test/ http://x/https://site.test/ xhttps://site.test/ a.https://site.test/`, ""},
	{`http://site.test/?u=https://site.test/`, ""},
	{`"https%3A%2F%2Fsite.test/"`, ""},
	{"https://s\xc3\xafte.test/ https://{host}/", ""},
	{`"https://site.test/` + strings.Repeat("x", longestLink) + `"`, ""},
	{"h\x00t\x00t\x00p\x00s\x00:\x00/\x00/\x00s\x00i\x00t\x00e\x00.\x00t\x00e\x00s\x00t\x00/\x00", ""},
	{"http:https://site.test/ h,https://site.test/ https:https://site.test/ http:/https://site.test/", "http:http://site.test/ h,http://site.test/ https:http://site.test/ http:/https://site.test/"},
	{"https://site.test/" + strings.Repeat("x", longestLink-18), "http://site.test/" + strings.Repeat("x", longestLink-18)},
	{"https://site.test/" + strings.Repeat("x", longestLink-18) + " https://site.test/" + strings.Repeat("x", longestLink-17) + " ", "http://site.test/" + strings.Repeat("x", longestLink-18) + " https://site.test/" + strings.Repeat("x", longestLink-17) + " "},
	{"", ""},
}

// TestBody: however a text is cut, at every byte and into bytes.
func TestBody(t *testing.T) {
	reach := append(originated{"GET http://site.test"}, site...)
	for _, tt := range bodies {
		want := tt.want
		if want == "" {
			want = tt.in
		}
		for cut := range min(len(tt.in)+1, 300) {
			b := &Body{Policy: reach}
			if got := through(b, []byte(tt.in), cut); got != want || b.Changed != (want != tt.in) {
				t.Fatalf("cut at %d, %q became\n%q, want\n%q", cut, tt.in, got, want)
			}
			if got := through(&Page{Body: Body{Policy: reach}}, []byte(tt.in), cut); got != want {
				t.Fatalf("as a page, cut at %d, %q became\n%q, want\n%q", cut, tt.in, got, want)
			}
		}
		if got := through(&Page{Body: Body{Policy: reach}}, []byte(tt.in), bytesOf(tt.in)...); got != want {
			t.Errorf("byte by byte, %q became\n%q, want\n%q", tt.in, got, want)
		}
	}
}

func bytesOf(s string) []int {
	ones := make([]int, len(s))
	for i := range ones {
		ones[i] = 1
	}
	return ones
}

func TestPageKeepsWhatIsHeldToItsBytes(t *testing.T) {
	for in, want := range map[string]string{
		`<script src="https://site.test/a" INTEGRITY="sha384-x"></script><a href="https://site.test/">`: `<script src="https://site.test/a" INTEGRITY="sha384-x"></script><a href="http://site.test/">`,
		`<link title=">" href=https://site.test/ integrity=x>https://site.test/`:                        `<link title=">" href=https://site.test/ integrity=x>http://site.test/`,
		`https://site.test/<b integrity>https://site.test/`:                                             `http://site.test/<b integrity>http://site.test/`,
		`<!-- https://site.test/ --><<a href='https://site.test/'`:                                      `<!-- http://site.test/ --><<a href='http://site.test/'`,
		`<p title=don't>https://site.test/ "` + strings.Repeat(" ", longestTag) + `https://site.test/`:  `<p title=don't>http://site.test/ "` + strings.Repeat(" ", longestTag) + `http://site.test/`,
	} {
		for cut := range min(len(in), 200) {
			if got := through(&Page{Body: Body{Policy: site}}, []byte(in), cut, 1); got != want {
				t.Fatalf("cut at %d: %q became\n%q, want\n%q", cut, in, got, want)
			}
		}
	}
}

// FuzzBody: however a text is cut it becomes the same, and that is the text without
// some s of https.
func FuzzBody(f *testing.F) {
	for _, tt := range bodies {
		f.Add([]byte(tt.in), []byte{3, 1, 7})
	}
	f.Fuzz(func(t *testing.T, in, cuts []byte) {
		pieces := make([]int, len(cuts))
		for i := range cuts {
			pieces[i] = int(cuts[i])
		}
		for _, of := range []func() texts{
			func() texts { return &Body{Policy: everything{t, in}} },
			func() texts { return &Page{Body: Body{Policy: everything{t, in}}} },
		} {
			whole, ones := through(of(), in), through(of(), in, bytesOf(string(in))...)
			if cut := through(of(), in, pieces...); cut != whole || ones != whole {
				t.Fatalf("%q became %q, and cut %q, and in bytes %q", in, whole, cut, ones)
			}
			rest := in
			for i := 0; i < len(whole); i++ {
				if rest[0] != whole[i] {
					if at := len(in) - len(rest); rest[0]|0x20 != 's' || at < 4 || !strings.EqualFold(string(in[at-4:at]), "http") || !bytes.HasPrefix(bytes.ReplaceAll(rest[1:], []byte{'\\'}, nil), []byte("://")) {
						t.Fatalf("%q became %q: at %d something else than an s of https is missing", in, whole, at)
					}
					rest = rest[1:]
				}
				if len(rest) == 0 || rest[0] != whole[i] {
					t.Fatalf("%q became %q", in, whole)
				}
				rest = rest[1:]
			}
			if len(rest) > 0 {
				t.Fatalf("%q became %q: the end is missing", in, whole)
			}
		}
	})
}

func BenchmarkPage(b *testing.B) {
	page := []byte(strings.Repeat(`<p class="x">some text, and <a href="https://site.test/a?b=c">a link</a> to it</p>`+"\n", 800))
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	out := make([]byte, 0, len(page))
	for b.Loop() {
		p := Page{Body: Body{Policy: site}}
		out = p.End(p.Write(out[:0], page))
	}
}
