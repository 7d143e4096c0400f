// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A bulk decides when bytes are worth a pipe. Moving them with splice(2)
// saves two copies and costs a pipe, so it waits for two reads in a row that
// fill a buffer, and gives up when a round moves little.
type bulk struct {
	fills int
	on    bool
	pipe  *pipe // borrowed; empty between rounds
	left  int   // bytes in it
}

const (
	fillsToSplice = 2
	littleRound   = 16 << 10
)

// saw notes a plain read of n bytes.
func (b *bulk) saw(n int) {
	if n < largeSize {
		b.fills = 0
		return
	}
	b.fills++
	b.on = b.fills >= fillsToSplice
}

func (b *bulk) stop() { b.fills, b.on = 0, false }

// splice moves bytes through a pipe while there are many. It returns nil when
// there are not.
func (h *half) splice() error {
	f := &h.fast
	if !f.bulk.on || f.onFill == nil {
		return nil
	}
	defer h.dropPipe()
	h.dropLarge()
	for f.bulk.on {
		if err := f.in.Read(f.onFill); err != nil {
			return h.unreadable(err)
		}
		switch {
		case f.errno == syscall.EINVAL:
			// Not something splice(2) serves; recvfrom(2) will say if it is more.
			f.bulk.stop()
			f.onFill = nil
			return nil
		case f.errno != 0:
			return h.unreadable(os.NewSyscallError("splice", f.errno))
		case !f.bulk.on:
			return nil
		case f.n == 0:
			return io.EOF
		}
		h.p.touch()
		if f.n < littleRound {
			f.bulk.stop()
		}
		if err := h.drain(f.n); err != nil {
			return err
		}
	}
	return nil
}

// onFill is called when src may be readable. The pipe is borrowed for the
// attempt, and given back while there is nothing to read.
func (h *half) onFill(fd uintptr) bool {
	f := &h.fast
	f.n, f.errno = 0, 0
	if f.bulk.pipe == nil {
		if f.bulk.pipe = borrowPipe(); f.bulk.pipe == nil {
			f.bulk.stop() // none left: copy
			return true
		}
	}
	f.n, f.errno = splice(int(fd), f.bulk.pipe.w, f.bulk.pipe.size)
	if f.errno == syscall.EAGAIN {
		h.dropPipe()
		return false
	}
	f.bulk.left = f.n
	return true
}

// drain moves the n bytes in the pipe to dst, or as many as may pass.
func (h *half) drain(n int) error {
	allowed := h.p.take(n)
	h.writing.Lock()
	defer h.writing.Unlock()
	f := &h.fast
	f.errno = 0
	floor := n - allowed
	f.n = floor
	err := f.out.Write(f.onDrain)
	if err == nil && f.errno != 0 {
		err = os.NewSyscallError("splice", f.errno)
	}
	return h.wrote(n-f.bulk.left, err, floor > 0)
}

// onDrain writes until f.n bytes are left in the pipe.
func (h *half) onDrain(fd uintptr) bool {
	f := &h.fast
	short := false // the last call moved less than asked
	for f.bulk.left > f.n {
		want := f.bulk.left - f.n
		n, errno := splice(f.bulk.pipe.r, int(fd), want)
		switch {
		case errno == 0:
			short = n < want
			f.bulk.left -= n
			h.p.touch()
		case errno == syscall.EAGAIN:
			return false
		case errno == syscall.EPIPE && short && !h.other.shut.Load():
			// The call before met the error in its middle, cleared it and
			// returned what it had moved. EPIPE is all that is left of what may
			// have been a reset, and wrote takes EPIPE to mean that dst had ended
			// in order. Only the other direction could know that, and does not yet.
			f.errno = syscall.ECONNRESET
			return true
		default:
			f.errno = errno
			return true
		}
	}
	return true
}

// dropPipe gives the pipe back, or closes it when bytes are left in it: they
// must never come out in another tunnel.
func (h *half) dropPipe() {
	b := &h.fast.bulk
	if b.pipe == nil {
		return
	}
	if b.left == 0 {
		returnPipe(b.pipe)
	} else {
		closePipe(b.pipe)
	}
	b.pipe, b.left = nil, 0
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
