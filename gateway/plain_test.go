// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

const plainRules = `  - {name: relayed, from: any, to: 127.0.0.1, ports: any, paths: /relayed/**, mode: relay, allow_private: true}
  - {name: kept, from: any, to: 127.0.0.1, ports: any, paths: /kept/**, mode: originate, allow_private: true,
     response: {rewrite: {location: false, hsts: false, alt_svc: false}}}
  - {name: get, from: any, to: 127.0.0.1, ports: any, methods: [GET, POST], mode: originate, allow_private: true}
  - {name: web, from: any, to: sure.test, mode: originate}
  - {name: clear, from: any, to: clear.test, mode: relay, ports: [80, 443]}
`

// TestPlainClientIsSentOnByPlainLinks: what an https origin answers to a client
// that asked by http leads it to where it gets by http, and nowhere else.
func TestPlainClientIsSentOnByPlainLinks(t *testing.T) {
	const answer = "HTTP/1.1 302 Found\r\nLocation: https://@/next?x#y\r\nContent-Location: https://@/relayed/x\r\n" +
		"Link: <https://@/style.css>; rel=preload, <https://clear.test/>, <//clear.test/>\r\nRefresh: 1; url=https://sure.test/\r\n" +
		"Strict-Transport-Security: max-age=31536000\r\nAlt-Svc: h3=\":443\"\r\nContent-Security-Policy: upgrade-insecure-requests\r\n" +
		"Access-Control-Allow-Origin: https://@\r\nTransfer-Encoding: chunked\r\nTrailer: Location\r\n\r\n2\r\nok\r\n0\r\nLocation: https://@/late\r\n\r\n"
	bothWays(t, func(t *testing.T, standard bool) {
		get := func(path string) (sent, got string, rec *Record) {
			// What the origin says has its own address, which is known when it serves.
			var own atomic.Pointer[string]
			r, origin, saw := headersRigOf(t, plainRules, standard, false, func() string { return strings.ReplaceAll(answer, "@", *own.Load()) })
			own.Store(&origin)
			got = r.send(t, "GET http://%"+path+" HTTP/1.1\r\nHost: %\r\nOrigin: http://%\r\nReferer: http://%/relayed/\r\nTE: trailers\r\nConnection: close\r\n\r\n", origin)
			return strings.ReplaceAll(saw(), origin, "@"), strings.ReplaceAll(got, origin, "@"), r.record()
		}
		sent, got, rec := get("/")
		for _, want := range []string{"\r\nOrigin: https://@\r\n", "\r\nReferer: http://@/relayed/\r\n"} {
			if !strings.Contains(sent, want) {
				t.Errorf("%q is not in what the origin got:\n%s", want, sent)
			}
		}
		for _, want := range []string{
			"\r\nLocation: http://@/next?x#y\r\n", "\r\nContent-Location: https://@/relayed/x\r\n", "\r\nRefresh: 1; url=http://sure.test/\r\n",
			"\r\nLink: <http://@/style.css>; rel=preload, <https://clear.test/>, <https://clear.test/>\r\n",
			"\r\nAccess-Control-Allow-Origin: http://@\r\n", "\r\nLocation: http://@/late\r\n",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not in what the client got:\n%s", want, got)
			}
		}
		for _, no := range []string{"Strict", "Alt-Svc", "Security"} {
			if strings.Contains(got, no) {
				t.Errorf("%q is in what the client got:\n%s", no, got)
			}
		}
		for _, want := range []string{"Origin", "Location", "Link", "Alt-Svc", "Strict-Transport-Security", "Content-Security-Policy", "Access-Control-Allow-Origin", "Refresh"} {
			if !slices.Contains(rec.Reconciled, want) {
				t.Errorf("%s is not among %q", want, rec.Reconciled)
			}
		}
		// A rule may have it as the origin says it.
		if sent, got, rec = get("/kept/x"); !strings.Contains(sent, "\r\nOrigin: http://@\r\n") || rec.Reconciled != nil ||
			!strings.Contains(got, "Location: https://@/next?x#y") || !strings.Contains(got, "Strict-") || !strings.Contains(got, "Alt-Svc") || !strings.Contains(got, "upgrade-") {
			t.Errorf("%q\n%s\n%s", rec.Reconciled, sent, got)
		}
	})
}

// TestHTTPSInPlaintextIsLeftAlone: a client that named https knows what it has.
func TestHTTPSInPlaintextIsLeftAlone(t *testing.T) {
	const answer = "HTTP/1.1 302 Found\r\nLocation: https://sure.test/\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 0\r\n\r\n"
	bothWays(t, func(t *testing.T, standard bool) {
		r, origin, saw := headersRig(t, plainRules[strings.Index(plainRules, "  - {name: get"):strings.Index(plainRules, "  - {name: clear")], standard, answer)
		got := r.send(t, "GET https://%/ HTTP/1.1\r\nHost: %\r\nOrigin: http://%\r\nConnection: close\r\n\r\n", origin)
		if sent := saw(); !strings.Contains(sent, "Origin: http://") || !strings.Contains(got, "Location: https://sure.test/\r\n") || !strings.Contains(got, "Strict-") {
			t.Errorf("%s\n%s", sent, got)
		}
		if rec := r.record(); rec.Reconciled != nil {
			t.Errorf("%q", rec.Reconciled)
		}
	})
}

// TestRedirectIsAskedForWithItsMethod: 307 repeats the method, which the policy does
// not let through there, and 302 does not.
func TestRedirectIsAskedForWithItsMethod(t *testing.T) {
	rules := strings.Replace(plainRules[strings.Index(plainRules, "  - {name: get"):strings.Index(plainRules, "  - {name: clear")], "to: sure.test", "to: sure.test, methods: GET", 1)
	bothWays(t, func(t *testing.T, standard bool) {
		for status, want := range map[string]string{"302": "http", "307": "https"} {
			r, origin, _ := headersRig(t, rules, standard, "HTTP/1.1 "+status+" x\r\nLocation: https://sure.test/\r\nContent-Length: 0\r\n\r\n")
			got := r.send(t, "POST http://%/ HTTP/1.1\r\nHost: %\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", origin)
			if !strings.Contains(got, "\r\nLocation: "+want+"://sure.test/\r\n") {
				t.Errorf("%s: %s", status, got)
			}
		}
	})
}
