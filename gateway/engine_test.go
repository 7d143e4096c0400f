// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/gateway/wire"
)

const relayAll = "  - {name: plain, from: any, to: 127.0.0.1, ports: any, mode: relay, allow_private: true}\n"

// rawOrigin hands every request head it gets over, byte for byte, and answers
// with what answer says.
func (r *rig) rawOrigin(answer func(head string) string) (addr string, heads chan string) {
	heads = make(chan string, 100)
	return r.accept(func(c net.Conn) {
		defer c.Close()
		br := bufio.NewReader(c)
		for {
			var head strings.Builder
			for !strings.HasSuffix(head.String(), "\r\n\r\n") {
				line, err := br.ReadString('\n')
				if err != nil {
					return
				}
				head.WriteString(line)
			}
			heads <- head.String()
			if _, err := io.WriteString(c, answer(head.String())); err != nil {
				return
			}
		}
	}), heads
}

// converse sends text and reads until the connection ends.
func (r *rig) converse(text string) string {
	r.tb.Helper()
	c := r.dial(r.addr)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		r.tb.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		r.tb.Fatalf("%v after %q", err, got)
	}
	return string(got)
}

// TestFieldsKeepOrderAndCase: towards the origin only what must change does.
// Some origins read names that they should not tell apart by their case.
func TestFieldsKeepOrderAndCase(t *testing.T) {
	r := newRig(t, relayAll)
	origin, heads := r.rawOrigin(func(string) string {
		return "HTTP/1.0 203 Not Quite\r\nx-lower: 1\r\nX-UPPER: 2\r\nContent-Length: 002\r\nSet-Cookie: a\r\nset-cookie: b\r\nConnection: keep-alive, x-hop\r\nX-Hop: 3\r\n\r\nok"
	})
	got := r.converse("POST http://" + origin + "/p?q HTTP/1.1\r\nX-First: 1\r\nhost: elsewhere\r\nCONTENT-length: 000\r\nx-second: \t2 \r\nProxy-Connection: close\r\n" +
		"Cookie: a\r\ncookie: b\r\nConnection: close\r\nX-Last: \xe9\r\n\r\n")
	want := "POST /p?q HTTP/1.1\r\nX-First: 1\r\nhost: " + origin + "\r\nCONTENT-length: 0\r\nx-second: 2\r\nCookie: a\r\ncookie: b\r\nX-Last: \xe9\r\nVia: 1.1 sallyport\r\n\r\n"
	if head := <-heads; head != want {
		t.Errorf("the origin got\n%q\nwant\n%q", head, want)
	}
	date := got[strings.Index(got, "Date: "):]
	date = date[:strings.Index(date, "\r\n")]
	want = "HTTP/1.1 203 Not Quite\r\nx-lower: 1\r\nX-UPPER: 2\r\nContent-Length: 2\r\nSet-Cookie: a\r\nset-cookie: b\r\nVia: 1.0 sallyport\r\n" + date + "\r\nConnection: close\r\n\r\nok"
	if got != want {
		t.Errorf("the client got\n%q\nwant\n%q", got, want)
	}
}

// TestExpectedBodyKeepsItsConnection: an origin that asked for the body and got
// it whole can be asked the next thing on the same connection.
func TestExpectedBodyKeepsItsConnection(t *testing.T) {
	r := newRig(t, relayAll)
	origin := r.accept(func(c net.Conn) {
		defer c.Close()
		br := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			if req.Header.Get("Expect") != "" {
				_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			}
			n, _ := io.Copy(io.Discard, req.Body)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n)
		}
	})
	c := r.dial(r.addr)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	br := bufio.NewReader(c)
	for range 3 {
		fmt.Fprintf(c, "POST http://%s/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", origin)
		if line, _ := br.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("before the body: %q", line)
		}
		_, _ = br.ReadString('\n')
		_, _ = io.WriteString(c, "hello")
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(res.Body); string(body) != "5" {
			t.Fatalf("the origin got %s bytes", body)
		}
		<-r.handed
	}
	for i, rec := range r.records {
		if rec.Origin.Reused != (i > 0) || rec.Sent != 5 || rec.Outcome != Done {
			t.Errorf("request %d: reused %v, sent %d, %s %v", i, rec.Origin.Reused, rec.Sent, rec.Outcome, rec.Err)
		}
	}
}

// TestClientResetsWhileItsOriginThinks: nobody reads from a client that waits for
// its answer, and yet it is noticed when its connection breaks.
func TestClientResetsWhileItsOriginThinks(t *testing.T) {
	r := newRig(t, relayAll)
	asked := make(chan struct{})
	origin := r.accept(func(c net.Conn) {
		defer c.Close()
		_, _ = http.ReadRequest(bufio.NewReader(c))
		close(asked)
		_, _ = c.Read(make([]byte, 1)) // until the gateway gives it up
	})
	c := r.dial(r.addr)
	fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: a\r\n\r\n", origin)
	<-asked
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
	<-r.handed
	if rec := r.records[0]; rec.Outcome != Gone || rec.Status != 0 {
		t.Errorf("recorded as %s, status %d: %v", rec.Outcome, rec.Status, rec.Err)
	}
}

// TestEndlessEmptyLinesAreNoRequest: they would hold a connection for nothing.
func TestEndlessEmptyLinesAreNoRequest(t *testing.T) {
	r := newRig(t, relayAll)
	origin, _ := r.rawOrigin(func(string) string { return "HTTP/1.1 204 No Content\r\n\r\n" })
	request := "GET http://" + origin + "/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	if got := r.converse(strings.Repeat("\r\n", maxEmpty) + request); !strings.HasPrefix(got, "HTTP/1.1 204 ") {
		t.Errorf("a few: %q", got)
	}
	if got := r.converse(strings.Repeat("\r\n", maxEmpty+1) + request); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("more: %q", got)
	}
}

// TestCrashOfAnUploadIsItsRequests: the goroutine that sends a body has nobody
// above it who would catch a panic.
func TestCrashOfAnUploadIsItsRequests(t *testing.T) {
	r := newRig(t, relayAll)
	h := &hop{wire: wire.New(r.dial(r.addr)), leg: &leg{}}
	u := newUploading(&upload{length: 5}, h, time.Second, false, false) // nothing to read from: it will panic
	<-u.done
	e, ok := u.body.failed().(*Error)
	if !ok || e.Status != 500 || e.Outcome != Failed || u.whole {
		t.Errorf("told as %v", e)
	}
}

// TestRefusedHeadIsNotTheRequestBeforeIt: a head that is too large is not parsed.
// What was answered was the request before it, whose bytes belonged to another
// connection by then.
func TestRefusedHeadIsNotTheRequestBeforeIt(t *testing.T) {
	r := newRig(t, relayAll)
	origin, _ := r.rawOrigin(func(string) string { return "HTTP/1.1 204 No Content\r\n\r\n" })
	first := "HEAD http://" + origin + "/ HTTP/1.0\r\nConnection: keep-alive\r\nAccept: text/html\r\n\r\n"
	got := r.converse(first + "GET http://" + origin + "/ HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 70_000) + "\r\n\r\n")
	_, refusal, _ := strings.Cut(got, "\r\n\r\n")
	if !strings.HasPrefix(refusal, "HTTP/1.1 431 ") || !strings.Contains(refusal, "text/plain") || !strings.HasSuffix(refusal, "]\n") {
		t.Errorf("refused by %q", refusal)
	}
	<-r.handed
	<-r.handed
	if rec := r.records[1]; rec.Method != "" || rec.URL != "" || rec.Outcome != Invalid {
		t.Errorf("recorded as %q %q %s", rec.Method, rec.URL, rec.Outcome)
	}
}
