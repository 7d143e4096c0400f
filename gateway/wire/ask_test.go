// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

// echo answers each byte by itself.
func echo(peer net.Conn) {
	b := make([]byte, 1)
	for {
		if _, err := io.ReadFull(peer, b); err != nil {
			return
		}
		if _, err := peer.Write(b); err != nil {
			return
		}
	}
}

// TestAnswerThatComesAtOnceIsNotLost: the poller is edge-triggered, and the
// answer may be there before Ask begins to wait for it.
func TestAnswerThatComesAtOnceIsNotLost(t *testing.T) {
	onSocket(t, func(t *testing.T, c *Conn, peer net.Conn) {
		go echo(peer)
		for i := range 10_000 {
			question := []byte{byte(i)}
			if err := c.Ask(func() error { _, err := c.Write(question); return err }, false); err != nil {
				t.Fatal(err)
			}
			fillTo(t, c, 1)
			if b := c.Buffered(); len(b) != 1 || b[0] != question[0] {
				t.Fatalf("asked %v, answered %v", question, b)
			}
			c.Discard(1)
		}
	})
}

// TestAnswerInsideTheQuestion: whoever asks lets the answer come before saying
// has ended.
func TestAnswerInsideTheQuestion(t *testing.T) {
	c, peer := sockets(t)
	w := New(c)
	come := make(chan struct{})
	go func() {
		_, _ = io.ReadFull(peer, make([]byte, 1))
		_, _ = peer.Write([]byte("answer"))
		close(come)
	}()
	err := w.Ask(func() error {
		_, err := w.Write([]byte("?"))
		<-come
		return err
	}, false)
	if fillTo(t, w, len("answer")); err != nil || string(w.Buffered()) != "answer" {
		t.Errorf("%q, %v", w.Buffered(), err)
	}
}

func TestAnswerInTwoPieces(t *testing.T) {
	onSocket(t, func(t *testing.T, c *Conn, peer net.Conn) {
		more := make(chan struct{})
		go func() {
			_, _ = io.ReadFull(peer, make([]byte, 1))
			_, _ = peer.Write([]byte("first "))
			<-more
			_, _ = peer.Write([]byte("second"))
		}()
		if err := c.Ask(func() error { _, err := c.Write([]byte("?")); return err }, false); err != nil {
			t.Fatal(err)
		}
		fillTo(t, c, len("first "))
		close(more)
		if fillTo(t, c, len("first second")); string(c.Buffered()) != "first second" {
			t.Errorf("answered %q", c.Buffered())
		}
	})
}

// TestAskBehindWhatIsBuffered adds the answer to it.
func TestAskBehindWhatIsBuffered(t *testing.T) {
	onSocket(t, func(t *testing.T, c *Conn, peer net.Conn) {
		say(t, peer, "unasked ")
		fillTo(t, c, len("unasked "))
		go echo(peer)
		if err := c.Ask(func() error { _, err := c.Write([]byte("!")); return err }, false); err != nil {
			t.Fatal(err)
		}
		if fillTo(t, c, len("unasked !")); string(c.Buffered()) != "unasked !" {
			t.Errorf("buffered %q", c.Buffered())
		}
	})
}

// TestPeerThatEndsInsteadOfAnAnswer: Ask has asked; the next Fill says it.
func TestPeerThatEndsInsteadOfAnAnswer(t *testing.T) {
	onSocket(t, func(t *testing.T, c *Conn, peer net.Conn) {
		go func() {
			_, _ = io.ReadFull(peer, make([]byte, 1))
			peer.Close()
		}()
		if err := c.Ask(func() error { _, err := c.Write([]byte("?")); return err }, false); err != nil {
			t.Fatal(err)
		}
		if err := c.Fill(); err != io.EOF || c.buf != nil {
			t.Errorf("Fill: %v, buffer %v", err, c.buf != nil)
		}
	})
}

// TestErrorOfTheQuestionIsAsks, and nothing is waited for.
func TestErrorOfTheQuestionIsAsks(t *testing.T) {
	each(t, func(t *testing.T, c *Conn, _ net.Conn) {
		speechless := errors.New("speechless")
		if err := c.Ask(func() error { return speechless }, false); err != speechless || c.buf != nil {
			t.Errorf("Ask: %v, buffer %v", err, c.buf != nil)
		}
	})
}

// TestNothingIsAskedWhereNothingCanBeHeard: what was not said can be said again
// on another connection. A pipe is not asked that.
func TestNothingIsAskedWhereNothingCanBeHeard(t *testing.T) {
	for name, spoil := range map[string]struct {
		f    func(*Conn)
		want error
	}{
		"deadline": {func(c *Conn) { _ = c.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"closed":   {func(c *Conn) { c.Close() }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := sockets(t)
			w := New(c)
			if _, ok := w.sock.(plain); ok {
				t.Skip("a plain connection asks and then reads")
			}
			spoil.f(w)
			said := false
			if err := w.Ask(func() error { said = true; return nil }, false); said || !errors.Is(err, spoil.want) {
				t.Errorf("said %v, %v", said, err)
			}
			_ = w.SetReadDeadline(time.Time{})
			if err := w.Ask(func() error { said = true; return io.ErrNoProgress }, false); name == "deadline" && (!said || err != io.ErrNoProgress) {
				t.Errorf("the next: said %v, %v", said, err)
			}
		})
	}
}

// TestNothingIsAskedOfWhoHasSpoken: what came after the last look at a kept
// connection would be an answer to the next question, and its edge would be lost.
func TestNothingIsAskedOfWhoHasSpoken(t *testing.T) {
	for _, speak := range []func(net.Conn) error{
		func(peer net.Conn) error { _, err := peer.Write([]byte("unasked")); return err },
		func(peer net.Conn) error { return peer.(*net.TCPConn).CloseWrite() },
		net.Conn.Close,
	} {
		onSocket(t, func(t *testing.T, c *Conn, peer net.Conn) {
			if err := speak(peer); err != nil {
				t.Fatal(err)
			}
			for c.State() == Quiet {
				runtime.Gosched()
			}
			asked := false
			if err := c.Ask(func() error { asked = true; return nil }, true); err != ErrSpoke || asked {
				t.Errorf("asked %v, %v", asked, err)
			}
		})
	}
}
