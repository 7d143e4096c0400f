// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// parse is Request.Parse into a Request of its own.
func parse(b []byte) (r Request, n int, err error) {
	n, err = r.Parse(b)
	return r, n, err
}

func TestRequest(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		chunked  bool
		length   int64
	}{
		{"no body", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", false, 0},
		{"length", "POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", false, 5},
		{"length zero", "POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", false, 0},
		{"chunked", "POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", true, -1},
		{"names in any case", "POST http://a/ HTTP/1.1\r\nhOST: a\r\ncONTENT-lENGTH: 7\r\n\r\n", false, 7},
		{"1.0 without Host", "GET http://a/ HTTP/1.0\r\n\r\n", false, 0},
		{"connect", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", false, 0},
		{"empty value, tabs, obs-text", "GET http://a/ HTTP/1.1\r\nHost: a\r\nX:\r\nY:\t\xe9\tz \r\n\r\n", false, 0},
		{"ipv6 host", "GET http://[::1]/ HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, n, err := parse([]byte(tt.in + "next"))
			if err != nil || n != len(tt.in) || h.Chunked != tt.chunked || h.Length != tt.length {
				t.Fatalf("Parse = %+v, %d, %v; want length %d chunked %v over %d bytes", h, n, err, tt.length, tt.chunked, len(tt.in))
			}
			for i := range tt.in {
				if _, n, err := parse([]byte(tt.in[:i])); n != 0 || err != nil {
					t.Fatalf("the first %d bytes alone: %d, %v; want to be asked for more", i, n, err)
				}
			}
		})
	}
}

// refused holds what is never let through, with the words the client gets.
var refused = []struct {
	in     string
	status int
	msg    string
}{
	{"GET http://a/ HTTP/1.1\nHost: a\r\n\r\n", 400, "line ends in LF without CR"},
	{"GET http://a/ HTTP/1.1\r\nHost: a\n\r\n", 400, "line ends in LF without CR"},
	{"GET http://a/ HTTP/1.1\r\nHost: a\r\n\n", 400, "line ends in LF without CR"},
	{"GET http://a/ HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400, "bare CR in the message head"},
	{"GET http://a/ HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400, "folded field line (obs-fold)"},
	{"GET http://a/ HTTP/1.1\r\n Host: a\r\n\r\n", 400, "folded field line (obs-fold)"},
	{"GET http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n", 400, "white space before the colon of a field"},
	{"GET http://a/ HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400, "field line without a name and a colon"},
	{"GET http://a/ HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400, "field line without a name and a colon"},
	{"GET http://a/ HTTP/1.1\r\nHost: a\r\nX(: x\r\n\r\n", 400, "field name has a character that is not a token's"},
	{"GET http://a/ HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", 400, "field value has a control character"},
	{"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "both Transfer-Encoding and Content-Length (RFC 9112 §6.1)"},
	{"POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", 400, "both Transfer-Encoding and Content-Length (RFC 9112 §6.1)"},
	{"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, "more than one Content-Length"},
	{"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", 400, "more than one Content-Length"},
	{"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", 400, "Content-Length is not a number of reasonable size"},
	{"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", 400, "Content-Length is not a number of reasonable size"},
	{"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "Content-Length is not a number of reasonable size"},
	{"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400, "Content-Length is not a number of reasonable size"},
	{"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, "Content-Length is not a number of reasonable size"},
	{"POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "more than one Transfer-Encoding"},
	{"POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "a transfer coding other than chunked"},
	{"POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501, "a transfer coding other than chunked"},
	{"POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", 501, "a transfer coding other than chunked"},
	{"POST http://a/ HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "Transfer-Encoding in an HTTP/1.0 request (RFC 9112 §6.1)"},
	{"GET http://a/ HTTP/1.1\r\n\r\n", 400, "no Host in an HTTP/1.1 request (RFC 9112 §3.2)"},
	{"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "more than one Host"},
	{"GET http://a/ HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400, "more than one Host"},
	{"GET http://a/ HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "Host has a character no host can have"},
	{"GET http://a/ HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "Host has a character no host can have"},
	{"CONNECT a:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n", 400, "a body on CONNECT, which has none (RFC 9110 §9.3.6)"},
	{"CONNECT a:443 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "a body on CONNECT, which has none (RFC 9110 §9.3.6)"},
	{"GET  http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request target has a space or control character"},
	{"GET http://a/ x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request target has a space or control character"},
	{"GET http://a/\t HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request target has a space or control character"},
	{"GET\thttp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line is not method, target and version"},
	{"GET http://a/\r\nHost: a\r\n\r\n", 400, "request line is not method, target and version"},
	{"GE(T http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "method has a character that is not a token's"},
	{"GET http://a/ HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "request target has a space or control character"},
	{"GET http://a/ HTTP/1.2\r\nHost: a\r\n\r\n", 505, "HTTP version is neither 1.1 nor 1.0"},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP version is neither 1.1 nor 1.0"},
	{"GET http://a/ http/1.1\r\nHost: a\r\n\r\n", 400, "request line does not end in an HTTP version"},
	{"GET http://a/ HTTP/1.10\r\nHost: a\r\n\r\n", 400, "request line does not end in an HTTP version"},
	{"GET http://a/ HTTP/1.1\r\nHost: a\r\nExpect: the-unexpected\r\n\r\n", 417, "only the expectation 100-continue is understood"},
	{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "the request does not begin with a method"},
	{" GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request does not begin with a method"},
	{"POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: a b\r\n\r\n", 400, "Trailer holds what is no field name"},
	{"POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x, content-length\r\n\r\n", 400, "a trailer that would change the message's framing or routing"},
}

// TestOneUpgradeIsOne: of several Upgrade fields some go by the first and some by
// the last, so none of them makes what follows opaque.
func TestOneUpgradeIsOne(t *testing.T) {
	for fields, want := range map[string]bool{
		"Upgrade: WebSocket\r\nConnection: x, Upgrade\r\n":                   true,
		"Upgrade: websocket\r\n":                                             false,
		"Connection: upgrade\r\n":                                            false,
		"Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: upgrade\r\n":      false,
		"Upgrade: websocket\r\nConnection: upgrade\r\nUpgrade: h2c\r\n":      false,
		"Upgrade: websocket, h2c\r\nConnection: upgrade\r\n":                 false,
		"Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 1\r\n": false,
	} {
		r, _, err := parse([]byte("GET http://a/ HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n"))
		if err != nil || r.WebSocket != want {
			t.Errorf("%q: %v, %v", fields, r.WebSocket, err)
		}
	}
}

func TestAmbiguousHeadsAreRefused(t *testing.T) {
	for _, tt := range refused {
		_, n, err := parse([]byte(tt.in))
		var e *Error
		if !errors.As(err, &e) || e.Status != tt.status || e.Msg != tt.msg || n != 0 {
			t.Errorf("%q:\n got %d, %v\nwant %d %s", tt.in, n, err, tt.status, tt.msg)
		}
	}
}

// FuzzRequest holds the parser to net/http's as oracle: what is let through
// must mean the same there, to the byte.
func FuzzRequest(f *testing.F) {
	for _, tt := range refused {
		f.Add([]byte(tt.in))
	}
	f.Add([]byte("POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
	f.Add([]byte("POST /x HTTP/1.1\r\nHost: a:80\r\nContent-Length: 3\r\n\r\nabc"))
	f.Fuzz(func(t *testing.T, in []byte) {
		h, n, err := parse(in)
		if err != nil || n == 0 {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
		if err != nil {
			// net/http refuses some targets and hosts that the grammar allows;
			// reading those is not this package's.
			return
		}
		if r.Method != string(h.Method) || r.RequestURI != string(h.Target) {
			t.Fatalf("read %q %q, net/http %q %q", h.Method, h.Target, r.Method, r.RequestURI)
		}
		if r.ContentLength != h.Length || h.Chunked != (len(r.TransferEncoding) == 1) {
			t.Fatalf("framed %d chunked=%v, net/http %d %v", h.Length, h.Chunked, r.ContentLength, r.TransferEncoding)
		}
		if again, m, err := parse(in[:n]); err != nil || m != n || again.Length != h.Length {
			t.Fatalf("the head alone reads differently: %+v %d %v", again, m, err)
		}
	})
}

func TestChunked(t *testing.T) {
	for _, in := range []string{
		"0\r\n\r\n",
		"5\r\nhello\r\n0\r\n\r\n",
		"a\r\n0123456789\r\nA;ext=1\r\n0123456789\r\n0\r\n\r\n",
		"00005\r\nhello\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n",
		"5; name=\"quoted\"\r\nhello\r\n0\r\n\r\n",
	} {
		for step := 1; step <= len(in); step++ {
			var c Chunked
			total := 0
			for at := 0; at < len(in); at += step {
				n, done, err := c.Scan([]byte(in[at:min(at+step, len(in))]))
				total += n
				if err != nil || done != (total == len(in)) {
					t.Fatalf("%q in steps of %d: %d bytes, done %v, %v", in, step, total, done, err)
				}
			}
		}
		var c Chunked
		if n, done, err := c.Scan([]byte(in + "GET /")); n != len(in) || !done || err != nil {
			t.Errorf("%q: ends at %d (done %v, %v), want %d", in, n, done, err, len(in))
		}
	}
}

func TestAmbiguousChunksAreRefused(t *testing.T) {
	for _, tt := range []struct {
		in  string
		ok  int // bytes before the fault
		msg string
	}{
		{"5\nhello\r\n0\r\n\r\n", 1, "bare LF in chunked framing"},
		{"5\r\nhello\n0\r\n\r\n", 8, "bare LF in chunked framing"},
		{"5\r\nhelloX\r\n", 8, "chunk data longer than its size"},
		{"5\r\nhello\rX", 9, "bare CR in chunked framing"},
		{"5\rX\r\nhello", 2, "bare CR in chunked framing"},
		{"\r\n", 1, "chunk size is not a number"},
		{"g\r\n", 2, "chunk size is not a number"},
		{"0x5\r\nhello\r\n", 4, "chunk size is followed by something else"},
		{"-5\r\nhello\r\n", 3, "chunk size is not a number"},
		{" 5\r\nhello\r\n", 3, "chunk size is not a number"},
		{"5 \r\nhello\r\n", 3, "chunk size is followed by something else"},
		{"5 ;a\r\nhello\r\n", 5, "chunk size is followed by something else"},
		{"1000000000000000\r\n", 17, "chunk size is too large"},
		{"5;a\x00\r\nhello\r\n", 5, "chunk extension has a control character"},
		{"0\r\n X: folded\r\n\r\n", 14, "folded field line (obs-fold)"},
		{"0\r\nContent-Length: 3\r\n\r\n", 21, "a trailer that would change the message's framing or routing"},
		{"0\r\nTransfer-Encoding: chunked\r\n\r\n", 30, "a trailer that would change the message's framing or routing"},
		{"0\r\nX : 1\r\n\r\n", 9, "white space before the colon of a field"},
		{"5;" + strings.Repeat("a", maxLine+1), maxLine, "line too long in chunked framing"},
	} {
		var c Chunked
		n, done, err := c.Scan([]byte(tt.in))
		if err == nil || done || n != tt.ok || err.Error() != tt.msg {
			t.Errorf("%.40q: %d, %v, %v; want %d, %s", tt.in, n, done, err, tt.ok, tt.msg)
		}
	}
	var c Chunked
	_, _, err := c.Scan([]byte("0\r\n" + strings.Repeat("X: "+strings.Repeat("y", 4000)+"\r\n", 5)))
	if err == nil || err.Error() != "trailers are too long" {
		t.Errorf("endless trailers: %v", err)
	}
}

// FuzzChunked: where the scanner sees a body's end, net/http sees the same one
// and the same bytes.
func FuzzChunked(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), 3)
	f.Add([]byte("5;x\r\nhello\r\n0\r\nA: b\r\n\r\nrest"), 1)
	f.Add([]byte("1\r\n\n\r\n0\r\n\r\n"), 2)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		if step < 1 || step > 1<<10 {
			return
		}
		var c Chunked
		total, ended := 0, false
		for at := 0; at < len(in) && !ended; at += step {
			n, done, err := c.Scan(in[at:min(at+step, len(in))])
			if err != nil {
				return
			}
			total, ended = total+n, done
		}
		if !ended {
			return
		}
		br := bufio.NewReader(io.MultiReader(strings.NewReader("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), bytes.NewReader(in)))
		r, err := http.ReadRequest(br)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return // stricter about trailers' names; it refuses, so nothing is read two ways
		}
		if rest, _ := io.ReadAll(br); len(rest) != len(in)-total {
			t.Fatalf("ends at %d, net/http at %d of %q", total, len(in)-len(rest), in)
		}
	})
}

// BenchmarkRequest reads the head that a common client sends.
func BenchmarkRequest(b *testing.B) {
	head := []byte("GET http://origin.example:8080/some/path?query=1 HTTP/1.1\r\nHost: origin.example:8080\r\nUser-Agent: bench/1\r\nAccept: */*\r\n" +
		"Accept-Encoding: gzip\r\nAuthorization: Bearer 0123456789abcdef0123456789abcdef0123456789abcdef\r\n" +
		"X-Request-Id: 3f0c8a52-7c1d-4f5e-9d53-0a4c1f6a2b90\r\n\r\n")
	var r Request
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := r.Parse(head); n != len(head) || err != nil {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkResponse reads the head that a common origin sends.
func BenchmarkResponse(b *testing.B) {
	head := []byte("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Tue, 24 Nov 2026 15:20:50 GMT\r\nContent-Type: application/octet-stream\r\n" +
		"Content-Length: 1024\r\nLast-Modified: Tue, 24 Nov 2026 15:00:00 GMT\r\nConnection: keep-alive\r\nETag: \"6744f0a0-400\"\r\nAccept-Ranges: bytes\r\n\r\n")
	var r Response
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := r.Parse(head, "GET"); n != len(head) || err != nil {
			b.Fatal(n, err)
		}
	}
}
