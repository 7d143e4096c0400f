// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	qh "github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
	h2 "golang.org/x/net/http2"
)

// TestSlowClientsDoNotStallOthersOnQUIC: as on an origin's HTTP/2 connection, and more of
// them than it would take to fill the connection's window if that were as large as usual.
func TestSlowClientsDoNotStallOthersOnQUIC(t *testing.T) {
	r := newRig(t, openOrigins)
	r.meetsBy("h3")
	var written atomic.Int64
	o := r.newest(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/quick" {
			fmt.Fprint(w, q.Proto)
			return
		}
		for piece := make([]byte, 16<<10); ; {
			n, err := w.Write(piece)
			if written.Add(int64(n)); err != nil {
				return
			}
		}
	}))
	for range 40 {
		slow := r.dial(r.addr)
		defer slow.Close()
		_ = slow.(*net.TCPConn).SetReadBuffer(4 << 10)
		fmt.Fprintf(slow, "GET http://%s/endless HTTP/1.1\r\nHost: a\r\n\r\n", o.addr)
		if _, err := slow.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	c := r.asker()
	settled(t, &written, func() {
		for range 100 {
			if _, body := c.get("http://" + o.addr + "/quick"); body != "HTTP/3.0" {
				t.Fatal(body)
			}
		}
	})
	if n := o.sessions.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// settled does work, which takes its time, until n has not changed in all of a round of it:
// whoever moves n has come to where it stays.
func settled(t *testing.T, n *atomic.Int64, work func()) {
	t.Helper()
	for range 1000 {
		was := n.Load()
		if work(); was > 64<<10 && n.Load() == was {
			return
		}
	}
	t.Fatalf("%d, and going on", n.Load())
}

// TestOriginThatAllowsFewStreams: when slow clients have all that an origin allows on a
// connection, others get another one.
func TestOriginThatAllowsFewStreams(t *testing.T) {
	r := newRig(t, openOrigins)
	r.meetsBy("h3")
	hold := make(chan struct{})
	o := r.newest(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/hold" {
			_ = http.NewResponseController(w).Flush()
			<-hold
		}
		fmt.Fprint(w, q.Proto)
	}), func(_ *tls.Config, s *qh.Server) { s.QUICConfig.MaxIncomingStreams = 2 })
	defer close(hold)
	for range 2 {
		slow := r.asker()
		fmt.Fprintf(slow, "GET http://%s/hold HTTP/1.1\r\nHost: a\r\n\r\n", o.addr)
		if _, err := slow.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	c := r.asker()
	for range 3 {
		if _, body := say(t, c, c.br, "POST http://"+o.addr+"/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"); body != "HTTP/3.0" {
			t.Fatal(body)
		}
	}
	if n := o.sessions.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// TestClientThatLeavesEndsItsStream, and nobody else's.
func TestClientThatLeavesEndsItsStream(t *testing.T) {
	r := newRig(t, openOrigins)
	r.meetsBy("h3")
	left := make(chan struct{})
	begun := make(chan struct{}, 1)
	o := r.newest(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/wait" {
			begun <- struct{}{}
			<-q.Context().Done()
			close(left)
			return
		}
		fmt.Fprint(w, q.Proto)
	}))
	c := r.asker()
	c.get("http://" + o.addr + "/")
	going := r.asker()
	fmt.Fprintf(going, "GET http://%s/wait HTTP/1.1\r\nHost: a\r\n\r\n", o.addr)
	<-begun
	_ = going.Conn.(*net.TCPConn).SetLinger(0) // one that only sends no more may wait for its answer
	going.Close()
	select {
	case <-left:
	case <-time.After(20 * time.Second):
		t.Fatal("the origin was not told")
	}
	if _, body := c.get("http://" + o.addr + "/"); body != "HTTP/3.0" || o.sessions.Load() != 1 {
		t.Errorf("%s, %d connections", body, o.sessions.Load())
	}
}

// TestOriginThatTakesNoBody: one that has answered, and never takes the rest of the body,
// holds nothing of the gateway's for longer.
func TestOriginThatTakesNoBody(t *testing.T) {
	r := newRig(t, openOrigins)
	r.meetsBy("h3")
	full := make(chan struct{})
	o := r.rawQUIC(func(s *quic.Stream) {
		<-full
		writeHead(s, ":status", "200", "content-length", "2")
		_, _ = s.Write(append(quicvarint.Append(quicvarint.Append(nil, 0), 2), "ok"...))
		s.Close() // and reads nothing of what is sent
	})
	c := r.dial(r.addr)
	defer c.Close()
	fmt.Fprintf(c, "POST http://%s/ HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", o, 64<<20)
	var sent atomic.Int64
	go func() {
		for piece := make([]byte, 64<<10); ; {
			n, err := c.Write(piece)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	}()
	quick := r.newest(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, q.Proto) }))
	other := r.asker()
	settled(t, &sent, func() {
		for range 100 {
			if _, body := other.get("http://" + quick.addr + "/"); body != "HTTP/3.0" {
				t.Fatal(body)
			}
			r.record()
		}
	})
	close(full)
	if rec := r.record(); rec.Outcome != Done || rec.Sent == 0 {
		t.Errorf("%s %v, %d bytes", rec.Outcome, rec.Err, rec.Sent)
	}
	until(t, "nobody goes on writing", func() bool {
		b := make([]byte, 4<<20)
		return !strings.Contains(string(b[:runtime.Stack(b, true)]), "sendRequestBody")
	})
}

// rawQUIC is an origin that answers each stream by hand.
func (r *rig) rawQUIC(answer func(*quic.Stream)) (addr string) {
	r.tb.Helper()
	wire, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		r.tb.Fatal(err)
	}
	l, err := quic.Listen(wire, &tls.Config{Certificates: []tls.Certificate{r.cert}, NextProtos: []string{"h3"}}, &quic.Config{InitialStreamReceiveWindow: 64 << 10, MaxStreamReceiveWindow: 64 << 10})
	if err != nil {
		r.tb.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			control, err := c.OpenUniStream()
			if err != nil {
				continue
			}
			_, _ = control.Write([]byte{0, 4, 0}) // a control stream, and SETTINGS of nothing
			r.tb.Cleanup(func() { _ = c.CloseWithError(0, "") })
			open.Go(func() {
				for {
					s, err := c.AcceptStream(context.Background())
					if err != nil {
						return
					}
					go answer(s)
				}
			})
		}
	})
	r.tb.Cleanup(func() {
		l.Close()
		wire.Close()
		open.Wait()
	})
	return wire.LocalAddr().String()
}

// writeHead writes a HEADERS frame of names and values in turn.
func writeHead(w io.Writer, fields ...string) {
	var b bytes.Buffer
	e := qpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(qpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	frame := quicvarint.Append(quicvarint.Append(nil, 1), uint64(b.Len()))
	_, _ = w.Write(append(frame, b.Bytes()...))
}

// TestHTTP3AnswersThatAreNone: nothing of them comes to a client that reads HTTP/1.1.
func TestHTTP3AnswersThatAreNone(t *testing.T) {
	r := newRig(t, openOrigins)
	r.meetsBy("h3")
	var mu sync.Mutex
	var heads [][]string
	var body string
	o := r.rawQUIC(func(s *quic.Stream) {
		mu.Lock()
		defer mu.Unlock()
		for _, h := range heads {
			writeHead(s, h...)
		}
		if body != "" {
			_, _ = s.Write(append(quicvarint.Append(quicvarint.Append(nil, 0), uint64(len(body))), body...))
		}
		s.Close()
	})
	ok := []string{":status", "200"}
	for _, x := range []struct {
		name  string
		heads [][]string
		body  string
	}{
		{"a line break in a value", [][]string{append(ok[:2:2], "x", "a\r\nSet-Cookie: b=c")}, ""},
		{"a NUL in a value", [][]string{append(ok[:2:2], "x", "a\x00b")}, ""},
		{"a line break in a name", [][]string{append(ok[:2:2], "x: y\r\nz", "a")}, ""},
		{"a space in a name", [][]string{append(ok[:2:2], "x y", "a")}, ""},
		{"an empty name", [][]string{append(ok[:2:2], "", "a")}, ""},
		{"capitals in a name", [][]string{append(ok[:2:2], "X-A", "a")}, ""},
		{"transfer-encoding", [][]string{append(ok[:2:2], "transfer-encoding", "chunked")}, "0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"},
		{"connection", [][]string{append(ok[:2:2], "connection", "close")}, ""},
		{"upgrade", [][]string{append(ok[:2:2], "upgrade", "h2c")}, ""},
		{"two lengths", [][]string{append(ok[:2:2], "content-length", "1", "content-length", "2")}, "ab"},
		{"a length that is none", [][]string{append(ok[:2:2], "content-length", "+2")}, "ab"},
		{"101", [][]string{{":status", "101", "x", "y"}}, ""},
		{"status +200", [][]string{{":status", "+200"}}, ""},
		{"status 0200", [][]string{{":status", "0200"}}, ""},
		{"status 99", [][]string{{":status", "99"}}, ""},
		{"status 1000", [][]string{{":status", "1000"}}, ""},
		{"no status", [][]string{{"x", "y"}}, ""},
		{"a pseudo field of requests", [][]string{append(ok[:2:2], ":path", "/")}, ""},
		{"interim answers without end", [][]string{{":status", "103"}, {":status", "103"}, {":status", "103"}, {":status", "103"}, {":status", "103"}, {":status", "103"}, ok}, ""},
		{"a large head", [][]string{append(ok[:2:2], "x", strings.Repeat("a", 300<<10))}, ""},
		{"a body first", nil, "HTTP/1.1 200 OK\r\n\r\n"},
	} {
		mu.Lock()
		heads, body = x.heads, x.body
		mu.Unlock()
		c := r.asker()
		fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", o)
		got, _ := io.ReadAll(c)
		if final := strings.LastIndex(string(got), "HTTP/1.1 "); final < 0 || !strings.HasPrefix(string(got[final:]), "HTTP/1.1 502 ") {
			t.Errorf("%s: %q", x.name, got)
		}
		if rec := r.record(); rec.Cause != "http_protocol_error" && rec.Cause != "connection_terminated" {
			t.Errorf("%s: %s %v", x.name, rec.Cause, rec.Err)
		}
	}
	for _, x := range []struct {
		name  string
		heads []string
		body  string
	}{
		{"more than the length", append(ok[:2:2], "content-length", "2"), "abHTTP/1.1 200 OK\r\n\r\n"},
		{"less than the length", append(ok[:2:2], "content-length", "20"), "ab"},
	} {
		mu.Lock()
		heads, body = [][]string{x.heads}, x.body
		mu.Unlock()
		c := r.asker()
		fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: a\r\n\r\n", o)
		got, _ := io.ReadAll(c)
		if rec := r.record(); rec.Cause != "http_response_incomplete" || bytes.Count(got, []byte("HTTP/1.1")) > 1 {
			t.Errorf("%s: %s %v %q", x.name, rec.Cause, rec.Err, got)
		}
	}
}

// TestAnswerByHTTP3ThatIsAllHead is TestAnswerByHTTP2ThatIsAllHead, and what stays that.
func TestAnswerByHTTP3ThatIsAllHead(t *testing.T) {
	r := newRig(t, openOrigins)
	r.meetsBy("h3")
	o := r.rawQUIC(func(s *quic.Stream) {
		writeHead(s, ":status", "200", "content-type", "application/grpc", "grpc-status", "9")
		s.Close()
	})
	c := r.asker()
	for range 2 {
		if res, body := c.get("http://" + o + "/"); body != "" || res.Header.Get("Content-Length") != "0" || res.Header.Get("Grpc-Status") != "9" {
			t.Errorf("%q %v", body, res.Header)
		}
	}
	h := newH2Client(t, r.dial(r.addr), h2.ClientPreface)
	defer h.c.Close()
	id := h.ask(true, getBy2(o, "/")...)
	if a := h.read(id, func(a h2Answer) bool { return a.status != "" }); !a.ended || a.status != "200" || a.field("grpc-status") != "9" {
		t.Errorf("%+v", a)
	}
}

// TestHTTP3LeavesNothing: no socket and no goroutine outlives what it was for.
func TestHTTP3LeavesNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("sockets are counted in /proc")
	}
	goroutines := func() string {
		b := make([]byte, 4<<20)
		return string(b[:runtime.Stack(b, true)])
	}
	before, sockets := strings.Count(goroutines(), "quic-go"), openSockets(t)
	t.Run("", func(t *testing.T) {
		r := newRig(t, openOrigins)
		r.meetsBy("h3", "http/1.1")
		var slow atomic.Int32
		o := r.newest(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			slow.Add(1)
			fmt.Fprint(w, q.Proto)
		}))
		for range 4 {
			c := r.asker()
			c.get("http://" + o.addr + "/")
			c.get("http://" + o.addr + "/")
			c.Close()
		}
		gone := r.newest(tellProto)
		gone.mute()
		c := r.asker()
		c.get("http://" + gone.addr + "/")
		c.get("http://" + gone.addr + "/")
		c.Close()
		r.server.transports.close()
		until(t, "no connection is left", func() bool { return r.quicConns() == 0 })
	})
	until(t, "no goroutine of QUIC is left", func() bool { return strings.Count(goroutines(), "quic-go") <= before })
	until(t, "no socket is left", func() bool { return openSockets(t) <= sockets })
}

func openSockets(t *testing.T) (n int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}
