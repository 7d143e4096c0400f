// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//lint:file-ignore SA1019 the transport of x/net/http2 asks for the very scheme and authority it is told to

package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"

	"sallyport/policy"
)

// A tunnel2 is the client's end of a CONNECT by HTTP/2, by Go's own client.
type tunnel2 struct {
	net.Conn // for what is not overridden, which nobody calls
	io.Reader
	w *io.PipeWriter
	b io.Closer
}

func (t tunnel2) Read(b []byte) (int, error)       { return t.Reader.Read(b) }
func (t tunnel2) Write(b []byte) (int, error)      { return t.w.Write(b) }
func (t tunnel2) CloseWrite() error                { return t.w.Close() }
func (t tunnel2) SetWriteDeadline(time.Time) error { return nil }
func (t tunnel2) Close() error                     { t.w.Close(); return t.b.Close() }

// transport2 is a client of the gateway by HTTP/2, with one connection.
func (r *tlsRig) transport2() *h2.Transport {
	t := &h2.Transport{DialTLSContext: func(context.Context, string, string, *tls.Config) (net.Conn, error) {
		return tls.Dial("tcp", r.addr, r.client("h2"))
	}}
	r.tb.Cleanup(t.CloseIdleConnections)
	return t
}

// connect2 opens a tunnel.
func (r *tlsRig) connect2(by *h2.Transport, origin string) (tunnel2, int) {
	r.tb.Helper()
	body, w := io.Pipe()
	res, err := by.RoundTrip(&http.Request{Method: http.MethodConnect, URL: &url.URL{Scheme: "https", Host: origin}, Host: origin, Body: body, ContentLength: -1, Header: http.Header{}})
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(func() { w.Close(); res.Body.Close() })
	return tunnel2{Reader: res.Body, w: w, b: res.Body}, res.StatusCode
}

// TestHTTP2TunnelCarriesTLS: the client's own TLS inside, many at once on one
// connection, more than a window both ways.
func TestHTTP2TunnelCarriesTLS(t *testing.T) {
	r := newTLSRig(t, "  - {name: all, from: any, to: [127.0.0.0/8], ports: any, mode: tunnel}\n")
	origin := r.accept(func(c net.Conn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{r.cert}})
		defer s.Close()
		_, _ = io.Copy(s, s)
	})
	by := r.transport2()
	sent := make([]byte, 3<<20)
	_, _ = rand.Read(sent)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			tunnel, status := r.connect2(by, origin)
			if status != 200 {
				t.Errorf("status %d", status)
				return
			}
			c := tls.Client(tunnel, &tls.Config{RootCAs: r.roots, ServerName: "127.0.0.1"})
			go func() {
				_, _ = c.Write(sent)
				_ = c.CloseWrite()
			}()
			got, err := io.ReadAll(c)
			if err != nil || sha256.Sum256(got) != sha256.Sum256(sent) {
				t.Errorf("%d bytes of %d came back: %v", len(got), len(sent), err)
			}
		})
	}
	all.Wait()
}

// TestHTTP2TunnelSNI: the name in the tunnel has to be the name in the CONNECT,
// and a client that says another is told by an alert.
func TestHTTP2TunnelSNI(t *testing.T) {
	r := newTLSRig(t, "  - {name: all, from: any, to: [127.0.0.0/8], ports: any, mode: tunnel}\n")
	origin := r.accept(func(c net.Conn) {
		defer c.Close()
		if n, _ := io.Copy(io.Discard, c); n > 0 {
			t.Errorf("the origin got %d bytes", n)
		}
	})
	tunnel, _ := r.connect2(r.transport2(), origin)
	err := tls.Client(tunnel, &tls.Config{ServerName: "other.test", InsecureSkipVerify: true}).Handshake()
	if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("the client got %v", err)
	}
	if rec := r.record(); rec.Outcome != Denied || rec.Cause != "authority_mismatch" || rec.Hello == nil || rec.Hello.ServerName != "other.test" {
		t.Errorf("record: %v %v %v", rec.Outcome, rec.Cause, rec.Err)
	}
}

// TestHTTP2TunnelEnds: by each of its limits, by a reload and by the drain, with
// the cause in its record.
func TestHTTP2TunnelEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		rule    string
		do      func(*tlsRig, tunnel2)
		outcome Outcome
		cause   string
		err     string
	}{
		"idle": {
			"tunnel: {tls: optional, idle: 50ms}", func(*tlsRig, tunnel2) {},
			Closed, "connection_limit_reached", "idle for too long",
		},
		"duration": {
			"tunnel: {tls: optional, max_duration: 50ms}", func(*tlsRig, tunnel2) {},
			Closed, "connection_limit_reached", "open for too long",
		},
		"bytes": {
			"tunnel: {tls: optional, max_bytes: 10}", func(_ *tlsRig, c tunnel2) { fmt.Fprint(c, "hello, world") },
			Closed, "connection_limit_reached", "carried too many bytes",
		},
		"reload": {
			"tunnel: {tls: optional}", func(r *tlsRig, _ tunnel2) {
				none := &Generation{Policy: &policy.Policy{}}
				r.generation.Store(none)
				r.server.Recheck()
			},
			Closed, "proxy_internal_response", "the policy no longer allows it",
		},
		"drain": {
			"tunnel: {tls: optional}", func(r *tlsRig, _ tunnel2) {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				_ = r.server.Shutdown(ctx)
			},
			Closed, "proxy_internal_response", "the gateway is stopping",
		},
		"the client gives up": {
			"tunnel: {tls: optional}", func(_ *tlsRig, c tunnel2) { _ = c.w.CloseWithError(errors.New("given up")) },
			Gone, "connection_terminated", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTLSRig(t, "  - {name: all, from: any, to: [127.0.0.0/8], ports: any, mode: tunnel, "+tt.rule+"}\n")
			c, status := r.connect2(r.transport2(), r.echo())
			if status != 200 {
				t.Fatalf("status %d", status)
			}
			fmt.Fprint(c, "hi")
			if name != "duration" {
				if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
					t.Fatal(err)
				}
			}
			until(t, "the tunnel is open", func() bool { return r.server.Tunnels() == 1 || len(r.handed) > 0 })
			tt.do(r, c)
			if _, err := io.Copy(io.Discard, c); err == nil {
				t.Error("the stream ended in order")
			}
			if rec := r.record(); rec.Outcome != tt.outcome || rec.Cause != tt.cause || !strings.Contains(rec.Err.Error(), tt.err) {
				t.Errorf("record: %v, %v, %v", rec.Outcome, rec.Cause, rec.Err)
			}
		})
	}
}

// TestHTTP2Drain: the client is told to go (GOAWAY), what is going on is
// finished, and the connection ends.
func TestHTTP2Drain(t *testing.T) {
	r := newTLSRig(t, openAll)
	asked, answer := make(chan struct{}), make(chan struct{})
	origin := r.accept(func(c net.Conn) {
		defer c.Close()
		_, _ = c.Read(make([]byte, 4096))
		close(asked)
		<-answer
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	})
	h := r.http2()
	id := h.ask(true, getBy2(origin, "/")...)
	<-asked
	ended := make(chan error, 1)
	go func() { ended <- r.server.Shutdown(context.Background()) }()
	for { // until it says so
		f, err := h.f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := f.(*h2.SettingsFrame); ok && !s.IsAck() {
			_ = h.f.WriteSettingsAck()
		}
		if _, ok := f.(*h2.GoAwayFrame); ok {
			break
		}
	}
	close(answer)
	if a := h.read(id, nil); a.status != "200" || a.body != "hello" {
		t.Errorf("%+v", a)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestHTTP2RapidReset: requests that are begun and given up (CVE-2023-44487) run
// no more than the streams of a connection at a time, and end the connection
// when they pile up.
func TestHTTP2RapidReset(t *testing.T) {
	var now, peak atomic.Int64
	let := make(chan struct{})
	r := newTLSRig(t, openAll, func(s *Server) {
		s.Identify = func(q Request) (Identity, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
			}
			<-let
			return Identity{Client: policy.Client{Addr: q.From.Addr()}}, nil
		}
	})
	h := r.http2()
	go func() {
		var buf bytes.Buffer
		f := h2.NewFramer(&buf, nil)
		for range 20_000 {
			buf.Reset()
			h.b.Reset()
			for _, x := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "127.0.0.1:1"}, {":path", "/"}} {
				h.e.WriteField(hpackField(x))
			}
			_ = f.WriteHeaders(h2.HeadersFrameParam{StreamID: h.id, BlockFragment: h.b.Bytes(), EndStream: true, EndHeaders: true})
			_ = f.WriteRSTStream(h.id, h2.ErrCodeCancel)
			h.id += 2
			if _, err := h.c.Write(buf.Bytes()); err != nil {
				return
			}
		}
	}()
	code := h2.ErrCodeNo
	for {
		f, err := h.f.ReadFrame()
		if err != nil {
			break
		}
		if g, ok := f.(*h2.GoAwayFrame); ok {
			code = g.ErrCode
		}
	}
	if code != h2.ErrCodeEnhanceYourCalm {
		t.Errorf("the connection ended with %v", code)
	}
	if n := peak.Load(); n == 0 || n > maxStreams {
		t.Errorf("%d at once, of a connection that may have %d", n, maxStreams)
	}
	close(let)
}

// TestHTTP2ContinuationFlood: a head that never ends (CVE-2024-27316) ends the
// connection.
func TestHTTP2ContinuationFlood(t *testing.T) {
	r := newTLSRig(t, openAll)
	h := r.http2()
	go func() { _, _ = io.Copy(io.Discard, h.c) }()
	_ = h.f.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, EndStream: true})
	for n := 0; ; n++ {
		h.b.Reset()
		h.e.WriteField(hpackField([2]string{"x-flood", strings.Repeat("x", 8<<10)}))
		if err := h.f.WriteContinuation(1, false, h.b.Bytes()); err != nil {
			break
		}
		if n > 10_000 {
			t.Fatal("it takes 80 MB of a head")
		}
	}
	if len(r.handed) != 0 {
		t.Errorf("a request was made of it: %+v", r.record())
	}
}

// TestHTTP2PingFlood: a client that asks for answers and reads none is ended
// before they pile up.
func TestHTTP2PingFlood(t *testing.T) {
	r := newTLSRig(t, openAll)
	h := r.http2()
	var pings bytes.Buffer
	f := h2.NewFramer(&pings, nil)
	for range 1000 {
		_ = f.WritePing(false, [8]byte{})
		_ = f.WriteSettings()
	}
	for n := 0; ; n++ {
		if _, err := h.c.Write(pings.Bytes()); err != nil {
			return
		}
		if n > 2000 {
			t.Fatal("it takes 4 million of them")
		}
	}
}

// TestHTTP2AnswerThatIsNotTaken: a client that opens no window for its answer
// has the time of any that does not read.
func TestHTTP2AnswerThatIsNotTaken(t *testing.T) {
	r := newTLSRig(t, openAll, func(s *Server) { s.Limits.Stall = 50 * time.Millisecond })
	h := r.http2()
	if err := h.f.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 0}); err != nil {
		t.Fatal(err)
	}
	id := h.ask(true, getBy2(r.httpOrigin(false), "/100000")...)
	if a := h.read(id, nil); !a.reset {
		t.Errorf("%+v", a)
	}
	if rec := r.record(); rec.Outcome != Gone {
		t.Errorf("record: %v %v", rec.Outcome, rec.Err)
	}
}
