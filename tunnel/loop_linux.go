// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A loop moves the bytes of many tunnels in one goroutine. Its epoll(7)
// descriptor is watched by the runtime's own poller, so that a loop with
// nothing to do is a parked goroutine like any other: blocking a thread in
// epoll_wait instead costs a change of threads at every event, which is more
// than the goroutines cost that are saved.
type loop struct {
	epfd   int
	events [128]unix.EpollEvent
	ready  [128]event

	// again holds the tunnels that have had their turn and could go on. Only
	// the loop's own goroutine uses it.
	again, spare []*pair
	turns        uint

	mu    sync.Mutex // taken with a pair's held, never the other way round
	slots []slot
	free  []uint32
	due   dues
	timer *time.Timer
	wake  int64 // when timer fires; 0: it does not
}

// A slot is what an event means. Descriptors are no use for that: one that is
// closed and opened anew while an event is on its way means another tunnel.
type slot struct {
	pair  *pair
	wait  chan<- struct{} // instead of a pair: who waits for a connection to be made
	lives uint32          // how many it has had
}

// A ticket is a slot and which of its lives.
type ticket struct{ slot, life uint32 }

type event struct {
	pair *pair
	side int
	mask uint32
}

// loops are all there are: one per processor, begun when first needed.
var loops struct {
	mu   sync.Mutex
	all  []*loop
	next int
}

// nextLoop returns the loop that the next tunnel goes to, or nil when there can
// be none, for want of descriptors.
func nextLoop() *loop {
	loops.mu.Lock()
	defer loops.mu.Unlock()
	if len(loops.all) < runtime.GOMAXPROCS(0) {
		if l, err := newLoop(); err == nil {
			loops.all = append(loops.all, l)
		}
	}
	if len(loops.all) == 0 {
		return nil
	}
	loops.next = (loops.next + 1) % len(loops.all)
	return loops.all[loops.next]
}

func newLoop() (*loop, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(epfd, true); err != nil { // NewFile asks for that before it polls
		unix.Close(epfd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(epfd), "epoll")
	if err := f.SetReadDeadline(time.Time{}); err != nil { // not in the poller
		f.Close()
		return nil, err
	}
	rc, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	l := &loop{epfd: epfd}
	l.timer = time.AfterFunc(time.Hour, l.expire)
	l.timer.Stop()
	go l.run(rc)
	return l, nil
}

// run never ends. It stays within one Read: between two of them the poller
// forgets what it has seen, and the epoll descriptor would have to be asked
// once more before each wait.
func (l *loop) run(rc syscall.RawConn) {
	err := rc.Read(func(uintptr) bool {
		l.serve()
		return false
	})
	panic(fmt.Sprintf("tunnel: waiting for events: %v", err))
}

// serve handles events until there is none.
func (l *loop) serve() {
	for {
		n, errno := retry(func() (uintptr, syscall.Errno) {
			n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epfd),
				uintptr(unsafe.Pointer(&l.events)), uintptr(len(l.events)), 0, 0, 0)
			return n, errno
		})
		if errno != 0 {
			panic(fmt.Sprintf("tunnel: epoll_pwait: %v", errno))
		}
		for _, e := range l.meaning(n) {
			e.pair.wake(e.side, e.mask)
		}
		clear(l.ready[:n]) // they may be gone
		again := l.again
		l.again, l.spare = l.spare[:0], again
		for i, p := range again {
			p.goOn()
			again[i] = nil
		}
		if len(l.again) == 0 && n < len(l.events) {
			return
		}
		// It may be hours until this goroutine waits, and what it has started
		// waits for it. Yielding every time would cost bulk a twentieth.
		if l.turns++; n == len(l.events) || l.turns%16 == 0 {
			runtime.Gosched()
		}
	}
}

// meaning finds the pairs of n events.
func (l *loop) meaning(n int) []event {
	l.mu.Lock()
	defer l.mu.Unlock()
	ready := l.ready[:0]
	for i := range l.events[:n] {
		e := &l.events[i]
		switch s := l.slots[uint32(e.Fd)>>1]; {
		case s.lives != uint32(e.Pad): // too late
		case s.pair != nil:
			ready = append(ready, event{s.pair, int(e.Fd & 1), e.Events})
		case s.wait != nil:
			select {
			case s.wait <- struct{}{}:
			default: // it knows
			}
		}
	}
	return ready
}

// enter gives p a slot.
func (l *loop) enter(p *pair) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.ticket = l.occupy(slot{pair: p})
}

// expect gives a slot to somebody who waits for one event.
func (l *loop) expect(wait chan<- struct{}) ticket {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.occupy(slot{wait: wait})
}

// occupy is called with l.mu held.
func (l *loop) occupy(by slot) ticket {
	var i uint32
	if n := len(l.free); n > 0 {
		i, l.free = l.free[n-1], l.free[:n-1]
	} else {
		i = uint32(len(l.slots))
		l.slots = append(l.slots, slot{})
	}
	by.lives = l.slots[i].lives + 1
	l.slots[i] = by
	return ticket{i, by.lives}
}

// leave takes slot and deadline from p.
func (l *loop) leave(p *pair) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.empty(p.slot)
	l.due.remove(p)
}

// vacate ends an expect.
func (l *loop) vacate(t ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.empty(t.slot)
}

// empty is called with l.mu held.
func (l *loop) empty(i uint32) {
	l.slots[i] = slot{lives: l.slots[i].lives}
	l.free = append(l.free, i)
}

// readable is what is always waited for. The urgent mark (tcp(7)) stops a read
// before everything is read.
const readable = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLET

// watch sets what is waited for at fd, which is one side of what t stands for.
func (l *loop) watch(op int, fd int32, t ticket, side int, events uint32) error {
	e := unix.EpollEvent{Events: events, Fd: int32(t.slot<<1 | uint32(side)), Pad: int32(t.life)}
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(l.epfd), uintptr(op),
		uintptr(fd), uintptr(unsafe.Pointer(&e)), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}
