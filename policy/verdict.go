// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

// A verdict is what a condition, or a rule as the AND of its conditions, says
// about a query. The order is that of certainty, so that AND is min, OR is
// max, and the zero value keeps a rule from matching.
type verdict uint8

const (
	no   verdict = iota // false
	ask                 // open: the client has not said who it is
	look                // open: only the request inside the connection can tell
	yes                 // true
)

func (v verdict) String() string {
	return [...]string{"no", "ask", "open", "match"}[v]
}

// not turns a verdict around; what is open stays open.
func (v verdict) not() verdict {
	switch v {
	case no:
		return yes
	case yes:
		return no
	}
	return v
}

func verdictOf(b bool) verdict {
	if b {
		return yes
	}
	return no
}
