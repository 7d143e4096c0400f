// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"strings"
	"testing"
	"time"

	"sallyport/gateway/hsts"
	"sallyport/policy"
)

// TestHostWithHSTSIsNotRelayed: once an origin has said so over verified TLS, no rule
// sends anything to it in the clear.
func TestHostWithHSTSIsNotRelayed(t *testing.T) {
	const rules = `  - {name: first, from: any, to: origin.test, ports: any, paths: /secure/**, mode: originate, allow_private: true}
  - {name: rest, from: any, to: [origin.test, .origin.test], ports: any, mode: relay, allow_private: true}
`
	for _, standard := range []bool{false, true} {
		strict := new(hsts.Hosts)
		s := func(s *Server) { s.HSTS = strict; s.Standard = standard; allHere(s) }
		r, origin, _ := headersRigOf(t, rules, standard, false, func() string {
			return "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=86400; includeSubDomains\r\nStrict-Transport-Security: max-age=0\r\nContent-Length: 2\r\n\r\nok"
		}, s)
		port := origin[strings.LastIndexByte(origin, ':'):]
		ask := func(host, path string) string {
			return r.send(t, "GET http://"+host+port+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "")
		}
		if got := ask("origin.test", "/secure/"); !strings.HasPrefix(got, "HTTP/1.1 200") || strings.Contains(got, "Strict-") {
			t.Fatalf("%s", got)
		}
		r.record()
		for _, host := range []string{"origin.test", "ORIGIN.test", "origin.test.", "a.b.origin.test"} {
			got := ask(host, "/")
			rec := r.record()
			if !strings.HasPrefix(got, "HTTP/1.1 403") || !strings.Contains(got, "https only (HSTS)") || !rec.HSTS || rec.Outcome != Denied || rec.Mode != policy.Deny || rec.Decision.Mode != policy.Relay {
				t.Errorf("%s: %s\n%+v", host, got, rec)
			}
		}
		if _, until, ok := strict.Known("origin.test", time.Now()); !ok || time.Until(until) > 24*time.Hour+time.Minute {
			t.Errorf("%v %v", until, ok)
		}
		// Not known is not said.
		strict.Lose("the file is damaged")
		strict.Restore(nil)
		if got := ask("other.origin.test", "/"); !strings.HasPrefix(got, "HTTP/1.1 403") || !strings.Contains(got, "has lost which hosts") || strings.Contains(got, "damaged") {
			t.Errorf("%s", got)
		}
	}
}

// TestHSTSInTheClearIsNotHeard (RFC 6797 §8.1): whoever sits on the wire could say it.
func TestHSTSInTheClearIsNotHeard(t *testing.T) {
	bothWays(t, func(t *testing.T, standard bool) {
		strict := new(hsts.Hosts)
		r, origin, _ := headersRig(t, "  - {name: rest, from: any, to: origin.test, ports: any, mode: relay, allow_private: true}\n", standard,
			"HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=86400\r\nContent-Length: 2\r\n\r\nok",
			func(s *Server) { s.HSTS = strict; allHere(s) })
		got := r.send(t, "GET http://origin.test"+origin[strings.LastIndexByte(origin, ':'):]+"/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "")
		if _, _, ok := strict.Known("origin.test", time.Now()); ok || !strings.Contains(got, "Strict-Transport-Security: max-age=86400") {
			t.Errorf("%v\n%s", ok, got)
		}
	})
}
