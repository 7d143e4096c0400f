// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"container/list"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/gateway"
	"sallyport/policy"
)

// How much is remembered of what was refused: some 10 MB.
const (
	mostRefusedClients = 2048
	mostRefusedEach    = 16
	longestRefusedURL  = 300 // bytes
)

// refusals are what clients were refused lately, for those clients to see. The
// zero value is ready.
type refusals struct {
	mu     sync.Mutex
	by     map[netip.Addr]*list.Element
	recent list.List // of *refusedClient, the one refused last first
}

type refusedClient struct {
	addr netip.Addr
	last []refusal // the newest last
}

// A refusal is one request that did not pass.
type refusal struct {
	Time   time.Time
	ID     string
	Method string
	URL    string // as the access log has it
	Rule   string
	Why    string
}

// Observe remembers r if it was refused. What belongs to somebody of whom anything
// was proven is left out: who asks for the page is known by its address alone, which
// others may share. It is called from many goroutines at once.
func (s *refusals) Observe(r *gateway.Record) {
	who := r.Identity
	proven := who.User != "" || len(who.Groups)+len(who.Certs)+len(who.Claims) > 0
	if r.Outcome != gateway.Denied || r.Own || r.Err == nil || proven || r.Decision.Reason == policy.NeedIdentity {
		return
	}
	f := refusal{Time: r.Time, ID: r.ID, Method: r.Method, URL: strings.ToValidUTF8(r.URL[:min(len(r.URL), longestRefusedURL)], "")}
	if rule := r.Decision.Rule; rule != nil {
		if rule.Log == policy.LogNone {
			return
		}
		f.Rule = rule.Name
	}
	var told *gateway.Error
	if errors.As(r.Err, &told) {
		f.Why = told.Msg
	}
	s.add(r.Client.Addr(), f)
}

func (s *refusals) add(addr netip.Addr, f refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = make(map[netip.Addr]*list.Element)
	}
	at := s.by[addr]
	if at == nil {
		at = s.recent.PushFront(&refusedClient{addr: addr})
		s.by[addr] = at
		if s.recent.Len() > mostRefusedClients {
			oldest := s.recent.Remove(s.recent.Back()).(*refusedClient)
			delete(s.by, oldest.addr)
		}
	}
	s.recent.MoveToFront(at)
	c := at.Value.(*refusedClient)
	if len(c.last) == mostRefusedEach {
		c.last = slices.Delete(c.last, 0, 1)
	}
	c.last = append(c.last, f)
}

// Of returns what the client at addr was refused, the newest first.
func (s *refusals) Of(addr netip.Addr) []refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.by[addr]
	if at == nil {
		return nil
	}
	out := slices.Clone(at.Value.(*refusedClient).last)
	slices.Reverse(out)
	return out
}
