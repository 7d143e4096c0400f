// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//lint:file-ignore SA1019 the client of an HTTP/2 connection that was made elsewhere; net/http has none

package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"

	"sallyport/policy"
)

// webSocketOrigin changes to WebSocket by TLS, and says what it is told.
func (r *rig) webSocketOrigin() (addr string) {
	return r.accept(func(raw net.Conn) {
		c := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{r.cert}})
		defer c.Close()
		br := bufio.NewReader(c)
		if q, err := http.ReadRequest(br); err != nil || q.Header.Get("Upgrade") != "websocket" {
			return
		}
		fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		_, _ = io.Copy(c, br)
		_ = c.CloseWrite()
	})
}

// TestInterceptCarriesWebSocket: a change of protocol inside, and what comes after it.
func TestInterceptCarriesWebSocket(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, interceptRules, path)
		origin := r.webSocketOrigin()
		c, err := r.connectTLS(origin, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n", origin)
		res, err := http.ReadResponse(c.br, nil)
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(res, err)
		}
		const said = "\x81\x05hello"
		for range 3 {
			got := make([]byte, len(said))
			if _, err := io.WriteString(c, said); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c.br, got); err != nil || string(got) != said {
				t.Fatalf("%q, %v", got, err)
			}
		}
		if n := r.server.Tunnels(); n != 2 { // what the CONNECT opened, and the WebSocket in it
			t.Errorf("%d are open", n)
		}
		_ = c.CloseWrite()
		if _, err := c.br.ReadByte(); err != io.EOF {
			t.Error(err)
		}
		<-r.handed
		<-r.handed
		rec, outer := r.recordOf(http.MethodGet), r.recordOf(http.MethodConnect)
		if rec == nil || outer == nil || rec.Sent != 3*int64(len(said)) || rec.Status != http.StatusSwitchingProtocols || rec.Connect != outer.ID || outer.Outcome != Done {
			t.Errorf("%+v\n%+v", rec, outer)
		}
	})
}

// TestWebSocketInTheClearInsideEnds: browsers ask a proxy for ws:// by CONNECT. When that
// was over the CONNECT stood among what is open for good, and never had a record.
func TestWebSocketInTheClearInsideEnds(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, strings.Replace(interceptRules, "mode: intercept", "mode: [originate, intercept]", 1), path)
		origin := r.webSocketOrigin()
		c, err := r.connect(origin)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\nhello", origin)
		br := bufio.NewReader(c)
		res, err := http.ReadResponse(br, nil)
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(res, err)
		}
		if got, err := br.Peek(5); err != nil || string(got) != "hello" {
			t.Fatalf("%q, %v", got, err)
		}
		c.Close()
		<-r.handed
		<-r.handed
		in, out := r.recordOf(http.MethodGet), r.recordOf(http.MethodConnect)
		if in.Mode != policy.Originate || in.Kind != policy.Plain || in.Connect != out.ID || out.Mode != policy.Intercept || out.Outcome != Done {
			t.Errorf("%+v\n%+v", in, out)
		}
		until(t, "it is given up", func() bool { return r.server.Tunnels() == 0 }) // its record is handed over first
	})
}

// TestInterceptCarriesGRPC: both directions of an HTTP/2 stream at once, and
// trailers behind the answer, which is all of HTTP that gRPC needs.
func TestInterceptCarriesGRPC(t *testing.T) {
	carriesGRPC(t, interceptRules, policy.Inner, func(r *rig, addr string) (string, *h2.Transport) {
		c, err := r.connectTLS(addr, &tls.Config{ServerName: "127.0.0.1", RootCAs: r.roots, NextProtos: []string{"h2"}})
		if err != nil {
			r.tb.Fatal(err)
		}
		return "https", &h2.Transport{DialTLSContext: func(context.Context, string, string, *tls.Config) (net.Conn, error) { return c.Conn, nil }}
	})
}

// TestOriginateCarriesGRPC: a client of gRPC without TLS, which speaks HTTP/2 from its
// first byte on and takes the gateway for its server.
func TestOriginateCarriesGRPC(t *testing.T) {
	rules := strings.Replace(interceptRules, "mode: intercept", "mode: originate", 1)
	carriesGRPC(t, rules, policy.Plain, func(r *rig, _ string) (string, *h2.Transport) {
		return "http", &h2.Transport{AllowHTTP: true, DialTLSContext: func(context.Context, string, string, *tls.Config) (net.Conn, error) {
			return net.Dial("tcp", r.addr)
		}}
	})
}

// carriesGRPC has a client say words to an origin by what dial returns.
func carriesGRPC(t *testing.T, rules string, kind policy.Kind, dial func(r *rig, origin string) (scheme string, by *h2.Transport)) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, rules, path)
		origin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Trailer", "Grpc-Status")
			w.Header().Set("Content-Type", "application/grpc")
			if q.ProtoMajor != 2 || q.Header.Get("Te") != "trailers" {
				w.WriteHeader(http.StatusHTTPVersionNotSupported)
				return
			}
			rc := http.NewResponseController(w)
			_ = rc.Flush()
			in := bufio.NewReader(q.Body)
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					break
				}
				fmt.Fprint(w, strings.ToUpper(line))
				_ = rc.Flush()
			}
			w.Header().Set("Grpc-Status", "0")
		}))
		origin.EnableHTTP2 = true
		origin.TLS = &tls.Config{Certificates: []tls.Certificate{r.cert}}
		origin.StartTLS()
		defer origin.Close()
		r.meetsByHTTP2()
		addr := origin.Listener.Addr().String()
		scheme, by := dial(r, addr)
		defer by.CloseIdleConnections()
		read, write := io.Pipe()
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, scheme+"://"+addr+"/echo.Echo/Say", read)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Te", "trailers")
		q.Header.Set("Content-Type", "application/grpc")
		res, err := by.RoundTrip(q)
		if err != nil || res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
			t.Fatal(res, err)
		}
		br := bufio.NewReader(res.Body)
		for _, word := range []string{"one", "two", "three"} { // each answered before the next is said
			fmt.Fprintln(write, word)
			if line, err := br.ReadString('\n'); err != nil || line != strings.ToUpper(word)+"\n" {
				t.Fatal(line, err)
			}
		}
		write.Close()
		if _, err := io.Copy(io.Discard, br); err != nil {
			t.Fatal(err)
		}
		if got := res.Trailer.Get("Grpc-Status"); got != "0" {
			t.Errorf("trailers %v", res.Trailer)
		}
		<-r.handed
		if rec := r.recordOf(http.MethodPost); rec.Proto != "HTTP/2" || rec.Origin.TLS.NegotiatedProtocol != "h2" || rec.Kind != kind {
			t.Errorf("%+v", rec)
		}
	})
}

// meetsByHTTP2 has origins offered HTTP/2.
func (r *rig) meetsByHTTP2() {
	now := *r.generation.Load()
	now.Trust = func(*policy.Origin) (Trust, error) {
		return Trust{Key: "two", HTTP2: true, Config: func(host string) *tls.Config {
			return &tls.Config{ServerName: host, RootCAs: r.roots, NextProtos: []string{"h2", "http/1.1"}}
		}}, nil
	}
	r.generation.Store(&now)
}

// TestSlowClientsDoNotStallOthers: those who take nothing of their answers leave room on
// the origin's HTTP/2 connection, which all of them share, for who does.
func TestSlowClientsDoNotStallOthers(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, strings.Replace(interceptRules, "mode: intercept", "mode: originate", 1), path)
		r.meetsByHTTP2()
		var met atomic.Int32
		origin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.URL.Path == "/quick" {
				fmt.Fprint(w, q.Proto)
				return
			}
			for piece := make([]byte, 64<<10); ; {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		}))
		origin.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { met.Add(1); return ctx }
		origin.EnableHTTP2 = true
		origin.TLS = &tls.Config{Certificates: []tls.Certificate{r.cert}}
		origin.StartTLS()
		defer origin.CloseClientConnections()
		addr := origin.Listener.Addr().String()
		for range 20 {
			slow := r.dial(r.addr)
			defer slow.Close()
			fmt.Fprintf(slow, "GET http://%s/endless HTTP/1.1\r\nHost: a\r\n\r\n", addr)
			if _, err := slow.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		quick := r.dial(r.addr)
		defer quick.Close()
		br := bufio.NewReader(quick)
		for range 100 {
			_ = quick.SetDeadline(time.Now().Add(20 * time.Second)) // for each, however slow the machine
			fmt.Fprintf(quick, "GET http://%s/quick HTTP/1.1\r\nHost: a\r\n\r\n", addr)
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(res.Body); string(body) != "HTTP/2.0" || err != nil {
				t.Fatalf("%q, %v", body, err)
			}
		}
		if n := met.Load(); n > 2 { // two may be made at once
			t.Errorf("%d connections", n)
		}
	})
}
