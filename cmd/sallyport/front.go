// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sallyport/certs"
	"sallyport/gateway"
	"sallyport/pki"
	"sallyport/tunnel"
)

// A front is what clients meet that speak TLS to the gateway, and what is to be
// had from the gateway itself.
type front struct {
	o      tlsOptions
	serve  acmeServeOptions
	hosts  []netip.Addr // at which clients connect
	keeper *certs.Keeper
	ca     *pki.CA   // nil: there is none
	server *pki.ACME // nil: another authority issues
	pages  *pages    // for people
	watch  *watcher  // of the files; nil: there are none
	again  chan struct{}
	logger *zerolog.Logger
}

// openFront reads and issues what is needed to meet clients. Certificates that
// have to be obtained come after start: nothing waits for them.
// ca is the gateway's own, nil when there is none.
func openFront(ctx context.Context, o runOptions, ca *pki.CA, listeners []net.Listener, names *tunnel.Names, logger *zerolog.Logger) (*front, error) {
	f := &front{o: o.tls, serve: o.acmeServe, hosts: listenAddrs(listeners), ca: ca, again: make(chan struct{}, 1), logger: logger}
	if !f.o.wanted() {
		return f, nil
	}
	f.keeper = &certs.Keeper{Files: f.o.pairs(), Report: f.report}
	if len(f.o.names) > 0 {
		if err := locateCA(ca, o, listeners); err != nil {
			return nil, fmt.Errorf("--tls-name: %w", err)
		}
		f.keeper.Fallback = f.fallback
		if err := f.openACME(names); err != nil {
			return nil, err
		}
	}
	if err := f.keeper.Load(ctx); err != nil {
		return nil, &exitError{code: exitFailed, err: err}
	}
	if files := slices.Concat(f.o.certs, f.o.keys); len(files) > 0 {
		w, err := watchFiles(files)
		if err != nil {
			return nil, fmt.Errorf("watching the certificates' files: %w", err)
		}
		f.watch = w
	}
	return f, nil
}

// fallback issues the certificate for clients that name no host: for all names
// and for the addresses at which the gateway listens.
func (f *front) fallback(ctx context.Context) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, err
	}
	r := pki.Request{Role: pki.Server, CSR: csr, IP: slices.Clone(f.hosts), Life: f.life(), By: "the gateway's listener"}
	for _, name := range f.o.names {
		if ip, err := netip.ParseAddr(name); err == nil {
			r.IP = append(r.IP, ip)
		} else {
			r.DNS = append(r.DNS, strings.ToLower(name))
		}
	}
	slices.SortFunc(r.IP, netip.Addr.Compare)
	r.IP = slices.Compact(r.IP)
	chain, err := f.ca.Issue(ctx, r)
	if err != nil {
		return nil, err
	}
	cert := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert, nil
}

func (f *front) life() time.Duration {
	if f.o.life != 0 {
		return f.o.life
	}
	return 30 * 24 * time.Hour
}

// configure has s meet clients by TLS, where that is wanted, and answer for the
// gateway itself.
func (f *front) configure(s *gateway.Server, p *pages) {
	for _, name := range f.o.names {
		p.names = append(p.names, strings.ToLower(name))
	}
	p.tls = len(p.names)
	for _, a := range f.hosts {
		p.names = append(p.names, a.String())
	}
	f.pages = p
	if len(p.names) > 0 {
		s.OwnURL = "http://" + net.JoinHostPort(p.names[0], strconv.Itoa(int(p.port)))
	}
	s.OwnNames, s.Own, s.OwnPaths = gateway.OwnNames(p.names...), f, f.page
	if f.keeper != nil {
		s.TLS = f.keeper.Config()
	}
}

// page reports whether f itself answers at a path.
func (f *front) page(path string) bool {
	return f.pages.has(path) || f.keeper != nil && strings.HasPrefix(path, challenges) ||
		f.server != nil && strings.HasPrefix(path, "/acme/") || f.pages.ca() != nil && pki.Published(path)
}

// challenges are the paths at which authorities look for answers (RFC 8555 §8.3).
const challenges = "/.well-known/acme-challenge/"

// ServeHTTP answers requests for the gateway itself: an authority's http-01
// challenges, the ACME server, pages for people, and what everybody may know of the
// CA. Paths are
// taken as they are: those of OCSP requests may have // in them.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch ca := f.pages.ca(); {
	case f.pages.has(r.URL.Path):
		f.pages.ServeHTTP(w, r)
	case f.keeper != nil && strings.HasPrefix(r.URL.Path, challenges):
		f.keeper.HTTPHandler().ServeHTTP(w, r)
	case f.server != nil && strings.HasPrefix(r.URL.Path, "/acme/"):
		f.server.ServeHTTP(w, r)
	case ca != nil:
		ca.Publish().ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

// start obtains and renews certificates, and reads files again that change,
// until stop, which returns when all of that has ended.
func (f *front) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	if f.keeper != nil {
		all.Go(func() { f.keeper.Run(ctx) })
		all.Go(func() { _ = f.rotated(ctx) }) // when a command has rotated while no gateway ran; it is reported
	}
	if f.ca != nil {
		all.Go(func() { f.ca.Run(ctx) })
		all.Go(func() { watchCA(ctx, f.ca, f.logger) })
	}
	if f.watch != nil {
		all.Go(func() { f.follow(ctx) })
	}
	return func() {
		cancel()
		all.Wait()
	}
}

func (f *front) follow(ctx context.Context) {
	defer f.watch.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.watch.Changed:
		case <-f.again:
		}
		f.keeper.Reload(ctx)
	}
}

// reload has the files read again, soon.
func (f *front) reload() {
	select {
	case f.again <- struct{}{}:
	default:
	}
}

// report writes what happens to certificates into the log.
func (f *front) report(e certs.Event) {
	line := f.logger.Info()
	switch e.Level {
	case certs.Warn:
		line = f.logger.Warn()
	case certs.Error:
		line = f.logger.Error()
	}
	line.Str("certificate", e.Label).Str("source", e.Source)
	if e.Cert != nil {
		line.Time("not_after", e.Cert.NotAfter.UTC())
	}
	if !e.NextRenew.IsZero() {
		line.Time("next_renewal", e.NextRenew.UTC())
	}
	line.Msg(e.Text)
}

// ownPort is the port of the first listener.
func ownPort(listeners []net.Listener) uint16 {
	a, _ := netip.ParseAddrPort(listeners[0].Addr().String())
	return a.Port()
}

// listenAddrs are the addresses at which clients can connect: those that were
// named, and for 0.0.0.0 and :: those of this machine.
func listenAddrs(listeners []net.Listener) (addrs []netip.Addr) {
	for _, l := range listeners {
		a, err := netip.ParseAddrPort(l.Addr().String())
		if err != nil {
			continue
		}
		if ip := a.Addr().Unmap().WithZone(""); !ip.IsUnspecified() {
			addrs = append(addrs, ip)
			continue
		}
		local, err := net.InterfaceAddrs()
		if err != nil {
			continue
		}
		for _, n := range local {
			p, err := netip.ParsePrefix(n.String())
			if ip := p.Addr().Unmap(); err == nil && !ip.IsLinkLocalUnicast() {
				addrs = append(addrs, ip)
			}
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}
