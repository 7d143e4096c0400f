// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"sallyport/pki"
)

// openOwnCA opens the CA of the state directory, and makes it when --tls-name
// needs one. It is nil when there is none, or nobody could come by TLS: then a
// command opens it when it is asked for something.
func openOwnCA(o runOptions, a *admin, logger *zerolog.Logger) (*pki.CA, error) {
	if !o.tls.wanted() || len(o.tls.names) == 0 && !a.ca.exists() {
		return nil, nil
	}
	if !a.ca.exists() {
		if err := makeOwnCA(o, a, logger); err != nil {
			return nil, fmt.Errorf("--tls-name: %w", err)
		}
	}
	ca, err := a.ca.get()
	if err != nil {
		return nil, fmt.Errorf("the gateway's own CA: %w", err)
	}
	return ca, nil
}

func makeOwnCA(o runOptions, a *admin, logger *zerolog.Logger) error {
	var s pki.Settings
	for _, name := range o.tls.names {
		if obtainable(name) {
			s.Exclude = append(s.Exclude, strings.ToLower(name)) // the gateway does not intercept itself
		}
	}
	if err := a.ca.init(s); err != nil && !errors.Is(err, pki.ErrExists) { // or somebody was quicker
		return err
	}
	logger.Info().Str("directory", a.ca.dir()).Msg("the gateway has made a CA of its own; clients need its edge root: sallyport ca root")
	if err := a.audit(auditEntry{Source: "run start", Result: resultDone, Subject: "made a CA"}); err != nil {
		logger.Error().Str("error", err.Error()).Msg("the audit log was not written")
	}
	return nil
}

// locateCA has certificates say where the gateway tells of revocation: at its
// first name and port, unless the CA was told of another place. A port that is
// another one at the next start is no such place.
func locateCA(ca *pki.CA, o runOptions, listeners []net.Listener) error {
	if ca == nil || ca.Settings().URL != "" || len(o.tls.names) == 0 || strings.HasSuffix(o.listen[0], ":0") {
		return nil
	}
	a, err := netip.ParseAddrPort(listeners[0].Addr().String())
	if err != nil {
		return nil
	}
	return ca.SetURL("http://" + net.JoinHostPort(strings.ToLower(o.tls.names[0]), strconv.Itoa(int(a.Port()))))
}

// soon is how long before its end a root is told of.
const soon = 180 * day

// watchCA tells once a day, and at the start, what of the CA has to be rotated.
func watchCA(ctx context.Context, ca *pki.CA, logger *zerolog.Logger) {
	if ca == nil {
		return
	}
	for tick := time.NewTicker(day); ; {
		now := time.Now()
		for _, text := range overdue(ca, now) {
			logger.Warn().Msg(text)
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
	}
}

// overdue is what of the CA has to be rotated, for people.
func overdue(ca *pki.CA, now time.Time) (texts []string) {
	for _, i := range ca.Issuers() {
		if i.Current && now.After(i.RotateBy) {
			texts = append(texts, fmt.Sprintf("the CA's %s issuer expires on %s: sallyport ca rotate-issuer %s", i.Role, i.NotAfter.Format(time.DateOnly), i.Role))
		}
	}
	for _, d := range []pki.Domain{pki.Edge, pki.Identity} {
		roots := ca.Roots(d)
		if !slices.ContainsFunc(roots, func(c *x509.Certificate) bool { return c.NotAfter.Sub(now) >= soon }) {
			texts = append(texts, fmt.Sprintf("the CA's %s root expires on %s: sallyport ca rotate-root %s prepare", d, roots[0].NotAfter.Format(time.DateOnly), d))
		}
	}
	return texts
}
