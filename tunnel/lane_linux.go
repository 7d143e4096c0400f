// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A fastLane reads and writes TCP sockets inside the callbacks of their
// RawConn. That way a direction waits for readability without holding a
// buffer, and its short system calls skip the runtime's accounting for
// blocking ones, which costs more than a 1 KiB read. The sockets stay in the
// runtime's poller and nothing in here can block: MSG_DONTWAIT says so even
// of a socket that somebody's File method has put into blocking mode.
type fastLane struct {
	in, out syscall.RawConn // nil: not TCP

	// The callbacks, made once, and what they exchange with their callers.
	onRead, onWrite func(fd uintptr) bool
	n               int
	errno           syscall.Errno
	todo            []byte
}

func (f *fastLane) canRead() bool  { return f.in != nil }
func (f *fastLane) canWrite() bool { return f.out != nil }

// open prepares the lane. Only *net.TCPConn itself and what is ours will do: a
// type around one may promote its SyscallConn and still keep bytes or count
// them.
func (h *half) open() {
	f := &h.fast
	if f.in = rawConn(h.src); f.in != nil {
		f.onRead = h.onRead
	}
	if f.out = rawConn(h.dst); f.out != nil {
		f.onWrite = h.onWrite
	}
}

func rawConn(c net.Conn) syscall.RawConn {
	var rc syscall.RawConn
	var err error
	switch c := c.(type) {
	case *net.TCPConn:
		rc, err = c.SyscallConn()
	case *bare:
		rc, err = c.SyscallConn()
	}
	if err != nil {
		return nil
	}
	return rc
}

func (h *half) readFast() ([]byte, error) {
	if err := h.fast.in.Read(h.fast.onRead); err != nil {
		return nil, err
	}
	if errno := h.fast.errno; errno != 0 {
		return nil, os.NewSyscallError("recvfrom", errno)
	}
	if h.fast.n == 0 {
		return nil, io.EOF
	}
	return h.big[:h.fast.n], nil
}

// onRead is called when src may be readable. It borrows a buffer for the
// attempt and gives it back if there was nothing. The attempt that finds
// nothing is needed: the poller is edge-triggered, and a FIN that arrived
// together with the last bytes has no edge of its own.
func (h *half) onRead(fd uintptr) bool {
	if h.big == nil {
		h.big = large.Get().(*[largeSize]byte)
	}
	n, errno := retry(func() (uintptr, syscall.Errno) {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd,
			uintptr(unsafe.Pointer(h.big)), largeSize, unix.MSG_DONTWAIT, 0, 0)
		return n, errno
	})
	if errno == syscall.EAGAIN {
		h.dropLarge()
		return false
	}
	h.fast.n, h.fast.errno = n, errno
	return true
}

func (h *half) writeFast(b []byte) (int, error) {
	f := &h.fast
	f.todo, f.errno = b, 0
	err := f.out.Write(f.onWrite)
	if err == nil && f.errno != 0 {
		err = os.NewSyscallError("sendto", f.errno)
	}
	n := len(b) - len(f.todo)
	f.todo = nil
	return n, err
}

// maxWrite bounds how long one system call may keep a processor.
const maxWrite = 128 << 10

func (h *half) onWrite(fd uintptr) bool {
	f := &h.fast
	for len(f.todo) > 0 {
		n, errno := retry(func() (uintptr, syscall.Errno) {
			n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, fd,
				uintptr(unsafe.Pointer(&f.todo[0])), uintptr(min(len(f.todo), maxWrite)),
				unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
			return n, errno
		})
		switch errno {
		case 0:
			f.todo = f.todo[n:]
			h.p.touch()
		case syscall.EAGAIN:
			return false
		default:
			f.errno = errno
			return true
		}
	}
	return true
}

func retry(call func() (uintptr, syscall.Errno)) (int, syscall.Errno) {
	for {
		n, errno := call()
		if errno == 0 {
			return int(n), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

// reallyEnded tells whether the end that src read is src's own. A socket
// reports a reset once, to whichever of reader and writer asks first, and an
// ordinary end to the other: without this look a cut stream would sometimes
// be passed on as a whole one.
func (h *half) reallyEnded() bool {
	if h.other.shut.Load() || !h.dead() {
		return true
	}
	// No write can be blocked on a dead socket: wait for the verdict.
	h.other.writing.Lock()
	defer h.other.writing.Unlock()
	return !h.p.failed()
}

// dead reports whether src has been reset, unless it has been sent our end: then it
// may have ended in order both ways.
func (h *half) dead() (dead bool) {
	if h.fast.in == nil {
		return false
	}
	err := h.fast.in.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		dead = err == nil && info.State == unix.BPF_TCP_CLOSE // the same numbers as TCP_INFO has
	})
	return dead && err == nil
}
