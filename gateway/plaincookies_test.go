// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"strings"
	"sync/atomic"
	"testing"

	"sallyport/policy"
)

// TestSecureCookieGoesByHTTPSOnly: by either of those who speak HTTP here, a cookie
// that an origin has set with Secure comes back to it by https, for the user it was
// set for, and stays here when the same host is relayed.
func TestSecureCookieGoesByHTTPSOnly(t *testing.T) {
	const rules = `  - {name: clear, from: any, to: 127.0.0.1, ports: any, paths: /clear, mode: relay, allow_private: true}
  - {name: kept, from: any, to: 127.0.0.1, ports: any, paths: /kept, mode: originate, allow_private: true, response: {rewrite: {cookies: false}}}
  - {name: site, from: any, to: 127.0.0.1, ports: any, mode: originate, allow_private: true}
`
	const answer = "HTTP/1.1 200 OK\r\nSet-Cookie: sid=1; Secure; HttpOnly; SameSite=None\r\nset-cookie: csrf=2; Secure\r\nSet-Cookie: plain=3\r\nContent-Length: 2\r\n\r\nok"
	bothWays(t, func(t *testing.T, standard bool) {
		var user atomic.Value
		user.Store("eva")
		who := func(s *Server) {
			s.Identify = func(q Request) (Identity, error) {
				return Identity{Client: policy.Client{Addr: q.From.Addr(), User: user.Load().(string)}}, nil
			}
		}
		r, origin, saw := headersRigOf(t, rules, standard, false, func() string { return answer }, who)
		get := func(origin, path, cookie string) string {
			return r.send(t, "GET http://%"+path+" HTTP/1.1\r\nHost: %\r\nCookie: "+cookie+"\r\nConnection: close\r\n\r\n", origin)
		}
		got := get(origin, "/", "a=b")
		if sent := saw(); !strings.Contains(sent, "Cookie: a=b\r\n") {
			t.Errorf("%s", sent)
		}
		if !strings.Contains(got, "Set-Cookie: sallyport-0-sid=") || strings.Contains(strings.ToLower(got), "; secure") || strings.Contains(got, "SameSite") || strings.Contains(got, "sid=1;") {
			t.Errorf("%s", got)
		}
		var jar []string
		for _, line := range strings.Split(got, "\r\n") {
			if name, value, _ := strings.Cut(line, ": "); strings.EqualFold(name, "Set-Cookie") {
				pair, _, _ := strings.Cut(value, ";")
				jar = append(jar, pair)
			}
		}
		get(origin, "/", strings.Join(jar, "; "))
		if sent := saw(); !strings.Contains(sent, "Cookie: sid=1; csrf=2; plain=3\r\n") {
			t.Errorf("the origin got\n%s\nof %q", sent, jar)
		}
		user.Store("adam")
		get(origin, "/", strings.Join(jar, "; "))
		if sent := saw(); !strings.Contains(sent, "Cookie: csrf=2; plain=3\r\n") {
			t.Errorf("the origin got\n%s\nof another user's %q", sent, jar)
		}
		if got := get(origin, "/kept", "a=b"); !strings.Contains(got, "Set-Cookie: sid=1; Secure; HttpOnly; SameSite=None\r\n") {
			t.Errorf("%s", got)
		}
		saw()

		// The same host in the clear.
		user.Store("eva")
		clear, origin, saw := headersRigOf(t, rules, standard, true, func() string { return answer }, who, func(s *Server) { s.CookieKey = r.server.CookieKey })
		r = clear
		got = get(origin, "/clear", strings.Join(jar, "; "))
		if sent := saw(); !strings.Contains(sent, "\r\nCookie: plain=3\r\n") {
			t.Errorf("in the clear the origin got\n%s", sent)
		}
		if strings.Contains(got, "sid=") || strings.Contains(got, "csrf=") || !strings.Contains(got, "Set-Cookie: plain=3\r\n") {
			t.Errorf("in the clear the client got\n%s", got)
		}
	})
}
