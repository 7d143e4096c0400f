// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// FuzzResponse holds the parser to net/http's as oracle: what is let through
// means the same there, to the byte: status, fields, body, trailers, and where
// the next answer begins.
func FuzzResponse(f *testing.F) {
	for _, tt := range read {
		f.Add([]byte(tt.in+"hello"), tt.method == "HEAD")
	}
	for _, tt := range refusedAnswers {
		if len(tt.in) < 1000 {
			f.Add([]byte(tt.in), false)
		}
	}
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\nHost: x\r\n\r\nnext"), false)
	f.Fuzz(func(t *testing.T, in []byte, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		var r Response
		n, err := r.Parse(in, method)
		if err != nil || n == 0 {
			return
		}
		br := bufio.NewReader(bytes.NewReader(in))
		std, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			if strings.Contains(err.Error(), "bad trailer key") {
				return // announced; it is refused there and left out here when it comes
			}
			t.Fatalf("%q: net/http refuses it: %v", in, err)
		}
		if std.StatusCode != r.Status || std.ProtoMinor != r.Minor || strings.TrimPrefix(std.Status[3:], " ") != string(r.Reason) {
			t.Fatalf("%q: read %d %q, net/http %d %q", in, r.Status, r.Reason, std.StatusCode, std.Status)
		}
		if r.KeepAlive && std.Close {
			t.Fatalf("%q: the connection is kept, not so by net/http", in)
		}
		sameFields(t, r.Fields, std.Header, "Transfer-Encoding", "Content-Length", "Trailer", "Connection", "Cache-Control")
		body := NewBody(r.Length, r.Chunked)
		body.Lenient = true
		sameBody(t, &body, in[n:], std.Body, br)
		if body.Done() && std.Trailer != nil {
			sameFields(t, body.Trailers(), std.Trailer, "Transfer-Encoding", "Content-Length", "Trailer", "Connection", "Host", "Te", "Upgrade")
		}
	})
}

// sameFields holds field lines to what net/http made of them, but for those it
// has a meaning of its own for.
func sameFields(t *testing.T, fields Fields, std http.Header, but ...string) {
	t.Helper()
	got := http.Header{}
	for _, f := range fields {
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name))
		got[name] = append(got[name], string(f.Value))
	}
	for name := range got {
		if !slices.Contains(but, name) && !slices.Equal(got[name], std[name]) {
			t.Fatalf("%s is %q, to net/http %q", name, got[name], std[name])
		}
	}
	for name, values := range std {
		if len(values) > 0 && got[name] == nil && !slices.Contains(but, name) {
			t.Fatalf("net/http has read %s, which is not there", name)
		}
	}
}

// sameBody holds a body whose bytes begin with in to the one that net/http
// reads from br. It returns what was read, false where one of both refused it.
func sameBody(t *testing.T, body *Body, in []byte, std io.Reader, br *bufio.Reader) ([]byte, bool) {
	t.Helper()
	done := body.Done()
	var got drained
	if !done {
		if got = drain(body, in, nil); got.err != nil {
			return nil, false
		}
		done = got.done || body.ToEnd()
	}
	data, err := io.ReadAll(std)
	switch {
	case err != nil && done:
		return nil, false // stricter about trailers
	case err == nil && !done:
		t.Fatalf("%q: a body that net/http sees the end of is not over", in)
	case err == nil && !bytes.Equal(data, got.data):
		t.Fatalf("%q: read %q, net/http %q", in, got.data, data)
	case err == nil:
		if rest, _ := io.ReadAll(br); len(rest) != len(in)-got.used {
			t.Fatalf("%q: ends at %d, net/http at %d", in, got.used, len(in)-len(rest))
		}
	}
	return data, err == nil
}

// A spoken request is one of a stream, with its body.
type spoken struct{ method, target, body string }

// pipelined reads requests from a stream that comes in pieces, until there is
// something wrong or no more.
func pipelined(in []byte, pieces []byte) (all []spoken) {
	var r Request
	var body Body
	var b, data []byte // what came and was not used up; of the body
	inBody := false
	for {
		for progress := true; progress; {
			var n int
			var err error
			if !inBody {
				if n, err = r.Parse(b); err != nil {
					return all
				}
				if inBody = n > 0; inBody {
					all = append(all, spoken{method: string(r.Method), target: string(r.Target)})
					body, data = NewBody(r.Length, r.Chunked), nil
				}
				progress = inBody
			} else {
				var piece []byte
				var done bool
				if piece, n, done, err = body.Next(b); err != nil {
					return all[:len(all)-1]
				}
				data = append(data, piece...)
				if done {
					all[len(all)-1].body, inBody = string(data), false
				}
				progress = n > 0 || done
			}
			b = b[n:]
		}
		if len(in) == 0 {
			break
		}
		take := len(in)
		if len(pieces) > 0 {
			take, pieces = min(int(pieces[0])+1, len(in)), pieces[1:]
		}
		b = append(slices.Clip(b), in[:take]...)
		in = in[take:]
	}
	if inBody {
		all = all[:len(all)-1]
	}
	return all
}

// FuzzPipelined: of a stream of requests, as far as both read it, net/http sees
// the same ones with the same bodies, however it comes cut. Where two readers of
// a stream differ in that, requests are smuggled.
func FuzzPipelined(f *testing.F) {
	get, post := "GET /"+" HTTP/1.1\r\nHost: a\r\n\r\n", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: "
	chunked := "PUT /y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	f.Add([]byte(get+post+strconv.Itoa(len(get))+"\r\n\r\n"+get+get), []byte{3, 4, 5})
	f.Add([]byte(chunked+"5;x\r\nhello\r\n0\r\nA: b\r\n\r\n"+get), []byte{50, 1, 2})
	f.Add([]byte(chunked+"0\r\n\r\n"+post+"3\r\n\r\nabc"+get), []byte{0, 255, 0})
	f.Fuzz(func(t *testing.T, in, pieces []byte) {
		whole, cut := pipelined(in, nil), pipelined(in, pieces)
		if !slices.Equal(whole, cut) {
			t.Fatalf("%q in one: %q; cut: %q", in, whole, cut)
		}
		br := bufio.NewReader(bytes.NewReader(in))
		for i, want := range whole {
			r, err := http.ReadRequest(br)
			if err != nil {
				return // of a target or host; it goes no further there
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			if got := (spoken{r.Method, r.RequestURI, string(body)}); got != want {
				t.Fatalf("%q: request %d is %q, to net/http %q", in, i, want, got)
			}
		}
	})
}
