// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// A ProhibitedError is the answer for a host of which every address was
// refused by Permit.
type ProhibitedError struct {
	Addr netip.AddrPort // the first refused; the zero value when nothing was looked up
	Err  error          // Permit's
}

func (e *ProhibitedError) Error() string {
	if !e.Addr.IsValid() {
		return fmt.Sprintf("tunnel: dial prohibited: %v", e.Err)
	}
	return fmt.Sprintf("tunnel: dial %s prohibited: %v", e.Addr, e.Err)
}

func (e *ProhibitedError) Unwrap() error { return e.Err }

var (
	errNoPermit    = errors.New("the dialer has no Permit function")
	errUnspecified = errors.New("the unspecified address is no origin's")
)

// plain returns a as prefixes match it: netip.Prefix.Contains is false for
// every mapped and every zoned address, which would slip through a ban of
// 10.0.0.0/8 or fe80::/10.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// attempts watches the addresses of one dial. RFC 8305 tries two at once.
type attempts struct {
	permit  func(netip.AddrPort) error
	network string
	by      time.Time

	mu      sync.Mutex
	refused *ProhibitedError // the first
	failed  error            // the first permitted address's
}

// control is called with the address that connect(2) will be given. This is
// what makes rebinding pointless: there is no second lookup to lie to.
func (a *attempts) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &ProhibitedError{Err: fmt.Errorf("unreadable address: %w", err)}
	}
	return a.ask(ap)
}

// ask asks Permit about an address, and says so when it refuses.
func (a *attempts) ask(ap netip.AddrPort) (err error) {
	ap = plain(ap)
	if ap.Addr().IsUnspecified() {
		// The kernel would connect to this machine, and net.Dialer shows the
		// address before that change: no ban of 127.0.0.0/8 would match it.
		err = errUnspecified
	} else {
		err = a.permit(ap)
	}
	if err == nil {
		return nil
	}
	p := &ProhibitedError{Addr: ap, Err: err}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refused == nil {
		a.refused = p
	}
	return p
}

// failure notes why the attempt at a permitted address failed.
func (a *attempts) failure(err error) {
	var p *ProhibitedError
	if errors.As(err, &p) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed == nil {
		a.failed = err
	}
}

// judge picks the error that says why there is no connection.
func (a *attempts) judge(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.refused == nil:
		return fmt.Errorf("tunnel: %w", err)
	case a.failed != nil:
		return fmt.Errorf("tunnel: %w", a.failed)
	default:
		return a.refused
	}
}
