// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h1

import (
	"bytes"
	"strings"
	"testing"
)

// TestWrittenRequestIsReadTheSame, also behind what stands in the buffer.
func TestWrittenRequestIsReadTheSame(t *testing.T) {
	fields := Fields{
		{Name: []byte("Host"), Value: []byte("a:80"), ID: Host},
		{Name: []byte("x-Empty")},
		{Name: []byte("X-Text"), Value: []byte("a\t\xe9 b")},
		{Name: []byte("Content-Length"), Value: []byte("12"), ID: ContentLength},
	}
	b := AppendRequestLine([]byte("before"), []byte("PO!ST"), "/p%20q", "?a=b")
	b = append(AppendFields(b, fields), "\r\n"...)
	var r Request
	n, err := r.Parse(b[len("before"):])
	if err != nil || n != len(b)-len("before") {
		t.Fatalf("%q is read as %d bytes, %v", b, n, err)
	}
	if string(r.Method) != "PO!ST" || string(r.Target) != "/p%20q?a=b" || r.Minor != 1 || r.Length != 12 {
		t.Errorf("read %s %s HTTP/1.%d, length %d", r.Method, r.Target, r.Minor, r.Length)
	}
	same(t, r.Fields, fields)
}

func TestWrittenResponseIsReadTheSame(t *testing.T) {
	fields := Fields{{Name: []byte("Content-Length"), Value: []byte("0"), ID: ContentLength}}
	for _, reason := range []string{"", "OK", " two  words "} {
		b := append(AppendFields(AppendStatusLine(nil, 299, reason), fields), "\r\n"...)
		var r Response
		n, err := r.Parse(b, "GET")
		if err != nil || n != len(b) || r.Status != 299 || string(r.Reason) != reason || r.Minor != 1 {
			t.Errorf("%q is read as %d bytes, %d %q, %v", b, n, r.Status, r.Reason, err)
		}
		same(t, r.Fields, fields)
	}
}

// TestWrittenChunksAreReadTheSame, for sizes on both sides of each digit more.
func TestWrittenChunksAreReadTheSame(t *testing.T) {
	var wire, want []byte
	for _, size := range []int{1, 15, 16, 17, 255, 256, 4095, 4096, 65535, 65536, 70000} {
		data := bytes.Repeat([]byte{byte(size)}, size)
		wire, want = AppendChunk(wire, data), append(want, data...)
	}
	wire = AppendChunk(wire, nil)
	trailers := Fields{{Name: []byte("X-Sum"), Value: []byte("1")}, {Name: []byte("Y")}}
	wire = append(AppendFields(wire, trailers), "\r\n"...)
	c := Body{kind: bodyChunks}
	got := drain(&c, wire, nil)
	if got.err != nil || !got.done || got.used != len(wire) || !bytes.Equal(got.data, want) {
		t.Fatalf("%d bytes of data, done %v after %d, %v; want %d after %d", len(got.data), got.done, got.used, got.err, len(want), len(wire))
	}
	same(t, c.Trailers(), trailers)
	if b := AppendChunkHead(nil, 1<<40); string(b) != "10000000000\r\n" {
		t.Errorf("a large chunk begins with %q", b)
	}
}

// same holds two sets of field lines to be one, to the byte and in order.
func same(t *testing.T, got, want Fields) {
	t.Helper()
	var a, b strings.Builder
	for _, f := range got {
		a.WriteString(string(f.Name) + ": " + string(f.Value) + string('0'+rune(f.ID)) + "\n")
	}
	for _, f := range want {
		b.WriteString(string(f.Name) + ": " + string(f.Value) + string('0'+rune(f.ID)) + "\n")
	}
	if a.String() != b.String() {
		t.Errorf("got fields\n%s\nwant\n%s", a.String(), b.String())
	}
}
