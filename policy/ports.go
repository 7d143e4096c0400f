// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// A portSet is the OR of ranges. The nil set has no port in it.
type portSet []portRange

type portRange struct{ first, last uint16 }

var anyPort = portSet{{1, 65535}}

func (s portSet) has(p uint16) bool {
	for _, r := range s {
		if r.first <= p && p <= r.last {
			return true
		}
	}
	return false
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
