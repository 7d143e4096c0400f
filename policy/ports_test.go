// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestPortsAreThoseOfTheRanges(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for range 2000 {
		var ranges []portRange
		in := make(map[uint16]bool)
		for range rnd.IntN(8) {
			first := 1 + rnd.IntN(40)
			if rnd.IntN(8) == 0 {
				first = 65530
			}
			last := min(first+rnd.IntN(6), 65535)
			ranges = append(ranges, portRange{uint16(first), uint16(last)})
			for p := first; p <= last; p++ {
				in[uint16(p)] = true
			}
		}
		text := fmt.Sprint(ranges)
		s := portsOf(ranges)
		for p := range 60 {
			for _, p := range []uint16{uint16(p), uint16(65535 - p)} {
				if s.has(p) != in[p] {
					t.Fatalf("%s as %v has %d: %v", text, s, p, s.has(p))
				}
			}
		}
		for i := range s {
			if i > 0 && int(s[i].first) <= int(s[i-1].last)+1 {
				t.Fatalf("%s as %v: ranges touch", text, s)
			}
		}
	}
}

// TestManyPortsDoNotHoldUpALoad: a rule with tens of thousands of ports took
// minutes, because each was looked for in all of them at every step.
func TestManyPortsDoNotHoldUpALoad(t *testing.T) {
	var ports []string
	for p := 1; p < 65536; p += 2 {
		ports = append(ports, fmt.Sprint(p))
	}
	p := mustParse(t, "version: 1\nrules:\n  - {name: odd, from: any, to: any, mode: tunnel, ports: ["+strings.Join(ports, ", ")+"]}\n"+
		"  - {name: rest, from: any, to: any, mode: deny}\n")
	for port, want := range map[string]Mode{"443": Tunnel, "444": Deny, "65535": Tunnel, "65534": Deny} {
		q, _ := readQuery(t, "10.1.1.1", "CONNECT a.example:"+port)
		if d := p.Decide(q); d.Mode != want {
			t.Errorf("port %s: %s", port, answer(d))
		}
	}
}
