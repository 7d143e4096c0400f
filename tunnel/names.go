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

	// Patience is how long a dial waits for an HTTPS record, once the addresses are
	// there, and as long again as they took if that is longer, up to a quarter of a
	// second. Zero or less is 50 ms.
	Patience time.Duration

	once     sync.Once
	resolver *net.Resolver // Resolver, overheard

	mu       sync.Mutex
	known    map[string]*answer
	services map[inquired]*Inquiry
}

// An answer is what a name resolved to, or is about to.
type answer struct {
	heard *lifetime
	asked time.Time

	ready chan struct{} // closed when the rest is set
	addrs []netip.Addr
	err   error
	at    time.Time
	until time.Time
}

const (
	maxNames = 10_000 // remembered at once, of addresses and of services each

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
	return n.lookup(ctx, time.Time{}, name, nil)
}

// A with is what else a dial wants to know of the host it looks up.
type with struct {
	port    uint16
	patient bool
	inquiry *Inquiry // set by the lookup
}

// lookup is Lookup that waits until by at most, unless that is zero, and asks for
// what else is wanted, unless that is nil. What is remembered costs no context.
func (n *Names) lookup(ctx context.Context, by time.Time, name string, also *with) ([]netip.Addr, error) {
	name = strings.ToLower(name)
	n.mu.Lock()
	a := n.addresses(name)
	if also != nil {
		also.inquiry = n.inquireOf(a, name, also.port, also.patient)
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

// addresses returns the lookup of name that is remembered, or begins one. n.mu is
// held.
func (n *Names) addresses(name string) *answer {
	a := n.known[name]
	if a == nil || a.expired(time.Now()) {
		a = &answer{heard: newLifetime(), asked: time.Now(), ready: make(chan struct{})}
		n.known = remember(n.known, name, a)
		n.once.Do(func() { n.resolver = overhear(n.Resolver) })
		go n.fill(a, name)
	}
	return a
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

// remember enters a in known and makes room for it. Names.mu is held.
func remember[K comparable, A interface{ expired(time.Time) bool }](known map[K]A, name K, a A) map[K]A {
	if known == nil {
		known = make(map[K]A)
	}
	if len(known) >= maxNames {
		now := time.Now()
		for k, old := range known {
			if old.expired(now) {
				delete(known, k)
			}
		}
		// Any will do, the hot ones come back; a tenth, so that a flood of new
		// names does not pay for this walk with every single one.
		for k := range known {
			if len(known) <= maxNames-maxNames/10 {
				break
			}
			delete(known, k)
		}
	}
	known[name] = a
	return known
}

// fill asks the resolver. It is nobody's in particular: whoever asked first may
// have left by the time others wait.
func (n *Names) fill(a *answer, name string) {
	defer close(a.ready)
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), lifetimeKey{}, a.heard), lookupTime)
	defer cancel()
	if !strings.Contains(name, ".") {
		// Go's resolver finds such a name in /etc/hosts only as it is written, and
		// as it is written it would be completed from the search list.
		a.addrs, a.err = hostsFile.LookupNetIP(ctx, "ip", name)
	}
	if len(a.addrs) == 0 {
		a.addrs, a.err = n.resolver.LookupNetIP(ctx, "ip", absolute(name))
	}
	for i, addr := range a.addrs {
		a.addrs[i] = addr.Unmap() // net gives IPv4 addresses in either form
	}
	a.at = time.Now()
	a.until = a.at.Add(a.heard.of(a.err))
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
