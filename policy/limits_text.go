// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
)

// String is the limits in one line for people; "" for nil.
func (l *Limits) String() string {
	if l == nil {
		return ""
	}
	var shared, each []string
	if l.Rate.Count > 0 {
		rate := l.Rate.String()
		if l.Burst != l.Rate.Count {
			rate += fmt.Sprintf(", %d at once", l.Burst)
		}
		shared = append(shared, "rate "+rate)
	}
	if l.Concurrent > 0 {
		shared = append(shared, fmt.Sprintf("%d in progress", l.Concurrent))
	}
	if l.Bandwidth > 0 {
		shared = append(shared, amount(l.Bandwidth)+"/s")
	}
	if l.RequestBody > 0 {
		each = append(each, "request bodies up to "+amount(l.RequestBody))
	}
	if l.ResponseBody > 0 {
		each = append(each, "answers up to "+amount(l.ResponseBody))
	}
	if shared != nil && l.Per != PerRule {
		shared[len(shared)-1] += ", for each " + l.Per.String()
	}
	return strings.Join(append(shared, each...), "; ")
}

// amount writes n bytes in the largest unit that needs no fraction.
func amount(n int64) string {
	best := fmt.Sprintf("%dB", n)
	for _, u := range units {
		if s := fmt.Sprintf("%d%s", n/u.bytes, u.suffix); n%u.bytes == 0 && len(s) < len(best) {
			best = s
		}
	}
	return best
}
