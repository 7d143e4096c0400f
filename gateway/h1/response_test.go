// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h1

import (
	"errors"
	"strings"
	"testing"
)

// answered is what is to be known of an answer whose head was read.
type answered struct {
	status    int
	reason    string
	length    int64
	chunked   bool
	announced int64
	keep, odd bool
}

// read holds the heads that are let through. All but those of answers to HEAD
// are answers to GET.
var read = []struct {
	name, method, in string
	want             answered
}{
	{"length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", answered{200, "OK", 5, false, 5, true, false}},
	{"length zero", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", answered{200, "OK", 0, false, 0, true, false}},
	{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n", answered{200, "OK", -1, true, -1, true, false}},
	{"to the end of the connection", "GET", "HTTP/1.1 200 OK\r\n\r\n", answered{200, "OK", -1, false, -1, false, false}},
	{"to the end, whatever Connection says", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", answered{200, "OK", -1, false, -1, false, false}},
	{"close", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x, Close\r\n\r\n", answered{200, "OK", 5, false, 5, false, false}},
	{"close wins", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n", answered{200, "OK", 5, false, 5, false, false}},
	{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", answered{200, "OK", 5, false, 5, false, false}},
	{"HTTP/1.0 that keeps the connection", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\n", answered{200, "OK", 5, false, 5, true, false}},

	// RFC 9112 §6.3: these have no body, whatever their fields say.
	{"answer to HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", answered{200, "OK", 0, false, 5, true, false}},
	{"answer to HEAD, would be chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", answered{200, "OK", 0, false, -1, true, false}},
	{"answer to HEAD, would last to the end", "HEAD", "HTTP/1.1 200 OK\r\n\r\n", answered{200, "OK", 0, false, -1, true, false}},
	{"interim", "GET", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", answered{103, "Early Hints", 0, false, -1, true, false}},
	{"interim with a length", "GET", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", answered{100, "Continue", 0, false, 5, true, false}},
	{"no content", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", answered{204, "No Content", 0, false, 5, true, false}},
	{"no content, chunked", "GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", answered{204, "No Content", 0, false, -1, true, false}},
	{"not modified", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", answered{304, "Not Modified", 0, false, 5, true, false}},

	// Chunks win over a length, and nobody trusts that connection any further.
	{"both framings", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", answered{200, "OK", -1, true, -1, true, true}},
	{"both framings, length last", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", answered{200, "OK", -1, true, -1, true, true}},
	{"both framings, answer to HEAD", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", answered{200, "OK", 0, false, -1, true, true}},

	{"no reason", "GET", "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n", answered{200, "", 5, false, 5, true, false}},
	{"no reason and no space", "GET", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", answered{200, "", 5, false, 5, true, false}},
	{"reason in obs-text, with tabs", "GET", "HTTP/1.1 200 \t\xe9 \r\nContent-Length: 5\r\n\r\n", answered{200, "\t\xe9 ", 5, false, 5, true, false}},
	{"status that nobody has defined", "GET", "HTTP/1.1 999 X\r\nContent-Length: 5\r\n\r\n", answered{999, "X", 5, false, 5, true, false}},
	{"names in any case", "GET", "HTTP/1.1 200 OK\r\ncONTENT-lENGTH:\t5 \r\n\r\n", answered{200, "OK", 5, false, 5, true, false}},
}

// TestResponse also reads each head into one Response that has read all before.
func TestResponse(t *testing.T) {
	var again Response
	for _, tt := range read {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []*Response{new(Response), &again} {
				n, err := r.Parse([]byte(tt.in+"next"), tt.method)
				got := answered{r.Status, string(r.Reason), r.Length, r.Chunked, r.Announced(), r.KeepAlive, r.Odd}
				if err != nil || n != len(tt.in) || got != tt.want {
					t.Fatalf("Parse = %+v, %d, %v; want %+v over %d bytes", got, n, err, tt.want, len(tt.in))
				}
			}
			for i := range tt.in {
				var r Response
				if n, err := r.Parse([]byte(tt.in[:i]), tt.method); n != 0 || err != nil {
					t.Fatalf("the first %d bytes alone: %d, %v; want to be asked for more", i, n, err)
				}
			}
		})
	}
}

// noStatusLine and badNumber are said of many answers.
const (
	noStatusLine = "the answer does not begin with an HTTP/1 status line"
	badNumber    = "Content-Length is not a number of reasonable size"
)

// refusedAnswers holds what no origin's client gets to see, with the reason.
var refusedAnswers = []struct {
	in     string
	status int
	msg    string
}{
	{"HTTP/1.1 200 OK\n\r\n", 400, "line ends in LF without CR"},
	{"HTTP/1.1 200 OK\r\nX: a\n\r\n", 400, "line ends in LF without CR"},
	{"HTTP/1.1 200 OK\r\n\n", 400, "line ends in LF without CR"},
	{"HTTP/1.1 200 O\rK\r\n\r\n", 400, "bare CR in the message head"},
	{"HTTP/1.1 200 OK\r\r\n\r\n", 400, "bare CR in the message head"},
	{"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", 400, "bare CR in the message head"},
	{"HTTP/1.1 200 OK\r\nX: a\rb", 400, "bare CR in the message head"},
	{"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", 400, "folded field line (obs-fold)"},
	{"HTTP/1.1 200 OK\r\n\tX: a\r\n\r\n", 400, "folded field line (obs-fold)"},
	{"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n", 400, "white space before the colon of a field"},
	{"HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n", 400, "field line without a name and a colon"},
	{"HTTP/1.1 200 OK\r\n: 5\r\n\r\n", 400, "field line without a name and a colon"},
	{"HTTP/1.1 200 OK\r\nX\x00: 5\r\n\r\n", 400, "field name has a character that is not a token's"},
	{"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", 400, "field value has a control character"},
	{"HTTP/1.1 200 OK\r\nX: a\x7fb\r\n\r\n", 400, "field value has a control character"},
	{"HTTP/1.1 200 O\x00K\r\n\r\n", 400, "the answer's reason phrase has a control character"},
	{"HTTP/1.1 200OK\r\n\r\n", 400, noStatusLine},
	{"HTTP/1.1 200\tOK\r\n\r\n", 400, noStatusLine},
	{"HTTP/1.1  200 OK\r\n\r\n", 400, noStatusLine},
	{"HTTP/1.1\t200 OK\r\n\r\n", 400, noStatusLine},
	{"HTTP/1.1 20 OK\r\n\r\n", 400, noStatusLine},
	{"HTTP/1.1 2000 OK\r\n\r\n", 400, noStatusLine},
	{"HTTP/1.1 +20 OK\r\n\r\n", 400, noStatusLine},
	{"HTTP/1.1 20\xb2 OK\r\n\r\n", 400, noStatusLine},
	{"HTTP/1.1\r\n\r\n", 400, noStatusLine},
	{"HTTP/1.10 200 OK\r\n\r\n", 400, noStatusLine},
	{" HTTP/1.1 200 OK\r\n\r\n", 400, noStatusLine},
	{"\r\nHTTP/1.1 200 OK\r\n\r\n", 400, noStatusLine},
	{"http/1.1 200 OK\r\n\r\n", 400, noStatusLine},
	{"HTTP/2.0 200 OK\r\n\r\n", 400, noStatusLine},
	{"ICY 200 OK\r\n\r\n", 400, noStatusLine},
	{"SSH-2.0-OpenSSH_9.2", 400, noStatusLine}, // which would not end its line for us
	{"\x15\x03\x01\x00\x02\x02\x46", 400, noStatusLine},
	{"HTTP/1.2 200 OK\r\n\r\n", 505, "HTTP version is neither 1.1 nor 1.0"},
	{"HTTP/1.1 099 OK\r\n\r\n", 400, "the answer's status code is none"},
	{"HTTP/1.1 000 OK\r\n\r\n", 400, "the answer's status code is none"},
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", 400, "more than one Content-Length"},
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\n", 400, "more than one Content-Length"},
	{"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", 400, "more than one Content-Length"},
	{"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", 400, badNumber},
	{"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 400, badNumber},
	{"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", 400, badNumber},
	{"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n", 400, badNumber},
	{"HTTP/1.1 200 OK\r\nContent-Length: 5 5\r\n\r\n", 400, badNumber},
	{"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", 400, badNumber},
	{"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n\r\n", 400, badNumber},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "more than one Transfer-Encoding"},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n", 501, "a transfer coding other than chunked"},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "a transfer coding other than chunked"},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked,\r\n\r\n", 501, "a transfer coding other than chunked"},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n", 501, "a transfer coding other than chunked"},
	{"HTTP/1.1 204 No Content\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "a transfer coding other than chunked"},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chun\u212aed\r\n\r\n", 501, "a transfer coding other than chunked"},
	{"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "Transfer-Encoding in an HTTP/1.0 answer (RFC 9112 §6.1)"},
	{"HTTP/1.0 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "Transfer-Encoding in an HTTP/1.0 answer (RFC 9112 §6.1)"},
	{"HTTP/1.1 200 OK\r\n" + strings.Repeat("a:\r\n", maxFields+1) + "\r\n", 431, "the head has too many fields"},
}

// TestAmbiguousAnswersAreRefused, to HEAD as to GET.
func TestAmbiguousAnswersAreRefused(t *testing.T) {
	for _, tt := range refusedAnswers {
		for _, method := range []string{"GET", "HEAD"} {
			var r Response
			_, err := r.Parse([]byte(tt.in), method)
			var e *Error
			if !errors.As(err, &e) || e.Status != tt.status || e.Msg != tt.msg {
				t.Errorf("%s %.80q:\n got %v\nwant %d %s", method, tt.in, err, tt.status, tt.msg)
			}
		}
	}
}
