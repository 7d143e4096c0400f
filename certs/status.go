// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/x509"
	"fmt"
	"time"
)

// A Level says how loud an Event is.
type Level uint8

const (
	Info  Level = iota + 1 // a certificate is in force
	Warn                   // a renewal failed, and there is time left
	Error                  // clients are, or soon will be, without a certificate that is valid
)

// An Event is something that happened to a certificate of a Keeper. Text is
// one line that says what, why, and what can be done; nothing of a key is in it.
type Event struct {
	Status
	Level Level
	Text  string
}

// A Status is what is known of one certificate of a Keeper.
type Status struct {
	Label     string            // the name it is obtained for, the file it is from, or "fallback"
	Source    string            // the directory URL of an ACME authority, "file" or "own CA"
	Cert      *x509.Certificate // what is shown, or was until it expired; nil: none yet
	Valid     bool              // now
	Err       error             // of the last attempt to renew or read it; nil: it was good
	Failures  int               // attempts since the last that was good
	NextRenew time.Time         // of the next attempt; zero: somebody else renews it
}

// List is the status of every certificate: files first, then what is obtained
// by ACME, then the fallback.
func (k *Keeper) List() []Status {
	var list []Status
	for _, c := range k.all() {
		list = append(list, c.status())
	}
	return list
}

func (c *kept) status() Status {
	cert := c.cert.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status{Label: c.label, Source: c.source, Valid: c.valid() != nil, Err: c.err, Failures: c.failures, NextRenew: c.next}
	if cert != nil {
		s.Cert = cert.Leaf
	}
	if c.source == sourceFile {
		s.NextRenew = time.Time{}
	}
	return s
}

func (c *kept) tell(level Level, text string) {
	if c.k.Report == nil {
		return
	}
	c.k.Report(Event{Status: c.status(), Level: level, Text: fmt.Sprintf("certificate %s (%s): %s", c.label, c.source, text)})
}

// validUntil is said of a certificate that is in force.
func validUntil(leaf *x509.Certificate) string {
	return fmt.Sprintf(": serial %x, valid until %s", leaf.SerialNumber, leaf.NotAfter.UTC().Format(time.RFC3339))
}
