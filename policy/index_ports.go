// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "slices"

// A portIndex has, for each way of asking and each stretch of ports that no
// rule divides, the row of the rules that the port does not exclude.
type portIndex struct {
	starts []uint16  // of the stretches; the first is 0
	open   []ruleRow // for each stretch, by how
}

// The ways of asking that ports depend on, or that exclude a rule at once.
const (
	howConnect = iota
	howInner
	howHTTP
	howHTTPS
	hows
)

func how(q *Query) int {
	switch {
	case q.Kind == Connect:
		return howConnect
	case q.Kind != Plain:
		return howInner
	case q.Scheme == "http":
		return howHTTP
	}
	return howHTTPS
}

// maxPortRows bounds the bits in the rows of ports. A policy that needs more has
// its ports judged rule by rule.
var maxPortRows = 16 << 20 // a variable for tests

// portRow is the row that q's port asks for. The zero row says that nothing is
// known of ports here.
func (x *index) portRow(q *Query) ruleRow {
	if len(x.open) == 0 {
		return ruleRow{}
	}
	i, ok := slices.BinarySearch(x.starts, q.Port)
	if !ok {
		i--
	}
	return x.open[i*hows+how(q)]
}

func (x *index) addPorts() {
	starts := []uint16{0, 80, 81} // http://host:80 is about port 443 of the origin
	for _, r := range x.rules {
		for _, set := range []portSet{r.ports, r.relayPorts} {
			for _, p := range set {
				starts = append(starts, p.first)
				if p.last < 65535 {
					starts = append(starts, p.last+1)
				}
			}
		}
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	if len(x.rules) == 0 || len(starts)*hows*len(x.rules) > maxPortRows {
		for i := range x.needs {
			x.needs[i] = x.needs[i].with(condPorts)
		}
		return
	}
	x.starts = starts
	asked := [hows]Query{
		howConnect: {Kind: Connect},
		howInner:   {Kind: Inner, Scheme: "https"},
		howHTTP:    {Kind: Plain, Scheme: "http"},
		howHTTPS:   {Kind: Plain, Scheme: "https"},
	}
	for _, port := range starts {
		for i := range asked {
			w := walk{q: asked[i]}
			w.q.Port = port
			// A dense row of its own, also when it is empty.
			at := len(x.rows.dense)
			x.rows.dense = append(x.rows.dense, make([]uint64, x.rows.size)...)
			for n, r := range x.rules {
				blind := w.q.Kind == Connect && (r.methods != nil || r.paths != nil) && r.unseen(&w.q) == no
				if r.holds(condPorts, &w) == yes && !blind {
					x.rows.dense[at+n/64] |= 1 << (n % 64)
				}
			}
			x.open = append(x.open, ruleRow{dense: uint32(at) + 1})
		}
	}
}
