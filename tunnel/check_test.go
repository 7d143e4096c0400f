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
// TestTLSAtOneEnd splices a *tls.Conn, as a WebSocket to an https origin does.
