// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"time"
)

// MarshalJSON gives the comparison to programs. Names are never null.
func (c Comparison) MarshalJSON() ([]byte, error) {
	type change struct {
		Consequence []string `json:"consequence"`
		Before      Outcome  `json:"before"`
		After       Outcome  `json:"after"`
		Classes     int      `json:"classes"`
		Sample      sample   `json:"sample"`
	}
	out := struct {
		Same    bool     `json:"same"`
		Classes int      `json:"classes"`
		Changes []change `json:"changes"`
		Unsure  []string `json:"unsure"`
		Rules   struct {
			Added   []string `json:"added"`
			Removed []string `json:"removed"`
			Changed []string `json:"changed"`
		} `json:"rules"`
		Mappings []string `json:"mappings"`
		Mints    struct {
			Wider    []string `json:"wider"`
			Narrower []string `json:"narrower"`
		} `json:"mints"`
	}{Same: c.Same(), Classes: c.Classes, Changes: []change{}, Unsure: append([]string{}, c.Unsure...)}
	out.Mappings = append([]string{}, c.Rules.Mappings...)
	out.Rules.Added = append([]string{}, c.Rules.Added...)
	out.Rules.Removed = append([]string{}, c.Rules.Removed...)
	out.Mints.Wider = append([]string{}, c.Mints.Wider...)
	out.Mints.Narrower = append([]string{}, c.Mints.Narrower...)
	out.Rules.Changed = append([]string{}, c.Rules.Changed...)
	for _, ch := range c.Changes {
		out.Changes = append(out.Changes, change{ch.Consequence.Words(), ch.Before, ch.After, ch.Classes, sampleOf(ch.Sample)})
	}
	return json.Marshal(out)
}

// A sample is a query as programs read it.
type sample struct {
	Kind    Kind      `json:"kind"`
	Request string    `json:"request"`
	IP      string    `json:"ip"`
	User    string    `json:"user,omitempty"`
	Groups  []string  `json:"groups,omitempty"`
	Certs   []string  `json:"certs,omitempty"`
	Claims  []string  `json:"claims,omitempty"`
	At      time.Time `json:"at"`
}

func sampleOf(q Query) sample {
	return sample{q.Kind, q.String(), q.Client.Addr.String(), q.Client.User, q.Client.Groups, q.Client.Certs, q.Client.Claims, q.At}
}
