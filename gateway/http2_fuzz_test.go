// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"sallyport/gateway/h1"
)

// FuzzHTTP2Request: whatever a request by HTTP/2 holds, what is made of it is one
// request of HTTP/1.1, for the host, the method and the path that it named, to
// whoever reads it next; or nothing is.
func FuzzHTTP2Request(f *testing.F) {
	for _, s := range []struct {
		method, host, path, name, value string
		length                          int64
	}{
		{"GET", "a.test", "/", "X-A", "b", 0},
		{"CONNECT", "a.test:443", "a.test:443", "X-A", "b", -1},
		{"OPTIONS", "a.test", "*", "Host", "a.test", 0},
		{"GET / HTTP/1.1\r\nX: y", "a.test", "/", "X", "", 0},
		{"GET", "a.test/x", "/ HTTP/1.1\r\nHost: b.test\r\n\r\nGET /", "X-A: b\r\nX-C", "d", 0},
		{"POST", "a.test", "/", "Content-Length", "5", 5},
		{"POST", "a.test", "/", "Content-Length", "5", -1},
		{"POST", "a.test", "/", "Transfer-Encoding", "chunked", -1},
		{"GET", "a.test", "//b.test/", "Connection", "x-a", 0},
		{"GET", "u@a.test", "/?a#b", "Expect", "100-continue", 3},
	} {
		f.Add(s.method, s.host, s.path, s.name, s.value, s.length, true)
	}
	s := &Server{}
	f.Fuzz(func(t *testing.T, method, host, path, name, value string, length int64, secure bool) {
		r := &http.Request{
			Method: method, Host: host, RequestURI: path, ContentLength: max(length, -1),
			Header: http.Header{name: {value}}, ProtoMajor: 2,
		}
		if secure {
			r.TLS = &tls.ConnectionState{}
		}
		q, fault := (&standardClient{s: s, r: r}).readHTTP2()
		if fault != nil {
			return
		}
		if string(q.Method) != method || string(q.Fields.Get(h1.Host)) != host || q.Length != r.ContentLength && method != http.MethodConnect {
			t.Fatalf("%q %q %d became %q %q %d", method, host, length, q.Method, q.Fields.Get(h1.Host), q.Length)
		}
		target, err := readTarget(method, string(q.Target))
		if err != nil {
			return // refused where all targets are
		}
		if want := scheme2(r); method != http.MethodConnect && target.scheme != want {
			t.Fatalf("scheme %s, want %s", target.scheme, want)
		}
		out := h1.AppendRequestLine(nil, q.Method, string(q.Target))
		out = append(h1.AppendFields(out, q.Fields), "\r\n"...)
		br := bufio.NewReader(strings.NewReader(string(out)))
		std, err := http.ReadRequest(br)
		if err != nil {
			return // net/http is stricter about some targets
		}
		if std.Method != method || br.Buffered() > 0 || method != http.MethodConnect && !strings.EqualFold(std.Host, host) {
			t.Fatalf("%q is to net/http %s for %s, and %d bytes more", out, std.Method, std.Host, br.Buffered())
		}
	})
}
