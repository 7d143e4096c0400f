// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A partsConn reads as the parts it is given, one a call.
type partsConn struct {
	net.Conn
	parts [][]byte
}

func (c *partsConn) Read(b []byte) (int, error) {
	for len(c.parts) > 0 && len(c.parts[0]) == 0 {
		c.parts = c.parts[1:]
	}
	if len(c.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.parts[0])
	c.parts[0] = c.parts[0][n:]
	return n, nil
}

func (c *partsConn) Close() error { return nil }

// readAll reads c to its end with buffers of the given size, 1 as net/http does
// between requests, and 4096 as it does otherwise.
func readAll(c *strictConn, size int) ([]byte, error) {
	var out []byte
	buf := make([]byte, size)
	for {
		n, err := c.Read(buf)
		out = append(out, buf[:n]...)
		if err != nil {
			return out, err
		}
	}
}

const twoRequests = "POST http://a/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\r\n" +
	"POST http://a/2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nT: 1\r\n\r\n" +
	"GET http://a/3 HTTP/1.1\r\nHost: a\r\n\r\n"

// TestStrictConnSplitAnywhere: where the network cuts a message into packets
// makes no difference, and good messages go through unchanged.
func TestStrictConnSplitAnywhere(t *testing.T) {
	want := strings.Replace(twoRequests, "hello\r\nPOST", "helloPOST", 1) // the empty line between requests is skipped
	for _, size := range []int{1, 7, 512, 4096} {
		for i := range len(twoRequests) {
			c := &strictConn{Conn: &partsConn{parts: [][]byte{[]byte(twoRequests[:i]), []byte(twoRequests[i:])}}, maxHead: 1 << 10}
			got, err := readAll(c, size)
			if string(got) != want || err != io.EOF {
				t.Fatalf("split at %d, read by %d: %q, %v", i, size, got, err)
			}
		}
		var bytewise [][]byte
		for i := range len(twoRequests) {
			bytewise = append(bytewise, []byte(twoRequests[i:i+1]))
		}
		c := &strictConn{Conn: &partsConn{parts: bytewise}, maxHead: 1 << 10}
		if got, err := readAll(c, size); string(got) != want || err != io.EOF {
			t.Fatalf("byte by byte, read by %d: %q, %v", size, got, err)
		}
	}
}

// TestStrictConnFaultAnywhere: nothing of a malformed head is handed on, and
// nothing that stands behind it, wherever the packets are cut.
func TestStrictConnFaultAnywhere(t *testing.T) {
	const good = "GET http://a/1 HTTP/1.1\r\nHost: a\r\n\r\n"
	const bad = "GET http://a/bad HTTP/1.1\r\nHost : a\r\n\r\nGET http://a/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	for i := range len(good + bad) {
		in := good + bad
		c := &strictConn{Conn: &partsConn{parts: [][]byte{[]byte(in[:i]), []byte(in[i:])}}, maxHead: 1 << 10}
		got, err := readAll(c, 4096)
		if string(got) != good+string(malformedHead) || err != io.EOF {
			t.Fatalf("split at %d: %q, %v", i, got, err)
		}
		if f := c.faulty(); f == nil || f.Status != 400 {
			t.Fatalf("split at %d: fault %v", i, f)
		}
	}
}

func TestStrictConnBadChunkEndsTheBody(t *testing.T) {
	const head = "POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	in := head + "5\r\nhello\r\n5\r\nhelloX\r\nGET http://a/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	for i := range len(in) {
		c := &strictConn{Conn: &partsConn{parts: [][]byte{[]byte(in[:i]), []byte(in[i:])}}, maxHead: 1 << 10}
		got, err := readAll(c, 4096)
		if !errors.Is(err, errMalformedBody) || !strings.HasPrefix(string(got), head+"5\r\nhello\r\n") || bytes.Contains(got, []byte("X")) {
			t.Fatalf("split at %d: %q, %v", i, got, err)
		}
		if f := c.spoilt(); f == nil || f.Status != 0 {
			t.Fatalf("split at %d: fault %v", i, f)
		}
	}
}

func TestStrictConnHeadTooLarge(t *testing.T) {
	head := func(n int) string {
		h := "GET http://a/ HTTP/1.1\r\nHost: a\r\nX: "
		return h + strings.Repeat("y", n-len(h)-4) + "\r\n\r\n"
	}
	for _, tt := range []struct {
		in  string
		bad bool
	}{
		{head(1024), false},
		{head(1025), true},
		{head(5000), true},
		{head(5000)[:4000], true}, // not even at its end yet
		{"GET http://a/" + strings.Repeat("y", 1024), true},
		{"GET http://a/ HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("a:\r\n", 1000), true},
	} {
		for _, step := range []int{1, 100, 10000} {
			var parts [][]byte
			for at := 0; at < len(tt.in); at += step {
				parts = append(parts, []byte(tt.in[at:min(at+step, len(tt.in))]))
			}
			c := &strictConn{Conn: &partsConn{parts: parts}, maxHead: 1024}
			got, _ := readAll(c, 4096)
			if f := c.faulty(); tt.bad != (f != nil && f.Status == 431) || tt.bad == (string(got) == tt.in) {
				t.Errorf("head of %d bytes by %d: fault %v after %.60q", len(tt.in), step, f, got)
			}
		}
	}
}

// TestStrictConnResume: behind a CONNECT bytes are not HTTP, until it was
// refused with nothing behind it.
func TestStrictConnResume(t *testing.T) {
	const connect = "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"
	const next = "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"
	parts := &partsConn{parts: [][]byte{[]byte(connect)}}
	c := &strictConn{Conn: parts, maxHead: 1 << 10}
	buf := make([]byte, 4096)
	if n, err := c.Read(buf); string(buf[:n]) != connect || err != nil {
		t.Fatal(string(buf[:n]), err)
	}
	if !c.resume() {
		t.Fatal("nothing came behind the CONNECT, and it cannot be resumed")
	}
	parts.parts = [][]byte{[]byte(next + "GET bad\n")}
	if got, _ := readAll(c, 4096); string(got) != next+string(malformedHead) {
		t.Fatalf("resumed: %q", got)
	}

	for _, read := range []int{0, 1, 4096} { // what net/http has taken of the early bytes
		c := &strictConn{Conn: &partsConn{parts: [][]byte{[]byte(connect + "early\n")}}, maxHead: 1 << 10}
		if n, err := c.Read(buf); string(buf[:n]) != connect || err != nil {
			t.Fatal(string(buf[:n]), err)
		}
		n := 0
		if read > 0 {
			var err error
			if n, err = c.Read(buf[:read]); err != nil {
				t.Fatal(err)
			}
		}
		if c.resume() {
			t.Errorf("resumed with early bytes behind the CONNECT, %d of them read", n)
		}
		if _, rest := c.surrender(); string(buf[:n])+string(rest) != "early\n" {
			t.Errorf("early bytes: %q and %q", buf[:n], rest)
		}
	}
}

// TestStrictConnCloseDrains: the answer to a message that was given up midway
// arrives although more was sent than anybody read. A close with bytes unread
// would be a reset, which can overtake it.
func TestStrictConnCloseDrains(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		accepted, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		conn := &strictConn{Conn: accepted, maxHead: 1 << 10}
		buf := make([]byte, 4096)
		_, err = conn.Read(buf)
		_, _ = conn.Write([]byte("answer"))
		conn.Close()
		served <- err
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write([]byte("GET bad\n" + strings.Repeat("x", 100_000))); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != "answer" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	c.Close()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
}
