// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import "strings"

// What the corpus is made of. An entry of hosts, lines and framings may hold
// several lines.

var methods = []string{
	"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "M-SEARCH", "get", "Connect", "CONNECT", "PRI",
	"", "G T", "G\tT", " GET", "GET ", "G\x00T", "G:T", "(GET)", "\"GET\"", "G\xffT", "!#$%&'*+-.^_`|~09", "\r\nGET", "\nGET", "\rGET",
	strings.Repeat("M", 300),
}

var targets = []string{
	"http://ORIGIN", "http://ORIGIN/", "http://ORIGIN?", "http://ORIGIN?x", "http://ORIGIN/?", "http://ORIGIN/??", "http://ORIGIN/a?b?c",
	"http://ORIGIN/a;b=c", "http://ORIGIN/./../x", "http://ORIGIN//x", "http://ORIGIN//x/..//y", "http://ORIGIN///", "http://ORIGIN//%", "http://ORIGIN//\"",
	"http://ORIGIN/%61%2f%2F%00", "http://ORIGIN/%zz", "http://ORIGIN/%", "http://ORIGIN/%4", "http://ORIGIN/a?%", "http://ORIGIN/a?%zz", "http://ORIGIN/a?b=%00",
	"http://ORIGIN/\x80\xff", "http://ORIGIN/ä", "http://ORIGIN/\"<>`{}|\\^[]", "http://ORIGIN/?\"<>`{}|\\^[]", "http://ORIGIN//{}", "http://ORIGIN//[]", "http://ORIGIN/a\x7fb",
	"http://ORIGIN/a b", "http://ORIGIN/a\tb", "http://ORIGIN/a\x00b", "http://ORIGIN/a\rb", "http://ORIGIN/a\nb", "http://ORIGIN/a HTTP/1.1\r\nX: y", " http://ORIGIN/", "http://ORIGIN/ ",
	"http://ORIGIN/a#", "http://ORIGIN/a#b", "http://ORIGIN/a?b#c", "http://ORIGIN#", "http://ORIGIN/a:b@c", "http://ORIGIN/http://other.test/", "http://ORIGIN/a?http://other.test/",
	"HTTP://ORIGIN/", "hTTp://ORIGIN/", "https://ORIGIN/", "ftp://ORIGIN/", "http:/ORIGIN/", "http:ORIGIN", "http:///a", "http://", "://ORIGIN/", "ws://ORIGIN/", "mailto:a@b",
	"http://user@ORIGIN/", "http://user:word@ORIGIN/", "http://ORIGIN@other.test/", "http://other.test@ORIGIN/", "http://other.test\\@ORIGIN/", "http://ORIGIN\\@other.test/", "http://ORIGIN\\/", "http://@ORIGIN/",
	"http://other.test/", "http://127.0.0.1:0/", "http://127.0.0.1:99999/", "http://127.0.0.1:+80/", "http://127.0.0.1:/", "http://127.0.0.1:8x/", "http://[::1]:9/", "http://[::1/", "http://[::1%25lo]/", "http://[::ffff:127.0.0.1]/", "http://0x7f.1/", "http://2130706433/", "http://127.1/",
	"http://%31/", "http://a%20b/", "http://a_b.test/", "http://a..test/", "http://xn--nxa.test/", "http://ä.test/", "http://a,b.test/", "http://a b.test/", "http://a;b.test/",
	"/", "/a?b", "//ORIGIN/", "*", "", "a", "?", "ORIGIN", "ORIGIN/", ":80", "@", "http://ORIGIN/" + strings.Repeat("long/", 3000), "http://ORIGIN/?" + strings.Repeat("q", 15000), "http://ORIGIN/" + strings.Repeat("x", 70000),
}

var versions = []string{
	"HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/2", "HTTP/3", "http/1.1", "Http/1.1", "HTTP/1.1 ", " HTTP/1.1", "HTTP/1.1\t", "HTTP/1.10", "HTTP/01.1", "HTTP/1.01",
	"HTTP/1,1", "HTTP/1.", "HTTP/.1", "HTTP/11", "HTTP /1.1", "HTTP/ 1.1", "HTTP/+1.1", "HTTP/1.-1", "HTTP/1.1x", "HTTPS/1.1", "ICY", "", "HTTP/1.1 HTTP/1.1", "HTTP/1.1\r", "HTTP/1.1\x00", "HTTP/1.\xb9",
}

var hosts = []string{
	"", "Host: ORIGIN", "host: ORIGIN", "HOST:ORIGIN", "Host:\t ORIGIN \t", "Host:", "Host: ", "Host: other.test", "Host: other.test:1234", "Host: OTHER.test.", "Host: a:b:c", "Host: [::1]", "Host: [::1]:80", "Host: [::1", "Host: [::1%25x]", "Host: :", "Host: :80", "Host: a:99999",
	"Host: user@ORIGIN", "Host: ORIGIN/", "Host: ORIGIN/x", "Host: a b", "Host: a,b", "Host: a\tb", "Host: a\x00b", "Host: a\x7f", "Host: %41", "Host: %zz", "Host: a%00b", "Host: ä", "Host: \xff", "Host: a\"b", "Host: a?b", "Host: a#b", "Host: a\\b", "Host: a_b!$&'()*+;=~", "Host: ..",
	"Host: ORIGIN\r\nHost: ORIGIN", "Host: ORIGIN\r\nhost: other.test", "Host : ORIGIN", " Host: ORIGIN", "Host\t: ORIGIN", "Host: ORIGIN\r\n Host: other.test", "Host: ORIGIN\r\n\tx", "Host: other\r\n .test", "Host; ORIGIN", "Host ORIGIN", "Host\x00: ORIGIN", "X-Host: ORIGIN", "Host: ORIGIN\nHost: other.test", "Host: ORIGIN\rHost: other.test",
	"Host: " + strings.Repeat("h", 300), "Host: " + strings.Repeat("h.", 5000),
}

// hidden is what must stay a body, or must never be looked at.
var hidden = request{"GET", "http://ORIGIN/hidden", "HTTP/1.1", []string{"Host: ORIGIN"}, ""}

var lines = []string{
	"X: y", "X:y", "X:", "X: ", "X:\ty\t", "X:  y  z  ", "x-lower: y", "X_Under: y", "X.Dot: y", "1: 2", "!#$%&'*+-.^_`|~: y", "X: \x80\xff", "X: ä", "X: \"quo\\\"ted\"", "X: a, b,,c,", "X: ,",
	"X: 1\r\nX: 2\r\nx: 3", "Cookie: a=b\r\nCookie: c=d", "Cookie: a=b; c=d\r\nX: y\r\nCookie: e", "Accept: */*\r\nAccept: text/html", "User-Agent: me", "User-Agent:", "User-Agent: a\r\nUser-Agent: b", "Accept-Encoding: gzip", "Accept-Encoding:", "Referer: http://x/", "Pragma: no-cache",
	"Authorization: Basic x", "Authorization: a\r\nAuthorization: b", "Proxy-Authorization: Basic x", "Proxy-Authenticate: x", "Proxy-Connection: keep-alive", "Proxy-Connection: close", "Keep-Alive: timeout=5", "Proxy-Authentication-Info: x", "Proxy-Foo: x",
	"Connection: close", "Connection: keep-alive", "Connection: Keep-Alive, x", "Connection: close, keep-alive", "Connection: close\r\nConnection: keep-alive", "Connection: keep-alive\r\nConnection: close", "Connection: x\r\nConnection: keep-alive", "Connection:", "Connection: ,", "Connection: ,,close,,", "Connection: \"close\"", "Connection: closed", "Connection: X-A\r\nX-A: b", "Connection: x-a,X-B\r\nX-A: b\r\nX-B: c\r\nx-a: d",
	"Connection: Host", "Connection: Content-Length", "Connection: Transfer-Encoding", "Connection: Authorization\r\nAuthorization: x", "Connection: Via\r\nVia: 1.1 a", "Connection: Cookie, X\r\nCookie: a\r\nX: y", "Connection: Connection", "Connection: TE\r\nTE: trailers", "Connection: User-Agent\r\nUser-Agent: a", "Connection: Expect\r\nExpect: 100-continue", "Connection: Range\r\nRange: bytes=0-0", "Connection: Max-Forwards\r\nMax-Forwards: 5", "Connection: Accept-Encoding\r\nAccept-Encoding: x", "Connection: \xff", "Connection: a b", "Connection: close;x",
	"TE: trailers", "TE: gzip", "TE: trailers, deflate;q=0.5", "TE: TRAILERS", "TE: chunked", "TE:", "TE: trailers;q=0", "TE: gzip\r\nTE: trailers", "Trailer: X", "Trailer: X\r\nTrailer: Y, Z", "Trailer: Content-Length", "Trailer: X, Host", "Trailer:", "Trailer: transfer-encoding", "Trailer: a b", "Trailer: ,", "Trailer: Authorization", "Trailer: \xff",
	"Expect: 100-continue", "Expect: 100-Continue", "Expect: 100-continue\r\nExpect: 100-continue", "Expect: 100-continue, x", "Expect: x", "Expect:", "Expect : 100-continue",
	"Upgrade: websocket", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__", "Connection: Upgrade\r\nUpgrade: websocket", "Connection: upgrade, keep-alive\r\nUpgrade: WebSocket", "Connection: Upgrade\r\nUpgrade: websocket, h2c", "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c", "Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket", "Connection: Upgrade\r\nUpgrade: TLS/1.0", "Connection: Upgrade", "Connection: Upgrade\r\nUpgrade:",
	"Via: 1.0 a", "Via: 1.0 a\r\nX: y\r\nVia: 1.1 b", "Via:", "Max-Forwards: 0", "Max-Forwards: 5", "Max-Forwards: x", "Max-Forwards:", "Max-Forwards: -1", "Max-Forwards: 99999999999", "Max-Forwards: 1\r\nMax-Forwards: 2", "Forwarded: for=x", "X-Forwarded-For: 1.2.3.4", "Date: now", "Date: a\r\nDate: b", "Content-Type: text/plain", "Content-Encoding: gzip", "Range: bytes=0-0", "If-None-Match: x", "HTTP2-Settings: x", "Server: x", "Set-Cookie: a\r\nSet-Cookie: b", "Mime-Version: 1.0",
	" X: y", "\tX: y", "X : y", "X\t: y", "X: y\r\n z", "X: y\r\n\tz", "X: y\r\n ", "X: y\r\n\t\r\n", "X", ": y", ":", "X y", "X=y", "X: y\nZ: z", "X: y\rZ: z", "X: y\r", "X: y\n", "X\n: y", "X\r: y", "X: y\r\r\nZ: z", "X: \x00", "X: y\x00z", "X\x00: y", "X: \x01", "X: \x7f", "X: \x0b", "X: \x0c", "X: \x1b[2J", "X(: y", "X\": y", "X/: y", "X[]: y", "X{}: y", "X@: y", "X\xff: y", "Xä: y", "X\x7f: y", "\x00", "GET / HTTP/1.1",
	"X: " + strings.Repeat("y", 8000), "X: " + strings.Repeat("y", 20000), "X: " + strings.Repeat("y", 60000), "X: " + strings.Repeat("y", 66000), strings.Repeat("X", 300) + ": y", strings.Repeat("X: y\r\n", 99) + "X: y", strings.Repeat("X: y\r\n", 990) + "X: y", strings.Repeat("X: y\r\n", 1000) + "X: y",
}

var framings = []string{
	"Content-Length: 0", "Content-Length: 5", "Content-Length: 05", "Content-Length: 000000000000000005", "Content-Length: 0000000000000000005", "Content-Length: 4", "Content-Length: 6", "Content-Length: 3000", "content-length:5", "CONTENT-LENGTH: 5 ", "Content-Length:\t5\t",
	"Content-Length: +5", "Content-Length: -5", "Content-Length: -0", "Content-Length: 0x5", "Content-Length: 5h", "Content-Length: 5;", "Content-Length: 5,", "Content-Length: ,5", "Content-Length: 5, 5", "Content-Length: 5,5", "Content-Length: 5, 6", "Content-Length: 5 5", "Content-Length: 5 6", "Content-Length: 5.0", "Content-Length: 5e0", "Content-Length: \"5\"", "Content-Length: five", "Content-Length: ٥", "Content-Length: 5_0", "Content-Length:", "Content-Length: ", "Content-Length: 5\x00", "Content-Length: 5\x0b", "Content-Length: \x0c5",
	"Content-Length: 9223372036854775807", "Content-Length: 9223372036854775808", "Content-Length: 18446744073709551621", "Content-Length: 99999999999999999999999",
	"Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length: 6", "Content-Length: 5\r\ncontent-length: 0", "Content-Length: 0\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length:", "Content-Length:\r\nContent-Length: 5", "Content-Length: 0\r\nContent-Length: 0", "Content-Length:\r\nContent-Length:",
	"Content-Length : 5", " Content-Length: 5", "X: y\r\n Content-Length: 5", "Content-Length:\r\n 5", "Content-Length: 5\r\n 0", "Content_Length: 5", "Content-Length\x00: 5", "Content-Length: 5\nX: y", "Content-Length: 5\rX: y", "X: y\nContent-Length: 5", "X: y\rContent-Length: 5", "Content Length: 5", "Content-Length", "Content-Length;5",
	"Transfer-Encoding: chunked", "transfer-encoding:chunked", "Transfer-Encoding: Chunked", "Transfer-Encoding: CHUNKED", "Transfer-Encoding:\tchunked", "Transfer-Encoding:  chunked \t", "Transfer-Encoding: chun\u212aed", "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: chunked\x0c", "Transfer-Encoding: chunked\x00", "Transfer-Encoding: \x00chunked", "Transfer-Encoding: chunked\xa0",
	"Transfer-Encoding: xchunked", "Transfer-Encoding: chunke", "Transfer-Encoding: chunkedx", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: 'chunked'", "Transfer-Encoding: chunked;q=1", "Transfer-Encoding: chunked; x", "Transfer-Encoding: chunked,", "Transfer-Encoding: ,chunked", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: gzip", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, gzip", "Transfer-Encoding: identity", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity, chunked", "Transfer-Encoding: cow", "Transfer-Encoding:", "Transfer-Encoding: chunked chunked", "Transfer-Encoding: chu\tnked",
	"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-encoding: cow", "Transfer-Encoding: cow\r\ntransfer-encoding: chunked", "Transfer-Encoding:\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding:",
	"Transfer-Encoding : chunked", " Transfer-Encoding: chunked", "Transfer-Encoding:\r\n chunked", "Transfer-Encoding: chunked\r\n ", "Transfer-Encoding\x00: chunked", "X: y\r\n Transfer-Encoding: chunked", "Transfer_Encoding: chunked", "Transfer-Encoding chunked", "X: y\nTransfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked", "Transfer-Encoding: chunked\nX: y", "Transfer-Encoding\t: chunked", "Transfer-Encoding\n: chunked", "\x00Transfer-Encoding: chunked",
	"Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5", "Content-Length: 0\r\nTransfer-Encoding: chunked", "Content-Length: 4\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 0", "Content-Length: 5\r\nTransfer-Encoding: identity", "Content-Length: 5\r\nTransfer-Encoding: xchunked", "Content-Length: 5\r\nTransfer-Encoding:", "Content-Length: x\r\nTransfer-Encoding: chunked", "Content-Length: 5\r\nTransfer-Encoding : chunked", "Content-Length: 5\r\nTransfer_Encoding: chunked",
}

// bodies are chunked, more or less.
var bodies = []string{
	"0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "a\r\n0123456789\r\n0\r\n\r\n", "A\r\n0123456789\r\n0\r\n\r\n", "00\r\n\r\n", "000\r\n\r\n", "0005\r\nhello\r\n0\r\n\r\n", "000000000000005\r\nhello\r\n0\r\n\r\n", "0000000000000005\r\nhello\r\n0\r\n\r\n", "00000000000000005\r\nhello\r\n0\r\n\r\n", "000000000000000000000\r\n\r\n",
	strings.Repeat("1\r\na\r\n", 500) + "0\r\n\r\n", strings.Repeat("1;a=bcdefghijklmnop\r\na\r\n", 500) + "0\r\n\r\n", strings.Repeat("1;"+strings.Repeat("x", 200)+"\r\na\r\n", 100) + "0\r\n\r\n", "1000\r\n" + strings.Repeat("z", 4096) + "\r\n0\r\n\r\n", "10000\r\n" + strings.Repeat("z", 65536) + "\r\n0\r\n\r\n",
	"5;a\r\nhello\r\n0\r\n\r\n", "5;a=b\r\nhello\r\n0;c=d\r\n\r\n", "5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n", "5 ;a\r\nhello\r\n0\r\n\r\n", "5; a = b\r\nhello\r\n0\r\n\r\n", "5\t;a\r\nhello\r\n0\r\n\r\n", "5;\r\nhello\r\n0\r\n\r\n", "5;;\r\nhello\r\n0\r\n\r\n", "5;a=\"\r\nhello\r\n0\r\n\r\n", "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n", "5;a=\x00\r\nhello\r\n0\r\n\r\n", "5;\x01\r\nhello\r\n0\r\n\r\n", "5;\xff\r\nhello\r\n0\r\n\r\n", "5;a\nhello\r\n0\r\n\r\n", "5;a\rb\r\nhello\r\n0\r\n\r\n", "2;\n63\r\nhi\r\n0\r\n\r\n" + hidden.String(), "5;" + strings.Repeat("e", 4000) + "\r\nhello\r\n0\r\n\r\n", "5;" + strings.Repeat("e", 4200) + "\r\nhello\r\n0\r\n\r\n", "5;" + strings.Repeat("e", 20000) + "\r\nhello\r\n0\r\n\r\n", "0;" + strings.Repeat("e", 4000) + "\r\n\r\n",
	"5 \r\nhello\r\n0\r\n\r\n", "5\t\r\nhello\r\n0\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n", "5 x\r\nhello\r\n0\r\n\r\n", "5x\r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n", "5h\r\nhello\r\n0\r\n\r\n", "\r\nhello\r\n0\r\n\r\n", ";a\r\nhello\r\n0\r\n\r\n", "g\r\nhello\r\n0\r\n\r\n", "5,\r\nhello\r\n0\r\n\r\n", "\"5\"\r\nhello\r\n0\r\n\r\n", "5\x00\r\nhello\r\n0\r\n\r\n", "5_0\r\nhello\r\n0\r\n\r\n", "５\r\nhello\r\n0\r\n\r\n",
	"7fffffffffffffff\r\nhello\r\n0\r\n\r\n", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", "10000000000000005\r\nhello\r\n0\r\n\r\n", "fffffffffffffffff\r\nx",
	"5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello\r\n0\n\r\n", "5\r\nhello\r\n0\r\n\n", "5\r\nhello\r\n0\n\n", "5\rhello\r\n0\r\n\r\n", "5\r\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r0\r\n\r\n", "5\r\nhello\r\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhelloo\r\n0\r\n\r\n", "4\r\nhello\r\n0\r\n\r\n", "6\r\nhello\r\n0\r\n\r\n", "7\r\nhello\r\n0\r\n\r\n", "3\r\nhello\r\n0\r\n\r\n", "5\r\nhellox\r\n0\r\n\r\n", "5\r\nhello\r\n\r\n0\r\n\r\n", "5\r\nhello\r\n5\r\n", "5\r\nhello\r\n", "5\r\nhello\r\n0", "5\r\nhello\r\n0\r", "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n0\r\n\r", "5\r\nhello\r\n0\r\nX", "5\r\nhel",
	"0\r\nX-Sum: y\r\n\r\n", "5\r\nhello\r\n0\r\nX-Sum: y\r\nOther: z\r\nx-sum: w\r\n\r\n", "0\r\nx-lower: y\r\n\r\n", "0\r\nX-Sum:\r\n\r\n", "0\r\nContent-Length: 5\r\n\r\n", "0\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\nHost: x\r\n\r\n", "0\r\nTrailer: x\r\n\r\n", "0\r\nConnection: close\r\n\r\n", "0\r\nConnection: X-Sum\r\nX-Sum: y\r\n\r\n", "0\r\nTE: x\r\n\r\n", "0\r\nUpgrade: x\r\n\r\n", "0\r\nKeep-Alive: x\r\n\r\n", "0\r\nAuthorization: x\r\n\r\n", "0\r\nProxy-Authorization: x\r\n\r\n", "0\r\nCookie: x\r\n\r\n", "0\r\nVia: x\r\n\r\n", "0\r\nExpect: x\r\n\r\n", "0\r\nCache-Control: x\r\nContent-Type: y\r\nRange: z\r\nMax-Forwards: 1\r\n\r\n", "0\r\nX_Under: y\r\n\r\n",
	"0\r\nX : y\r\n\r\n", "0\r\n X: y\r\n\r\n", "0\r\nX: y\r\n z\r\n\r\n", "0\r\nX\r\n\r\n", "0\r\n: y\r\n\r\n", "0\r\nX: y\n\r\n", "0\r\nX: y\rZ: z\r\n\r\n", "0\r\nX: \x00\r\n\r\n", "0\r\nX\xff: y\r\n\r\n", "0\r\nX: \xff\r\n\r\n", "0\r\nX:y\r\n\r\n", "0\r\nX: y", "0\r\nX: " + strings.Repeat("y", 3000) + "\r\n\r\n", "0\r\nX: " + strings.Repeat("y", 3100) + "\r\n\r\n", "0\r\nX: " + strings.Repeat("y", 5000) + "\r\n\r\n", "0\r\n" + strings.Repeat("X: y\r\n", 500) + "\r\n", "0\r\n" + strings.Repeat("X: y\r\n", 1000) + "\r\n", "0\r\n" + hidden.String(),
}

// vectors are whole messages that once meant two things to two programs.
var vectors = []string{
	// CL.TE, TE.CL, TE.TE and 0.CL (James Kettle 2019 and after).
	"POST http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
	"POST http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n5c\r\nGPOST http://ORIGIN/hidden HTTP/1.1\r\nContent-Length: 15\r\n\r\nx=1\r\n0\r\n\r\n",
	"POST http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\nContent-length: 4\r\nTransfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n\r\n5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n",
	"GET http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\nContent-Length: 0\r\nContent-Length: 60\r\n\r\n" + hidden.String(),
	"GET http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\nContent-Length:\r\n\r\n" + hidden.String(),
	"GET http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\n Content-Length: 60\r\n\r\n" + hidden.String(),
	"GET http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\nX: y\r\n\tContent-Length: 60\r\n\r\n" + hidden.String(),
	"POST http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\nExpect: 100-continue\r\nContent-Length: 60\r\n\r\n" + hidden.String(),
	"GET http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\nExpect: y 100-continue\r\nContent-Length: 60\r\n\r\n" + hidden.String(),
	"POST http://ORIGIN/v HTTP/1.0\r\nHost: ORIGIN\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden.String(),
	"POST http://ORIGIN/v HTTP/1.0\r\nHost: ORIGIN\r\nContent-Length: 5\r\n\r\nhello" + hidden.String(),
	"POST http://ORIGIN/v HTTP/1.0\r\nHost: ORIGIN\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello" + hidden.String(),
	"GET http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\n\r\r\n\r\n" + hidden.String(),
	"GET http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\n\r\n\r\n\r\n" + hidden.String(),
	"GET http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\n\n" + hidden.String(),
	"GET http://ORIGIN/v HTTP/1.1\nHost: ORIGIN\n\n" + hidden.String(),
	"GET http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\n\r\n" + hidden.String(),
	"GET http://ORIGIN/v\r\n\r\n" + hidden.String(),
	"GET http://ORIGIN/v\r\n",
	// Chunk extensions and line ends of chunks (CVE-2025-22871 and its kin).
	"POST http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\nTransfer-Encoding: chunked\r\n\r\n1;\n41;x\r\na\r\n0\r\n\r\n" + hidden.String(),
	"POST http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxx45\r\n0\r\n\r\n" + hidden.String(),
	"POST http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxx\rA0\r\n\r\n" + hidden.String(),
	"POST http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\r\n" + hidden.String(),
	"POST http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n" + hidden.String(),
	// CONNECT and upgrades with something behind.
	"CONNECT ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\n\r\n" + hidden.String(),
	"CONNECT ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\nContent-Length: 60\r\n\r\n" + hidden.String(),
	"CONNECT ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\nContent-Length: 0\r\n\r\n" + hidden.String(),
	"CONNECT http://ORIGIN/ HTTP/1.1\r\nHost: ORIGIN\r\n\r\n" + hidden.String(),
	"CONNECT /ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\n\r\n" + hidden.String(),
	"GET http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + hidden.String(),
	"GET http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello" + hidden.String(),
	"GET http://ORIGIN/v HTTP/1.0\r\nHost: ORIGIN\r\nConnection: Upgrade, keep-alive\r\nUpgrade: websocket\r\n\r\n" + hidden.String(),
	"POST http://ORIGIN/v HTTP/1.1\r\nHost: ORIGIN\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + hidden.String(),
	// Not HTTP/1.
	"PRI * HTTP/2.0\r\n\r\nSM\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "SSH-2.0-x\r\n", "\x05\x01\x00", "\r\n\r\n\r\n\r\n", "\n", "\r", " ",
}
