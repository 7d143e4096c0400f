// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A pair is a Tunnel of two TCP connections on a loop. It does what a passage
// does (see there and in half.go for the reasons), without a goroutine, and
// while idle it is nothing but this struct and two descriptors.
//
// The connections' descriptors are duplicated and the *net.TCPConn closed. An
// open file lives on in its duplicate, and the runtime's poller, which would
// be woken at each event as well, forgets the socket; so do the heap and the
// poller's own memory, which hold a kilobyte for two connections.
//
// Whoever holds mu may carry the tunnel on, be it the loop or a goroutine that
// had to wait for something the loop must not wait for.
type pair struct {
	mu    sync.Mutex
	loop  *loop
	done  func(Result, error)
	gate  *gate // nil once Check has agreed, or without one
	hello *Hello

	flow [2]flow // out, in: the flow that reads side 0 (client), side 1 (origin)
	fd   [2]int32

	ticket
	place uint32 // in the loop's dues

	last     int64 // when a byte moved last
	idle     int64
	most     int64 // when MaxDuration ends; 0: never
	lingerBy int64 // when discarding ends; 0: whenever it does
	budget   int64 // of MaxBytes; negative: no limit

	reason Reason
	err    error // the first

	watched [2]bool // EPOLLOUT is waited for, too
	judging bool    // Check is being called
	refused bool    // a refusal is being told; nothing ends it but its linger
	queued  bool    // the loop has it in again
	closed  bool
}

const (
	clientSide = 0
	originSide = 1
)

// startPair begins t on a loop, or returns nil and has changed nothing.
func startPair(t *Tunnel, done func(Result, error)) Running {
	c, ok := t.Client.(*net.TCPConn)
	if !ok || t.Pace != nil { // whoever waits holds the loop up
		return nil
	}
	var l *loop
	switch o := t.Origin.(type) {
	case *net.TCPConn:
		l = nextLoop()
	case *bare:
		l = o.loop
	}
	if l == nil {
		return nil
	}
	now := clock()
	p := &pair{loop: l, done: done, last: now, idle: bounded(t.Idle, defaultIdle), budget: -1}
	if t.MaxDuration > 0 {
		p.most = now + bounded(t.MaxDuration, 0)
	}
	if t.MaxBytes > 0 {
		p.budget = t.MaxBytes
	}
	if t.Check != nil {
		p.gate = newGate(t, now)
		p.flow[clientSide].state = gathers
		if t.ClientFirst {
			p.flow[originSide].state = held
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.enter(c, t.Origin) {
		return nil
	}
	at, _, _ := p.due()
	l.arm(p, at)
	switch {
	case len(t.Early) == 0:
	case p.gate != nil:
		p.gather(&p.flow[clientSide], t.Early)
	default:
		p.flow[clientSide].allow(p, t.Early)
		p.turn()
	}
	return p
}

// bounded is d, or what stands for zero, such that it can be added to a time.
func bounded(d, zero time.Duration) int64 {
	if d <= 0 {
		d = zero
	}
	return int64(min(d, 1<<61)) // 73 years
}

// enter puts both descriptors on the loop. p.mu is held.
func (p *pair) enter(client *net.TCPConn, origin net.Conn) bool {
	var err error
	if p.fd[clientSide], err = duplicate(client); err != nil {
		return false
	}
	bare, _ := origin.(*bare)
	op := unix.EPOLL_CTL_ADD
	if bare != nil {
		bare.mu.Lock()
		defer bare.mu.Unlock()
		if p.fd[originSide] = bare.fd; bare.on {
			op = unix.EPOLL_CTL_MOD
		}
	} else if p.fd[originSide], err = duplicate(origin.(*net.TCPConn)); err != nil {
		closeSocket(p.fd[clientSide])
		return false
	}
	p.loop.enter(p)
	if err = p.watch(unix.EPOLL_CTL_ADD, clientSide, readable); err == nil {
		if err = p.watch(op, originSide, readable); err == nil {
			p.own(client, origin)
			return true
		}
		_ = p.watch(unix.EPOLL_CTL_DEL, clientSide, 0) // its file stays open
	}
	p.closed = true // in case there was an event of the first
	p.loop.leave(p)
	closeSocket(p.fd[clientSide])
	if bare == nil {
		closeSocket(p.fd[originSide])
	}
	return false
}

// own leaves the descriptors to p alone.
func (p *pair) own(client *net.TCPConn, origin net.Conn) {
	client.Close() // the duplicate is what is left
	if b, ok := origin.(*bare); ok {
		b.fd = -1
		return
	}
	origin.Close()
}

func (p *pair) watch(op, side int, events uint32) error {
	return p.loop.watch(op, p.fd[side], p.ticket, side, events)
}

// duplicate returns a descriptor of c's own. It is non-blocking, whatever
// somebody's File method has done: nobody may block the loop.
func duplicate(c *net.TCPConn) (fd int32, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	var errno syscall.Errno
	err = rc.Control(func(old uintptr) {
		var n uintptr
		if n, _, errno = syscall.RawSyscall(unix.SYS_FCNTL, old, unix.F_DUPFD_CLOEXEC, 0); errno != 0 {
			return
		}
		fd = int32(n)
		if _, _, errno = syscall.RawSyscall(unix.SYS_FCNTL, n, unix.F_SETFL, unix.O_RDWR|unix.O_NONBLOCK); errno != 0 {
			unix.Close(int(n))
		}
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("fcntl", errno)
	}
	return fd, err
}

// wake is called by the loop with what epoll says of one side.
func (p *pair) wake(side int, mask uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	const ends = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if mask&(unix.EPOLLIN|unix.EPOLLPRI|ends) != 0 {
		p.flow[side].ready = true
		// A read that gets less than it asks for has emptied the socket, epoll(7)
		// says; but the end has no event of its own when it is there already.
		p.flow[side].thorough = p.flow[side].thorough || mask&(unix.EPOLLPRI|ends) != 0
	}
	if mask&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		p.flow[1-side].blocked = false
	}
	if !p.queued { // else its turn comes
		p.enqueue(p.advance())
	}
}

// goOn is called by the loop for a pair that had had its turn.
func (p *pair) goOn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enqueue(!p.closed && p.advance())
}

func (p *pair) enqueue(more bool) {
	if p.queued = more; more {
		p.loop.again = append(p.loop.again, p)
	}
}

// turn is advance for goroutines that are not the loop's. What is left after
// it is the loop's: a change of what is waited for makes a new event.
func (p *pair) turn() {
	if p.advance() {
		p.watched[clientSide] = true
		if err := p.watch(unix.EPOLL_CTL_MOD, clientSide, readable|unix.EPOLLOUT); err != nil {
			p.fail(ReasonClient, fmt.Errorf("tunnel: %w", err))
		}
	}
}

// advance takes both directions as far as they go at once. It reports true
// when that would have been unfair to others.
func (p *pair) advance() (more bool) {
	for i := range p.flow {
		if !p.closed && p.flow[i].state != over && p.move(i, turnBytes) {
			more = true
		}
	}
	if !p.closed && p.flow[clientSide].state == over && p.flow[originSide].state == over {
		p.close(false)
	}
	return more && !p.closed
}
