// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// connectBare tries one address without net. What it cannot do or has its
// doubts about it leaves to net, which asks Permit again.
func (a *attempts) connectBare(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	l := nextLoop()
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	if l == nil || to.Addr().Zone() != "" { // the kernel knows zones by number
		return a.connect(ctx, to)
	}
	b := &bare{to: to, loop: l}
	again, err := b.connect(ctx, a)
	if again {
		return a.connect(ctx, to)
	}
	if err != nil {
		err = &net.OpError{Op: "dial", Net: a.network, Addr: b.RemoteAddr(), Err: err}
		a.failure(err)
		return nil, err
	}
	return b, nil
}

// connect opens b. again is true when net should see to it, which knows two
// more follies of kernels: a free port that is not (EADDRNOTAVAIL), and one
// that is the origin's own, so that the socket is connected to itself.
func (b *bare) connect(ctx context.Context, a *attempts) (again bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	where, self, size := sockaddr(b.to)
	fd, _, errno := syscall.RawSyscall(unix.SYS_SOCKET, uintptr(family(b.to)), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return false, os.NewSyscallError("socket", errno)
	}
	b.fd = int32(fd)
	defer func() {
		if again || err != nil {
			b.Close()
		}
	}()
	if err := a.ask(b.to); err != nil {
		return false, err
	}
	b.prepare()
	// Raw, although on the loopback interface it takes 30 µs: see splice.
	_, _, errno = syscall.RawSyscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&where)), size)
	switch errno {
	case 0, unix.EINPROGRESS, unix.EINTR, unix.EALREADY:
	case unix.EADDRNOTAVAIL:
		return true, nil
	default:
		return false, os.NewSyscallError("connect", errno)
	}
	if !b.connected() { // across a network it never is
		if err := b.await(ctx, a.by); err != nil {
			return false, err
		}
	}
	return b.itself(where[:self]), nil
}

// prepare sets what net sets.
func (b *bare) prepare() {
	for _, o := range [...]struct{ level, name, value int32 }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int32(keepAlive.Idle / time.Second)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int32(keepAlive.Interval / time.Second)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, int32(keepAlive.Count)},
	} {
		_, _, _ = syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(b.fd), uintptr(o.level), uintptr(o.name),
			uintptr(unsafe.Pointer(&o.value)), unsafe.Sizeof(o.value), 0)
	}
}

// connected reports whether the connection has been made.
func (b *bare) connected() bool {
	var far [sockaddrMax]byte
	n := uint32(len(far))
	_, _, errno := syscall.RawSyscall(unix.SYS_GETPEERNAME, uintptr(b.fd), uintptr(unsafe.Pointer(&far)), uintptr(unsafe.Pointer(&n)))
	return errno == 0
}

// itself reports whether b is connected to itself, whose address is given.
func (b *bare) itself(self []byte) bool {
	var near [sockaddrMax]byte
	n := uint32(len(near))
	_, _, _ = syscall.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(b.fd), uintptr(unsafe.Pointer(&near)), uintptr(unsafe.Pointer(&n)))
	return bytes.HasPrefix(near[:], self)
}

// await waits, on the loop, until the connection is made.
func (b *bare) await(ctx context.Context, by time.Time) error {
	writable := make(chan struct{}, 1)
	t := b.loop.expect(writable)
	defer b.loop.vacate(t)
	if err := b.loop.watch(unix.EPOLL_CTL_ADD, b.fd, t, 0, unix.EPOLLOUT|unix.EPOLLET); err != nil {
		return err
	}
	b.on = true
	late := time.NewTimer(time.Until(by))
	defer late.Stop()
	for {
		select {
		case <-writable:
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return context.DeadlineExceeded
		}
		errno, err := unix.GetsockoptInt(int(b.fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && errno != 0 {
			return os.NewSyscallError("connect", syscall.Errno(errno))
		}
		if err != nil || b.connected() {
			return os.NewSyscallError("getsockopt", err)
		}
	}
}

// sockaddrMax is the size of a struct sockaddr_in6.
const sockaddrMax = unix.SizeofSockaddrInet6

func family(to netip.AddrPort) int {
	if to.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// sockaddr returns to as connect(2) wants it (ip(7), ipv6(7)), and how much of
// that is family, port and address.
func sockaddr(to netip.AddrPort) (b [sockaddrMax]byte, self int, size uintptr) {
	binary.NativeEndian.PutUint16(b[:], uint16(family(to)))
	binary.BigEndian.PutUint16(b[2:], to.Port())
	if a := to.Addr(); a.Is4() {
		four := a.As4()
		copy(b[4:], four[:])
		return b, 8, unix.SizeofSockaddrInet4
	}
	sixteen := to.Addr().As16()
	copy(b[8:], sixteen[:])
	return b, 24, unix.SizeofSockaddrInet6
}

// closeSocket is close(2) of a socket, which takes no time: nobody here lingers.
// Raw: see splice.
func closeSocket(fd int32) { _, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }
