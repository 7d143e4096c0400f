// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A bare is a connection that the runtime's poller has not been told of: a
// descriptor and no more, for a pair to take as it is. Making a *net.TCPConn
// first, to duplicate its descriptor and close it, is a fifth of all that a
// short tunnel costs.
//
// It is a net.Conn all the same. Used as one it becomes an *os.File, for which no
// further descriptor is needed.
type bare struct {
	to   netip.AddrPort
	loop *loop // whose pair it is to be of

	mu   sync.Mutex
	fd   int32 // -1: it belongs to somebody else by now, or is closed
	on   bool  // loop's epoll knows it
	file *os.File
}

// open returns b as a file.
func (b *bare) open() (*os.File, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil {
		if b.fd < 0 {
			return nil, net.ErrClosed
		}
		if b.on {
			b.on = false
			_ = b.loop.watch(unix.EPOLL_CTL_DEL, b.fd, ticket{}, 0, 0)
		}
		b.file = os.NewFile(uintptr(b.fd), "tcp")
		b.fd = -1
	}
	return b.file, nil
}

func (b *bare) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.file != nil:
		return b.file.Close()
	case b.fd < 0:
		return net.ErrClosed
	}
	closeSocket(b.fd)
	b.fd = -1
	return nil
}

func (b *bare) Read(p []byte) (int, error) {
	f, err := b.open()
	if err != nil {
		return 0, err
	}
	return f.Read(p)
}

func (b *bare) Write(p []byte) (int, error) {
	f, err := b.open()
	if err != nil {
		return 0, err
	}
	return f.Write(p)
}

// SyscallConn serves the fast lane of a passage, and what follows.
func (b *bare) SyscallConn() (syscall.RawConn, error) {
	f, err := b.open()
	if err != nil {
		return nil, err
	}
	return f.SyscallConn()
}

func (b *bare) control(call string, do func(fd int) error) error {
	rc, err := b.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := rc.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return os.NewSyscallError(call, failed)
}

func (b *bare) CloseWrite() error {
	return b.control("shutdown", func(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) })
}

// SetLinger is net.TCPConn's.
func (b *bare) SetLinger(sec int) error {
	return b.control("setsockopt", func(fd int) error { return linger(fd, sec) })
}

func linger(fd, sec int) error {
	l := unix.Linger{Onoff: 1, Linger: int32(sec)}
	if sec < 0 {
		l = unix.Linger{}
	}
	return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &l)
}

func (b *bare) SetDeadline(t time.Time) error {
	return b.deadline((*os.File).SetDeadline, t)
}

func (b *bare) SetReadDeadline(t time.Time) error {
	return b.deadline((*os.File).SetReadDeadline, t)
}

func (b *bare) SetWriteDeadline(t time.Time) error {
	return b.deadline((*os.File).SetWriteDeadline, t)
}

func (b *bare) deadline(set func(*os.File, time.Time) error, t time.Time) error {
	f, err := b.open()
	if err != nil {
		return err
	}
	return set(f, t)
}

func (b *bare) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(b.to) }

func (b *bare) LocalAddr() net.Addr {
	var near net.TCPAddr
	_ = b.control("getsockname", func(fd int) error {
		sa, err := unix.Getsockname(fd)
		switch sa := sa.(type) {
		case *unix.SockaddrInet4:
			near = net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
		case *unix.SockaddrInet6:
			near = net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
		}
		return err
	})
	return &near
}
