// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// A portSet is the OR of ranges, which rise and do not touch. The nil set has no
// port in it.
type portSet []portRange

type portRange struct{ first, last uint16 }

var anyPort = portSet{{1, 65535}}

func (s portSet) has(p uint16) bool {
	if len(s) == 1 {
		return s[0].first <= p && p <= s[0].last
	}
	i := sort.Search(len(s), func(i int) bool { return p <= s[i].last })
	return i < len(s) && s[i].first <= p
}

// portsOf is the set of some ranges, in any order.
func portsOf(ranges []portRange) portSet {
	slices.SortFunc(ranges, func(a, b portRange) int { return cmp.Compare(a.first, b.first) })
	s := portSet(ranges[:0])
	for _, r := range ranges {
		if n := len(s) - 1; n >= 0 && int(r.first) <= int(s[n].last)+1 {
			s[n].last = max(s[n].last, r.last)
			continue
		}
		s = append(s, r)
	}
	return s
}

// parsePorts reads one entry of ports: 443, 8000-8099 or any.
func parsePorts(s string) (portSet, error) {
	if s == "any" {
		return anyPort, nil
	}
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	a, err := parsePort(first)
	b, err2 := parsePort(last)
	if isRange && (err != nil || err2 != nil) {
		return nil, fmt.Errorf("%q is no range of ports: write it as 8000-8099", s)
	}
	if err != nil {
		return nil, err
	}
	if b < a {
		return nil, fmt.Errorf("the range %s ends before it begins", s)
	}
	return portSet{{a, b}}, nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '+' || s[0] == '0' {
		return 0, fmt.Errorf("%q is no port: a port is a number from 1 to 65535", s)
	}
	return uint16(n), nil
}
