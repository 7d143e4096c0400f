// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bareRig is a rig whose tunnel has dialed its origin itself.
func bareRig(t testing.TB) (*rig, *bare) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	to := ln.Addr().(*net.TCPAddr).AddrPort()
	c, err := (&Dialer{Permit: ban().permit}).DialOrigin(t.Context(), to.Addr().String(), to.Port(), nil)
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	r.origin.Close()
	r.tunnel.Origin.Close()
	r.origin, r.tunnel.Origin = far.(*net.TCPConn), c
	far.SetDeadline(time.Now().Add(deadline))
	t.Cleanup(func() { far.Close() })
	return r, c.(*bare)
}

// hidden is a connection that nobody can tell to be TCP.
type hidden struct{ net.Conn }

// TestBareOrigin: a tunnel takes the descriptor as it is, whether its loop knows
// it or not, and a passage can live with it, too.
func TestBareOrigin(t *testing.T) {
	for _, tt := range []struct {
		name   string
		awaits bool
		hides  bool
	}{{name: "pair"}, {name: "pair, awaited", awaits: true}, {name: "passage", hides: true}, {name: "passage, awaited", awaits: true, hides: true}} {
		t.Run(tt.name, func(t *testing.T) {
			for _, ending := range []string{"order", "cut", "reset"} {
				r, b := bareRig(t)
				if tt.awaits {
					if err := b.await(t.Context(), time.Now().Add(deadline)); err != nil {
						t.Fatal(err)
					}
				}
				if tt.hides {
					r.tunnel.Client = hidden{r.tunnel.Client}
				}
				running := r.begin()
				if _, ok := running.(*pair); ok == tt.hides {
					t.Fatalf("it runs as a %T", running)
				}
				write(t, r.client, "ping")
				expect(t, r.origin, "ping")
				write(t, r.origin, "pong")
				expect(t, r.client, "pong")
				var want error
				switch ending {
				case "order":
					r.origin.CloseWrite()
					if b, err := io.ReadAll(r.client); err != nil || len(b) > 0 {
						t.Errorf("the client read %q, %v", b, err)
					}
					r.client.Close()
				case "cut":
					running.Cut(errCut)
					want = errCut
					if _, err := r.origin.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
						t.Errorf("the origin read %v", err)
					}
				case "reset":
					r.origin.SetLinger(0)
					r.origin.Close()
					want = syscall.ECONNRESET
				}
				if _, err := r.wait(); !errors.Is(err, want) {
					t.Errorf("%s: %v", ending, err)
				}
				if err := b.Close(); err == nil {
					t.Errorf("%s: it was left open", ending)
				}
			}
		})
	}
}

// TestBareHalfClose: both ends of both kinds of tunnel.
func TestBareHalfClose(t *testing.T) {
	up, down := noise(3<<20), noise(3<<20+1)
	r, _ := bareRig(t)
	r.start().bothWays(up, down)
	r, _ = bareRig(t)
	r.tunnel.Client = unfinished{hidden{r.tunnel.Client}}
	r.start().bothWays(up, down)
}

// unfinished can still say that it is done.
type unfinished struct{ hidden }

func (u unfinished) CloseWrite() error { return u.Conn.(*net.TCPConn).CloseWrite() }

// TestBareConn: it is what net.Conn promises.
func TestBareConn(t *testing.T) {
	r, b := bareRig(t)
	if got, want := b.RemoteAddr().String(), r.origin.LocalAddr().String(); got != want {
		t.Errorf("remote %s, want %s", got, want)
	}
	if got, want := b.LocalAddr().String(), r.origin.RemoteAddr().String(); got != want {
		t.Errorf("local %s, want %s", got, want)
	}
	if err := b.SetReadDeadline(past); err != nil {
		t.Fatal(err)
	}
	var ne net.Error
	if _, err := b.Read(make([]byte, 1)); !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("read after the deadline: %v", err)
	}
	for _, sec := range []int{0, -1} { // taken back
		if err := b.SetLinger(sec); err != nil {
			t.Error(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.origin.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the origin read %v", err)
	}
	unused := &bare{fd: -1}
	if _, err := unused.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("writing to nothing: %v", err)
	}
}

// TestConnectTakesItsTime: an origin whose queue is full does not answer. The
// dial waits on the loop, as long as it may, and is heard in the end.
func TestConnectTakesItsTime(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(deadline / time.Second)}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(at.(*unix.SockaddrInet4).Port)
	d := &Dialer{Permit: ban().permit, Timeout: 50 * time.Millisecond}
	queued := 0
	for ; ; queued++ { // until it is full
		c, err := d.DialOrigin(t.Context(), "127.0.0.1", port, nil)
		if err != nil {
			var ne net.Error
			if !errors.As(err, &ne) || !ne.Timeout() {
				t.Errorf("a dial for too long: %v", err)
			}
			break
		}
		defer c.Close()
	}

	ctx, cancel := context.WithCancel(t.Context())
	d = &Dialer{Permit: func(netip.AddrPort) error { cancel(); return nil }}
	if _, err := d.DialOrigin(ctx, "127.0.0.1", port, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled dial: %v", err)
	}

	// Once there is room, the kernel's next attempt succeeds, a second later.
	room := func() {
		for range queued + 1 {
			c, _, err := unix.Accept(fd)
			if err != nil {
				t.Error(err)
				return
			}
			unix.Close(c)
		}
	}
	var accepting sync.WaitGroup
	defer accepting.Wait()
	d = &Dialer{Permit: func(netip.AddrPort) error { accepting.Go(room); return nil }}
	c, err := d.DialOrigin(t.Context(), "127.0.0.1", port, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestItself: an unlucky dial to a port of this machine that nobody listens on
// is connected, to itself.
func TestItself(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		b := &bare{to: netip.MustParseAddrPort(addr)}
		fd, err := unix.Socket(family(b.to), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Skip(err)
		}
		b.fd = int32(fd)
		defer unix.Close(fd)
		var any unix.Sockaddr
		if a := b.to.Addr(); a.Is4() {
			any = &unix.SockaddrInet4{Addr: a.As4()}
		} else {
			any = &unix.SockaddrInet6{Addr: a.As16()}
		}
		if err := unix.Bind(fd, any); err != nil {
			t.Skip(err)
		}
		at, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		switch at := at.(type) {
		case *unix.SockaddrInet4:
			b.to = netip.AddrPortFrom(b.to.Addr(), uint16(at.Port))
		case *unix.SockaddrInet6:
			b.to = netip.AddrPortFrom(b.to.Addr(), uint16(at.Port))
		}
		if b.connected() {
			t.Errorf("%s: connected before it is", b.to)
		}
		if err := unix.Connect(fd, at); err != nil {
			t.Fatal(err)
		}
		where, self, _ := sockaddr(b.to)
		if !b.connected() || !b.itself(where[:self]) {
			t.Errorf("%s: not found out", b.to)
		}
		where, self, _ = sockaddr(netip.AddrPortFrom(b.to.Addr(), b.to.Port()-1))
		if b.itself(where[:self]) {
			t.Errorf("%s is taken for another port", b.to)
		}
	}
}
