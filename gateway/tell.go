// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"log"
	"sync"
	"time"
)

// A teller tells ErrorLog of what anybody can cause who can connect, at a pace
// that no flood can fill a disk with: ten at once, and one a second. The zero
// value is ready.
type teller struct {
	mu     sync.Mutex
	pace   bucket
	untold int
}

// faultLines are what net/http has to say, which clients can cause as often as
// they like: a connection that was to be HTTP/2 and is not, above all.
type faultLines struct{ s *Server }

func (f faultLines) Write(line []byte) (int, error) {
	f.s.faults.tell(f.s.ErrorLog, string(bytes.TrimSpace(line)))
	return len(line), nil
}

const (
	tellEvery = time.Second
	tellDepth = 10 * time.Second
)

func (t *teller) tell(to *log.Logger, what string) {
	switch untold, now := t.due(); {
	case !now:
	case untold > 0:
		to.Printf("%s (and %d more of the kind that were not told)", what, untold)
	default:
		to.Print(what)
	}
}

// due reports whether one more may be told now, and how many were not since the
// last.
func (t *teller) due() (untold int, now bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pace.take(time.Now().UnixNano(), int64(tellEvery), int64(tellDepth)) > 0 {
		t.untold++
		return 0, false
	}
	untold, t.untold = t.untold, 0
	return untold, true
}
