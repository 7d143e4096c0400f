// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"errors"
	"slices"
	"testing"
)

func TestPins(t *testing.T) {
	root, other := newRoot(t, "Root"), newRoot(t, "Other")
	leaf := root.server(host)
	o := serve(t, &tls.Config{Certificates: []tls.Certificate{leaf.with()}})
	for name, tt := range map[string]struct {
		pins [][32]byte
		ok   bool
	}{
		"the leaf's":          {[][32]byte{leaf.pin()}, true},
		"the root's":          {[][32]byte{root.pin()}, true},
		"one of two":          {[][32]byte{other.pin(), root.pin()}, true},
		"another's":           {[][32]byte{other.pin()}, false},
		"zero is a pin":       {[][32]byte{{}}, false},
		"a hash of no public": {[][32]byte{[32]byte(leaf.cert.Raw)}, false},
	} {
		_, err := o.connect(t, load(t, Profile{Roots: []string{root.certFile()}, Pins: tt.pins}).Config(host))
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
		if tt.ok {
			continue
		}
		var pe *PinError
		want := []string{pinText(leaf.pin()), pinText(root.pin())}
		if !errors.As(err, &pe) || pe.Host != host || !slices.Equal(pe.Got, want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
		checkDescribed(t, err, "none of its keys is pinned, it has "+want[0]+" "+want[1]+": if that is the right origin, put one of them into `pins`")
	}
}

func TestPinsHoldOnResumption(t *testing.T) {
	root := newRoot(t, "Root")
	leaf := root.server(host)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		o := serve(t, &tls.Config{Certificates: []tls.Certificate{leaf.with()}, MaxVersion: version})
		trust := load(t, Profile{Roots: []string{root.certFile()}, Pins: [][32]byte{root.pin()}})
		for i, resumed := range []bool{false, true} {
			cs, err := o.connect(t, trust.Config(host))
			if err != nil || cs.DidResume != resumed {
				t.Fatalf("connection %d: resumed %t, %v", i, cs.DidResume, err)
			}
		}
		trust.pins = [][32]byte{{}} // no caller can; a session of older pins is like this
		_, err := o.connect(t, trust.Config(host))
		var pe *PinError
		if !errors.As(err, &pe) {
			t.Errorf("%s: the pins are not looked at on a resumed session: %v", tls.VersionName(version), err)
		}
	}
}
