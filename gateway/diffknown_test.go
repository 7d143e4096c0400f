// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import "regexp"

// re matches what differs, or what was said, made characters of bytes.
func re(s string) *regexp.Regexp { return regexp.MustCompile(`(?is)` + s) }

// explained are all differences there are. In a difference, the engine stands
// first and net/http behind it.
var explained = []difference{
	// Requests.
	{
		"an HTTP/1.0 request with `close` and `keep-alive` in `Connection`", "stricter: `close` wins (RFC 9112 §9.3)",
		re(`^course: end, 200$`), re(`HTTP/1\.0\r\n.*\bclose\b`), false,
	},
	{
		"an HTTP/1.0 request with `keep-alive` in a second `Connection`", "defect: of net/http, which looks at the first only and ends the connection",
		re(`^course: [^,]*, end$`), re(`HTTP/1\.0\r\n(.*\n)?Connection:.*\nConnection:[^\n]*keep-alive`), false,
	},
	{
		"a request head of more than 64 KiB with another fault in it", "both refuse; net/http reads it in smaller pieces and comes upon the other fault first",
		re(`^course: refused 431, refused 4..$`), re(`[^\n]{1000}`), true,
	},
	{
		"a chunked body that is cut short in the line that would end it", "both refuse; net/http says malformed (400), the engine that the rest did not come (408)",
		re(`^course: refused 408, refused 400$`), re(`\n0\r\n\r$`), false,
	},
	{
		"`Content-Length: 0` in a request without a body", "the same request: the engine passes the field on as it came, net/http has a rule of its own for each method",
		re(`^field Content-Length (\["0"\], \[\]|\[\], \["0"\])$`), re(``), false,
	},
	{
		"`Connection: TE` beside `TE: trailers`", "the engine's own hop, as RFC 9110 §10.1.4 wants it; net/http leaves it out",
		re(`^field Connection \["TE"\], \[\]$`), re(`\nTE:`), false,
	},
	{
		"`Connection: close` beside `Expect: 100-continue`", "net/http's own hop: it would otherwise send a body that was refused",
		re(`^field Connection \[\], \["close"\]$`), re(`Expect:`), false,
	},
	{
		"an empty `User-Agent`, or several", "defect: of net/http, which passes on the first that is not empty; the engine passes them on as they came",
		re(`^field User-Agent `), re(`User-Agent:`), false,
	},
	{
		"`CONNECT` or a WebSocket handshake pipelined behind another request", "defect: of the net/http path, which takes it for what came behind the request before and ends the connection after that one's answer",
		re(`^course: (refused 40[0-9]|200), end$`), re(`\n\r\n.*(CONNECT |websocket)`), true,
	},

	// Answers.
	{
		"an answer in a version other than 1.1 and 1.0", "stricter", re(`^course: refused 502, 200$`), re(`HTTP/(1\.2|2\.0|0\.9) 200`), false,
	},
	{
		"more than one space before the status code", "stricter", re(`^course: refused 502, 200$`), re(`HTTP/1\.1  200`), false,
	},
	{
		"control characters in a reason phrase, a bare CR among them", "stricter", re(`^course: refused 502, 200$`), re(`200 a[\x00\r\x7f][^\n]`), false,
	},
	{
		"lines of an answer's head that end in a bare LF", "stricter", re(`^course: refused 502, 200$`), re(`[^\r]\n`), false,
	},
	{
		"folded lines in an answer's head (obs-fold)", "stricter", re(`^course: refused 502, 200$`), re(`\r\n X|\r\n z`), false,
	},
	{
		"white space before the colon of an answer's field", "stricter: net/http takes `Content-Length : 5` for a length", re(`^course: refused 502, 200$`), re(`\r\n[a-z-]+ :`), false,
	},
	{
		"`Transfer-Encoding` in an HTTP/1.0 answer", "stricter (RFC 9112 §6.1): net/http ignores it", re(`^course: refused 502, 200$`), re(`HTTP/1\.0 200 OK\r\nTransfer-Encoding`), false,
	},
	{
		"more than one `Content-Length` in an answer", "stricter: net/http merges equal ones", re(`^course: refused 502, 200$`), re(`Content-Length: 5\r\nContent-Length: 5`), false,
	},
	{
		"`Content-Length` of an answer in more than 18 digits", "stricter", re(`^course: refused 502, 200$`), re(`Content-Length: 0{18}5`), false,
	},
	{
		"`Content-Length` of an answer with zeros ahead", "stricter: the engine leaves the zeros out, which to some are octal", re(`^answer's field Content-Length \["5"\], \["05"\]$`), re(`Content-Length: 05`), false,
	},
	{
		"`Host` in an answer, with characters that no host has", "stricter: one grammar for the fields of requests and answers", re(`^course: refused 502, 200$`), re(`Host: a/b`), false,
	},
	{
		"an answer's head of more than 128 KiB", "stricter: net/http is set to 256 KiB", re(`^course: refused 502, 200$`), re(`X: y{1000}`), false,
	},
	{
		"more than 1000 fields in an answer", "stricter: net/http bounds the bytes only", re(`^course: refused 502, 200$`), re(`(X: y\r\n){1000}`), false,
	},
	{
		"more than 100 interim answers", "stricter: net/http leaves that to whoever passes them on", re(`^course: refused 502, [0-9 ]*200$`), re(`(HTTP/1.1 103 x\r\n\r\n){101}`), false,
	},
	{
		"white space behind a chunk's size in an answer", "stricter", re(`^course: broken, 200$`), re(`\n5 \r\n`), false,
	},
	{
		"control characters in a chunk extension of an answer", "stricter", re(`^course: broken, 200$`), re(`\n5;a\x00`), false,
	},
	{
		"malformed trailer lines of an answer", "stricter: net/http reads trailers as leniently as fields", re(`^course: broken, 200$`), re(`0\r\nX( : y|: y\r\n z)`), false,
	},
	{
		"trailers of an answer that no answer can have", "stricter: the engine leaves all of them out, net/http some", re(`^answer's trailer Host \[\], \["x"\]$`), re(`0\r\nHost: x`), false,
	},
	{
		"`Trailer` of an answer holding what is no name", "stricter: net/http announces it to the client", re(`^course: refused 502, 200$`), re(`\r\nTrailer: a b`), false,
	},
	{
		"bytes behind an answer, a body in the answer to HEAD among them", "defect: of net/http, which may take them for the answer to the next request if that is quick; the engine never uses such a connection again",
		re(`^course: [0-9]+, (refused 502|broken)$|^answer's body: "[^"]*", "poison"$|^answer's field (Content-Length .*|X \[\], \["poison"\])$|^requests: 3, 2$`), re(`^HEAD .*\r\nHTTP/1\.[01] 200.*\r\n\r\n.|poison|helloHTTP|hello\r\n$|HTTP/1\.1 [23]04 .*\r\n\r\n[^\r]`), true,
	},
	{
		"`Content-Length` of a 304", "the same answer: the length it would have had (RFC 9110 §8.6), which net/http does not pass on", re(`^answer's field Content-Length \["5"\], \[\]$`), re(`304 Not Modified`), false,
	},
}
