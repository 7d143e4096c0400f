// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import "testing"

func TestSFString(t *testing.T) {
	for in, want := range map[string]string{
		``:               `""`,
		`plain`:          `"plain"`,
		`say "no" \ now`: `"say \"no\" \\ now"`,
		"tab\tnew\nline": `"tab?new?line"`,
		"del\x7f\x00":    `"del??"`,
		"cut…":           `"cut..."`,
		"RFC 9112 §6.1":  `"RFC 9112 section 6.1"`,
		"é\xff":          `"??"`,
	} {
		if got := sfString(in); got != want {
			t.Errorf("sfString(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestProxyStatus(t *testing.T) {
	got := proxyStatus(&Error{Cause: "http_request_denied", Msg: `no "x"`, Rule: "r"}, "id1")
	if want := `sallyport; error=http_request_denied; details="no \"x\""; rule="r"; id="id1"`; got != want {
		t.Errorf("got %s", got)
	}
}
