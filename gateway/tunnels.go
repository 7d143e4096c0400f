// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"

	"sallyport/policy"
	"sallyport/tunnel"
)

// tunnels are the open tunnels and upgraded connections of a Server, which
// net/http no longer knows about. The zero value is ready.
type tunnels struct {
	mu       sync.Mutex
	live     map[*liveTunnel]struct{}
	draining bool
	empty    chan struct{} // closed when draining and none is left
}

// A liveTunnel is what is kept of a tunnel while it is open: there may be tens
// of thousands that do nothing.
type liveTunnel struct {
	rec     *Record
	host    policy.Host
	port    uint16
	request *policy.Query                 // what changed protocols; nil: a CONNECT
	still   func() (policy.Client, error) // who opened it, now; nil: as then

	running tunnel.Running // guarded by tunnels.mu; nil: not yet
	cause   error          // what cuts it; guarded, too
}

// query is what the policy was asked, to be asked again when it has changed.
func (l *liveTunnel) query() policy.Query {
	if l.request != nil {
		return *l.request
	}
	return policy.Query{Client: l.rec.Identity, Kind: policy.Connect, Host: l.host, Port: l.port, ClientTLS: l.rec.ClientTLS != nil}
}

// allowed reports whether pol would open the tunnel, as it is, now.
func (l *liveTunnel) allowed(pol *policy.Policy) bool {
	q := l.query()
	if l.still != nil {
		client, err := l.still()
		if err != nil {
			return false
		}
		q.Client = client
	}
	q.At = time.Now()
	d := pol.Decide(q)
	at := l.rec.Origin.Addr.Addr() // none, where each request inside is asked about
	return d.Mode == l.rec.Decision.Mode && (!at.IsValid() || d.Permit(at) == nil)
}

// cut ends the tunnel for a reason. tunnels.mu is held.
func (l *liveTunnel) cut(cause error) {
	if l.cause == nil {
		l.cause = cause
	}
	if l.running != nil {
		l.running.Cut(cause)
	}
}

// enter makes the passage a live tunnel. The policy, and who the client is, may
// have changed while the origin was being connected to, and Recheck may be over:
// so they are asked here.
func (p *passage) enter() (*liveTunnel, error) {
	live := &liveTunnel{rec: p.rec, host: p.query.Host, port: p.query.Port, still: p.identity.Still}
	if p.query.Kind != policy.Connect {
		live.request = &p.query
	}
	if !p.s.tunnels.open(live) {
		return nil, errDrained
	}
	if pol := p.s.generation().Policy; (pol != p.gen.Policy || live.still != nil) && !live.allowed(pol) {
		p.s.tunnels.closed(live)
		return nil, &Error{Status: http.StatusForbidden, Cause: "http_request_denied", Outcome: Closed, Msg: errRecheck.Error()}
	}
	return live, nil
}

// open enters a tunnel; false when the gateway is stopping.
func (t *tunnels) open(l *liveTunnel) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.draining {
		return false
	}
	if t.live == nil {
		t.live = make(map[*liveTunnel]struct{})
	}
	t.live[l] = struct{}{}
	return true
}

// start lets the bytes move. done is called when they have ended.
func (t *tunnels) start(l *liveTunnel, moving *tunnel.Tunnel, done func(tunnel.Result, error)) {
	t.runs(l, moving.Start(done))
}

// runs is told what ends l from now on.
func (t *tunnels) runs(l *liveTunnel, by tunnel.Running) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.running = by; l.cause != nil {
		l.running.Cut(l.cause)
	}
}

// run is start for a handler that stays.
func (t *tunnels) run(l *liveTunnel, moving *tunnel.Tunnel) (res tunnel.Result, err error) {
	ended := make(chan struct{})
	t.start(l, moving, func(r tunnel.Result, e error) {
		res, err = r, e
		close(ended)
	})
	<-ended
	return res, err
}

// closed removes a tunnel that has ended.
func (t *tunnels) closed(l *liveTunnel) {
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

// cut ends every tunnel for reason.
func (t *tunnels) cut(reason error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for l := range t.live {
		l.cut(reason)
	}
}

// gone waits, after cut, until the records of all are handed over.
func (t *tunnels) gone() { <-t.empty }

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
