// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"sallyport/gateway/wire"
)

// TestResetHeardByAnUploadIsNoEndOfTheAnswer: an answer that lasts to the end of
// the connection and is cut off must not reach the client as a whole one
// (RFC 9112 §8), whichever of both goroutines the kernel tells of the reset.
func TestResetHeardByAnUploadIsNoEndOfTheAnswer(t *testing.T) {
	r := newRig(t, relayAll)
	answered, reset := make(chan struct{}), make(chan struct{})
	origin := r.accept(func(c net.Conn) {
		defer c.Close()
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // more than fits anywhere
		for err := error(nil); err == nil; {
			_, err = c.Write(make([]byte, 64<<10))
		}
		close(answered)
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
		close(reset)
	})
	c := r.dial(r.addr)
	defer c.Close()
	fmt.Fprintf(c, "POST http://%s/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", origin)
	<-reset
	for strings.Contains(engineGoroutines2(), "(*uploading).run") { // until it has heard
		_, _ = io.WriteString(c, "5\r\nhello\r\n")
		runtime.Gosched()
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, res.Body)
	<-r.handed
	if rec := r.records[0]; err == nil || rec.Outcome == Done {
		t.Errorf("a cut answer reached the client as one of %d bytes, %v, recorded as %s", n, err, rec.Outcome)
	}
}

func engineGoroutines2() string {
	all := make([]byte, 1<<20)
	return string(all[:runtime.Stack(all, true)])
}

// TestTrailersLeftOutCount: an origin cannot hold a client with trailers that are
// left out, any more than with those that are passed on.
func TestTrailersLeftOutCount(t *testing.T) {
	r := newRig(t, relayAll)
	wrote := make(chan int, 1)
	origin := r.accept(func(c net.Conn) {
		defer c.Close()
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
		n := 0
		for ; err == nil && n < 64<<20; n += 18 * 1000 {
			_, err = io.WriteString(c, strings.Repeat("Content-Length: 1\r\n", 1000))
		}
		wrote <- n
	})
	c := r.dial(r.addr)
	defer c.Close()
	fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: a\r\n\r\n", origin)
	if n := <-wrote; n >= 64<<20 {
		t.Errorf("%d bytes of trailers were taken", n)
	}
}

// TestClientThatReadsTheBeginningAndGoes: whoever has read what came of an answer
// and closed has left, however soon. That was taken for a client that sends no
// more and waits, if it happened before the engine had looked.
func TestClientThatReadsTheBeginningAndGoes(t *testing.T) {
	r := newRig(t, relayAll)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client := r.dial(l.Addr().String())
	from, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	c := &conn{s: r.server}
	c.accept(arrival{conn: from})
	const text = "the beginning"
	begun := []byte(text)
	c.out = &begun
	if err := c.flush(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadFull(client, make([]byte, len(text)))
	client.Close()
	for c.wire.State() != wire.Ended {
		runtime.Gosched()
	}
	if c.look(); c.cause == nil {
		t.Error("nobody has noticed")
	}
}
