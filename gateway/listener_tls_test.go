// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// both runs f with the engine and with net/http.
func both(t *testing.T, f func(t *testing.T, standard func(*Server))) {
	for _, standard := range []bool{false, true} {
		t.Run(fmt.Sprintf("standard=%v", standard), func(t *testing.T) {
			f(t, func(s *Server) { s.Standard = standard })
		})
	}
}

// TestOnePortSpeaksPlainAndTLS: the first byte says which, and the record how.
func TestOnePortSpeaksPlainAndTLS(t *testing.T) {
	both(t, func(t *testing.T, standard func(*Server)) {
		r := newTLSRig(t, openAll, standard)
		origin := r.httpOrigin(false)
		request := "GET http://" + origin + "/5 HTTP/1.1\r\nHost: a\r\n\r\n"

		plain := r.dial(r.addr)
		defer plain.Close()
		if res, body := say(t, plain, bufio.NewReader(plain), request); res.StatusCode != 200 || body != "01234" {
			t.Errorf("plain: %s %q", res.Status, body)
		}
		if rec := r.record(); rec.ClientTLS != nil || rec.Proto != "HTTP/1.1" {
			t.Errorf("plain: the record has %v, %s", rec.ClientTLS, rec.Proto)
		}

		secure := r.secure("http/1.1")
		br := bufio.NewReader(secure)
		for range 3 { // on one connection
			if res, body := say(t, secure, br, request); res.StatusCode != 200 || body != "01234" {
				t.Errorf("TLS: %s %q", res.Status, body)
			}
			rec := r.record()
			if s := rec.ClientTLS; s == nil || s.Version != tls.VersionTLS13 || s.NegotiatedProtocol != "http/1.1" || s.CurveID != tls.X25519MLKEM768 || s.DidResume {
				t.Errorf("TLS: the record has %+v", s)
			}
		}
	})
}

// TestTLSWithoutCertificateIsExplained: a client that speaks TLS to a gateway
// that has none is told, and so is the log.
func TestTLSWithoutCertificateIsExplained(t *testing.T) {
	both(t, func(t *testing.T, standard func(*Server)) {
		r := newRig(t, openAll, standard)
		_, err := tls.Dial("tcp", r.addr, &tls.Config{ServerName: "gw.test"})
		var head tls.RecordHeaderError
		if !errors.As(err, &head) || !strings.HasPrefix(string(head.RecordHeader[:]), "HTTP/") {
			t.Errorf("the client got %v", err)
		}
		rec := r.record()
		if rec.Outcome != Invalid || rec.Status != 400 || !strings.Contains(rec.Err.Error(), "the client speaks TLS to this gateway, which has no certificate") {
			t.Errorf("record: %v %d %v", rec.Outcome, rec.Status, rec.Err)
		}
	})
}

// TestTunnelOverTLS: CONNECT inside TLS, with bytes both ways and both ends.
func TestTunnelOverTLS(t *testing.T) {
	both(t, func(t *testing.T, standard func(*Server)) {
		r := newTLSRig(t, openAll, standard)
		origin := r.accept(func(c net.Conn) {
			defer c.Close()
			b, _ := io.ReadAll(c)
			fmt.Fprintf(c, "got %s", b)
		})
		c := r.secure("http/1.1")
		// What comes behind the CONNECT at once is the tunnel's.
		fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: a\r\n\r\nearly ", origin)
		answer := make([]byte, len(established))
		if _, err := io.ReadFull(c, answer); err != nil || string(answer) != string(established) {
			t.Fatalf("%q, %v", answer, err)
		}
		fmt.Fprint(c, "and late")
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if string(got) != "got early and late" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		rec := r.record()
		if rec.Outcome != Done || rec.ClientTLS == nil || rec.Sent != 14 || rec.Received != 18 {
			t.Errorf("record: %v %v, %d and %d bytes, %v", rec.Outcome, rec.ClientTLS, rec.Sent, rec.Received, rec.Err)
		}
	})
}

// TestBrokenAnswerOverTLSHasNoEnd: an answer that is cut ends in a reset and
// without a close_notify, which would make a whole one of it.
func TestBrokenAnswerOverTLSHasNoEnd(t *testing.T) {
	both(t, func(t *testing.T, standard func(*Server)) {
		r := newTLSRig(t, openAll, standard)
		cut := make(chan struct{})
		origin := r.accept(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
			<-cut
			c.Close()
		})
		c := r.secure("http/1.1")
		fmt.Fprintf(c, "GET http://%s/ HTTP/1.0\r\nHost: a\r\n\r\n", origin)
		br := bufio.NewReader(c)
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "\r\n" {
				break
			}
		}
		if _, err := io.ReadFull(br, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		close(cut)
		if _, err := br.ReadByte(); err == nil || err == io.EOF {
			t.Errorf("the answer ended with %v", err)
		}
		if rec := r.record(); rec.Outcome != Failed {
			t.Errorf("record: %v", rec.Outcome)
		}
	})
}

// TestWholeAnswerOverTLSHasAnEnd is its counterpart: one that ends with the
// connection ends with a close_notify.
func TestWholeAnswerOverTLSHasAnEnd(t *testing.T) {
	both(t, func(t *testing.T, standard func(*Server)) {
		r := newTLSRig(t, openAll, standard)
		origin := r.accept(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			fmt.Fprint(c, "HTTP/1.0 200 OK\r\n\r\nhello")
			c.Close()
		})
		c := r.secure("http/1.1")
		fmt.Fprintf(c, "GET http://%s/ HTTP/1.0\r\nHost: a\r\n\r\n", origin)
		got, err := io.ReadAll(c) // io.ErrUnexpectedEOF without one
		if err != nil || !strings.HasSuffix(string(got), "\r\n\r\nhello") {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// TestFailedHandshakeIsTold names the client and why, and a flood of them does
// not fill the log.
func TestFailedHandshakeIsTold(t *testing.T) {
	r := newTLSRig(t, openAll)
	_, err := tls.Dial("tcp", r.addr, &tls.Config{ServerName: "gw.test"}) // trusts nobody
	if err == nil {
		t.Fatal("the client trusts the rig's certificate")
	}
	if rec := r.record(); rec.Event != "client_distrusts_gateway" || !rec.Own || rec.Hello == nil || rec.Hello.ServerName != "gw.test" ||
		!strings.Contains(rec.Err.Error(), "TLS handshake with client 127.0.0.1:") || !strings.Contains(rec.EventText, "sallyport ca root") {
		t.Errorf("%s, %+v: %v", rec.Event, rec.Hello, rec.Err)
	}
	for range 40 {
		c := r.dial(r.addr)
		_, _ = c.Write([]byte{handshakeRecord, 3, 1, 0, 5, 'h', 'e', 'l', 'l', 'o'})
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}
	if n := len(r.handed); n < 1 || n > 20 {
		t.Errorf("%d records of 40 more", n)
	}
}

// TestHandshakeHasItsTime: half a ClientHello does not stay.
func TestHandshakeHasItsTime(t *testing.T) {
	r := newTLSRig(t, openAll, func(s *Server) { s.Limits.Shake = 50 * time.Millisecond })
	c := r.dial(r.addr)
	defer c.Close()
	_, _ = c.Write([]byte{handshakeRecord, 3, 1, 2, 0, 1})
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if n, err := c.Read(make([]byte, 100)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d, %v", n, err)
	}
	if rec := r.record(); rec.Event != "client_timeout" || !strings.Contains(rec.Err.Error(), "it was not completed in time") {
		t.Errorf("%q: %v", rec.Event, rec.Err)
	}
}

// TestHandshakesGiveWay: when all places are taken, the one that has taken
// longest makes room, and whoever is quick gets in.
func TestHandshakesGiveWay(t *testing.T) {
	r := newTLSRig(t, openAll)
	origin := r.httpOrigin(false)
	slow := r.dial(r.addr)
	defer slow.Close()
	_, _ = slow.Write([]byte{handshakeRecord, 3, 1, 2, 0, 1})
	count := func() int {
		r.server.shakes.mu.Lock()
		defer r.server.shakes.mu.Unlock()
		return r.server.shakes.going.Len()
	}
	until(t, "the handshake is going on", func() bool { return count() == 1 })
	r.server.shakes.mu.Lock()
	oldest := r.server.shakes.going.Front()
	oldest.Value = shaking{oldest.Value.(shaking).c, time.Now().Add(-shakeGrace)}
	r.server.shakes.mu.Unlock()
	for range maxShakes - 1 { // nobody's, and younger
		r.server.shakes.enter(&conn{s: r.server})
	}
	c := r.secure("http/1.1")
	if res, _ := say(t, c, bufio.NewReader(c), "GET http://"+origin+"/5 HTTP/1.1\r\nHost: a\r\n\r\n"); res.StatusCode != 200 {
		t.Errorf("the quick one: %s", res.Status)
	}
	_ = slow.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := slow.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the slow one: %v", err)
	}
	rec := r.record()
	if rec.Proto != "TLS" { // the quick one's
		rec = r.record()
	}
	if rec.Event != "client_timeout" || !strings.Contains(rec.EventText, "more than 1024 TLS handshakes are going on") {
		t.Errorf("%q: %v", rec.Event, rec.Err)
	}
	r.secure("http/1.1") // too many are going on, and none has taken long
}

// TestHeadOverTLSHasItsTime: a record that comes a byte at a time does not make
// an idle connection of one that is in a head.
func TestHeadOverTLSHasItsTime(t *testing.T) {
	r := newTLSRig(t, openAll, func(s *Server) { s.Limits.HeadTime = 50 * time.Millisecond })
	raw := r.dial(r.addr)
	defer raw.Close()
	c := tls.Client(raw, r.client("http/1.1"))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	_, _ = raw.Write([]byte{23, 3, 3, 1, 0}) // a record of 256 bytes begins
	_ = raw.SetDeadline(time.Now().Add(20 * time.Second))
	for {
		if _, err := raw.Read(make([]byte, 4096)); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("it is still open")
		} else if err != nil {
			return
		}
	}
}

// TestClientGoneOverTLSIsNoticed: the origin of a request whose client has closed
// is let go, although a close_notify lies unread before the connection's end.
func TestClientGoneOverTLSIsNoticed(t *testing.T) {
	r := newTLSRig(t, "  - {name: all, from: any, to: 127.0.0.0/8, ports: any, mode: relay}\n")
	let := make(chan struct{})
	origin := r.accept(func(c net.Conn) {
		defer c.Close()
		_, _ = c.Read(make([]byte, 4096))
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
		close(let)
		_, _ = io.Copy(io.Discard, c)
	})
	c := r.secure("http/1.1")
	fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: a\r\n\r\n", origin)
	<-let
	if _, err := c.Read(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if rec := r.record(); rec.Outcome != Gone {
		t.Errorf("record: %v %v", rec.Outcome, rec.Err)
	}
}

// TestDrainOverTLS: what is idle ends in order, also in the middle of its
// handshake; what is going on is finished.
func TestDrainOverTLS(t *testing.T) {
	both(t, func(t *testing.T, standard func(*Server)) {
		r := newTLSRig(t, openAll, standard)
		asked, answer := make(chan struct{}), make(chan struct{})
		origin := r.accept(func(c net.Conn) {
			defer c.Close()
			_, _ = c.Read(make([]byte, 4096))
			close(asked)
			<-answer
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		})
		half := r.dial(r.addr)
		defer half.Close()
		_, _ = half.Write([]byte{handshakeRecord, 3, 1, 2, 0, 1})
		idle := r.secure("http/1.1") // and served already: a handshake may end on one side first
		say(t, idle, bufio.NewReader(idle), "GET http://"+r.httpOrigin(false)+"/5 HTTP/1.1\r\nHost: a\r\n\r\n")
		busy := r.secure("http/1.1")
		fmt.Fprintf(busy, "GET http://%s/ HTTP/1.1\r\nHost: a\r\n\r\n", origin)
		<-asked
		ended := make(chan error)
		go func() { ended <- r.server.Shutdown(context.Background()) }()
		if n, err := idle.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the idle one: %d, %v", n, err)
		}
		_ = half.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := half.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the half open one: %v", err)
		}
		close(answer)
		res, err := http.ReadResponse(bufio.NewReader(busy), nil)
		if err != nil || res.StatusCode != 200 || !res.Close {
			t.Errorf("the busy one: %v, %v", res, err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if log := r.log.String(); log != "" {
			t.Errorf("told: %s", log)
		}
	})
}

// TestACMEChallengeIsAllThereIs: a connection that chooses acme-tls/1 is closed
// behind its handshake (RFC 8737 §3), and has a record of its own.
func TestACMEChallengeIsAllThereIs(t *testing.T) {
	r := newTLSRig(t, openAll, func(s *Server) { s.TLS.NextProtos = []string{"acme-tls/1"} })
	c := r.secure("acme-tls/1")
	if p := c.ConnectionState().NegotiatedProtocol; p != "acme-tls/1" {
		t.Errorf("negotiated %q", p)
	}
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n")
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if rec := r.record(); !rec.Own || rec.Proto != "acme-tls/1" || rec.Outcome != Done || rec.ClientTLS == nil {
		t.Errorf("record: %+v", rec)
	}
	// Without being asked for it is not chosen.
	r = newTLSRig(t, openAll)
	if _, err := tls.Dial("tcp", r.addr, r.client("acme-tls/1")); err == nil || !strings.Contains(err.Error(), "no application protocol") {
		t.Errorf("without: %v", err)
	}
}

// TestRuleWantsClientLegTLS: a rule with client_leg: tls serves who came by TLS,
// refuses others, and a tunnel that was opened by TLS outlives a reload.
func TestRuleWantsClientLegTLS(t *testing.T) {
	both(t, func(t *testing.T, standard func(*Server)) {
		r := newTLSRig(t, "  - {name: all, from: any, to: 127.0.0.0/8, ports: any, mode: [relay, tunnel], tunnel: {tls: optional}, client_leg: tls}\n", standard)
		request := "GET http://" + r.httpOrigin(false) + "/5 HTTP/1.1\r\nHost: a\r\n\r\n"
		plain := r.dial(r.addr)
		defer plain.Close()
		if res, body := say(t, plain, bufio.NewReader(plain), request); res.StatusCode != 403 || !strings.Contains(body, "TLS") {
			t.Errorf("plain: %s %s", res.Status, body)
		}
		secure := r.secure("http/1.1")
		if res, body := say(t, secure, bufio.NewReader(secure), request); res.StatusCode != 200 {
			t.Errorf("TLS: %s %s", res.Status, body)
		}
		h := r.http2()
		if a := h.read(h.ask(true, getBy2(r.httpOrigin(false), "/5")...), nil); a.status != "200" {
			t.Errorf("HTTP/2: %+v", a)
		}
		for range 3 {
			r.record()
		}
		tunnel := r.secure("http/1.1")
		fmt.Fprintf(tunnel, "CONNECT %s HTTP/1.1\r\nHost: a\r\n\r\n", r.echo())
		if _, err := io.ReadFull(tunnel, make([]byte, len(established))); err != nil {
			t.Fatal(err)
		}
		until(t, "the tunnel is open", func() bool { return r.server.Tunnels() == 1 })
		r.server.Recheck()
		fmt.Fprint(tunnel, "still there")
		if _, err := io.ReadFull(tunnel, make([]byte, 11)); err != nil {
			t.Error(err)
		}
	})
}

// TestResumedHandshakeIsSeen in the record, and by nobody else.
func TestResumedHandshakeIsSeen(t *testing.T) {
	r := newTLSRig(t, openAll)
	request := "GET http://" + r.httpOrigin(false) + "/5 HTTP/1.1\r\nHost: a\r\n\r\n"
	cfg := r.client("http/1.1")
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i, version := range []uint16{tls.VersionTLS13, tls.VersionTLS13, tls.VersionTLS12, tls.VersionTLS12} {
		cfg.MaxVersion = version
		c, err := tls.Dial("tcp", r.addr, cfg)
		if err != nil {
			t.Fatal(err)
		}
		say(t, c, bufio.NewReader(c), request)
		c.Close()
		if s := r.record().ClientTLS; s.Version != version || s.DidResume != (i%2 == 1) {
			t.Errorf("connection %d: version %x, resumed %v", i, s.Version, s.DidResume)
		}
	}
}
