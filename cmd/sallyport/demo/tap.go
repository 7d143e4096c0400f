// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// A tap is a TCP proxy that records what it passes on: the wire between two
// parties who do not know of it.
type tap struct {
	leg    string
	direct bool
	to     string
	rec    *Recording
	fail   func(error)
	l      net.Listener

	open  sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]bool // nil: closed
}

// start begins to record what goes to the address t.to. Close it.
func (t *tap) start() (err error) {
	if t.l, err = loopback("the wire to " + t.to); err != nil {
		return err
	}
	t.conns = make(map[net.Conn]bool)
	t.open.Go(t.serve)
	return nil
}

// loopback listens on this machine for what is named.
func loopback(what string) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for %s: %w; the comparison needs the address 127.0.0.1", what, err)
	}
	return l, nil
}

// accept takes the connections of a listener until it is closed. That nothing can be
// accepted any more is told to fail: it must not look like a refusal.
func accept(l net.Listener, fail func(error), each func(net.Conn)) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			fail(err)
			return
		}
		each(c)
	}
}

func (t *tap) addr() netip.AddrPort { return addrOf(t.l.Addr()) }

// close ends all connections and waits for those who record them.
func (t *tap) close() {
	t.l.Close()
	t.mu.Lock()
	for c := range t.conns {
		c.Close()
	}
	t.conns = nil
	t.mu.Unlock()
	t.open.Wait()
}

func (t *tap) serve() {
	accept(t.l, t.fail, func(c net.Conn) {
		f := t.rec.open(t.leg, t.direct, addrOf(c.RemoteAddr()), addrOf(c.LocalAddr()))
		t.open.Go(func() { t.pass(f, c) })
	})
}

// pass moves bytes until both directions have ended.
func (t *tap) pass(f *Flow, near net.Conn) {
	defer near.Close()
	if !t.hold(near) {
		return
	}
	defer t.release(near)
	var d net.Dialer
	far, err := d.DialContext(context.Background(), "tcp", t.to)
	if err != nil {
		return
	}
	defer far.Close()
	if !t.hold(far) {
		return
	}
	defer t.release(far)
	var up sync.WaitGroup
	up.Go(func() { copyNoted(f, false, far, near) })
	copyNoted(f, true, near, far)
	up.Wait()
}

// copyNoted copies from src to dst. What is read is noted before it is passed on, so
// that no answer is noted before what it answers. When dst takes no more, src is read
// on: closing it could cut off an answer that is on its way.
func copyNoted(f *Flow, down bool, dst, src net.Conn) {
	buf := make([]byte, 32<<10)
	for gone := false; ; {
		n, err := src.Read(buf)
		if n > 0 {
			f.add(down, buf[:n])
			if !gone {
				_, werr := dst.Write(buf[:n])
				gone = werr != nil
			}
		}
		if err != nil {
			f.add(down, nil)
			break
		}
	}
	if half, ok := dst.(*net.TCPConn); !ok || half.CloseWrite() != nil {
		dst.Close()
	}
}

func (t *tap) hold(c net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns == nil {
		return false
	}
	t.conns[c] = true
	return true
}

func (t *tap) release(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

func addrOf(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
