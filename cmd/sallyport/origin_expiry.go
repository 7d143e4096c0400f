// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sallyport/gateway"
	"sallyport/policy"
)

const (
	expiresSoon  = 14 * 24 * time.Hour
	tellInterval = 24 * time.Hour
	maxExpiring  = 1000 // origins
)

// expiry knows which certificates of origins, and of trust profiles, end soon,
// and says so once a day.
type expiry struct {
	logger *zerolog.Logger

	mu   sync.Mutex
	seen map[string]*expiring // by host and port
	told map[string]time.Time // warnings of profiles
}

// expiring is an origin whose certificate ends soon.
type expiring struct {
	Origin   string    `json:"origin"` // host:port
	Subject  string    `json:"subject"`
	Serial   string    `json:"serial"` // hexadecimal
	NotAfter time.Time `json:"not_after"`
	Seen     uint64    `json:"seen"` // handshakes
	Last     time.Time `json:"last"` // of them

	told time.Time
}

// Observe looks at the certificates of a new connection to an origin. It is
// called from many goroutines at once.
func (x *expiry) Observe(r *gateway.Record) {
	if r.Origin.TLS == nil || r.Origin.Reused || r.Method == "CONNECT" || len(r.Origin.TLS.PeerCertificates) == 0 {
		return
	}
	if d := r.Decision; d.Rule != nil && d.Rule.Log == policy.LogNone { // nothing of it is to be told
		return
	}
	c := r.Origin.TLS.PeerCertificates[0]
	if len(r.Origin.TLS.VerifiedChains) > 0 { // its root is somebody else's business
		chain := r.Origin.TLS.VerifiedChains[0]
		c = slices.MinFunc(chain[:max(1, len(chain)-1)], func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	}
	x.see(originName(r), c, r.Time)
}

// originName is the host that was asked for, at the port that was connected to.
func originName(r *gateway.Record) string {
	u, err := url.Parse(r.URL)
	if err != nil || u.Hostname() == "" {
		return r.Origin.Addr.String()
	}
	return net.JoinHostPort(u.Hostname(), strconv.Itoa(int(r.Origin.Addr.Port())))
}

func (x *expiry) see(origin string, c *x509.Certificate, now time.Time) {
	soon := c.NotAfter.Sub(now) < expiresSoon
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.seen[origin]
	switch {
	case !soon:
		delete(x.seen, origin) // renewed, if it was there
		return
	case e == nil && len(x.seen) >= maxExpiring:
		return
	case e == nil:
		if x.seen == nil {
			x.seen = make(map[string]*expiring)
		}
		e = &expiring{Origin: origin}
		x.seen[origin] = e
	}
	e.Subject, e.Serial, e.NotAfter, e.Last = c.Subject.String(), c.SerialNumber.Text(16), c.NotAfter, now
	e.Seen++
	if now.Sub(e.told) < tellInterval {
		return
	}
	e.told = now
	x.logger.Warn().Str("origin", origin).Str("subject", e.Subject).Str("serial", e.Serial).Time("expires", c.NotAfter).
		Msg("a certificate of an origin expires soon: its operator has to renew it")
}

// List returns the origins that were seen with certificates that end soon, the
// soonest first.
func (x *expiry) List() []expiring {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := []expiring{}
	for _, e := range x.seen {
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b expiring) int {
		return cmp.Or(a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.Origin, b.Origin))
	})
	return list
}

// profiles tells what the trust in force has to warn of, each once a day.
func (x *expiry) profiles(l *loaded, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.told == nil {
		x.told = make(map[string]time.Time)
	}
	for line, at := range x.told {
		if now.Sub(at) >= tellInterval {
			delete(x.told, line)
		}
	}
	for o, t := range l.trusts {
		name := "default"
		if o != nil {
			name = o.Name
		}
		for _, line := range t.Warnings() {
			if _, told := x.told[name+" "+line]; told {
				continue
			}
			x.told[name+" "+line] = now
			x.logger.Warn().Str("profile", name).Str("what", line).Msg("trust in origins")
		}
	}
}

// run tells of profiles, now and every day, until ctx ends.
func (x *expiry) run(ctx context.Context, current func() *loaded) {
	day := time.NewTicker(tellInterval)
	defer day.Stop()
	for {
		x.profiles(current(), time.Now())
		select {
		case <-ctx.Done():
			return
		case <-day.C:
		}
	}
}
