// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Sources fetches and keeps what certificates refer to: CRLs, OCSP responses
// and certificates of issuers. All of it is signed, and read only as far as its
// signature is who's it has to be; so one Sources serves any number of Trusts,
// and should, because it is what they all know.
//
// The zero value is ready and keeps everything in memory. Fields are set before
// the first use and not changed after. Any number of goroutines may use it.
type Sources struct {
	Dir string       // directory in which CRLs outlast the process, made when it is needed; "": nowhere
	Log func(string) // told, in one line, what an operator should know; nil: nobody. It may not call back.

	patience time.Duration // of a handshake for what it has to know; 0: 5 s

	epoch atomic.Uint64 // rises when something that was trusted may not be any more

	mu      sync.Mutex
	places  map[string]*place
	ctx     context.Context
	stop    context.CancelFunc
	slots   [2]chan struct{} // held by fetches that are going on, of issuers and of the rest
	flights sync.WaitGroup
	checked time.Time // by tick
	rose    time.Time // when epoch did
}

const (
	forgetTime = 24 * time.Hour // after which what nobody asked for is not kept up to date
	refresh    = 12 * time.Hour // at the latest
	renewTime  = 12 * time.Hour // after which connections are made anew
	retryMin   = 30 * time.Second
	retryMax   = 10 * time.Minute
	maxPlaces  = 4096
	maxLists   = 256 << 20 // bytes of CRLs, as they were fetched
	maxSeen    = 4096      // certificates of a CRL that are remembered
)

// wait is how long a handshake waits for what it has to know.
func (s *Sources) wait() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), cmp.Or(s.patience, 5*time.Second))
}

// A kind is what a place has.
type kind uint8

const (
	crlPlace kind = iota
	ocspPlace
	issuerPlace
)

func (k kind) String() string { return [...]string{"CRL", "OCSP responder", "issuer's certificate"}[k] }

// place returns the place, which is made when it is not known. s.mu is held.
func (s *Sources) place(k kind, url, reach string, cert, issuer *x509.Certificate, dial dialFunc, now time.Time) *place {
	h := field{sha256.New()}
	h.putCount(int(k))
	h.put([]byte(url))
	h.put([]byte(reach))  // a fetch that one is refused is not another's failure
	if k != issuerPlace { // what is there is the same for all, and looked at by each
		h.put(issuer.RawSubjectPublicKeyInfo)
		h.put(issuer.RawSubject)
	}
	if k == ocspPlace {
		h.put(cert.Raw)
	}
	key := string(h.h.Sum(nil))
	p := s.places[key]
	if p == nil {
		if s.places == nil {
			s.places = make(map[string]*place)
		}
		p = &place{kind: k, url: url, key: hex.EncodeToString([]byte(key)), issuer: issuer, cert: cert}
		s.makeRoom(k == issuerPlace, 1)
		s.places[key] = p
	}
	p.dial, p.used = dial, now
	return p
}

// makeRoom forgets what was used longest ago while n more would be too much.
// Where issuers are is named by origins that nothing is known of, and they push
// out each other only. s.mu is held.
func (s *Sources) makeRoom(issuers bool, n int) {
	for {
		size, count := 0, n
		var oldest *place
		var at string
		for key, p := range s.places {
			if (p.kind == issuerPlace) != issuers {
				continue
			}
			count++
			if p.list != nil {
				size += p.list.size
			}
			if p.flight == nil && (oldest == nil || p.used.Before(oldest.used)) {
				oldest, at = p, key
			}
		}
		if oldest == nil || size <= maxLists && (count <= maxPlaces/8 || count <= maxPlaces && !issuers) {
			return
		}
		delete(s.places, at)
	}
}

// ready sees to it that p is fetched when that is due, and returns what ends
// with the fetch that is going on. nil: none is. s.mu is held.
func (s *Sources) ready(p *place, now time.Time) <-chan struct{} {
	if p.flight == nil && !now.Before(p.due) {
		s.start()
		if s.ctx.Err() != nil {
			return nil
		}
		p.flight = make(chan struct{})
		s.flights.Add(1)
		go s.fly(p, p.dial)
	}
	return p.flight
}

// fly fetches p. One at a time does.
func (s *Sources) fly(p *place, dial dialFunc) {
	defer s.flights.Done()
	slots := s.slots[0]
	if p.kind == issuerPlace {
		slots = s.slots[1]
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-s.ctx.Done():
	}
	got, err := s.load(p, dial)
	line := s.settle(p, got, err, time.Now())
	if line != "" && s.Log != nil {
		s.Log(line)
	}
}

// settle enters what a fetch came to. It returns what to tell.
func (s *Sources) settle(p *place, got fetched, err error, now time.Time) (line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		err = p.accept(got, now)
	}
	if err == nil && p.revokedSince(got) {
		s.rise(now)
		line = fmt.Sprintf("%s %s: a certificate in use was revoked: connections are made anew", p.kind, printable(p.url))
	}
	switch {
	case err == nil:
		if p.failed > 0 {
			line = fmt.Sprintf("%s %s: can be had again", p.kind, printable(p.url))
		}
		p.list, p.said, p.found, p.err, p.failed = got.list, got.said, got.cert, nil, 0
		p.due = next(got.at, p.until)
		s.makeRoom(p.kind == issuerPlace, 0)
	default:
		if p.failed == 0 && s.ctx.Err() == nil {
			line = fmt.Sprintf("%s %s: %v: what requires it is refused when nothing else is known, what prefers it goes on without", p.kind, printable(p.url), err)
		}
		p.err = err
		p.due = now.Add(jitter(min(retryMin<<min(p.failed, 8), retryMax)))
		p.failed++
	}
	close(p.flight)
	p.flight = nil
	return line
}

func (s *Sources) rise(now time.Time) {
	s.epoch.Add(1)
	s.rose = now
}

// Run keeps what is in use up to date until ctx ends. Without it things are
// fetched when somebody asks.
func (s *Sources) Run(ctx context.Context) {
	t, half := time.NewTicker(retryMin), time.NewTicker(renewTime)
	defer t.Stop()
	defer half.Stop()
	s.prune(time.Now())
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			s.tick(now)
		case now := <-half.C:
			s.prune(now)
		}
	}
}

// tick fetches what is due, and sees to connections whose certificates nothing
// is known of any more: they are made anew, and judged.
func (s *Sources) tick(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	over := false
	for key, p := range s.places {
		switch idle := now.Sub(p.used); {
		case idle > forgetTime && p.flight == nil && now.After(p.until):
			delete(s.places, key)
			continue
		case idle <= forgetTime:
			s.ready(p, now)
		}
		over = over || p.kind != issuerPlace && !p.until.IsZero() && p.until.After(s.checked) && !p.until.After(now)
	}
	if s.checked = now; s.rose.IsZero() {
		s.rose = now
	}
	if over || now.Sub(s.rose) > renewTime {
		s.rise(now)
	}
}

// Close ends what is being fetched and waits for that. Nothing is fetched
// afterwards.
func (s *Sources) Close() {
	s.mu.Lock()
	s.start()
	s.stop()
	s.mu.Unlock()
	s.flights.Wait()
}

// start makes what the first fetch needs. s.mu is held.
func (s *Sources) start() {
	if s.ctx == nil {
		s.ctx, s.stop = context.WithCancel(context.Background())
		for i := range s.slots {
			s.slots[i] = make(chan struct{}, maxFetches)
		}
	}
}
