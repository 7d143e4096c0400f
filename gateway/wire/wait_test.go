// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// waits are the calls that wait for a peer that does nothing.
var waits = map[string]func(c *Conn) error{
	"Fill": func(c *Conn) error { return c.Fill() },
	"Read": func(c *Conn) error { _, err := c.Read(make([]byte, 10)); return err },
	"Write": func(c *Conn) error {
		_, err := c.Write(make([]byte, 64<<20))
		return err
	},
	"Write2": func(c *Conn) error {
		_, err := c.Write2(make([]byte, 32<<20), make([]byte, 32<<20))
		return err
	},
	"Ask": func(c *Conn) error {
		err := c.Ask(func() error {
			if c.BeforeRead != nil { // Ask calls it no earlier than for a second wait
				c.BeforeRead()
			}
			return nil
		}, false)
		if err != nil {
			return err
		}
		return c.Fill() // which says what Ask may not have said
	},
}

// TestDeadlineEndsAWait, one that has passed before as one that is moved there
// by another goroutine meanwhile, and the connection can be used after it.
func TestDeadlineEndsAWait(t *testing.T) {
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, c *Conn, peer net.Conn) {
				_ = c.SetDeadline(time.Unix(1, 0))
				if err := wait(c); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("after the deadline: %v", err)
				}
				_ = c.SetDeadline(time.Time{})
				ended := interrupt(c, wait, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
				var network net.Error
				if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &network) || !network.Timeout() {
					t.Fatalf("a deadline set while waiting: %v", err)
				}
				_ = c.SetDeadline(time.Time{})
				say(t, peer, "still there")
				c.BeforeRead = nil
				fillTo(t, c, len("still there"))
			})
		})
	}
}

// TestCloseEndsAWait of another goroutine.
func TestCloseEndsAWait(t *testing.T) {
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, c *Conn, _ net.Conn) {
				ended := interrupt(c, wait, func() { c.Close() })
				if err := <-ended; !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
					t.Fatalf("closed while waiting: %v", err)
				}
				if err := wait(c); !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
					t.Fatalf("closed before: %v", err)
				}
				if c.buf != nil {
					t.Error("a buffer is kept")
				}
			})
		})
	}
}

// interrupt runs wait, and then from another goroutine, when it waits.
func interrupt(c *Conn, wait func(*Conn) error, then func()) <-chan error {
	begun := make(chan struct{}, 1)
	begin := func() {
		select {
		case begun <- struct{}{}:
		default:
		}
	}
	c.BeforeRead, c.BeforeWrite = begin, begin
	ended := make(chan error, 1)
	go func() { ended <- wait(c) }()
	go func() {
		<-begun
		then()
	}()
	return ended
}

// TestResetIsNoEnd: an answer that lasts to the end of the connection must not
// be taken for a whole one (RFC 9112 §8).
func TestResetIsNoEnd(t *testing.T) {
	for _, read := range []string{"Fill", "Read"} {
		t.Run(read, func(t *testing.T) {
			c, peer := sockets(t)
			w := New(c)
			_, _ = io.WriteString(peer, "hello")
			fillTo(t, w, 5)
			w.Discard(5)
			_ = peer.SetLinger(0)
			peer.Close()
			err := waits[read](w)
			var op *net.OpError
			if !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &op) || op.Op != "read" || op.Timeout() {
				t.Errorf("reading ends in %v", err)
			}
			if w.buf != nil {
				t.Error("a buffer is kept")
			}
		})
	}
}

// TestWriteToNobody ends, in an error that says so, and in no signal.
func TestWriteToNobody(t *testing.T) {
	c, peer := sockets(t)
	w := New(c)
	_ = peer.SetLinger(0)
	peer.Close()
	var err error
	for err == nil {
		_, err = w.Write([]byte("x"))
	}
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("writing ends in %v", err)
	}
}

// TestWritesAreWhole around what one system call is given, to a reader with
// little room that takes little at a time.
func TestWritesAreWhole(t *testing.T) {
	const most = 128 << 10
	sizes := []int{0, 1, most - 1, most, most + 1, 2*most + 1}
	text := bytes.Repeat([]byte("0123456789abcdefghi"), (2*most+1)/19+1)
	for _, first := range sizes {
		for _, second := range sizes {
			t.Run(strconv.Itoa(first)+"+"+strconv.Itoa(second), func(t *testing.T) {
				onSocket(t, func(t *testing.T, c *Conn, peer net.Conn) {
					if tcp, ok := c.NetConn().(*net.TCPConn); ok {
						_ = tcp.SetWriteBuffer(32 << 10)
					}
					a, b := text[:first], text[len(text)-second:]
					wrote := make(chan int, 1)
					go func() {
						n, err := c.Write2(a, b)
						if err != nil {
							n = -1
						}
						wrote <- n
						c.Close()
					}()
					got := make([]byte, 0, first+second)
					piece := make([]byte, 3000)
					for {
						n, err := peer.Read(piece)
						got = append(got, piece[:n]...)
						if err != nil {
							break
						}
					}
					if n := <-wrote; n != first+second || !bytes.Equal(got, append(a[:first:first], b...)) {
						t.Errorf("wrote %d, %d arrived, as sent: %v", n, len(got), bytes.Equal(got, append(a[:first:first], b...)))
					}
				})
			})
		}
	}
}

// TestInterruptedWriteTellsHowMuchWent.
func TestInterruptedWriteTellsHowMuchWent(t *testing.T) {
	c, peer := sockets(t)
	w := New(c)
	w.BeforeWrite = func() { _ = c.SetWriteDeadline(time.Unix(1, 0)) }
	n, err := w.Write2(make([]byte, 1000), make([]byte, 64<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("with nobody reading: %v", err)
	}
	c.Close()
	if got, err := io.Copy(io.Discard, peer); got != int64(n) || err != nil {
		t.Errorf("%d bytes arrived, %v; Write2 told of %d", got, err, n)
	}
}
