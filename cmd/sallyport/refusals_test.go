// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"sallyport/gateway"
	"sallyport/policy"
)

// TestRefusalsOfTheProvenAreNotShown: an address may be several people's.
func TestRefusalsOfTheProvenAreNotShown(t *testing.T) {
	at := netip.MustParseAddrPort("192.0.2.7:5000")
	refused := func(id string, who policy.Client) *gateway.Record {
		return &gateway.Record{ID: id, Client: at, Identity: who, URL: "http://a.test/", Outcome: gateway.Denied, Err: &gateway.Error{Msg: "no"}}
	}
	var s refusals
	s.Observe(refused("nobody", policy.Client{}))
	s.Observe(refused("user", policy.Client{User: "eva"}))
	s.Observe(refused("machine", policy.Client{Certs: []string{"spiffe://a.test/erp"}}))
	s.Observe(refused("agent", policy.Client{Claims: []string{"role=agent"}}))
	done := refused("done", policy.Client{})
	done.Outcome = gateway.Done
	s.Observe(done)
	own := refused("own", policy.Client{})
	own.Own = true
	s.Observe(own)
	failed := refused("asked", policy.Client{})
	failed.Decision.Reason = policy.NeedIdentity
	s.Observe(failed)
	if got := s.Of(at.Addr()); len(got) != 1 || got[0].ID != "nobody" || got[0].Why != "no" {
		t.Errorf("%+v", got)
	}
	if got := s.Of(netip.MustParseAddr("192.0.2.8")); got != nil {
		t.Errorf("another's: %+v", got)
	}
}

// TestRefusalsAreBounded: neither one client nor very many fill the memory.
func TestRefusalsAreBounded(t *testing.T) {
	var s refusals
	a := netip.MustParseAddr("2001:db8::")
	for range mostRefusedClients + 100 {
		a = a.Next()
		s.Observe(&gateway.Record{Client: netip.AddrPortFrom(a, 1), URL: "http://a.test/", Outcome: gateway.Denied, Err: errors.New("no")})
	}
	if len(s.by) != mostRefusedClients || s.recent.Len() != mostRefusedClients {
		t.Errorf("%d and %d clients", len(s.by), s.recent.Len())
	}
	for i := range mostRefusedEach + 5 {
		s.Observe(&gateway.Record{ID: fmt.Sprint(i), Client: netip.AddrPortFrom(a, 1), URL: "http://a.test/", Outcome: gateway.Denied, Err: errors.New("no")})
	}
	if got := s.Of(a); len(got) != mostRefusedEach || got[0].ID != fmt.Sprint(mostRefusedEach+4) {
		t.Errorf("%d, the newest %s", len(got), got[0].ID)
	}
}
