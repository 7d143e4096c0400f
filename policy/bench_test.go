// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// manyRules is a policy of n rules, each for its own client network and hosts;
// the query it returns is decided by the last.
func manyRules(t testing.TB, n int) (*Policy, Query) {
	var b strings.Builder
	b.WriteString("version: 1\nrules:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: r%d, from: 10.%d.0.0/16, to: [.r%d.example, www.r%d.test], mode: [originate, tunnel]}\n", i, i%256, i, i)
	}
	q, err := ParseRequest(fmt.Sprintf("CONNECT a.b.r%d.example:443", n-1))
	if err != nil {
		t.Fatal(err)
	}
	q.Client.Addr = netip.AddrFrom4([4]byte{10, byte((n - 1) % 256), 1, 1})
	return mustParse(t, b.String()), q
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 1000} {
		p, q := manyRules(b, n)
		if d := p.Decide(q); d.Mode != Tunnel {
			b.Fatalf("%+v", d)
		}
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Decide(q)
			}
		})
	}
	p := mustLoad(b, "testdata/good/agent-sandbox.yaml")
	q, err := ParseRequest("POST https://github.com/acme/x/git-upload-pack")
	if err != nil {
		b.Fatal(err)
	}
	q.Client = Client{Addr: netip.MustParseAddr("10.200.1.1"), Claims: []string{"role=agent"}}
	b.Run("paths+when", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p.Decide(q)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	var s strings.Builder
	s.WriteString("version: 1\nrules:\n")
	for i := range 1000 {
		fmt.Fprintf(&s, "  - {name: r%d, from: 10.%d.0.0/16, to: [.r%d.example, www.r%d.test], mode: [originate, tunnel]}\n", i, i%256, i, i)
	}
	src := []byte(s.String())
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		if _, err := Parse("p.yaml", src, "."); err != nil {
			b.Fatal(err)
		}
	}
}

func TestDecideAllocatesNothing(t *testing.T) {
	for _, n := range []int{1, 10, 1000} {
		p, q := manyRules(t, n)
		if allocs := testing.AllocsPerRun(100, func() { p.Decide(q) }); allocs != 0 {
			t.Errorf("%d rules: %v allocations", n, allocs)
		}
	}
	p := mustLoad(t, "testdata/decide/paths.yaml")
	q, _ := readQuery(t, "10.1.1.1", "GET http://a.example/v1/m")
	if allocs := testing.AllocsPerRun(100, func() { p.Decide(q) }); allocs != 0 {
		t.Errorf("a clean path: %v allocations", allocs)
	}
}
