// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Names looks names up and remembers the answers for as long as the DNS allows
// (RFC 2181 §8), failures included (RFC 2308). The zero Names is ready; any
// number of goroutines may use it at once. What it remembers is about names
// only: whether an address may be connected to is asked at each connect.
type Names struct {
	// Resolver is asked for what is not remembered. Nil is the system's
	// configuration read by Go's own resolver. A Dial it brings must return
	// connections to name servers.
	Resolver *net.Resolver

	once sync.Once
	ask  *net.Resolver // Resolver, overheard

	mu    sync.Mutex
	known map[string]*answer
}

// An answer is what a name resolved to, or is about to.
type answer struct {
	ready chan struct{} // closed when the rest is set
	addrs []netip.Addr
	err   error
	until time.Time
}

const (
	maxNames = 10_000 // remembered at once

	lookupTime = 10 * time.Second

	maxTTL      = time.Hour
	maxNegative = 5 * time.Minute // RFC 2308 §5 allows up to three hours; people mend names faster

	// unheardTTL is for answers without a lifetime: from /etc/hosts, and failures
	// of the name servers (RFC 2308 §7.1).
	unheardTTL = 5 * time.Second
)

// Lookup returns the addresses of name in the order in which they are to be
// tried (RFC 6724). A name is looked up as an absolute one: a search list in
// resolv.conf would lead to another host than the one the policy was asked
// about. A name without a dot may also stand in /etc/hosts. Callers that ask
// for the same name at the same time share one lookup; ctx ends only the wait.
// The slice is not to be changed.
func (n *Names) Lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	return n.lookup(ctx, time.Time{}, name)
}

// lookup is Lookup that waits until by at most, unless that is zero. What is
// remembered costs no context.
func (n *Names) lookup(ctx context.Context, by time.Time, name string) ([]netip.Addr, error) {
	name = strings.ToLower(name)
	n.mu.Lock()
	a := n.known[name]
	if a == nil || a.expired(time.Now()) {
		a = &answer{ready: make(chan struct{})}
		n.remember(name, a)
		go n.fill(a, name)
	}
	n.mu.Unlock()
	select {
	case <-a.ready:
		return a.addrs, a.err
	default:
	}
	if !by.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, by)
		defer cancel()
	}
	select {
	case <-a.ready:
		return a.addrs, a.err
	case <-ctx.Done():
		return nil, &net.DNSError{Err: ctx.Err().Error(), Name: name, IsTimeout: errors.Is(ctx.Err(), context.DeadlineExceeded), UnwrapErr: ctx.Err()}
	}
}

// expired reports whether a is complete and has outlived its time.
func (a *answer) expired(now time.Time) bool {
	select {
	case <-a.ready:
		return !now.Before(a.until)
	default:
		return false
	}
}

// remember enters a and makes room for it. n.mu is held.
func (n *Names) remember(name string, a *answer) {
	if n.known == nil {
		n.known = make(map[string]*answer)
	}
	if len(n.known) >= maxNames {
		now := time.Now()
		for k, old := range n.known {
			if old.expired(now) {
				delete(n.known, k)
			}
		}
		// Any will do, the hot ones come back; a tenth, so that a flood of new
		// names does not pay for this walk with every single one.
		for k := range n.known {
			if len(n.known) <= maxNames-maxNames/10 {
				break
			}
			delete(n.known, k)
		}
	}
	n.known[name] = a
}

// fill asks the resolver. It is nobody's in particular: whoever asked first may
// have left by the time others wait.
func (n *Names) fill(a *answer, name string) {
	n.once.Do(func() { n.ask = overhear(n.Resolver) })
	defer close(a.ready)
	heard := new(lifetime)
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), lifetimeKey{}, heard), lookupTime)
	defer cancel()
	if !strings.Contains(name, ".") {
		// Go's resolver finds such a name in /etc/hosts only as it is written, and
		// as it is written it would be completed from the search list.
		a.addrs, a.err = hostsFile.LookupNetIP(ctx, "ip", name)
	}
	if len(a.addrs) == 0 {
		a.addrs, a.err = n.ask.LookupNetIP(ctx, "ip", absolute(name))
	}
	for i, addr := range a.addrs {
		a.addrs[i] = addr.Unmap() // net gives IPv4 addresses in either form
	}
	a.until = time.Now().Add(heard.of(a.err))
}

// hostsFile answers from /etc/hosts alone.
var hostsFile = net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("only the hosts file is asked")
}}

// absolute returns name such that no resolver completes it (RFC 1034 §3.1).
func absolute(name string) string {
	if strings.HasSuffix(name, ".") {
		return name
	}
	return name + "."
}
