// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A flow is one direction of a pair. What it borrows it holds only while bytes
// are in it.
type flow struct {
	n     int64 // bytes written to the other side
	state state

	ready    bool // there may be something to read
	thorough bool // only an error or nothing at all shows that there is not
	blocked  bool // the other side takes nothing
	shut     bool // the other side has been sent our end
	exceeded bool // behind what is pending, MaxBytes has been reached

	fills    uint8 // reads in a row that filled a buffer
	noSplice bool  // splice(2) does not serve these sockets

	rest []byte // to be written: of big, or the first bytes
	big  *[largeSize]byte

	pipe        *pipe // with bytes in it
	left, floor int   // how many there are, and of them may not pass
}

type state uint8

const (
	carries  state = iota // reads and passes on
	held                  // waits for Check
	gathers               // reads for Check
	discards              // reads and forgets, see half.discard
	over
)

// turnBytes is when a direction leaves the loop to others, if it could go on.
// It takes a fraction of a millisecond.
const turnBytes = 1 << 20

var words = [2]Reason{clientSide: ReasonClient, originSide: ReasonOrigin}

// move takes the flow that reads side as far as it goes without waiting. It
// reports true when it stopped for the sake of others, having moved most.
func (p *pair) move(side, most int) (more bool) {
	f := &p.flow[side]
	defer f.dropLarge()
	for moved := 0; ; {
		switch {
		case p.closed:
			return false
		case f.pending():
			if f.blocked {
				return false
			}
			p.push(side)
		case !f.ready, f.state == held, f.state == over:
			return false
		case moved >= most:
			return true
		default:
			moved += p.pull(side)
		}
	}
}

func (f *flow) pending() bool { return len(f.rest) > 0 || f.left > 0 || f.exceeded }

// pull reads once and returns how much.
func (p *pair) pull(side int) (n int) {
	f := &p.flow[side]
	if f.fills >= fillsToSplice && f.state == carries && !f.noSplice {
		if n, ok := p.fill(side); ok {
			return n
		}
	}
	if f.big == nil {
		f.big = large.Get().(*[largeSize]byte)
	}
	n, errno := recv(p.fd[side], f.big)
	switch {
	case errno == syscall.EAGAIN:
		f.ready, f.thorough = false, false
		return 0
	case f.state == discards:
		if n == 0 {
			p.halfOver(f, over)
		}
	case errno != 0:
		p.unreadable(side, "recvfrom", errno)
		return 0
	case n == 0:
		p.ended(side)
	case f.state == gathers:
		p.last = clock()
		p.gather(f, f.big[:n])
	default:
		p.last = clock()
		if f.fills = min(f.fills+1, fillsToSplice); n < largeSize {
			f.fills = 0
		}
		f.allow(p, f.big[:n])
	}
	if 0 < n && n < largeSize && !f.thorough {
		f.ready = false
	}
	return n
}

// allow makes b pending, as far as it may pass.
func (f *flow) allow(p *pair, b []byte) {
	f.rest = b[:p.take(len(b))]
	f.exceeded = len(f.rest) < len(b)
}

// take returns how many of n bytes may pass.
func (p *pair) take(n int) int {
	if p.budget < 0 {
		return n
	}
	n = int(min(int64(n), p.budget))
	p.budget -= int64(n)
	return n
}

// push writes what is pending. Whatever it comes to, something is done: nothing
// is pending any more, the flow is blocked, or the pair is closed.
func (p *pair) push(side int) {
	f := &p.flow[side]
	if f.left > 0 {
		p.drain(side)
		return
	}
	for len(f.rest) > 0 {
		n, errno := transmit(p.fd[1-side], f.rest[:min(len(f.rest), maxWrite)])
		switch errno {
		case 0:
			f.n += int64(n)
			f.rest = f.rest[n:]
			p.last = clock()
		case syscall.EAGAIN:
			p.block(side)
			return
		default:
			p.unwritable(side, "sendto", errno)
			return
		}
	}
	f.rest = nil // it may be all that keeps the first bytes
	if f.exceeded {
		p.fail(ReasonMaxBytes, ErrMaxBytes)
	}
}

// block waits for the other side to take more. Once asked for, EPOLLOUT is not
// given up again: it only comes after a write that did not get through.
func (p *pair) block(side int) {
	p.flow[side].blocked = true
	to := 1 - side
	if p.watched[to] {
		return
	}
	p.watched[to] = true
	if err := p.watch(unix.EPOLL_CTL_MOD, to, readable|unix.EPOLLOUT); err != nil {
		p.fail(words[to], fmt.Errorf("tunnel: %w", err))
	}
}

func (p *pair) unreadable(side int, call string, errno syscall.Errno) {
	p.fail(words[side], fmt.Errorf("tunnel: reading from the %s: %w", words[side], os.NewSyscallError(call, errno)))
}

// unwritable judges a write that failed, as half.wrote does.
func (p *pair) unwritable(side int, call string, errno syscall.Errno) {
	f, to := &p.flow[side], words[1-side]
	err := fmt.Errorf("tunnel: writing to the %s: %w", to, os.NewSyscallError(call, errno))
	if errno != syscall.EPIPE {
		p.fail(to, err)
		return
	}
	if p.err == nil {
		p.reason, p.err = to, err
	}
	f.release()
	f.ready, f.thorough = true, true // something may have been left unread
	p.halfOver(f, discards)
}

// ended passes the end of side on. Unlike half.finish it need not ask whose
// end it is: a write that was told of a reset first has been judged by now.
func (p *pair) ended(side int) {
	if f := &p.flow[side]; f.state == gathers {
		p.endedEarly(f)
		return
	}
	p.finish(side)
}

func (p *pair) finish(side int) {
	f := &p.flow[side]
	f.shut = true
	if p.flow[1-side].state == over { // the close that comes now says it as well
		p.halfOver(f, over)
		return
	}
	switch err := shutdown(p.fd[1-side]); err {
	case 0, unix.ENOTCONN: // it was reset meanwhile, which the other direction reads
		p.halfOver(f, over)
	default:
		to := words[1-side]
		p.fail(to, fmt.Errorf("tunnel: ending towards the %s: %w", to, os.NewSyscallError("shutdown", err)))
	}
}

func (f *flow) dropLarge() {
	if f.big != nil && len(f.rest) == 0 {
		large.Put(f.big)
		f.big = nil
	}
}

// release gives back whatever is borrowed. A pipe with bytes in it is closed.
func (f *flow) release() {
	f.rest, f.exceeded = nil, false
	f.dropLarge()
	if f.pipe != nil {
		closePipe(f.pipe)
		f.pipe, f.left, f.floor = nil, 0, 0
	}
}

func recv(fd int32, b *[largeSize]byte) (int, syscall.Errno) {
	return retry(func() (uintptr, syscall.Errno) {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(b)), largeSize, unix.MSG_DONTWAIT, 0, 0)
		return n, errno
	})
}

func transmit(fd int32, b []byte) (int, syscall.Errno) {
	return retry(func() (uintptr, syscall.Errno) {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		return n, errno
	})
}

// shutdown is shutdown(2) for writing. Raw: see splice.
func shutdown(fd int32) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
	return errno
}
