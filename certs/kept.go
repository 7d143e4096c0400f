// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme/autocert"
)

// A kept is one certificate of a Keeper, and what is known of its renewal.
type kept struct {
	label  string // how people call it: the name it is obtained for, its file
	source string
	k      *Keeper
	renew  func(context.Context) (*tls.Certificate, error)
	asks   chan chan error // renewals on demand, heard by run

	cert    atomic.Pointer[tls.Certificate] // what is shown; Leaf is set
	solving atomic.Pointer[autocert.Manager]

	turn chan struct{} // filled during an attempt; one for all that are obtained from the same authority

	mu       sync.Mutex // guards what is below
	err      error      // of the last attempt
	failures int        // attempts since the last that was good
	next     time.Time  // of the next attempt
	toldAt   time.Time  // of the last complaint
	told     Level      // how loud it was
}

// valid is the certificate if it is valid now, else nil: autocert itself goes
// on to show what has expired.
func (c *kept) valid() *tls.Certificate {
	cert := c.cert.Load()
	if cert == nil || time.Now().After(cert.Leaf.NotAfter) {
		return nil
	}
	return cert
}

func (k *Keeper) newKept(label, source string, turn chan struct{}) *kept {
	return &kept{k: k, label: label, source: source, asks: make(chan chan error), turn: turn}
}

// restore takes over what an earlier run has obtained.
func (c *kept) restore(cert *tls.Certificate, err error) {
	c.mu.Lock()
	c.next = time.Now()
	if cert != nil {
		c.next = renewAt(cert.Leaf, false)
	}
	c.mu.Unlock()
	if cert != nil {
		c.cert.Store(cert)
		c.tell(Info, "is there from an earlier run"+validUntil(cert.Leaf))
	} else if err != nil {
		c.tell(Warn, "what an earlier run has obtained cannot be used: "+err.Error()+": it is obtained anew")
	}
}

// attempt obtains the certificate anew, or reads it. What was there stays
// when that does not work.
func (c *kept) attempt(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	old := c.cert.Load()
	limited, cancel := context.WithTimeout(ctx, patienceFor(old))
	defer cancel()
	cert, err := c.renew(limited)
	if cert != nil && err != nil {
		c.tell(Warn, err.Error()) // and it is used all the same
		err = nil
	}
	if err == nil {
		err = checkIssued(cert)
	}
	c.mu.Lock()
	c.err = err
	if err != nil {
		c.failures++
		c.next = time.Now().Add(retryIn(c.failures, old, err))
	} else {
		c.failures, c.toldAt, c.told = 0, time.Time{}, 0
		c.next = renewAt(cert.Leaf, true)
	}
	c.mu.Unlock()
	switch {
	case err == nil && old != nil && old.Leaf.Equal(cert.Leaf): // a file that was read again
		c.cert.Store(cert)
	case err == nil:
		c.cert.Store(cert)
		c.tell(Info, "is in force"+validUntil(cert.Leaf))
	case ctx.Err() == nil: // else the gateway stops
		c.complain()
	}
	return err
}

// checkIssued sees to it that cert can be shown, and sets its Leaf.
func checkIssued(cert *tls.Certificate) (err error) {
	if cert == nil || len(cert.Certificate) == 0 {
		return errors.New("nothing was issued")
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return err
		}
	}
	return checkDates(cert.Leaf)
}

// run renews the certificate when it is time, until ctx is done.
func (c *kept) run(ctx context.Context) {
	timer := time.NewTimer(c.wait())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case done := <-c.asks:
			done <- c.attempt(ctx)
		case <-timer.C:
			if c.due() {
				_ = c.attempt(ctx) // reported
			} else {
				c.complain()
			}
		}
		timer.Reset(c.wait())
	}
}

func (c *kept) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.source != sourceFile && !time.Now().Before(c.next)
}

// wait is how long to sleep. Never long: while a machine is suspended its
// timers stand still and certificates expire.
func (c *kept) wait() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.source == sourceFile {
		return time.Minute
	}
	return max(0, min(time.Until(c.next), time.Minute))
}

// complain says what is wrong with the certificate, if anything is, and not
// again and again: when it gets worse, and once in a while.
func (c *kept) complain() {
	cert := c.cert.Load()
	c.mu.Lock()
	level, text := c.worry(cert)
	now := time.Now()
	if level == 0 || level <= c.told && now.Sub(c.toldAt) < quiet(cert) {
		c.mu.Unlock()
		return
	}
	c.told, c.toldAt = level, now
	c.mu.Unlock()
	c.tell(level, text)
}

// worry judges the certificate; 0 means that all is well. c.mu is held.
func (c *kept) worry(cert *tls.Certificate) (Level, string) {
	again := ""
	if c.source != sourceFile && c.err != nil {
		again = fmt.Sprintf("; it is tried again at %s", c.next.UTC().Format(time.RFC3339))
	}
	if cert == nil {
		if c.err == nil {
			return 0, ""
		}
		return Error, fmt.Sprintf("there is no certificate: %v%s", c.err, again)
	}
	left := time.Until(cert.Leaf.NotAfter)
	why := "renew it"
	if c.err != nil {
		why = c.err.Error() + again
	}
	switch {
	case left <= 0:
		return Error, fmt.Sprintf("the certificate expired on %s and is not shown any more: %s", date(cert.Leaf.NotAfter), why)
	case left < late(cert.Leaf) && (c.err != nil || c.source == sourceFile):
		return Error, fmt.Sprintf("the certificate expires in %s: %s", span(left), why)
	case c.err != nil && c.source == sourceFile:
		return Error, fmt.Sprintf("the files have changed and cannot be used, the certificate from before stays: %v", c.err)
	case c.err != nil:
		return Warn, fmt.Sprintf("the certificate could not be renewed and expires in %s: %s", span(left), why)
	case c.source == sourceFile && left < threshold(cert.Leaf):
		return Warn, fmt.Sprintf("the certificate expires on %s: renew it", date(cert.Leaf.NotAfter))
	}
	return 0, ""
}
