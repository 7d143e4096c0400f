// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Moving bytes with splice(2) saves two copies and costs a pipe, so it waits
// for reads in a row that fill a buffer, and ends with a round that moves
// little.
const (
	fillsToSplice = 2
	littleRound   = 16 << 10
)

// fill moves bytes from a side into a pipe. ok is false when they have to be
// copied instead.
func (p *pair) fill(side int) (n int, ok bool) {
	f := &p.flow[side]
	if f.pipe == nil {
		if f.pipe = borrowPipe(); f.pipe == nil { // none left
			f.fills = 0
			return 0, false
		}
	}
	f.dropLarge()
	n, errno := splice(int(p.fd[side]), f.pipe.w, f.pipe.size)
	if n == 0 {
		returnPipe(f.pipe) // held only while it has bytes in it
		f.pipe = nil
	}
	switch {
	case errno == syscall.EAGAIN:
		f.ready, f.thorough = false, false
	case errno == syscall.EINVAL:
		// Not something splice(2) serves; recvfrom(2) will say if it is more.
		f.noSplice = true
		return 0, false
	case errno != 0:
		p.unreadable(side, "splice", errno)
	case n == 0:
		p.ended(side)
	default:
		p.last = clock()
		if n < littleRound {
			f.fills = 0
		}
		f.left, f.floor = n, n-p.take(n)
	}
	return n, true
}

// drain moves what is in the pipe on, as far as it may pass, and gives the pipe
// back.
func (p *pair) drain(side int) {
	f := &p.flow[side]
	short := false // the last call moved less than asked
	for f.left > f.floor {
		want := f.left - f.floor
		n, errno := splice(f.pipe.r, int(p.fd[1-side]), want)
		switch {
		case errno == 0:
			short = n < want
			f.left -= n
			f.n += int64(n)
			p.last = clock()
			continue
		case errno == syscall.EAGAIN:
			p.block(side)
			return
		case errno == syscall.EPIPE && short && !p.flow[1-side].shut:
			// The call before met the error in its middle, cleared it and
			// returned what it had moved. EPIPE is all that is left of what may
			// have been a reset, and unwritable takes EPIPE to mean that the side
			// had ended in order. Only the other direction could know that, and
			// does not yet.
			errno = syscall.ECONNRESET
		}
		p.unwritable(side, "splice", errno)
		return
	}
	if f.floor > 0 { // bytes are left that must never come out anywhere
		p.fail(ReasonMaxBytes, ErrMaxBytes)
		return
	}
	returnPipe(f.pipe)
	f.pipe = nil
}

// splice moves up to n bytes between a socket and a pipe, neither of which
// blocks. It is a raw system call although it may take 100 µs: the runtime
// would otherwise hand the processor to another thread in the middle of each
// and wait in line for it afterwards, which cost 15 % of a transfer.
func splice(from, to, n int) (int, syscall.Errno) {
	return retry(func() (uintptr, syscall.Errno) {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n),
			unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		return n, errno
	})
}
