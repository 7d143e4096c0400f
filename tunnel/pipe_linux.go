// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A pipe is a pair of descriptors that splice(2) needs between two sockets.
// Both ends are non-blocking.
type pipe struct {
	r, w  int
	asked int // smallPipe or largePipe
	size  int // what it got
}

const (
	// Large pipes make bulk a third cheaper than small ones do, on loopback.
	largePipe = 1 << 20
	smallPipe = 256 << 10

	// minPipe is the size below which a pipe is not worth having.
	minPipe = 64 << 10

	// maxLarge and maxPipes bound the pipes that exist, at 32 MiB together. Past
	// 64 MiB of pipe buffers for one user (pipe-user-pages-soft in proc(5)) the
	// kernel gives everybody without privileges pipes of a page or two, five
	// times dearer per byte than a copy; half of that is left to others.
	maxLarge = 16
	maxPipes = maxLarge + 64

	// pipeRest is how long the kernel is left alone after it has refused a pipe.
	pipeRest = time.Second

	// maxIdlePipes bounds those kept for the next who asks.
	maxIdlePipes = 16
)

// pipes is every pipe of this process.
var pipes struct {
	mu   sync.Mutex
	idle []*pipe // small before large, so that the last is taken
	live int
	wide int // live ones made large

	// Until then none is made: the kernel has refused one. Asking at each buffer
	// that fills would be five system calls beside two.
	not int64
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
	if pipes.live >= maxPipes || pipes.not > 0 && clock() < pipes.not {
		pipes.mu.Unlock()
		return nil
	}
	// Reserved before it is made.
	size := smallPipe
	if pipes.wide < maxLarge {
		size = largePipe
		pipes.wide++
	}
	pipes.live++
	pipes.mu.Unlock()
	p := newPipe(size)
	if p == nil {
		forgetPipe(size)
		pipes.mu.Lock()
		pipes.not = clock() + int64(pipeRest)
		pipes.mu.Unlock()
	}
	return p
}

// newPipe makes a pipe, or returns nil: out of descriptors or out of pages.
func newPipe(asked int) *pipe {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil
	}
	p := &pipe{r: fds[0], w: fds[1], asked: asked}
	// Refused without privileges past the soft limit and past pipe-max-size;
	// the default of 64 KiB will do, if that is what it got.
	size, err := unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, asked)
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
	kept := len(pipes.idle) < maxIdlePipes
	switch {
	case kept && p.asked == largePipe:
		pipes.idle = append(pipes.idle, p)
	case kept:
		pipes.idle = slices.Insert(pipes.idle, 0, p)
	}
	pipes.mu.Unlock()
	if !kept {
		closePipe(p)
	}
}

// closePipe ends a pipe, with whatever is in it.
func closePipe(p *pipe) {
	unix.Close(p.r)
	unix.Close(p.w)
	forgetPipe(p.asked)
}

func forgetPipe(asked int) {
	pipes.mu.Lock()
	pipes.live--
	if asked == largePipe {
		pipes.wide--
	}
	pipes.mu.Unlock()
}
