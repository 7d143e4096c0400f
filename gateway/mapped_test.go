// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"sallyport/policy"
)

// newMappedRig serves a policy with mappings to an origin that answers with the head
// of what it was asked. It closes each connection.
func newMappedRig(t *testing.T, different ...func(*Server)) (r *tlsRig, origin string) {
	r = newTLSRig(t, openAll, append([]func(*Server){withOwn, believing, func(s *Server) {
		s.OwnPaths = func(path string) bool { return path == "/page" }
	}}, different...)...)
	cfg := &tls.Config{Certificates: []tls.Certificate{r.cert}}
	origin = r.accept(func(c net.Conn) {
		defer c.Close()
		c = tls.Server(c, cfg)
		var said bytes.Buffer
		q, err := http.ReadRequest(bufio.NewReader(io.TeeReader(c, &said)))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, q.Body) // what is left unread would reset the connection
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", said.Len(), said.Bytes())
	})
	p, err := policy.Parse("mapped.yaml", fmt.Appendf(nil, `
version: 1
mappings:
  - {at: /bank/, to: "https://%[1]s/v1/"}
  - {at: /page/, to: "https://%[1]s/p/"}
  - {at: /users/, to: "https://%[1]s/users/"}
  - {at: /self/, to: "https://%[2]s/"}
  - {host: bank.corp.test, to: "https://%[1]s/"}
rules:
  - {name: secret, from: any, to: 127.0.0.1, ports: any, paths: /v1/secret/**, mode: deny}
  - {name: relayed, from: any, to: 127.0.0.1, ports: any, paths: /v1/relayed/**, mode: relay}
  - {name: users, from: any, to: 127.0.0.1, ports: any, paths: /users/**, mode: originate, when: 'request.path == "/users/" + client.user'}
  - {name: all, from: any, to: 127.0.0.0/8, ports: any, mode: originate}
`, origin, r.addr), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	gen := *r.generation.Load()
	gen.Policy = p
	r.generation.Store(&gen)
	return r, origin
}

// TestMapped: which requests are mapped and which are not, however they are written.
// What is, is decided, sent and recorded as a request for the origin's URL.
func TestMapped(t *testing.T) {
	both(t, func(t *testing.T, standard func(*Server)) {
		r, origin := newMappedRig(t, standard)
		port := r.addr[strings.LastIndexByte(r.addr, ':'):]
		host := "Host: " + origin + "\r\n"
		for _, tt := range []struct {
			name, request string
			tls           bool
			status        int
			body          string
			to            string // path at the origin; "": not there
		}{
			{"a path", "GET /bank/a?b=c HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 200, "GET /v1/a?b=c HTTP/1.1\r\n" + host, "/v1/a?redacted"},
			{"with TLS", "GET /bank/a HTTP/1.1\r\nHost: gw.test\r\n\r\n", true, 200, "GET /v1/a HTTP/1.1\r\n" + host, "/v1/a"},
			{"HTTP/1.0", "GET /bank/a HTTP/1.0\r\nHost: GW.test.:99\r\n\r\n", false, 200, "GET /v1/a HTTP/1.1\r\n" + host, "/v1/a"},
			{"a host", "POST /bank/a HTTP/1.1\r\nHost: bank.corp.test:8080\r\nContent-Length: 0\r\n\r\n", false, 200, "POST /bank/a HTTP/1.1\r\n" + host, "/bank/a"},
			{"a host, absolute-form", "GET http://bank.corp.test/a HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 200, "GET /a HTTP/1.1\r\n" + host, "/a"},
			{"a path, absolute-form", "GET http://gw.test" + port + "/bank/a HTTP/1.1\r\nHost: other.test\r\n\r\n", false, 200, "GET /v1/a HTTP/1.1\r\n" + host, "/v1/a"},
			{"absolute-form of https inside TLS", "GET https://bank.corp.test/a HTTP/1.1\r\nHost: gw.test\r\n\r\n", true, 200, "GET /a HTTP/1.1\r\n" + host, "/a"},
			{"Referer and Origin", "GET /bank/a HTTP/1.1\r\nHost: gw.test\r\nReferer: http://gw.test/bank/x\r\nOrigin: http://gw.test\r\n\r\n", false, 200, "Referer: https://" + origin + "/v1/x\r\n", "/v1/a"},
			{"Origin", "GET /bank/a HTTP/1.1\r\nHost: gw.test\r\nOrigin: http://gw.test\r\n\r\n", false, 200, "Origin: https://" + origin + "\r\n", "/v1/a"},
			{"an origin that is not ours", "GET /bank/a HTTP/1.1\r\nHost: gw.test\r\nOrigin: http://evil.test\r\n\r\n", false, 200, "Origin: http://evil.test\r\n", "/v1/a"},
			{"credentials of the origin", "GET /bank/a HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Basic x\r\n\r\n", false, 200, "Authorization: Basic x\r\n", "/v1/a"},
			{"dots", "GET /x/../bank/./b/../a HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 200, "GET /v1/a HTTP/1.1\r\n", "/v1/a"},
			{"slashes", "GET /bank//evil.test/a HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 200, "GET /v1//evil.test/a HTTP/1.1\r\n", "/v1//evil.test/a"},
			{"an own page comes first", "GET /page HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 200, "GET gw.test from", ""},
			{"and in any spelling", "GET /%70age HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 200, "GET gw.test from", ""},
			{"below it is none", "GET /page/x HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 200, "GET /p/x HTTP/1.1\r\n", "/p/x"},

			{"the policy's word", "GET /bank/secret/a HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 403, `rule "secret"`, "/v1/secret/a"},
			{"the policy's word, spelt", "GET /bank/a/..//../s%65cret/a HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 403, `rule "secret"`, "/v1/secret/a"},
			{"never relayed", "GET /bank/relayed/a HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 403, `rule "relayed"`, "/v1/relayed/a"},
			{"never relayed, with TLS", "GET /bank/relayed/a HTTP/1.1\r\nHost: gw.test\r\n\r\n", true, 403, `rule "relayed"`, "/v1/relayed/a"},
			{"nobody is asked who it is", "GET /users/eva HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 403, "one that knows no proxy cannot be asked", "/users/eva"},
			{"TRACE", "TRACE /bank/a HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 405, "TRACE is not passed on", "/v1/a"},
			{"the gateway itself", "GET /self/a HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 502, "is this gateway itself", "self"},

			{"no slash", "GET /bank?a=b HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 308, "it is at /bank/", ""},
			{"out of it", "GET /bank/../v2/ HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 307, "/v2/", ""}, // by the own pages' mux
			{"out of it, escaped", "GET /bank/%2e%2e/v2/ HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 404, "", ""},
			{"an escaped slash", "GET /bank/..%2fv2/ HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 400, "path has the escape %2f", ""},
			{"a backslash", "GET /bank/..\\v2/ HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 400, "", ""},
			{"a parameter of dots", "GET /bank/..;a/v2/ HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 400, "", ""},
			{"escaped twice", "GET /bank/%252e%252e/v2/ HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 400, "", ""},
			{"a fragment", "GET /bank/a#b HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 400, "", ""},
			{"another case", "GET /Bank/a HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 404, "", ""},
			{"no Host", "GET /bank/a HTTP/1.0\r\n\r\n", false, 400, "there is no Host field", ""},
			{"two Hosts", "GET /bank/a HTTP/1.1\r\nHost: gw.test\r\nHost: bank.corp.test\r\n\r\n", false, 400, "", ""},
			{"another Host", "GET /bank/a HTTP/1.1\r\nHost: evil.test\r\n\r\n", false, 400, "this is a proxy", ""},
			{"a Host below ours", "GET /bank/a HTTP/1.1\r\nHost: x.bank.corp.test\r\n\r\n", false, 400, "this is a proxy", ""},
			{"a Host with user information", "GET /bank/a HTTP/1.1\r\nHost: gw.test@evil.test\r\n\r\n", false, 400, "", ""},
			{"the origin's own Host", "GET /v1/a HTTP/1.1\r\nHost: " + origin + "\r\n\r\n", false, 400, "this is a proxy", ""},
			{"absolute-form beats Host", "GET http://evil.test/bank/a HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 403, "no rule", ""},
			{"https in the clear", "GET https://bank.corp.test/a HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 403, "no rule", ""},
			{"CONNECT", "CONNECT bank.corp.test:443 HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 403, "no rule", ""},
			{"OPTIONS of the whole", "OPTIONS * HTTP/1.1\r\nHost: bank.corp.test\r\n\r\n", false, 400, "", ""},
		} {
			t.Run(tt.name, func(t *testing.T) {
				c := net.Conn(nil)
				if tt.tls {
					c = r.secure("http/1.1")
				} else {
					c = r.dial(r.addr)
					defer c.Close()
				}
				res, body := say(t, c, bufio.NewReader(c), tt.request)
				if res.StatusCode != tt.status || !strings.Contains(body, tt.body) || res.Header.Get("Proxy-Authenticate") != "" {
					t.Errorf("%s %.300q, want %d %q", res.Status, body, tt.status, tt.body)
				}
				rec := r.record()
				url := ""
				if rec.Mapped != "" {
					url = strings.TrimPrefix(rec.URL, "https://"+origin)
				}
				if tt.to == "self" {
					url = strings.Replace(url, "https://"+r.addr+"/a", "self", 1)
				}
				if url != tt.to {
					t.Errorf("recorded as %q, asked for as %q, want %q", rec.URL, rec.Mapped, tt.to)
				}
				if tt.to != "" && (rec.Kind != policy.Plain || rec.Own) {
					t.Errorf("kind %s, own %v", rec.Kind, rec.Own)
				}
				if tt.status == 308 && res.Header.Get("Location") != "/bank/?a=b" {
					t.Error(res.Header)
				}
			})
		}
	})
}

// TestMappedByHTTP2, where a path and a whole URL look the same.
func TestMappedByHTTP2(t *testing.T) {
	r, origin := newMappedRig(t)
	_, port, _ := net.SplitHostPort(r.addr)
	h := r.http2()
	for _, tt := range []struct{ scheme, authority, path, status, body string }{
		{"https", "gw.test:" + port, "/bank/a?b", "200", "GET /v1/a?b HTTP/1.1\r\nHost: " + origin},
		{"https", "bank.corp.test", "/a", "200", "GET /a HTTP/1.1\r\nHost: " + origin},
		{"http", "bank.corp.test:3128", "/a", "200", "GET /a HTTP/1.1\r\nHost: " + origin},
		{"https", "gw.test:" + port, "/bank/relayed/a", "403", `rule "relayed"`},
		{"https", "gw.test:" + port, "/bank/..%2fx", "400", "path has the escape"},
		{"https", "evil.test:" + port, "/bank/a", "403", "no rule"},
	} {
		a := h.read(h.ask(true, ":method", "GET", ":scheme", tt.scheme, ":authority", tt.authority, ":path", tt.path), func(h2Answer) bool { return false })
		if a.status != tt.status || !strings.Contains(a.body, tt.body) {
			t.Errorf("%s://%s%s: %s %q, want %s %q", tt.scheme, tt.authority, tt.path, a.status, a.body, tt.status, tt.body)
		}
	}
}

// TestMappedSmuggling: what looks like a request for another mapping inside a body is a
// body, and the next request is judged by itself.
func TestMappedSmuggling(t *testing.T) {
	both(t, func(t *testing.T, standard func(*Server)) {
		r, _ := newMappedRig(t, standard)
		c := r.dial(r.addr)
		defer c.Close()
		br := bufio.NewReader(c)
		inner := "GET /bank/secret/a HTTP/1.1\r\nHost: gw.test\r\n\r\n"
		res, body := say(t, c, br, fmt.Sprintf("POST /bank/a HTTP/1.1\r\nHost: gw.test\r\nContent-Length: %d\r\n\r\n%sGET /bank/secret/b HTTP/1.1\r\nHost: gw.test\r\n\r\n", len(inner), inner))
		if res.StatusCode != 200 || !strings.HasPrefix(body, "POST /v1/a HTTP/1.1\r\n") {
			t.Errorf("%s %q", res.Status, body)
		}
		if res, body := say(t, c, br, ""); res.StatusCode != 403 || !strings.Contains(body, `rule "secret"`) {
			t.Errorf("%s %q", res.Status, body)
		}
		for _, url := range []string{"/v1/a", "/v1/secret/b"} {
			if rec := r.record(); !strings.HasSuffix(rec.URL, url) {
				t.Errorf("recorded %s, want %s", rec.URL, url)
			}
		}
	})
}
