// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"strings"
)

// answers are dialogues about what the origin says. A second request, on a
// connection that may have been used before, tells whether what stood behind
// the first answer is taken for the answer to the second.
func answers() (all []dialogue) {
	asking := []request{
		get, post, put.with("TE: trailers"), old, old.with("Connection: keep-alive"), get.with("TE: trailers"),
		{"HEAD", "http://ORIGIN/h", "HTTP/1.1", []string{"Host: ORIGIN"}, ""},
		post.with("Expect: 100-continue"),
		get.with("Connection: Upgrade", "Upgrade: websocket"),
	}
	next := get
	next.target = "http://ORIGIN/next"
	for i, r := range asking {
		for j, text := range answerTexts {
			name := fmt.Sprintf("%d answer %d to %d %s %.400q", len(all), j, i, r.method, text)
			to := []script{{text, strings.HasSuffix(text, "$")}}
			to[0].text = strings.TrimSuffix(text, "$")
			d := dialogue{name: name, answers: to, say: []piece{{text: r.String()}}}
			if r.version == "HTTP/1.1" || len(r.fields) > 0 {
				d.say = append(d.say, piece{text: next.String(), after: 1}, piece{text: last, after: 2})
			}
			all = append(all, d)
		}
	}
	return all
}

const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX: poison\r\n\r\npoison"

// answerTexts are what an origin may say, after which it closes where there is
// a $ at the end.
var answerTexts = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 404 Nothing here\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello$",
	"HTTP/1.1 200 OK\r\n\r\nhello$", "HTTP/1.1 200 OK\r\n\r\n$", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nhello$", "HTTP/1.1 500 No\r\nConnection: close\r\n\r\n$",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n000\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n$",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: y\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: y\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Content-Length\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 9\r\nX-Sum: y\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: x\r\nTransfer-Encoding: x\r\nTrailer: x\r\nSet-Cookie: y\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX : y\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n z\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTrailer: X-Sum\r\n\r\nhello", "HTTP/1.1 200 OK\r\nTrailer: a b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello$", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", "HTTP/1.0 200 OK\r\n\r\nhello$", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello$", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n$", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello$",
	// Framings at odds.
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 05\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 0000000000000000005\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n$", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n$", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n$",
	// Chunks at odds.
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 ;a\r\nhello\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n$", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n$", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n0\r\n\r\n$", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n\r\n$", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello$", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a\x00\r\nhello\r\n0\r\n\r\n$", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello$",
	// Cut short.
	"$", "H$", "HTTP/1.1 200 OK\r\n$", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n$", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n$", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel$", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n$", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n$", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n$", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n$",
	// And something behind the answer.
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" + poison, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + poison, "HTTP/1.1 204 No Content\r\n\r\n" + poison, "HTTP/1.1 304 Not Modified\r\n\r\n" + poison, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + poison, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 408 Timeout\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" + poison + "$", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello" + poison,
	// Answers without a body, and with one.
	"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
	// Interim answers.
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\nLink: b\r\nConnection: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 199 x\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n$", strings.Repeat("HTTP/1.1 103 x\r\n\r\n", 90) + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", strings.Repeat("HTTP/1.1 103 x\r\n\r\n", 150) + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello$", "HTTP/1.1 103 x\r\n\r\n$", "HTTP/1.0 103 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nopaque\x00$", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nopaque$", "HTTP/1.1 101 Switching Protocols\r\n\r\nopaque$", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nContent-Length: 6\r\n\r\nopaque$",
	// Status lines.
	"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200  OK \r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 \xff\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 299 a reason of its own\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 600 x\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 999 x\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nhello$", "HTTP/1.1\t200 OK\r\nContent-Length: 5\r\n\r\nhello$", "HTTP/1.1 20 OK\r\n\r\n$", "HTTP/1.1 2000 OK\r\n\r\n$", "HTTP/1.1 099 x\r\n\r\n$", "HTTP/1.1 000 x\r\n\r\n$", "HTTP/1.1 -99 x\r\n\r\n$", "HTTP/1.1 +20 x\r\n\r\n$", "HTTP/1.1 2x0 OK\r\n\r\n$", "HTTP/1.1 200OK\r\n\r\n$", "HTTP/1.1\r\n\r\n$", "HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\nhello$", "HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello$", "HTTP/0.9 200 OK\r\n\r\n$", "http/1.1 200 OK\r\n\r\n$", "ICY 200 OK\r\n\r\n$", "200 OK\r\n\r\n$", "<html>hello</html>$", " HTTP/1.1 200 OK\r\n\r\n$", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello$", "HTTP/1.1 200 a\x00b\r\nContent-Length: 5\r\n\r\nhello$", "HTTP/1.1 200 a\rb\r\nContent-Length: 5\r\n\r\nhello$", "HTTP/1.1 200 a\x7f\r\nContent-Length: 5\r\n\r\nhello$", "\x15\x03\x01\x00\x02\x02\x50$",
	// Fields.
	"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n z\r\n\r\nhello$", "HTTP/1.1 200 OK\r\n X: y\r\nContent-Length: 5\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX : y\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n: y\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a\x00b\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a\rb\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: \x7f\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX(: y\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX\xff: y\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: \xff\r\nX:\r\nx-lower: z\r\nX_Under: y\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a\r\nX: 1\r\nSet-Cookie: b\r\nX: 2\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nServer: x\r\nVia: 1.0 a\r\nVia: 1.1 b\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type:\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: X-A\r\nX-A: b\r\nKeep-Alive: timeout=1\r\nProxy-Authenticate: Basic\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nTE: x\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close, keep-alive\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nHost: x\r\nExpect: y\r\nMax-Forwards: z\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nHost: a/b\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nPragma: no-cache\r\nStatus: 500\r\nLocation: http://x/\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: Set-Cookie, Date, Content-Length\r\nSet-Cookie: a\r\nDate: b\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: " + strings.Repeat("y", 60000) + "\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: " + strings.Repeat("y", 200000) + "\r\n\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + strings.Repeat("X: y\r\n", 990) + "\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + strings.Repeat("X: y\r\n", 1000) + "\r\nhello$", "HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + strings.Repeat("z", 70000), "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + strings.Repeat("z", 3000),
}
