// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"io"
	"net"
	"runtime"
	"testing"
)

// becomes waits for the kernel to bring what was sent.
func becomes(w *Conn, want State) (got State) {
	for got = w.State(); got == Quiet && got != want; got = w.State() {
		runtime.Gosched()
	}
	return got
}

// TestState tells what nobody reads, and takes nothing of it.
func TestState(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(c, peer *net.TCPConn)
		want State
	}{
		"nothing happens":         {func(_, _ *net.TCPConn) {}, Quiet},
		"this side speaks":        {func(c, _ *net.TCPConn) { _, _ = c.Write([]byte("x")) }, Quiet},
		"this side ends":          {func(c, _ *net.TCPConn) { _ = c.CloseWrite() }, Quiet},
		"the peer speaks":         {func(_, p *net.TCPConn) { _, _ = p.Write([]byte("x")) }, Talking},
		"the peer speaks, closes": {func(_, p *net.TCPConn) { _, _ = p.Write([]byte("x")); p.Close() }, Talking},
		"the peer half-closes":    {func(_, p *net.TCPConn) { _ = p.CloseWrite() }, Ended},
		"the peer closes":         {func(_, p *net.TCPConn) { p.Close() }, Ended},
		"the peer resets":         {func(_, p *net.TCPConn) { _ = p.SetLinger(0); p.Close() }, Broken},
		"this side has closed":    {func(c, _ *net.TCPConn) { c.Close() }, Broken},
	} {
		t.Run(name, func(t *testing.T) {
			c, peer := sockets(t)
			w := New(c)
			tt.do(c, peer)
			if got := becomes(w, tt.want); got != tt.want {
				t.Fatalf("state %d, want %d", got, tt.want)
			}
			if tt.want != Talking {
				return
			}
			if got := w.State(); got != Talking {
				t.Fatalf("at a second look %d", got)
			}
			if fillTo(t, w, 1); string(w.Buffered()) != "x" {
				t.Errorf("behind the look, %q is there", w.Buffered())
			}
		})
	}
}

// TestStateWhileSomebodyReads: the patrol looks at a connection whose own
// goroutine may wait for it.
func TestStateWhileSomebodyReads(t *testing.T) {
	c, peer := sockets(t)
	w := New(c)
	read := make(chan error, 1)
	go func() {
		for range 1000 {
			for len(w.Buffered()) == 0 {
				if err := w.Fill(); err != nil {
					read <- err
					return
				}
			}
			w.Discard(1)
		}
		read <- nil
	}()
	for range 1000 {
		if got := w.State(); got != Quiet && got != Talking {
			t.Fatalf("state %d", got)
		}
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}

// TestWhatIsBufferedDoesNotCount as something that has come.
func TestWhatIsBufferedDoesNotCount(t *testing.T) {
	c, peer := sockets(t)
	w := New(c)
	_, _ = io.WriteString(peer, "x")
	if fillTo(t, w, 1); w.State() != Quiet {
		t.Errorf("state %d", w.State())
	}
}
