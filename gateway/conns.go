// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"sync"
	"time"
)

// conns are the engine's client connections. The zero value is ready.
type conns struct {
	mu     sync.Mutex
	open   map[*conn]struct{}
	empty  chan struct{} // closed when draining and none is left; nil: not draining
	patrol bool          // the goroutine runs
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
