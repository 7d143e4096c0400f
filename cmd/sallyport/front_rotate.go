// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"time"

	"sallyport/pki"
)

// rotationTime is how long new certificates of the listener may take.
const rotationTime = 30 * time.Second

// rotated has the listener show certificates of the issuer that signs now: those
// of the one before may end at a root that is about to go, and do not lead to
// one that is new. It returns when clients are shown them.
func (f *front) rotated(ctx context.Context) error {
	if f.keeper == nil || f.ca == nil || len(f.o.names) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, rotationTime)
	defer cancel()
	var failed error
	for _, name := range append([]string{"fallback"}, f.keeper.Names...) {
		if name != "fallback" && f.o.directory != "" {
			continue // another authority's
		}
		if shown, err := f.keeper.GetCertificate(&tls.ClientHelloInfo{ServerName: name}); err == nil && f.current(shown) {
			continue
		}
		failed = errors.Join(failed, f.keeper.Renew(ctx, name))
	}
	return failed
}

// current reports whether a certificate is shown with the chain that the server
// issuer has now.
func (f *front) current(c *tls.Certificate) bool {
	for _, i := range f.ca.Issuers() {
		if i.Role != pki.Server || !i.Current || len(c.Certificate) != len(i.Chain)+1 {
			continue
		}
		for n, above := range i.Chain {
			if !bytes.Equal(c.Certificate[n+1], above.Raw) {
				return false
			}
		}
		return true
	}
	return false
}
