// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"net/netip"
	"testing"
	"time"
)

// TestPortGivenAgain: the kernel gives a client's port to a later connection, which is
// the later exchange's and not the first one's, too.
func TestPortGivenAgain(t *testing.T) {
	port, other := netip.MustParseAddrPort("127.0.0.1:40001"), netip.MustParseAddrPort("127.0.0.1:40002")
	first := &exchange{name: "first", began: 1 * time.Second, dialled: []netip.AddrPort{port}}
	second := &exchange{name: "second", began: 5 * time.Second, dialled: []netip.AddrPort{other, port}}
	trial := &trial{columns: []*column{{exchanges: []*exchange{first}}, {exchanges: []*exchange{second}}}}
	for _, c := range []struct {
		from   netip.AddrPort
		opened time.Duration
		want   *exchange
	}{
		{port, 500 * time.Millisecond, nil},
		{port, 1 * time.Second, first},
		{port, 2 * time.Second, first},
		{port, 6 * time.Second, second},
		{other, 2 * time.Second, nil},
		{other, 5 * time.Second, second},
		{netip.MustParseAddrPort("127.0.0.1:40003"), 6 * time.Second, nil},
	} {
		if got := trial.dialler(&Flow{From: c.from, Opened: c.opened}); got != c.want {
			t.Errorf("%v at %v: %+v, want %+v", c.from, c.opened, got, c.want)
		}
	}
}
