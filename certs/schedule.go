// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"time"

	"golang.org/x/crypto/acme"
)

// life is how long a certificate is valid in all.
func life(c *x509.Certificate) time.Duration { return c.NotAfter.Sub(c.NotBefore) }

// threshold is how long before its end a certificate is to be renewed: a
// third of its life, at most 30 days.
func threshold(c *x509.Certificate) time.Duration { return min(life(c)/3, 30*24*time.Hour) }

// late is when a certificate that is not renewed is an error: a sixth of its
// life is left, at most 15 days.
func late(c *x509.Certificate) time.Duration { return threshold(c) / 2 }

// renewAt is when to renew c. fresh says that it was issued just now. A tenth of
// the threshold is left to chance, so that gateways started together do not
// come to their authority together.
func renewAt(c *x509.Certificate, fresh bool) time.Time {
	t := threshold(c)
	if fresh { // a life that began before the certificate was issued is not all to be had
		t = min(t, time.Until(c.NotAfter)/3)
	}
	at := c.NotAfter.Add(-t - time.Duration(rand.Float64()*float64(t)/10))
	// Whatever an authority issues, it is not asked without a pause.
	if soon := time.Now().Add(time.Second); at.Before(soon) {
		return soon
	}
	return at
}

// retryIn is how long to wait after so many failures in a row: half a minute,
// twice as long each time, an hour; sooner where the certificate runs out
// before, and later where the authority asks for it. Never less than a second.
func retryIn(failures int, cert *tls.Certificate, err error) time.Duration {
	d := min(30*time.Second<<min(failures-1, 7), time.Hour)
	if cert != nil {
		if left := time.Until(cert.Leaf.NotAfter); left > 0 {
			d = min(d, left/6)
		}
	}
	d = max(d, time.Second)
	d += time.Duration(rand.Float64() * float64(d) / 5)
	var refused *acme.Error
	if errors.As(err, &refused) {
		if asked, ok := acme.RateLimit(refused); ok {
			d = max(d, min(asked, 24*time.Hour))
		}
	}
	return d
}

// patienceFor is how long one attempt may take: two minutes, or less where the
// certificate that is to be replaced would run out meanwhile.
func patienceFor(cert *tls.Certificate) time.Duration {
	const most, least = 2 * time.Minute, 10 * time.Second
	if cert == nil {
		return most
	}
	if left := time.Until(cert.Leaf.NotAfter); left > 0 {
		return max(least, min(most, left/2))
	}
	return most
}

// quiet is how long the same complaint is not repeated.
func quiet(cert *tls.Certificate) time.Duration {
	if cert == nil {
		return time.Minute
	}
	return max(10*time.Second, min(life(cert.Leaf)/30, time.Hour))
}
