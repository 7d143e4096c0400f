// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "embed"
	"encoding/json"
	"net/netip"
	"strings"
	"text/template"

	"sallyport/policy"
)

//go:embed proxy.pac
var pacSource string

var pacTemplate = template.Must(template.New("proxy.pac").Funcs(template.FuncMap{"js": javaScript}).Parse(pacSource))

// javaScript writes a value as JavaScript has it: encoding/json escapes what would
// end a line or a script.
func javaScript(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// pac is a proxy auto-configuration file: for what the policy says is direct, and
// for the gateway's own names, there is no proxy, and for all else there is proxy
// and nothing to fall back on.
func pac(p *policy.Policy, own []string, proxy string) (string, error) {
	d := policy.Direct{}
	revision := ""
	if p != nil {
		d, revision = p.Pages.Direct, p.Revision
	}
	var b strings.Builder
	err := pacTemplate.Execute(&b, struct {
		Revision, Proxy string
		Names, Zones    map[string]int
		Nets            [][]any
	}{revision, proxy, index(append(own, d.Names...)), index(d.Zones), pacNets(d.Nets)})
	return b.String(), err
}

// index makes of names an object to look them up in.
func index(names []string) map[string]int {
	m := make(map[string]int, len(names))
	for _, n := range names {
		m[n] = 1
	}
	return m
}

// pacNets are networks as their length and the bytes of their address.
func pacNets(nets []netip.Prefix) [][]any {
	out := make([][]any, 0, len(nets))
	for _, n := range nets {
		var bytes []int
		for _, b := range n.Addr().AsSlice() {
			bytes = append(bytes, int(b))
		}
		out = append(out, []any{n.Bits(), bytes})
	}
	return out
}
