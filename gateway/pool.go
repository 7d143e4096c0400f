// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"crypto/tls"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/gateway/wire"
)

// Bounds of what is kept of connections to origins.
const (
	maxIdle         = 4096 // connections
	maxIdlePerRoute = 256
	idleTime        = 90 * time.Second
	maxRoutes       = 8192 // of which the TLS session and the configuration are kept

	maxMaking = 16                     // at a time and for a route; more wait
	rushTime  = 100 * time.Millisecond // so long
)

// A pool keeps the engine's connections to origins, each for its route alone,
// and what makes the next one cheaper. The most recently used is taken first:
// the others get the rest that lets them be closed. The zero value is ready.
type pool struct {
	mu     sync.Mutex
	routes map[route]*known
	idle   int
	sweep  *time.Timer // runs while there is something to sweep

	turn atomic.Uint64 // changes when connections in users' names are no longer to be used
}

// known is what is remembered of a route. pool.mu guards it.
type known struct {
	route  route
	idle   []*hop
	config *tls.Config // nil: relay, or nobody has been there
	used   time.Time
	gone   bool // forgotten

	making  int         // connections that are being made
	waiting []chan *hop // requests that would rather have one that is there
}

// take returns a connection that has nothing wrong with it, or nil and what is
// known of the route: then one is to be made, and made to be called. hint is
// what was known of the route of the request before: most clients go there again.
//
// Where many are being made already it waits a moment for one that is given
// back. After any pause of a busy gateway all that has come meanwhile would make
// one otherwise, and the handshakes would be the next pause.
func (o *pool) take(r route, hint *known) (*hop, *known) {
	for {
		o.mu.Lock()
		k := hint
		if k == nil || k.gone || k.route != r {
			if k = o.routes[r]; k == nil {
				k = o.know(r, time.Now())
			}
		}
		n := len(k.idle) - 1
		if n < 0 {
			if k.making < maxMaking {
				k.making++
				o.mu.Unlock()
				return nil, k
			}
			return o.wait(k)
		}
		h := k.idle[n]
		k.idle[n] = nil
		k.idle = k.idle[:n]
		o.idle--
		o.mu.Unlock()
		if h.sound() {
			return h, k
		}
		h.drop()
	}
}

// wait waits for a connection of k that is given back, but not long. o.mu is
// held, and is not when wait returns.
func (o *pool) wait(k *known) (*hop, *known) {
	w := make(chan *hop, 1)
	k.waiting = append(k.waiting, w)
	o.mu.Unlock()
	rush := time.NewTimer(rushTime)
	defer rush.Stop()
	var h *hop
	select {
	case h = <-w:
	case <-rush.C:
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if h == nil {
		if i := slices.Index(k.waiting, w); i >= 0 {
			k.waiting = slices.Delete(k.waiting, i, i+1)
		} else {
			h = <-w
		}
	}
	if h != nil && h.sound() {
		return h, k
	}
	if h != nil {
		h.drop()
	}
	k.making++
	return nil, k
}

// made is told that a connection for k was made, or could not be.
func (o *pool) made(k *known) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k.making--
	if k.making == 0 && k.config == nil && len(k.idle) == 0 && len(k.waiting) == 0 && !k.gone {
		o.drop(k.route) // nobody got there: it shall not push out what is known of others
	}
}

// sound reports whether nothing is wrong with an idle connection. An origin that
// has closed would cost a request that may not be repeated; one that has spoken
// before it was asked has an answer ready for somebody's next question (response
// queue poisoning).
//
// On one that was never asked anything, which is nobody's yet, the session tickets
// that TLS 1.3 sends behind a handshake may be there (RFC 8446 §4.6.1).
func (h *hop) sound() bool {
	state := h.wire.State()
	return state == wire.Quiet || h.unasked && state == wire.Talking
}

// keep gives h back for the next request of its route.
func (o *pool) keep(h *hop, now time.Time) {
	o.mu.Lock()
	if h.route.user != "" && h.turn != o.turn.Load() {
		o.mu.Unlock()
		h.drop()
		return
	}
	k := h.known
	if k == nil || k.gone {
		k = o.know(h.route, now)
		h.known = k
	}
	k.used = now
	if len(k.waiting) > 0 {
		w := k.waiting[0]
		k.waiting = slices.Delete(k.waiting, 0, 1)
		o.mu.Unlock()
		w <- h
		return
	}
	if o.idle >= maxIdle || len(k.idle) >= maxIdlePerRoute {
		o.mu.Unlock()
		h.drop()
		return
	}
	h.since = now
	k.idle = append(k.idle, h)
	o.idle++
	o.mu.Unlock()
}

// know returns what is remembered of r, which may be nothing yet. o.mu is held.
func (o *pool) know(r route, now time.Time) *known {
	k := o.routes[r]
	if k == nil {
		if o.routes == nil {
			o.routes = make(map[route]*known)
			o.sweep = time.AfterFunc(idleTime/3, o.clean)
		}
		if len(o.routes) >= maxRoutes {
			o.forget()
		}
		k = &known{route: r}
		o.routes[r] = k
	}
	k.used = now
	return k
}

// forget makes room: of a handful of routes, whichever they are, the one that
// was used longest ago. o.mu is held.
func (o *pool) forget() {
	var oldest route
	var at time.Time
	n := 0
	for r, k := range o.routes {
		if at.IsZero() || k.used.Before(at) {
			oldest, at = r, k.used
		}
		if n++; n == 16 {
			break
		}
	}
	o.drop(oldest)
}

// drop forgets r. o.mu is held.
func (o *pool) drop(r route) {
	o.abandon(r, 0)
	o.routes[r].gone = true
	delete(o.routes, r)
}

// abandon closes all but the newest n idle connections of r. o.mu is held.
func (o *pool) abandon(r route, n int) {
	k := o.routes[r]
	cut := len(k.idle) - n
	for _, h := range k.idle[:cut] {
		h.drop()
	}
	o.idle -= cut
	k.idle = append([]*hop(nil), k.idle[cut:]...)
}

// config returns the TLS configuration for r, made by open for the first
// connection there. It is not to be changed.
func (o *pool) config(r route, open func() *tls.Config) *tls.Config {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := o.know(r, time.Now())
	if k.config == nil {
		k.config = open()
	}
	return k.config
}

// clean closes what has been idle for too long or was closed by its origin.
func (o *pool) clean() {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	for r, k := range o.routes {
		n := 0
		for n < len(k.idle) && now.Sub(k.idle[n].since) > idleTime {
			n++
		}
		if n > 0 {
			o.abandon(r, len(k.idle)-n)
		}
		live := k.idle[:0]
		for _, h := range k.idle {
			if h.sound() {
				live = append(live, h)
				continue
			}
			h.drop()
			o.idle--
		}
		clear(k.idle[len(live):])
		if k.idle = live; len(live) == 0 && now.Sub(k.used) > time.Hour {
			o.drop(r)
		}
	}
	if len(o.routes) == 0 {
		o.routes = nil // know begins again
		return
	}
	o.sweep.Reset(idleTime / 3)
}

// disown gives up every connection that was made in a user's name: those that
// are in use as soon as they are not.
func (o *pool) disown() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.turn.Add(1)
	for r := range o.routes {
		if r.user != "" {
			o.drop(r)
		}
	}
}

// close ends every idle connection.
func (o *pool) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for r := range o.routes {
		o.drop(r)
	}
	if o.sweep != nil {
		o.sweep.Stop()
	}
	o.routes = nil
}
