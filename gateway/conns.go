// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"net"
	"sync"
	"time"
)

// conns are the engine's client connections. The zero value is ready.
type conns struct {
	mu     sync.Mutex
	open   map[*conn]struct{}
	empty  chan struct{} // closed when draining and none is left; nil: not draining
	patrol bool          // the goroutine runs
	idle   []*worker     // the one that worked last is the next to work
}

// A worker serves one connection after the other. Its goroutine's stack has
// grown to what serving takes, and what it serves with is there already.
type worker struct {
	conn
	work chan arrival // closed when there will be none
}

// An arrival is a connection that is to be served: a client's own, or what a
// CONNECT has opened.
type arrival struct {
	conn  net.Conn
	in    *inside // nil: the client's own
	early []byte  // read from it already
}

// maxIdleWorkers bounds what is kept from a burst for the next.
const maxIdleWorkers = 256

// serve has a worker serve a connection.
func (s *conns) serve(server *Server, from arrival) {
	s.mu.Lock()
	var w *worker
	if n := len(s.idle) - 1; n >= 0 {
		w, s.idle[n] = s.idle[n], nil
		s.idle = s.idle[:n]
	}
	s.mu.Unlock()
	if w == nil {
		w = &worker{conn: conn{s: server}, work: make(chan arrival, 1)}
		go w.run()
	}
	w.work <- from
}

func (w *worker) run() {
	for from := range w.work {
		w.accept(from)
		w.s.conns.add(&w.conn)
		if in := w.inside; in != nil {
			w.s.tunnels.runs(in.live, innerRun{&w.conn})
		}
		w.conn.serve()
		if !w.s.conns.rest(w) {
			return
		}
	}
}

// rest keeps w for the next connection, unless there are enough.
func (s *conns) rest(w *worker) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.empty != nil || len(s.idle) >= maxIdleWorkers {
		return false
	}
	s.idle = append(s.idle, w)
	return true
}

// beat is how often the clients of long requests are looked after.
const beat = 500 * time.Millisecond

func (s *conns) add(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[*conn]struct{})
	}
	s.open[c] = struct{}{}
	if !s.patrol {
		s.patrol = true
		go s.walk()
	}
}

func (s *conns) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	if s.empty != nil && len(s.open) == 0 {
		s.close()
	}
}

// close announces that none is left. s.mu is held.
func (s *conns) close() {
	select {
	case <-s.empty:
	default:
		close(s.empty)
	}
}

// walk looks at the connections that have been busy with the same request since
// the round before: nobody reads from them, so nobody would notice that their
// clients are gone. It ends when there is none at all.
func (s *conns) walk() {
	t := time.NewTicker(beat)
	defer t.Stop()
	for range t.C {
		var long []*conn
		s.mu.Lock()
		for c := range s.open {
			turn := c.turn.Load()
			if turn%2 == 1 && turn == c.watched {
				long = append(long, c)
			}
			c.watched = turn
		}
		if len(s.open) == 0 {
			s.patrol = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		for _, c := range long {
			c.look()
		}
	}
}

// drain ends the connections that wait for their next request, and tells the
// others to end behind the present one.
func (s *conns) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	if len(s.open) == 0 {
		s.close()
	}
	for c := range s.open {
		c.idle()
	}
	for _, w := range s.idle {
		close(w.work)
	}
	s.idle = nil
}

// wait returns when no connection is left after drain, or ctx's error.
func (s *conns) wait(ctx context.Context) error {
	select {
	case <-s.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cut ends every connection, for a reason.
func (s *conns) cut(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.cut(cause)
	}
}
