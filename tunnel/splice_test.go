// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// noise returns n bytes that do not repeat.
func noise(n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = src.Read(b)
	return b
}

// send writes b and ends that direction.
func send(t testing.TB, c *net.TCPConn, b []byte) {
	if _, err := c.Write(b); err != nil {
		t.Errorf("writing: %v", err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Errorf("ending: %v", err)
	}
}

// receive reads to the end and compares with want by hash.
func receive(t testing.TB, c io.Reader, want []byte) {
	t.Helper()
	h := sha256.New()
	n, err := io.Copy(h, c)
	if err != nil {
		t.Errorf("after %d bytes: %v", n, err)
	}
	if sum := sha256.Sum256(want); n != int64(len(want)) || !bytes.Equal(h.Sum(nil), sum[:]) {
		t.Errorf("read %d bytes, want other %d", n, len(want))
	}
}

// expect reads exactly want.
func expect(t testing.TB, c io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %.100q (%d bytes), %v, want %.100q (%d)", got[:n], n, err, want, len(want))
	}
}

func write(t testing.TB, c io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

// fill writes until nothing is taken any more, or n bytes are.
func fill(c *net.TCPConn, n int) (wrote int) {
	defer c.SetWriteDeadline(time.Time{})
	chunk := make([]byte, 1<<20)
	for wrote < n {
		c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		m, err := c.Write(chunk)
		if wrote += m; err != nil && m == 0 {
			break
		}
	}
	return wrote
}

func checkCounts(t testing.TB, r Result, sent, received int64) {
	t.Helper()
	if r.Sent != sent || r.Received != received {
		t.Errorf("counted %d sent and %d received, want %d and %d", r.Sent, r.Received, sent, received)
	}
}

// TestHalfClose: the end of one direction is passed on and leaves the other
// alone, whichever comes first.
func TestHalfClose(t *testing.T) {
	big := noise(1 << 20)
	for _, clientFirst := range []bool{true, false} {
		r := newRig(t).start()
		first, last := r.client, r.origin
		if !clientFirst {
			first, last = last, first
		}
		send(t, first, []byte("request"))
		receive(t, last, []byte("request")) // sees the end
		go send(t, last, big)
		receive(t, first, big)
		res, err := r.wait()
		if err != nil || res.Reason != ReasonEnd {
			t.Errorf("client first %t: ended with %q, %v", clientFirst, res.Reason, err)
		}
		if clientFirst {
			checkCounts(t, res, 7, 1<<20)
		} else {
			checkCounts(t, res, 1<<20, 7)
		}
	}
}

// TestBulkBothWays moves 64 MiB each way at once.
func TestBulkBothWays(t *testing.T) {
	newRig(t).start().bothWays(noise(64<<20), noise(64<<20+1))
}

// bothWays moves up and down at once through a rig that runs, to its end.
func (r *rig) bothWays(up, down []byte) {
	r.t.Helper()
	go send(r.t, r.client, up)
	go send(r.t, r.origin, down)
	got := make(chan struct{})
	go func() {
		defer close(got)
		receive(r.t, r.origin, up)
	}()
	receive(r.t, r.client, down)
	<-got
	res, err := r.wait()
	if err != nil {
		r.t.Error(err)
	}
	checkCounts(r.t, res, int64(len(up)), int64(len(down)))
}

func TestEarlyBytesGoFirst(t *testing.T) {
	r := newRig(t)
	early := noise(300 << 10) // more than one write's worth
	r.tunnel.Early = early
	r.start()
	go send(t, r.client, []byte("later"))
	receive(t, r.origin, append(bytes.Clone(early), "later"...))
	r.origin.CloseWrite()
	res, err := r.wait()
	if err != nil {
		t.Error(err)
	}
	checkCounts(t, res, int64(len(early))+5, 0)
}

// TestBackPressure: a reader that does not read stops the writer; the tunnel
// does not store what it carries.
func TestBackPressure(t *testing.T) {
	r := newRig(t)
	// Small buffers in the kernel, so that what lies in them cannot pass for
	// what a storing tunnel would take.
	for _, c := range []*net.TCPConn{r.client, r.origin, r.tunnel.Client.(*net.TCPConn), r.tunnel.Origin.(*net.TCPConn)} {
		c.SetReadBuffer(64 << 10)
		c.SetWriteBuffer(64 << 10)
	}
	r.start()
	wrote := fill(r.origin, 64<<20)
	if wrote >= 64<<20 {
		t.Fatal("64 MiB were taken from the origin while the client read nothing")
	}
	r.origin.CloseWrite()
	if n, err := io.Copy(io.Discard, r.client); err != nil || n != int64(wrote) {
		t.Errorf("the client read %d bytes, %v; the origin wrote %d", n, err, wrote)
	}
	r.client.CloseWrite()
	if res, err := r.wait(); err != nil || res.Received != int64(wrote) {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestReset: a side that resets is a cut stream on the other side as well,
// never an ordinary end.
// TestResetDuringUpload: both directions of the tunnel learn of the reset at
// once, one by a write and one by a read, and only the first gets to know it
// as a reset. Whoever that is, the client must not see an ordinary end.
// TestEarlyAnswer: an origin that answers an upload before it has read it and
// closes makes the tunnel's writes fail. The answer still arrives whole.
// TestContextEndsBlockedWrites: an end from outside also reaches directions
// that wait for a reader.
// TestMaxBytesReached: a tunnel that carries exactly what it may ends in order.
func TestMissingEnd(t *testing.T) {
	near, far := tcpPair(t)
	if _, err := (&Tunnel{Client: near}).Run(t.Context()); err == nil {
		t.Error("ran with one end")
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the end that was there is open: %v", err)
	}
}

// TestLimitsOfTime runs in synctest's clock, over pipes.
// TestHelloInTime: what follows an accepted first message is no longer
// measured by HelloTimeout.
// TestPlainConnections: the same over connections that are no sockets, where
// there is no half-close and the end of one side is the end.
func TestPlainConnections(t *testing.T) {
	client, near := net.Pipe()
	far, origin := net.Pipe()
	type counts struct {
		sent, received int64
		err            error
	}
	done := make(chan counts)
	go func() {
		s, r, err := Splice(t.Context(), near, far, 0)
		done <- counts{s, r, err}
	}()
	down := noise(1 << 20)
	go func() {
		origin.Write(down)
		origin.Close()
	}()
	receive(t, client, down)
	if c := <-done; c != (counts{0, 1 << 20, nil}) {
		t.Errorf("%+v", c)
	}
	if _, err := client.Write([]byte{1}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the client's connection is open: %v", err)
	}
}

// stubborn is a connection that takes deadlines without keeping them.
// refusing is one that does not take them.
// TestDeadlinesThatAreNone: an end from outside reaches connections of all
// kinds, if not at once.
// TestOverBeforeItBegan: a context that has ended already.
// half-closing is not for everybody: CloseWrite may exist and say so.
type oneWay struct{ net.Conn }

func (oneWay) CloseWrite() error { return errors.ErrUnsupported }

func TestCloseWriteUnsupported(t *testing.T) {
	r := newRig(t)
	r.tunnel.Origin = oneWay{r.tunnel.Origin}
	r.start()
	send(t, r.client, []byte("bye"))
	expect(t, r.origin, "bye")
	receive(t, r.origin, nil)
	receive(t, r.client, nil)
	if res, err := r.wait(); err != nil || res.Reason != ReasonEnd {
		t.Errorf("%q, %v", res.Reason, err)
	}
}
