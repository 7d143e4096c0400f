// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Whatever an included file says, its rules decide nothing outside of what it was
// given, and nothing that would be decided otherwise is taken from the others.
func TestIncludedRulesStayWithin(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 4))
	pick := func(from ...string) string { return from[rnd.IntN(len(from))] }
	hosts := []string{"a.x.example", "x.example", "b.y.example", "y.example", "10.1.1.1", "10.2.1.1", "93.184.216.34", "169.254.169.254", "z.example"}
	clients := []string{"10.1.1.1", "10.2.1.1", "192.0.2.1"}
	dir := t.TempDir()
	inside := 0
	for range 300 {
		var child strings.Builder
		child.WriteString("version: 1\ndestinations: {u: {url: \"https://a.x.example/p\"}}\nrules:\n")
		for i := range 1 + rnd.IntN(4) {
			mode := pick("tunnel", "originate", "intercept", "deny", "[tunnel, relay]")
			to := pick("any", "[any, 10.1.0.0/16]", ".x.example", "[.y.example, 169.254.169.254]", "10.0.0.0/8", "z.example")
			except := ""
			if rnd.IntN(3) == 0 && !strings.Contains(mode, "tunnel") {
				except = ", to_except: u"
			}
			fmt.Fprintf(&child, "  - {name: c%d, from: %s, to: %s%s, ports: any, mode: %s}\n", i, pick("any", "10.1.0.0/16", "[any]"), to, except, mode)
		}
		within := fmt.Sprintf("{from: %s, to: %s}", pick("any", "10.1.0.0/16", "192.0.2.1"), pick("any", ".x.example", "[.y.example, 10.1.0.0/16]", "[x.example, 169.254.0.0/16]"))
		write := func(name, text string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		own := "rules: [{name: own, from: 10.2.0.0/16, to: any, ports: any, mode: [tunnel, originate]}]\n"
		include := "include: {file: c.yaml, within: " + within + "}\n"
		write("c.yaml", child.String())
		write("alone.yaml", "version: 1\n"+own)
		write("p.yaml", "version: 1\n"+include+own)
		whole, alone := mustLoad(t, filepath.Join(dir, "p.yaml")), mustLoad(t, filepath.Join(dir, "alone.yaml"))
		w := whole.Rules[0].within
		for _, host := range hosts {
			for _, client := range clients {
				for _, request := range []string{"CONNECT %s:443", "GET http://%s/p/x", "GET https://%s/q"} {
					q, err := ParseRequest(fmt.Sprintf(request, host))
					if err != nil {
						t.Fatal(err)
					}
					q.Client.Addr, q.At = netip.MustParseAddr(client), testTime
					d := whole.Decide(q)
					given := w.from.has(&q.Client, false) == yes && w.to.has(q.Host)
					if !given && answer(d) != answer(alone.Decide(q)) {
						t.Fatalf("%s from %s is %s, and %s without what is included\n%s%s", q, client, answer(d), answer(alone.Decide(q)), include, child.String())
					}
					if given && d.Mode != Deny && d.Rule.within != nil {
						inside++
						if s := specialBlock(q.Host.Addr); q.Host.IsAddr() && s != nil && !slices.ContainsFunc(w.to.named(), func(p netip.Prefix) bool { return p.Contains(q.Host.Addr) }) {
							t.Fatalf("%s is reached, which within does not name\n%s%s", q, include, child.String())
						}
						if d.Permit(netip.MustParseAddr("169.254.169.254")) == nil {
							t.Fatalf("%s reaches credentials\n%s%s", q, include, child.String())
						}
					}
				}
			}
		}
	}
	if inside < 1000 {
		t.Errorf("only %d requests were allowed by an included rule: the test asks nothing", inside)
	}
}
