// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"sallyport/policy"
)

// tunnels are the open tunnels and upgraded connections of a Server, which
// net/http no longer knows about. The zero value is ready.
type tunnels struct {
	mu       sync.Mutex
	live     map[*liveTunnel]struct{}
	draining bool
	empty    chan struct{} // closed when draining and none is left
}

type liveTunnel struct {
	ctx   context.Context
	cut   context.CancelCauseFunc
	query policy.Query // to be asked again when the policy changes
	mode  policy.Mode  // what it said
	addr  netip.Addr   // of the origin
}

// allowed reports whether pol would open the tunnel, as it is, now.
func (l *liveTunnel) allowed(pol *policy.Policy) bool {
	q := l.query
	q.At = time.Now()
	d := pol.Decide(q)
	return d.Mode == l.mode && d.Permit(l.addr) == nil
}

// enter makes the passage a live tunnel. The policy may have changed while the
// origin was being connected to, and Recheck may be over: so the new one is
// asked here.
func (p *passage) enter() (*liveTunnel, error) {
	live := p.s.tunnels.open(&liveTunnel{query: p.query, mode: p.decision.Mode, addr: p.rec.Origin.Addr.Addr()})
	if live == nil {
		return nil, errDrained
	}
	if pol := p.s.generation().Policy; pol != p.gen.Policy && !live.allowed(pol) {
		p.s.tunnels.closed(live)
		return nil, &Error{Status: http.StatusForbidden, Cause: "http_request_denied", Outcome: Closed, Msg: errRecheck.Error()}
	}
	return live, nil
}

// open enters a tunnel; nil when the gateway is stopping.
func (t *tunnels) open(l *liveTunnel) *liveTunnel {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.draining {
		return nil
	}
	if t.live == nil {
		t.live = make(map[*liveTunnel]struct{})
	}
	l.ctx, l.cut = context.WithCancelCause(context.Background())
	t.live[l] = struct{}{}
	return l
}

// closed removes a tunnel that has ended.
func (t *tunnels) closed(l *liveTunnel) {
	l.cut(nil)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.live, l)
	if t.draining && len(t.live) == 0 {
		t.emptied()
	}
}

func (t *tunnels) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.live)
}

// drain admits no further tunnel.
func (t *tunnels) drain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.draining {
		return
	}
	t.draining, t.empty = true, make(chan struct{})
	if len(t.live) == 0 {
		t.emptied()
	}
}

func (t *tunnels) emptied() {
	select {
	case <-t.empty:
	default:
		close(t.empty)
	}
}

// wait returns when no tunnel is left after drain, or ctx's error.
func (t *tunnels) wait(ctx context.Context) error {
	select {
	case <-t.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cut ends every tunnel for reason and waits until their records are handed over.
func (t *tunnels) cut(reason error) {
	t.mu.Lock()
	for l := range t.live {
		l.cut(reason)
	}
	t.mu.Unlock()
	<-t.empty
}

// recheck cuts the tunnels that pol does not allow.
func (t *tunnels) recheck(pol *policy.Policy) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for l := range t.live {
		if !l.allowed(pol) {
			l.cut(errRecheck)
		}
	}
}
