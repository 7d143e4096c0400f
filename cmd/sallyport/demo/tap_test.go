// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// A deafListener has no connections and never will.
type deafListener struct {
	net.Listener
	err error
}

func (l deafListener) Accept() (net.Conn, error) { return nil, l.err }

// TestWhatCannotBeAcceptedIsTold: a listener of our own that is out of order would
// look like a mode that refuses, after a wait of ten seconds each.
func TestWhatCannotBeAcceptedIsTold(t *testing.T) {
	out := errors.New("too many open files")
	var told error
	fail := func(err error) { told = err }
	accept(deafListener{err: out}, fail, nil)
	if !errors.Is(told, out) {
		t.Errorf("told %v", told)
	}
	told = nil
	accept(deafListener{err: net.ErrClosed}, fail, nil)
	if told != nil {
		t.Errorf("the end is told as %v", told)
	}
}

// TestTapLetsAnAnswerThrough that comes while the other side takes no more: a 413
// behind half a body has to arrive.
func TestTapLetsAnAnswerThrough(t *testing.T) {
	l, err := loopback("a test")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tap := &tap{leg: "client", to: l.Addr().String(), rec: newRecording(), fail: func(err error) { t.Error(err) }}
	if err := tap.start(); err != nil {
		t.Fatal(err)
	}
	defer tap.close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.ReadFull(c, make([]byte, 4))
		_, _ = io.WriteString(c, "enough\n")
		_ = c.(*net.TCPConn).CloseWrite()
		_ = c.(*net.TCPConn).CloseRead()
	}()
	c, err := net.Dial("tcp", tap.addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	body := strings.Repeat("b", 1<<20)
	sent := make(chan error, 1)
	go func() { _, err := io.WriteString(c, body); sent <- err }()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || line != "enough\n" {
		t.Errorf("%q, %v", line, err)
	}
	if err := <-sent; err != nil {
		t.Errorf("sending: %v", err)
	}
	f := tap.rec.Flows()[0]
	if string(f.bytes(true)) != line {
		t.Errorf("recorded was %q", f.bytes(true))
	}
}
