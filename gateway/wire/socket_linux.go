// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A raw socket makes its system calls inside the callbacks of a RawConn, as
// RawSyscalls. The runtime does not account for those as calls that may block:
// it wakes no monitor and hands no processor over, which is worth 14 to 16 % of
// all that a request costs. So nothing in here may block: MSG_DONTWAIT says so
// even of a socket that somebody's File method has put into blocking mode, and
// a write is cut where copying it would take long. The socket stays in the
// runtime's poller; deadlines and Close work as ever.
type raw struct {
	conn *Conn
	rc   syscall.RawConn

	// The callbacks, made once, and what they exchange with their callers.
	onRead, onWrite func(fd uintptr) bool
	onLook          func(fd uintptr)

	into  []byte       // nil: the connection's own buffer
	say   func() error // before the first attempt
	quiet bool         // only when nothing has come
	aerr  error        // what it said
	got   int
	rerr  syscall.Errno
	iov   [2]unix.Iovec
	sent  int
	werr  syscall.Errno
	found State
}

// maxWrite bounds what one system call copies, in bytes.
const maxWrite = 128 << 10

func newSocket(c *Conn) socket {
	tcp, ok := c.conn.(syscall.Conn)
	if !ok {
		return plain{c}
	}
	rc, err := tcp.SyscallConn()
	if err != nil { // there is no connection
		return plain{c}
	}
	s := &raw{conn: c, rc: rc}
	s.onRead, s.onWrite, s.onLook = s.tryRead, s.tryWrite, s.look
	return s
}

func (s *raw) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.into = p
	return s.receive()
}

// fill reads into the connection's own buffer, which is borrowed when there may
// be something for it and given back when there is not.
func (s *raw) fill() (int, error) {
	s.into = nil
	return s.receive()
}

// ask speaks inside the callback of the read: what comes in answer is an edge
// that the poller cannot have forgotten, as it does when a read begins.
func (s *raw) ask(say func() error, quiet bool) (int, error) {
	s.into, s.say, s.quiet, s.aerr = nil, say, quiet, nil
	n, err := s.receive()
	if s.say != nil { // the read did not begin
		s.say = nil
		return 0, err
	}
	return n, s.aerr
}

func (s *raw) receive() (int, error) {
	err := s.rc.Read(s.onRead)
	s.into = nil
	switch {
	case err != nil:
		return 0, err
	case s.rerr != 0:
		return 0, s.fault("read", s.rerr)
	case s.got == 0:
		return 0, io.EOF
	}
	return s.got, nil
}

// tryRead tries before it lets the poller wait: the poller is edge-triggered,
// and what came before is no edge.
func (s *raw) tryRead(fd uintptr) bool {
	if say := s.say; say != nil {
		s.say = nil
		s.got, s.rerr = 0, 0
		if s.quiet && s.peek(fd) != Quiet {
			s.aerr = ErrSpoke
			return true
		}
		s.aerr = say()
		return s.aerr != nil
	}
	p := s.into
	if p == nil {
		p = s.conn.borrow()
	}
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno == 0 && n == 0 && s.broken(fd) {
			errno = unix.ECONNRESET
		}
		s.got, s.rerr = int(n), errno
		if s.into == nil && (errno != 0 || n == 0) && s.conn.w == 0 {
			s.conn.release()
		}
		if errno != unix.EAGAIN {
			return true
		}
		if s.conn.BeforeRead != nil {
			s.conn.BeforeRead()
		}
		return false
	}
}

// write sends a and b, waiting where the kernel takes no more.
func (s *raw) write(a, b []byte) (total int, err error) {
	for len(a)+len(b) > 0 {
		rest := max(maxWrite-len(a), 0)
		s.aim(0, a[:min(len(a), maxWrite)])
		s.aim(1, b[:min(len(b), rest)])
		err := s.rc.Write(s.onWrite)
		if err == nil && s.werr != 0 {
			err = s.fault("write", s.werr)
		}
		if err != nil {
			return total, err
		}
		total += s.sent
		n := min(s.sent, len(a))
		a, b = a[n:], b[s.sent-n:]
	}
	s.iov = [2]unix.Iovec{} // hold nobody's bytes
	return total, nil
}

func (s *raw) aim(i int, p []byte) {
	s.iov[i] = unix.Iovec{Base: unsafe.SliceData(p)}
	s.iov[i].SetLen(len(p))
}

func (s *raw) tryWrite(fd uintptr) bool {
	for {
		var n uintptr
		var errno syscall.Errno
		if s.iov[1].Len == 0 {
			n, _, errno = syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(s.iov[0].Base)), uintptr(s.iov[0].Len),
				unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		} else {
			msg := unix.Msghdr{Iov: &s.iov[0]}
			msg.SetIovlen(len(s.iov))
			n, _, errno = syscall.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&msg)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		}
		if errno == unix.EINTR {
			continue
		}
		s.sent, s.werr = int(n), errno
		if errno != unix.EAGAIN {
			return true
		}
		if s.conn.BeforeWrite != nil {
			s.conn.BeforeWrite()
		}
		return false
	}
}

// broken reports whether what looks like the peer's end was none. The kernel
// tells a reset once, to whoever asks first: a writer, or a look. To the next
// reader it says that this is the end, and a cut answer would pass for a whole
// one (RFC 9112 §8). A connection that has ended in order is not closed as long
// as this side may still send.
func (s *raw) broken(fd uintptr) bool {
	if s.conn.shut.Load() {
		return false
	}
	return tcpState(fd) == unix.BPF_TCP_CLOSE
}

func (s *raw) fault(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: s.conn.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}

func (s *raw) state() State {
	s.found = Broken // unless it can be looked at
	_ = s.rc.Control(s.onLook)
	return s.found
}

func (s *raw) look(fd uintptr) { s.found = s.peek(fd) }

func (s *raw) peek(fd uintptr) State {
	var b [goodbyeMost + 1]byte
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_PEEK, 0, 0)
	switch {
	case errno == unix.EAGAIN, errno == unix.EINTR:
		return Quiet
	case errno != 0, n == 0 && s.broken(fd):
		return Broken
	case n == 0, s.conn.tls && goodbye(b[:n]) && tcpState(fd) == tcpCloseWait:
		return Ended
	}
	return Talking
}

// tcpCloseWait is the state of a connection whose peer has sent its end (tcp_states.h).
const tcpCloseWait = 8

// tcpState is the first of what TCP_INFO has to say; 0 when it says nothing.
func tcpState(fd uintptr) (state uint8) {
	size := uint32(1)
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&state)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0
	}
	return state
}
