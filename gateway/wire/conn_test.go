// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// each runs f on a socket, which is what the package is for, and on a pipe,
// which it only buffers. A test that hangs has failed.
func each(t *testing.T, f func(t *testing.T, c *Conn, peer net.Conn)) {
	onSocket(t, f)
	t.Run("pipe", func(t *testing.T) {
		c, peer := net.Pipe()
		t.Cleanup(func() { c.Close(); peer.Close() })
		f(t, New(c), peer)
	})
}

func onSocket(t *testing.T, f func(t *testing.T, c *Conn, peer net.Conn)) {
	t.Run("socket", func(t *testing.T) {
		c, peer := sockets(t)
		f(t, New(c), peer)
	})
}

// sockets are both ends of a connection.
func sockets(tb testing.TB) (c, peer *net.TCPConn) {
	tb.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	if c, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)); err != nil {
		tb.Fatal(err)
	}
	if peer, err = l.AcceptTCP(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close(); peer.Close() })
	return c, peer
}

// say has the peer write, and reports in the end whether it could.
func say(t *testing.T, peer net.Conn, what string) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := io.WriteString(peer, what)
		done <- err
	}()
	t.Cleanup(func() {
		peer.Close()
		if err := <-done; err != nil {
			t.Errorf("the peer writes: %v", err)
		}
	})
}

// fillTo fills until n bytes are buffered.
func fillTo(t *testing.T, c *Conn, n int) {
	t.Helper()
	for len(c.Buffered()) < n {
		if err := c.Fill(); err != nil {
			t.Fatalf("with %d of %d bytes buffered: %v", len(c.Buffered()), n, err)
		}
	}
}

// TestBytesComeInOrder, whichever way they are taken: looked at and discarded,
// read from the buffer, or read past it.
func TestBytesComeInOrder(t *testing.T) {
	each(t, func(t *testing.T, c *Conn, peer net.Conn) {
		if c.Buffered() != nil {
			t.Fatal("something is buffered before anything came")
		}
		say(t, peer, "0123456789")
		fillTo(t, c, 10)
		c.Discard(3)
		if got := string(c.Buffered()); got != "3456789" {
			t.Fatalf("buffered %q", got)
		}
		b := make([]byte, 4)
		if n, err := c.Read(b); n != 4 || err != nil || string(b) != "3456" {
			t.Fatalf("read %q, %v", b[:n], err)
		}
		b = make([]byte, 10)
		if n, err := c.Read(b); n != 3 || err != nil || string(b[:n]) != "789" {
			t.Fatalf("read %q, %v; want what is buffered, without waiting for more", b[:n], err)
		}
		if c.buf != nil {
			t.Error("an empty buffer was not given back")
		}
		say(t, peer, "abc")
		if n, err := io.ReadFull(c, b[:3]); err != nil || string(b[:n]) != "abc" {
			t.Fatalf("read %q, %v", b[:n], err)
		}
	})
	onSocket(t, func(t *testing.T, c *Conn, _ net.Conn) {
		if n, err := c.Read(nil); n != 0 || err != nil { // a pipe waits for somebody to write
			t.Errorf("reading nothing: %d, %v", n, err)
		}
	})
}

// TestNoBufferIsHeldWhileWaiting: ten thousand clients that say nothing must not
// hold ten thousand buffers. BeforeRead is where the wait begins.
func TestNoBufferIsHeldWhileWaiting(t *testing.T) {
	each(t, func(t *testing.T, c *Conn, peer net.Conn) {
		for i, take := range []int{5, 2, 3} {
			held := i == 2 // of five bytes, two were taken
			waits := 0
			c.BeforeRead = func() {
				if waits++; (c.buf != nil) != held {
					t.Errorf("wait %d begins with a buffer: %v, want %v", i, c.buf != nil, held)
				}
				if waits == 1 && i < 2 {
					say(t, peer, "hello")
				}
			}
			if i < 2 {
				fillTo(t, c, 5)
			} else {
				_ = c.SetReadDeadline(time.Now().Add(-time.Second))
				if _, ok := c.sock.(plain); ok {
					c.BeforeRead()
				} else if err := c.Fill(); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("Fill: %v", err)
				}
			}
			c.Discard(take)
		}
		if c.buf != nil {
			t.Error("an empty buffer was not given back")
		}
	})
}

// TestFullBuffer takes nothing more until there is room, which may be ahead of
// what is buffered.
func TestFullBuffer(t *testing.T) {
	each(t, func(t *testing.T, c *Conn, peer net.Conn) {
		text := strings.Repeat("0123456789", Bufsize/10+2)[:Bufsize+7]
		say(t, peer, text)
		fillTo(t, c, Bufsize)
		for range 2 {
			if err := c.Fill(); err != io.ErrShortBuffer {
				t.Fatalf("Fill of a full buffer: %v", err)
			}
		}
		if string(c.Buffered()) != text[:Bufsize] {
			t.Fatal("a full buffer holds something else than was sent")
		}
		c.Discard(7)
		fillTo(t, c, Bufsize)
		if string(c.Buffered()) != text[7:Bufsize+7] {
			t.Fatal("what came into the room made is something else than was sent")
		}
	})
}

// TestEndComesBehindTheBytes, again and again, and leaves no buffer.
func TestEndComesBehindTheBytes(t *testing.T) {
	each(t, func(t *testing.T, c *Conn, peer net.Conn) {
		go func() {
			_, _ = io.WriteString(peer, "last words")
			peer.Close()
		}()
		fillTo(t, c, len("last words"))
		for range 2 {
			if err := c.Fill(); err != io.EOF || string(c.Buffered()) != "last words" {
				t.Fatalf("behind the end: %v, %q buffered", err, c.Buffered())
			}
		}
		c.Discard(len("last words"))
		if err := c.Fill(); err != io.EOF || c.buf != nil {
			t.Errorf("behind the end: %v, buffer %v", err, c.buf != nil)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("behind the end: %d, %v", n, err)
		}
	})
}

// TestTakeGivesBackWhatWasReadAhead, and only that.
func TestTakeGivesBackWhatWasReadAhead(t *testing.T) {
	each(t, func(t *testing.T, c *Conn, peer net.Conn) {
		say(t, peer, "head then the rest")
		fillTo(t, c, len("head then"))
		c.Discard(len("head "))
		under := c.NetConn()
		conn, ahead := c.Take()
		if conn != under || c.buf != nil {
			t.Errorf("Take gives %v and keeps a buffer: %v", conn, c.buf != nil)
		}
		rest := make([]byte, len("then the rest")-len(ahead))
		if _, err := io.ReadFull(conn, rest); err != nil || string(append(ahead, rest...)) != "then the rest" {
			t.Errorf("ahead and rest are %q, %v", append(ahead, rest...), err)
		}
	})
	each(t, func(t *testing.T, c *Conn, _ net.Conn) {
		if _, ahead := c.Take(); ahead != nil {
			t.Errorf("of nothing, %q was read ahead", ahead)
		}
	})
}

// TestReadAndWriteAtOnce: one goroutine each, which the race detector watches.
func TestReadAndWriteAtOnce(t *testing.T) {
	onSocket(t, func(t *testing.T, c *Conn, peer net.Conn) {
		go func() {
			_, _ = io.Copy(struct{ io.Writer }{peer}, struct{ io.Reader }{peer})
		}()
		piece := bytes.Repeat([]byte("0123456789abcdef"), 512)
		const pieces = 256
		sent := make(chan error, 1)
		go func() {
			for range pieces {
				if _, err := c.Write2(piece[:100], piece[100:]); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		for got := 0; got < pieces*len(piece); {
			if err := c.Fill(); err != nil {
				t.Fatal(err)
			}
			for b := c.Buffered(); len(b) > 0; b = c.Buffered() {
				from := got % len(piece)
				n := min(len(b), len(piece)-from)
				if !bytes.Equal(b[:n], piece[from:from+n]) {
					t.Fatalf("something else than was sent at %d", got)
				}
				c.Discard(n)
				got += n
			}
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	})
}
