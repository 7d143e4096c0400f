// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A scriptConn gives a server its input, then the end, and keeps what it writes.
type scriptConn struct {
	partsConn
	mu   sync.Mutex
	out  bytes.Buffer
	once sync.Once
	done chan struct{}
}

func (c *scriptConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(b)
}

func (c *scriptConn) Close() error                     { c.once.Do(func() { close(c.done) }); return nil }
func (c *scriptConn) SetDeadline(time.Time) error      { return nil }
func (c *scriptConn) SetReadDeadline(time.Time) error  { return nil }
func (c *scriptConn) SetWriteDeadline(time.Time) error { return nil }
func (c *scriptConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *scriptConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// oneConn is a listener with one connection, and an end when that is closed.
type oneConn struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// FuzzNothingIsAnsweredUnseen: whatever comes, net/http makes no answer of its
// own, which would have neither a record nor a Proxy-Status; and what the
// handler gets is never a second message within the first.
func FuzzNothingIsAnsweredUnseen(f *testing.F) {
	for _, s := range []string{
		twoRequests,
		"GET http://a/ HTTP/1.1\r\nHost: a\r\nTrailer: Content-Length\r\n\r\n",
		"GET http://a/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
		"GET http://a/ HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
		"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		"CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n",
		"CONNECT http://a:1/ HTTP/1.1\r\nHost: a\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET http://a/ HTTP/1.1\r\nHost: \r\n\r\n",
		"GET http://a/ HTTP/1.1\r\nHost: %zz\r\n\r\n",
		"GET http://a/ HTTP/1.1\r\nHost: [::1%25x]:80\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x00",
		"GET http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\nA: b\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n",
		"GET http://a\xff/\xff?\xff HTTP/1.1\r\nHost: a\r\nX: \xff\r\n\r\n",
		"GET http://a:/?%%% HTTP/1.1\r\nHost: a:\r\n\r\n",
		"get mailto:x HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET a?b HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		f.Add([]byte(s), 7)
		f.Add([]byte(s), 100000)
	}
	f.Fuzz(func(t *testing.T, in []byte, at int) {
		at = min(max(at, 0), len(in))
		raw := &scriptConn{partsConn: partsConn{parts: [][]byte{bytes.Clone(in[:at]), bytes.Clone(in[at:])}}, done: make(chan struct{})}
		handled := 0
		server := &http.Server{
			ConnContext: withConn, ErrorLog: log.New(io.Discard, "", 0), DisableGeneralOptionsHandler: true, MaxHeaderBytes: 8 << 10,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				handled++
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header()["Date"] = nil
				w.Header().Set("X-Handled", "yes")
				if !clientOf(r.Context()).strict.resume() {
					w.Header().Set("Connection", "close")
				}
				w.WriteHeader(http.StatusNoContent)
			}),
		}
		l := &oneConn{conns: make(chan net.Conn, 1), done: raw.done}
		l.conns <- &strictConn{Conn: raw, maxHead: 4 << 10}
		_ = server.Serve(l)
		out := strings.ReplaceAll(raw.out.String(), "HTTP/1.1 100 Continue\r\n\r\n", "")
		out = strings.ReplaceAll(out, "HTTP/1.0 ", "HTTP/1.1 ")
		if answers := strings.Count(out, "X-Handled: yes"); strings.Count(out, "HTTP/1.1 ") != answers || answers > handled {
			t.Fatalf("%d of %d answers were the handler's:\n%s", answers, strings.Count(out, "HTTP/1.1 "), out)
		}
	})
}
