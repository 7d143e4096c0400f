// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A Keeper holds the certificates that a listener shows its clients, obtains
// and renews them, and says when that does not work. Its fields are set before
// Load and not changed afterwards. The zero Keeper has no certificate and
// lets no handshake succeed.
//
// No handshake ever waits for an authority: what is shown is in memory, and
// Run sees to it beside the serving.
type Keeper struct {
	// Names are the DNS names for which certificates are obtained by ACME, one
	// each. Nobody else's name is ever ordered, whatever a client asks for.
	Names []string
	ACME  *ACME // nil: none are obtained, and Names has to be empty

	Files []Pair // certificates that somebody else renews, read again by Reload

	// Fallback issues the certificate for clients that name no host, or one
	// that there is no valid certificate for: those that connect to an address,
	// and all of them until the first certificate has come. It is called in
	// good time before the last one expires. Nil: the first valid certificate
	// there is takes its place.
	Fallback func(context.Context) (*tls.Certificate, error)

	Report func(Event) // told what was obtained and what was not, by several goroutines; nil: nobody is

	obtained []*kept
	byName   map[string]*kept
	files    []*kept
	fallback *kept
}

// ErrUnknownName is returned by Renew.
var ErrUnknownName = errors.New("no certificate is kept for that name")

// Load reads the files and what earlier runs have obtained, and has the
// fallback issued. What is wrong with the files or the names is an error:
// somebody is there to put it right. Everything else is reported and tried
// again by Run.
func (k *Keeper) Load(ctx context.Context) error {
	var errs []error
	k.byName = make(map[string]*kept)
	// One order at a time: the first makes the account, and an authority counts.
	orders := make(chan struct{}, 1)
	for _, name := range k.Names {
		host, err := obtainable(name)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("certs: %w", err))
			continue
		case k.ACME == nil:
			return fmt.Errorf("certs: no authority to obtain a certificate for %s from", printable(name))
		case k.byName[host] != nil:
			continue
		}
		c := k.newKept(host, k.ACME.Directory, orders)
		c.renew = func(ctx context.Context) (*tls.Certificate, error) { return k.ACME.obtain(ctx, host, &c.solving) }
		k.byName[host] = c
		k.obtained = append(k.obtained, c)
	}
	for _, p := range k.Files {
		c := k.newKept(p.Cert, sourceFile, make(chan struct{}, 1))
		c.renew = func(context.Context) (*tls.Certificate, error) { return p.load() }
		k.files = append(k.files, c)
		if _, err := p.load(); err != nil {
			errs = append(errs, fmt.Errorf("certs: %w", err)) // and not reported as well
			continue
		}
		_ = c.attempt(ctx)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, c := range k.obtained {
		cert, err := k.ACME.stored(ctx, c.label)
		c.restore(cert, err)
	}
	if k.Fallback != nil {
		k.fallback = k.newKept("fallback", "own CA", make(chan struct{}, 1))
		k.fallback.renew = k.Fallback
		_ = k.fallback.attempt(ctx) // reported
	}
	return nil
}

// Run obtains and renews certificates until ctx is done, and returns when
// everything it started has ended.
func (k *Keeper) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, c := range k.all() {
		all.Go(func() { c.run(ctx) })
	}
	all.Wait()
}

// all are the certificates in the order in which they are listed.
func (k *Keeper) all() []*kept {
	list := slices.Concat(k.files, k.obtained)
	if k.fallback != nil {
		list = append(list, k.fallback)
	}
	return list
}

// GetCertificate is for a tls.Config: it chooses by the name that the client
// asked for, and never waits. It is safe for concurrent use.
func (k *Keeper) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.TrimSuffix(strings.ToLower(hello.ServerName), ".")
	if name != "" {
		for _, c := range k.files {
			if cert := c.valid(); cert != nil && cert.Leaf.VerifyHostname(name) == nil && hello.SupportsCertificate(cert) == nil {
				return cert, nil
			}
		}
		if c := k.byName[name]; c != nil {
			if cert := c.valid(); cert != nil {
				return cert, nil
			}
		}
	}
	if k.fallback != nil {
		if cert := k.fallback.valid(); cert != nil {
			return cert, nil
		}
	}
	for _, c := range slices.Concat(k.files, k.obtained) {
		if cert := c.valid(); cert != nil {
			return cert, nil
		}
	}
	return nil, fmt.Errorf("certs: no certificate that is valid now for %s", asked(name))
}

// asked is what a client asked for, for messages.
func asked(name string) string {
	if name == "" {
		return "a client that names no host"
	}
	return printable(name)
}

// Reload reads the files again. What does not load is reported, and leaves
// what was there in force.
func (k *Keeper) Reload(ctx context.Context) {
	for _, c := range k.files {
		_ = c.attempt(ctx)
	}
}

// Renew has the certificate of name renewed now, or read again, and waits for
// the outcome. name is one of Names, a name that a file's certificate is for,
// the path of that file, or "fallback". It needs a Run that is under way.
func (k *Keeper) Renew(ctx context.Context, name string) error {
	c := k.find(name)
	if c == nil {
		return fmt.Errorf("certs: %s: %w", printable(name), ErrUnknownName)
	}
	done := make(chan error, 1)
	select {
	case c.asks <- done:
	case <-ctx.Done():
		return fmt.Errorf("certs: renewing %s: %w", printable(name), ctx.Err())
	}
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("certs: renewing %s: %w", printable(name), err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("certs: renewing %s: %w", printable(name), ctx.Err())
	}
}

func (k *Keeper) find(name string) *kept {
	host := strings.TrimSuffix(strings.ToLower(name), ".")
	if c := k.byName[host]; c != nil {
		return c
	}
	for _, c := range k.files {
		if cert := c.cert.Load(); c.label == name || cert != nil && cert.Leaf.VerifyHostname(host) == nil {
			return c
		}
	}
	if k.fallback != nil && k.fallback.label == name {
		return k.fallback
	}
	return nil
}
