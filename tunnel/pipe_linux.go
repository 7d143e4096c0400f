// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"sync"

	"golang.org/x/sys/unix"
)

// A pipe is a pair of descriptors that splice(2) needs between two sockets.
// Both ends are non-blocking.
type pipe struct {
	r, w int
	size int
}

const (
	pipeSize = 256 << 10

	// maxPipes bounds the pipes that exist. Past 64 MiB of pipe buffers for one
	// user (pipe-user-pages-soft in proc(5)) the kernel gives everybody without
	// privileges pipes of one page, five times dearer per byte than a copy; half
	// of that is left to others.
	maxPipes = 128

	// maxIdlePipes bounds those kept for the next who asks.
	maxIdlePipes = 16

	// minPipe is the size below which a pipe is not worth having.
	minPipe = 64 << 10
)

// pipes is every pipe of this process.
var pipes struct {
	mu   sync.Mutex
	idle []*pipe
	live int
}

// borrowPipe returns an empty pipe that is the caller's until returnPipe or
// closePipe, or nil when there is none to be had: copy then.
func borrowPipe() *pipe {
	pipes.mu.Lock()
	if n := len(pipes.idle); n > 0 {
		p := pipes.idle[n-1]
		pipes.idle = pipes.idle[:n-1]
		pipes.mu.Unlock()
		return p
	}
	if pipes.live >= maxPipes {
		pipes.mu.Unlock()
		return nil
	}
	pipes.live++ // reserved before it is made
	pipes.mu.Unlock()
	if p := newPipe(); p != nil {
		return p
	}
	forgetPipe()
	return nil
}

// newPipe makes a pipe, or returns nil: out of descriptors or out of pages.
func newPipe() *pipe {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil
	}
	p := &pipe{r: fds[0], w: fds[1]}
	// Refused without privileges past the soft limit; the default of 64 KiB
	// will do, if that is what it got.
	size, err := unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, pipeSize)
	if err != nil {
		size, err = unix.FcntlInt(uintptr(p.w), unix.F_GETPIPE_SZ, 0)
	}
	if err != nil || size < minPipe {
		unix.Close(p.r)
		unix.Close(p.w)
		return nil
	}
	p.size = size
	return p
}

// returnPipe takes an empty pipe back.
func returnPipe(p *pipe) {
	pipes.mu.Lock()
	if len(pipes.idle) < maxIdlePipes {
		pipes.idle = append(pipes.idle, p)
		p = nil
	}
	pipes.mu.Unlock()
	if p != nil {
		closePipe(p)
	}
}

// closePipe ends a pipe, with whatever is in it.
func closePipe(p *pipe) {
	unix.Close(p.r)
	unix.Close(p.w)
	forgetPipe()
}

func forgetPipe() {
	pipes.mu.Lock()
	pipes.live--
	pipes.mu.Unlock()
}
