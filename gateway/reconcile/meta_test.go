// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"strings"
	"testing"
)

// asPage is in as a page that FitBody finds, however it is cut.
func asPage(t *testing.T, contentType, in string) (out string) {
	t.Helper()
	f := fittingOf([]byte(contentType))
	if !f.Links {
		t.Fatalf("%s is left alone", contentType)
	}
	out = through(f.Text(site), []byte(in))
	if ones := through(f.Text(site), []byte(in), bytesOf(in)...); ones != out {
		t.Fatalf("%q became %q, and byte by byte %q", in, out, ones)
	}
	for cut := range min(len(in), 300) {
		if got := through(f.Text(site), []byte(in), cut); got != out {
			t.Fatalf("%q became %q, and cut at %d %q", in, out, cut, got)
		}
	}
	return out
}

// TestMetaPolicy: a page that says its own policy has it made to fit as the field is,
// and no other byte of the tag is touched.
func TestMetaPolicy(t *testing.T) {
	for in, want := range map[string]string{ // "" stays
		`<meta http-equiv="Content-Security-Policy" content="upgrade-insecure-requests">`:                                           `<meta http-equiv="Content-Security-Policy" content="">`,
		`<META  Content='default-src https:;  Upgrade-Insecure-Requests' HTTP-EQUIV=content-security-policy />`:                     `<META  Content='default-src https: http:' HTTP-EQUIV=content-security-policy />`,
		`<meta http-equiv=Content-Security-Policy content=block-all-mixed-content>`:                                                 `<meta http-equiv=Content-Security-Policy content="">`,
		`<meta http-equiv=Content-Security-Policy content=upgrade-insecure-requests;sandbox>`:                                       `<meta http-equiv=Content-Security-Policy content="sandbox">`,
		"<meta http-equiv=\"content-security-policy\" content=\"\n\tupgrade-insecure-requests;\n\timg-src\n\thttps:\n\tdata:;\n\">": "<meta http-equiv=\"content-security-policy\" content=\"\n\timg-src\n\thttps:\n\tdata: http:;\n\">",
		// Its hosts are sources, and not links.
		`<meta http-equiv="Content-Security-Policy" content="img-src https://site.test https://other.test/a">`: `<meta http-equiv="Content-Security-Policy" content="img-src https://site.test https://other.test/a http://site.test http://other.test/a">`,
		`<meta http-equiv="Content-Security-Policy" content="report-uri https://site.test/">`:                  "",
		`<meta http-equiv="Content-Security-Policy" content="connect-src wss:, https:">`:                       `<meta http-equiv="Content-Security-Policy" content="connect-src wss:, https: http:">`, // one policy, whatever the comma means
		// References.
		`<meta http-equiv="Content-Security-Policy" content="script-src &#39;self&#39; https:">`:                                  `<meta http-equiv="Content-Security-Policy" content="script-src 'self' https: http:">`,
		`<meta http-equiv='Content-Security-Policy' content='script-src &#39;self&apos; &quot; https://a.test/?a&amp;b&#x2B;'>`:   `<meta http-equiv='Content-Security-Policy' content='script-src &#39;self&#39; " https://a.test/?a&amp;b+ http://a.test/?a&amp;b+'>`,
		`<meta http-equiv="Content-Security-Policy" content="img-src https&#58;&#x2f;&sol;a.test&#59;upgrade-insecure-requests">`: `<meta http-equiv="Content-Security-Policy" content="img-src https://a.test http://a.test">`,
		`<meta http-equiv="Content-Security-Policy" content="img-src 'self' https://a.test/?a&b; upgrade-insecure-requests">`:     "",
		`<meta http-equiv="Content-Security-Policy" content="upgrade-insecure-requests; img-src https://a.test/&eacute;">`:        "",
		`<meta http-equiv="Content-Security-Policy" content="upgrade-insecure-requests; img-src https://a.test/&#0;">`:            "",
		`<meta http-equiv="Content-Security-Policy" content="upgrade-insecure-requests; img-src https://a.test/&nosuch;">`:        "",
		`<meta http-equiv="Content-Security-Policy" content="img-src &#39;self&#39;">`:                                            "",
		"<meta http-equiv=\"Content-Security-Policy\" content=\"img-src https://a.test/\xe9; upgrade-insecure-requests\">":        "<meta http-equiv=\"Content-Security-Policy\" content=\"img-src https://a.test/\xe9 http://a.test/\xe9\">",
		// The first of a name is the attribute.
		`<meta http-equiv="Content-Security-Policy" content="img-src https:" content="font-src https:">`: `<meta http-equiv="Content-Security-Policy" content="img-src https: http:" content="font-src https:">`,
		`<meta http-equiv="x" http-equiv="Content-Security-Policy" content="upgrade-insecure-requests">`: "",
		// What is none of these.
		`<meta http-equiv="Content-Security-Policy-Report-Only" content="upgrade-insecure-requests">`:           "",
		`<meta name="Content-Security-Policy" content="upgrade-insecure-requests">`:                             "",
		`<metadata http-equiv="Content-Security-Policy" content="upgrade-insecure-requests">`:                   "",
		`<p http-equiv="Content-Security-Policy" content="upgrade-insecure-requests">`:                          "",
		`<meta http-equiv="Content-Security-Policy">`:                                                           "",
		`<meta http-equiv="Content-Security-Policy" content>`:                                                   "",
		`<meta http-equiv="Content-Security-Policy" content= >`:                                                 "",
		`<meta http-equiv="Content-Security-Policy" content="upgrade-insecure-requests`:                         "",
		`<meta name=description content=don't> <meta name=keywords content='none'><meta name=author content='>`: "",
		`<meta =a ==b http-equiv = "Content-Security-Policy"content = upgrade-insecure-requests/>`:              "", // whose directive ends in a slash
		`<meta/http-equiv=Content-Security-Policy/ content="upgrade-insecure-requests">`:                        "", // nor is that its name
	} {
		if want == "" {
			want = in
		}
		if got := asPage(t, "text/html", in); got != want {
			t.Errorf("%s\nbecame\n%s, want\n%s", in, got, want)
		}
		if !strings.HasSuffix(in, `">`) {
			continue // it goes on, with what comes behind it
		}
		got := asPage(t, "text/html", `https://site.test/<a title=">">`+in+`<img src=https://site.test/a>`)
		if want := `http://site.test/<a title=">">` + want + `<img src=http://site.test/a>`; got != want {
			t.Errorf("within a page, %s\nbecame\n%s, want\n%s", in, got, want)
		}
	}
	// Elsewhere it is text.
	const in = `<meta http-equiv="Content-Security-Policy" content="upgrade-insecure-requests">`
	if got := asPage(t, "application/json", in); got != in {
		t.Errorf("in JSON it became %s", got)
	}
}

// TestCharacters: a text says itself what its characters are, where its field does not.
func TestCharacters(t *testing.T) {
	const link, fit = "\n<a href=\"https://site.test/\">", "\n<a href=\"http://site.test/\">"
	for _, tt := range []struct {
		contentType, begin string
		read               bool
	}{
		{"text/html", "", true},
		{"text/html", "<", true},
		{"text/html", "\xef\xbb\xbf", true},
		{"text/html", "\xef\xbb", true},
		{"text/html", "\xfe\xff", false},
		{"text/html", "\xff\xfe", false},
		{"text/html; charset=utf-8", "\xff\xfe", false},
		{"application/json", "\xff\xfe", false},
		{"text/css", "\xfe\xff", false},
		{"text/html", "\xff", true},
		{"text/html", `<meta charset=utf-8>`, true},
		{"text/html", `<!doctype html><html><meta charset="Shift_JIS">`, false},
		{"text/html", `<html><meta charset=' gbk '>`, false},
		{"text/html", `<meta charset=ISO-2022-JP>`, false},
		{"text/html", `<meta charset=utf-16>`, true}, // is said in ASCII
		{"text/html", `<meta http-equiv="Content-Type" content="text/html; charset=big5">`, false},
		{"text/html", `<META CONTENT='text/html;CHARSET = "big5"' HTTP-EQUIV=content-type>`, false},
		{"text/html", `<meta http-equiv="Content-Type" content="text/html; charset: a; charset=iso-8859-15; x">`, true},
		{"text/html", `<meta http-equiv="Content-Type" content="text/html">`, true},
		{"text/html", `<meta name="charset" content="text/html; charset=big5">`, true},
		{"text/html", `<meta charset=utf-8><meta charset=big5>`, true},
		{"text/html", `<meta charset><meta charset=""><meta charset=big5>`, false},
		{"text/html; charset=utf-8", `<meta charset=big5>`, true},
		{"text/html", "\xef\xbb\xbf<meta charset=big5>", true},
		{"text/html", `<?xml version="1.0" encoding="Shift_JIS"?>`, false},
		{"application/xhtml+xml", `<?xml version='1.0' encoding='utf-8'?><meta charset=big5>`, true},
		{"application/xhtml+xml", `<?xml version='1.0'?><meta charset=big5>`, false},
		{"application/xhtml+xml; charset=utf-8", `<?xml version='1.0' encoding='big5'?>`, true},
		{"text/html", `<?xml encoding="big5"` + strings.Repeat(" ", longestOpening), true}, // which is none
		{"text/css", `@charset "big5";`, false},
		{"text/css", `@charset "utf-8";`, true},
		{"text/css", `@charset 'big5';`, true}, // is not how that is said
		{"text/css", `@char`, true},
		{"text/css; charset=utf-8", `@charset "big5";`, true},
		{"text/css", ` @charset "big5";`, true},
		{"application/json", `@charset "big5";`, true},
		{"text/css", `@charset "` + strings.Repeat("x", longestOpening), true},
	} {
		want := tt.begin + link
		if tt.read {
			want = tt.begin + fit
		}
		if got := asPage(t, tt.contentType, tt.begin+link); got != want {
			t.Errorf("%s, %q: %q", tt.contentType, tt.begin, got)
		}
	}
	// What came before it is said has been read by everybody.
	if got := asPage(t, "text/html", link+"<meta charset=big5>"+link); got != fit+"<meta charset=big5>"+link {
		t.Errorf("%q", got)
	}
}

// TestOpeningIsNotHeldForLong: what cannot say any more what its characters are goes on.
func TestOpeningIsNotHeldForLong(t *testing.T) {
	for in, want := range map[string]string{"<": "", "<!": "<!", "@": "", "@c ": "@c ", "\xef\xbb\xbf": "\xef\xbb\xbf", "\xef ": "\xef ", "a": "a", "{": "{", "<?xml?>": "<?xml?>"} {
		if got := string(fittingOf([]byte("text/html")).Text(site).Write(nil, []byte(in))); got != want {
			t.Errorf("%q: %q goes on, want %q", in, got, want)
		}
	}
}
