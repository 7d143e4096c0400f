// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// wantName is the Check of most tests: the name must be name.
func wantName(name string) func(Hello, error) error {
	return func(h Hello, err error) error {
		if err != nil {
			return err
		}
		if h.ServerName != name {
			return fmt.Errorf("%w: %q, not %q", ErrName, h.ServerName, name)
		}
		return nil
	}
}

// nothing reads the end of c before anything else.
func nothing(t testing.TB, c net.Conn) {
	t.Helper()
	if b, err := io.ReadAll(c); len(b) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %q, %v", b, err)
	}
}

// TestCheckAgrees: the hello arrives at the origin as it was sent, whatever
// pieces it came in, and is reported.
func TestCheckAgrees(t *testing.T) {
	hello := helloOf(t, &tls.Config{ServerName: "origin.example", NextProtos: []string{"h2"}})
	for _, early := range []int{0, 1, 3, 700, len(hello)} {
		r := newRig(t)
		calls := 0
		r.tunnel.ClientFirst = true
		r.tunnel.Early = bytes.Clone(hello[:early])
		r.tunnel.Check = func(h Hello, err error) error {
			calls++
			return wantName("origin.example")(h, err)
		}
		r.start()
		for _, b := range hello[early:] { // a segment each: TCP_NODELAY is on
			write(t, r.client, string([]byte{b}))
		}
		expect(t, r.origin, string(hello))
		write(t, r.origin, "answer")
		expect(t, r.client, "answer")
		r.client.CloseWrite()
		r.origin.CloseWrite()
		res, err := r.wait()
		if err != nil || res.Reason != ReasonEnd || calls != 1 {
			t.Errorf("%d early: %q, %v, %d calls", early, res.Reason, err, calls)
		}
		if res.Hello == nil || res.Hello.ServerName != "origin.example" || res.Hello.ALPN[0] != "h2" {
			t.Errorf("%d early: %+v", early, res.Hello)
		}
		checkCounts(t, res, int64(len(hello)), 6)
	}
}

// TestRefusals: a refused client is told so in TLS where it speaks TLS, and
// the origin hears nothing.
func TestRefusals(t *testing.T) {
	other := errors.New("not today")
	hello := string(helloOf(t, &tls.Config{ServerName: "other.example"}))
	alert := func(code byte) string { return string([]byte{21, 3, 3, 0, 2, 2, code}) }
	tests := []struct {
		name   string
		sent   string
		end    bool // the client ends there
		refuse error
		is     error // what Check was given
		reply  string
	}{
		{"wrong name", hello, false, fmt.Errorf("%w: other.example", ErrName), nil, alert(112)},
		{"anything else", hello, false, other, nil, alert(49)},
		{"unreadable", "\x16\x03\x01\x00\x00", false, other, ErrHello, alert(50)},
		{"cut short", hello[:100], true, other, io.ErrUnexpectedEOF, alert(50)},
		{"not TLS", "GET / HTTP/1.1\r\n", false, other, ErrNotTLS, ""},
	}
	for _, tt := range tests {
		for _, clientFirst := range []bool{true, false} {
			r := newRig(t)
			r.tunnel.ClientFirst = clientFirst
			r.tunnel.Check = func(h Hello, err error) error {
				if !errors.Is(err, tt.is) || (err == nil) != (h.ServerName == "other.example") {
					t.Errorf("%s: Check was given %+v, %v", tt.name, h, err)
				}
				return tt.refuse
			}
			r.start()
			write(t, r.client, tt.sent)
			if tt.end {
				r.client.CloseWrite()
			}
			expect(t, r.client, tt.reply)
			receive(t, r.client, nil) // an ordinary end, so that the alert is not lost
			nothing(t, r.origin)
			r.client.Close()
			res, err := r.wait()
			if !errors.Is(err, tt.refuse) || res.Reason != ReasonRefused {
				t.Errorf("%s: %q, %v", tt.name, res.Reason, err)
			}
			checkCounts(t, res, 0, 0)
		}
	}
}

// TestRefusalIsNotLost: a client that goes on sending still gets its alert,
// and cannot keep the tunnel by not leaving.
func TestRefusalIsNotLost(t *testing.T) {
	hello := helloOf(t, &tls.Config{ServerName: "other.example"})
	r := newRig(t)
	r.tunnel.ClientFirst = true
	r.tunnel.Check = wantName("origin.example")
	r.start()
	write(t, r.client, string(hello)+strings.Repeat("early data ", 1000))
	expect(t, r.client, string([]byte{21, 3, 3, 0, 2, 2, alertUnrecognizedName}))
	receive(t, r.client, nil)
	if _, err := r.wait(); !errors.Is(err, ErrName) { // r.client is still open
		t.Error(err)
	}
}

// TestRefusalInWords: what real clients make of it.
func TestRefusalInWords(t *testing.T) {
	start := func(refuse error) *rig {
		r := newRig(t)
		r.tunnel.ClientFirst = true
		r.tunnel.Check = func(Hello, error) error { return refuse }
		return r.start()
	}
	for refuse, want := range map[error]string{ErrName: "unrecognized name", io.ErrNoProgress: "access denied"} {
		r := start(refuse)
		err := tls.Client(r.client, &tls.Config{ServerName: "a.example"}).Handshake()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("crypto/tls: %v, want %s", err, want)
		}
		r.client.Close()
		r.wait()
	}

	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cmd := exec.Command(openssl, "s_client", "-connect", ln.Addr().String(), "-servername", "a.example")
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	origin, _ := tcpPair(t)
	tun := Tunnel{Client: c, Origin: origin, ClientFirst: true, Check: func(Hello, error) error { return ErrName }}
	if _, err := tun.Run(t.Context()); !errors.Is(err, ErrName) {
		t.Error(err)
	}
	_ = cmd.Wait() // it fails, which is the point
	if !strings.Contains(out.String(), "alert unrecognized name") && !strings.Contains(out.String(), "alert number 112") {
		t.Errorf("openssl: %s", out.String())
	}
}

// TestClientFirst holds the origin's banner back until Check has agreed, for
// as long as the client is silent, and for good when it is refused.
func TestClientFirst(t *testing.T) {
	for _, agree := range []bool{true, false} {
		r := newRig(t)
		asked, answer := make(chan struct{}), make(chan error)
		r.tunnel.ClientFirst = true
		r.tunnel.Check = func(Hello, error) error {
			close(asked)
			return <-answer
		}
		r.start()
		write(t, r.origin, "banner")
		write(t, r.client, "hello")
		<-asked
		if b := buffered(t, r.client); b != 0 {
			t.Errorf("%d bytes reached the client before Check had agreed", b)
		}
		if b := buffered(t, r.origin); b != 0 {
			t.Errorf("%d bytes reached the origin before Check had agreed", b)
		}
		if agree {
			answer <- nil
			expect(t, r.client, "banner")
			expect(t, r.origin, "hello")
		} else {
			answer <- errors.New("no")
			nothing(t, r.client)
			nothing(t, r.origin)
		}
		r.client.Close()
		r.origin.Close()
		r.wait()
	}
}

// TestOriginFirst: without ClientFirst a server that speaks first, as SSH's
// does, is heard at once, and Check still sees what the client says.
func TestOriginFirst(t *testing.T) {
	r := newRig(t)
	var given error
	r.tunnel.Check = func(_ Hello, err error) error {
		given = err
		return nil
	}
	r.start()
	write(t, r.origin, "SSH-2.0-origin\r\n")
	expect(t, r.client, "SSH-2.0-origin\r\n")
	write(t, r.client, "SSH-2.0-client\r\n")
	expect(t, r.origin, "SSH-2.0-client\r\n")
	send(t, r.client, nil)
	send(t, r.origin, nil)
	res, err := r.wait()
	if err != nil || given != ErrNotTLS || res.Hello != nil {
		t.Errorf("%v, Check was given %v, %+v", err, given, res.Hello)
	}
	checkCounts(t, res, 16, 16)
}

// TestNoAlertIntoAConversation: once the origin has spoken, an alert would be
// taken for its words.
func TestNoAlertIntoAConversation(t *testing.T) {
	hello := helloOf(t, &tls.Config{ServerName: "other.example"})
	r := newRig(t)
	r.tunnel.Check = wantName("origin.example")
	r.start()
	write(t, r.origin, "220 ready\r\n")
	expect(t, r.client, "220 ready\r\n")
	write(t, r.client, string(hello))
	receive(t, r.client, nil)
	nothing(t, r.origin)
	r.client.Close()
	res, err := r.wait()
	if !errors.Is(err, ErrName) {
		t.Error(err)
	}
	checkCounts(t, res, 0, 11)
}

// TestSilentClient: one that closes without a word is not Check's business.
func TestSilentClient(t *testing.T) {
	for _, clientFirst := range []bool{true, false} {
		r := newRig(t)
		r.tunnel.ClientFirst = clientFirst
		r.tunnel.Check = func(Hello, error) error { t.Error("Check was called"); return nil }
		r.start()
		r.client.CloseWrite()
		if clientFirst {
			receive(t, r.origin, nil)
			receive(t, r.client, nil)
		} else {
			receive(t, r.origin, nil)
			send(t, r.origin, []byte("banner"))
			receive(t, r.client, []byte("banner"))
		}
		if res, err := r.wait(); err != nil || res.Reason != ReasonEnd {
			t.Errorf("%q, %v", res.Reason, err)
		}
	}
}

// TestTLSThroughTunnel: two real ends, and nothing in between that shows.
func TestTLSThroughTunnel(t *testing.T) {
	cert := selfSigned(t, "origin.example")
	r := newRig(t)
	r.tunnel.ClientFirst = true
	r.tunnel.Check = wantName("origin.example")
	r.start()
	down := noise(5 << 20)
	served := make(chan struct{})
	go func() {
		defer close(served)
		s := tls.Server(r.origin, &tls.Config{Certificates: []tls.Certificate{cert}})
		if _, err := io.ReadAll(s); err != nil { // until close_notify
			t.Error(err)
		}
		s.Write(down)
		s.Close()
	}()
	c := tls.Client(r.client, &tls.Config{ServerName: "origin.example", RootCAs: poolOf(cert)})
	write(t, c, "GET")
	c.CloseWrite()
	receive(t, c, down)
	c.Close()
	<-served
	if _, err := r.wait(); err != nil {
		t.Error(err)
	}
}

// TestTLSAtOneEnd splices a *tls.Conn, as a WebSocket to an https origin does.
func TestTLSAtOneEnd(t *testing.T) {
	cert := selfSigned(t, "origin.example")
	handshaken := func(r *rig) (near, far *tls.Conn) {
		far = tls.Server(r.origin, &tls.Config{Certificates: []tls.Certificate{cert}})
		near = tls.Client(r.tunnel.Origin, &tls.Config{ServerName: "origin.example", RootCAs: poolOf(cert)})
		done := make(chan error)
		go func() { done <- far.Handshake() }()
		if err := errors.Join(near.Handshake(), <-done); err != nil {
			t.Fatal(err)
		}
		r.tunnel.Origin = near
		return near, far
	}
	up, down := noise(3<<20), noise(4<<20)

	r := newRig(t)
	_, far := handshaken(r)
	r.start()
	go send(t, r.client, up)
	receive(t, far, up)
	go func() {
		far.Write(down)
		far.CloseWrite()
	}()
	receive(t, r.client, down)
	res, err := r.wait()
	if err != nil {
		t.Error(err)
	}
	checkCounts(t, res, int64(len(up)), int64(len(down)))

	// An end in the middle of a record is a cut (RFC 8446 §6.1; between records
	// crypto/tls takes it for an end).
	r = newRig(t)
	_, far = handshaken(r)
	r.start()
	write(t, far, "half a mess")
	expect(t, r.client, "half a mess")
	write(t, r.origin, "\x17\x03\x03\x00\x50age")
	r.origin.Close()
	if _, err := r.client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client read %v, want a reset", err)
	}
	if res, err := r.wait(); !errors.Is(err, io.ErrUnexpectedEOF) || res.Reason != ReasonOrigin {
		t.Errorf("%q, %v", res.Reason, err)
	}

	// And a cut on the client's side must not become a close_notify.
	r = newRig(t)
	_, far = handshaken(r)
	r.start()
	write(t, r.client, "half a mess")
	expect(t, far, "half a mess")
	r.client.SetLinger(0)
	r.client.Close()
	if _, err := far.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("the origin read %v", err)
	}
	r.wait()
}
