// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// FuzzMeta: a tag is read as the HTML reader of golang.org/x/net does, and what becomes of it
// differs in its content alone, which is what becomes of the field with that value.
func FuzzMeta(f *testing.F) {
	for _, in := range []string{
		`<meta http-equiv="Content-Security-Policy" content="upgrade-insecure-requests; img-src https://a.test 'self'">`,
		`<meta http-equiv=Content-Security-Policy content='img-src &#39;self&apos; https://a.test?a&amp;b'/>`,
		`<meta/content=img-src http-equiv = content-security-policy =a "b' charset>`,
		`<meta charset=utf-8>`, `<meta content="text/html; charset=big5" http-equiv=content-type content=x>`, `<meta>`,
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, tag []byte) {
		if tag = aTag.Find(tag); !isMeta(tag) || bytes.ContainsAny(tag, "\x00\r") { // which the reader replaces
			return
		}
		equiv, content, _ := meta(tag)
		if equiv != "content-security-policy" {
			return
		}
		want := attributesOf(t, tag)
		if want == nil {
			t.Fatalf("%q is read as a tag", tag)
		}
		if strings.ToLower(want["http-equiv"]) != equiv {
			t.Fatalf("%q has %q", tag, want)
		}
		fit, ok := metaPolicy(tag, content)
		if !ok {
			return
		}
		policy, changed := onePolicy([]byte(want["content"]))
		got := attributesOf(t, fit)
		if !changed || got["content"] != string(policy) {
			t.Fatalf("%q became %q, want %q", tag, fit, policy)
		}
		delete(got, "content")
		delete(want, "content")
		if len(got) != len(want) {
			t.Fatalf("%q became %q", tag, fit)
		}
		for name := range want {
			if got[name] != want[name] {
				t.Fatalf("%q became %q", tag, fit)
			}
		}
		if behind := len(tag) - content.to; !bytes.HasPrefix(fit, tag[:content.from]) || !bytes.HasSuffix(fit, tag[len(tag)-behind:]) {
			t.Fatalf("%q became %q", tag, fit)
		}
	})
}

// attributesOf reads a tag, the first of each name; nil when tag is not just one.
func attributesOf(t *testing.T, tag []byte) map[string]string {
	z := html.NewTokenizer(bytes.NewReader(tag))
	if kind := z.Next(); kind != html.StartTagToken && kind != html.SelfClosingTagToken || !bytes.Equal(z.Raw(), tag) {
		return nil
	}
	all := make(map[string]string)
	for _, a := range z.Token().Attr {
		if _, ok := all[a.Key]; !ok {
			all[a.Key] = a.Val
		}
	}
	return all
}
