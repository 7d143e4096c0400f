// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"regexp"
	"slices"
)

// A Way is a column of the comparison: how a client comes to an origin, and by what
// rule of the gateway.
type Way struct {
	ID    string   // lower-case letters, digits and "-", as it is a part of host names; no other way has it
	Title string   // for a heading; "": the ID
	Mode  string   // "direct" (no gateway), "originate", "tunnel", "intercept" or "relay"
	Notes []string // what readers are to be told of it

	// What the rule says beside what the comparison needs: keys of its sections, and of
	// its trust profile, as a policy has them between braces (`sni: any, tls: optional`).
	// "": nothing. A section that does not go with the mode is left out.
	Tunnel, Intercept, Rewrite, Origin string

	Peer string // who is there instead of the gateway, see PeerWays; "": the gateway
}

// own reports whether the way has rules of its own, and is not just a mode.
func (w Way) own() bool { return w.ID != w.Mode }

var wayID = regexp.MustCompile(`^[a-z][a-z0-9-]{0,47}$`)

// ways are the columns that are asked for.
func (o Options) ways() ([]Way, error) {
	var out []Way
	for _, id := range o.Columns {
		if !slices.Contains(allColumns, id) {
			return nil, fmt.Errorf("there is no column %q to compare", id)
		}
		out = append(out, Way{ID: id, Mode: id})
	}
	for _, w := range o.Ways {
		switch {
		case !wayID.MatchString(w.ID) || slices.ContainsFunc(out, func(o Way) bool { return o.ID == w.ID }):
			return nil, fmt.Errorf("%q cannot be the name of a column: it is taken, or no part of a host name", w.ID)
		case w.Mode == direct || !slices.Contains(allColumns, w.Mode):
			return nil, fmt.Errorf("column %s: %q is no mode to compare", w.ID, w.Mode)
		}
		out = append(out, w)
	}
	return out, nil
}
