// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/gateway/reconcile"
)

const fitRules = `  - {name: site, from: any, to: 127.0.0.1, ports: any, mode: originate, allow_private: true, response: {rewrite: {bodies: true}}}
  - {name: web, from: any, to: sure.test, mode: originate}
`

// TestBodiesAreFitted: in what is HTML, CSS or JSON, packed by gzip or not, and said
// so by the fields around it; anything else is as it was.
func TestBodiesAreFitted(t *testing.T) {
	const body, fit = `{"a":"https://sure.test/","b":"https://other.test/"}`, `{"a":"http://sure.test/","b":"https://other.test/"}`
	packed := func(c reconcile.Coding) string { return string(packedBy(t, c, body)) }
	chunked := func(b string) string {
		var out strings.Builder
		for _, c := range b {
			fmt.Fprintf(&out, "1\r\n%c\r\n", c)
		}
		return out.String()
	}
	length := func(b string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(b), b) }
	for _, tt := range []struct {
		name, method, answer string
		want, no             []string
	}{
		{
			"json", "GET", "200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nETag: \"x\"\r\nDigest: a\r\nContent-MD5: b\r\nRepr-Digest: c\r\nAccept-Ranges: bytes\r\n" + length(body),
			[]string{fit, "ETag: W/\"x\""},
			[]string{"digest", "md5", "ranges", "length: 52"},
		},
		{"an error's", "GET", "404 No\r\nContent-Type: application/problem+json\r\n" + length(body), []string{fit}, nil},
		{"packed by gzip", "GET", "200 OK\r\nContent-Type: text/css\r\nContent-Encoding: gzip\r\n" + length(packed(reconcile.Gzip)), []string{fit}, []string{"Encoding: gzip"}},
		{"packed by x-gzip", "GET", "200 OK\r\nContent-Type: text/css\r\nContent-Encoding: X-GZIP\r\n" + length(packed(reconcile.Gzip)), []string{fit}, []string{"Encoding: X-GZIP"}},
		{"packed by brotli", "GET", "200 OK\r\nContent-Type: text/css\r\nContent-Encoding: br\r\nETag: \"x\"\r\n" + length(packed(reconcile.Brotli)), []string{fit, "W/\"x\""}, []string{"Encoding: br"}},
		{"packed by zstd", "GET", "200 OK\r\nContent-Type: text/css\r\nContent-Encoding: zstd\r\n" + length(packed(reconcile.Zstd)), []string{fit}, []string{"Encoding: zstd"}},
		{"packed by nothing", "GET", "200 OK\r\nContent-Type: text/css\r\nContent-Encoding: identity\r\n" + length(body), []string{fit, "Encoding: identity"}, nil},
		{"empty and said so", "GET", "200 OK\r\nContent-Type: text/css\r\nContent-Encoding: br\r\nContent-Length: 0\r\n\r\n", []string{"200 OK", "Content-Length: 0", "Encoding: br"}, nil},
		{"no content", "GET", "204 No\r\nContent-Type: text/html\r\nContent-Encoding: br\r\n\r\n", []string{"204 No", "Encoding: br"}, nil},
		{"empty and packed", "GET", "200 OK\r\nContent-Type: text/css\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []string{"200 OK"}, []string{"Encoding: gzip"}},
		{
			"chunks, digest behind", "GET", "200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\nTrailer: Digest, X-Late\r\n\r\n" +
				chunked(`<a href="https://sure.test/"><a integrity=x href="https://sure.test/">`) + "0\r\nDigest: a\r\nX-Late: b\r\n\r\n",
			[]string{"X-Late: b"},
			[]string{"Digest: a"},
		},
		{"to the end", "GET", "200 OK\r\nContent-Type: text/html\r\n\r\n" + body, []string{fit}, nil},
		{"head", "HEAD", "200 OK\r\nContent-Type: text/html\r\nETag: \"x\"\r\nContent-Length: 77\r\n\r\n", []string{"W/\"x\""}, []string{"Content-Length: 77"}},
		{"not modified", "GET", "304 Not Modified\r\nETag: \"x\"\r\n\r\n", []string{"W/\"x\""}, nil},

		{"a part", "GET", "206 Part\r\nContent-Type: text/html\r\nContent-Range: bytes 0-1/2\r\nETag: \"x\"\r\n" + length(body), []string{body, "tag: \"x\""}, nil},
		{"another type", "GET", "200 OK\r\nContent-Type: text/plain\r\nDigest: a\r\n" + length(body), []string{body, "Digest: a", "Content-Length"}, nil},
		{"no type", "GET", "200 OK\r\n" + length(body), []string{body}, nil},
		{"other characters", "GET", "200 OK\r\nContent-Type: text/html; charset=utf-16le\r\n" + length(body), []string{body}, nil},
		{"not to be changed", "GET", "200 OK\r\nContent-Type: text/html\r\nCache-Control: private, no-transform\r\n" + length(body), []string{body}, nil},
		{"packed otherwise", "GET", "200 OK\r\nContent-Type: text/html\r\nContent-Encoding: deflate\r\n" + length(body), []string{body, "Encoding: deflate", "Content-Length"}, nil},
		{"packed twice", "GET", "200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip, br\r\n" + length(body), []string{body, "Encoding: gzip, br"}, nil},
		{"packed twice, in two fields", "GET", "200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Encoding: br\r\n" + length(body), []string{body, "Encoding: gzip\r\n", "Encoding: br\r\n"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, standard bool) {
				r, origin, saw := headersRig(t, fitRules, standard, "HTTP/1.1 "+tt.answer)
				got := r.send(t, tt.method+" http://%/ HTTP/1.1\r\nHost: %\r\nAccept-Encoding: br;q=0.5, gzip, deflate\r\nAccept-Encoding: zstd\r\nTE: trailers\r\nConnection: close\r\n\r\n", origin)
				if sent := saw(); !strings.Contains(sent, "Accept-Encoding: gzip, br;q=0.5, zstd\r\n") || strings.Contains(sent, "deflate") {
					t.Errorf("the origin got\n%s", sent)
				}
				head, text, _ := strings.Cut(got, "\r\n\r\n")
				if strings.Contains(head, "chunked") {
					text = unchunked(text)
				}
				for _, want := range tt.want {
					if !strings.Contains(strings.ToLower(head+"\r\n\r\n"+text), strings.ToLower(want)) {
						t.Errorf("%q is not in\n%s\n%s", want, head, text)
					}
				}
				for _, no := range tt.no {
					if strings.Contains(strings.ToLower(got), strings.ToLower(no)) {
						t.Errorf("%q is in\n%s", no, got)
					}
				}
			})
		})
	}
}

// unchunked is a chunked body and, behind it, its trailers.
func unchunked(in string) string {
	var out strings.Builder
	for {
		size, rest, ok := strings.Cut(in, "\r\n")
		var n int
		if _, err := fmt.Sscanf(size, "%x", &n); !ok || err != nil || n > len(rest) {
			return out.String()
		}
		if n == 0 {
			return out.String() + rest
		}
		out.WriteString(rest[:n])
		in = strings.TrimPrefix(rest[n:], "\r\n")
	}
}

// TestEmptyBodyIsNotWaitedFor: an answer without a body says so still when its links
// would be made to fit; the client would wait for one until the connection ends.
func TestEmptyBodyIsNotWaitedFor(t *testing.T) {
	bothWays(t, func(t *testing.T, standard bool) {
		r, origin, _ := headersRig(t, fitRules, standard, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n")
		c := r.dial(r.addr)
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", origin)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || len(body) > 0 || res.ContentLength != 0 {
			t.Errorf("%q, %v, length %d", body, err, res.ContentLength)
		}
	})
}
