// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
)

// TestAskWithAFullBuffer: an origin that sends more than fits before it was asked
// anything costs its own answer, not the gateway a panic.
func TestAskWithAFullBuffer(t *testing.T) {
	c, peer := sockets(t)
	w := New(c)
	say(t, peer, strings.Repeat("x", Bufsize+1))
	fillTo(t, w, Bufsize)
	err := w.Ask(func() error {
		_, err := w.Write([]byte("?"))
		go func() { _, _ = peer.Write([]byte("!")) }() // the edge that ends the wait
		return err
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Fill(); err != io.ErrShortBuffer {
		t.Errorf("Fill: %v", err)
	}
}

// TestResetToldToTheWriterIsToldToTheReader: the kernel tells of a reset once.
// Where the goroutine of an upload hears it, the reader of an answer that lasts
// to the end of the connection must not hear that this is its end (RFC 9112 §8).
func TestResetToldToTheWriterIsToldToTheReader(t *testing.T) {
	c, peer := sockets(t)
	w := New(c)
	_ = peer.SetLinger(0)
	peer.Close()
	var err error
	for err == nil {
		_, err = w.Write([]byte("x"))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("writing: %v", err)
	}
	if err := w.Fill(); err == io.EOF || err == nil {
		t.Errorf("the reader hears %v", err)
	}
}

// TestResetInsteadOfAnAnswer: "whatever Fill would have said, the next will".
func TestResetInsteadOfAnAnswer(t *testing.T) {
	c, peer := sockets(t)
	w := New(c)
	go func() {
		_, _ = io.ReadFull(peer, make([]byte, 1))
		_ = peer.SetLinger(0)
		peer.Close()
	}()
	if err := w.Ask(func() error { _, err := w.Write([]byte("?")); return err }, false); err != nil {
		t.Fatal(err)
	}
	if err := w.Fill(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Fill: %v", err)
	}
}

// TestLookTakesNothing, also of a reset: State says Broken again, and so does Fill.
func TestLookTakesNothing(t *testing.T) {
	c, peer := sockets(t)
	w := New(c)
	_ = peer.SetLinger(0)
	peer.Close()
	if got := becomes(w, Broken); got != Broken {
		t.Fatalf("state %d", got)
	}
	if got := w.State(); got != Broken {
		t.Errorf("at a second look %d", got)
	}
	if err := w.Fill(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Fill: %v", err)
	}
}

// TestWriteToAPipeIsOneWrite: an empty second one waits for a second reader.
func TestWriteToAPipeIsOneWrite(t *testing.T) {
	c, peer := net.Pipe()
	t.Cleanup(func() { c.Close(); peer.Close() })
	w := New(c)
	go func() {
		_, _ = peer.Read(make([]byte, 10)) // once
		_, _ = peer.Write([]byte("heard"))
	}()
	wrote := make(chan error, 1)
	go func() {
		_, err := w.Write([]byte("x"))
		wrote <- err
	}()
	fillTo(t, w, len("heard"))
	select {
	case err := <-wrote:
		if err != nil {
			t.Error(err)
		}
	default:
		// the answer may be here before the writer runs on: let it, or find it stuck
		peer.Close()
		if err := <-wrote; err != nil {
			t.Errorf("writing: %v", err)
		}
	}
}
