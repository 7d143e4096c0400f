// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strconv"
	"strings"
	"time"
)

// duration reads 90s, 5m, 36h or 7d.
func (c *compiler) duration(n *node) (time.Duration, bool) {
	d, err := parseDuration(n.text)
	if err != nil || d <= 0 {
		c.errorf(n, "P062", "", "%q is no duration: %s", n.text, hintDuration)
		return 0, false
	}
	return d, true
}

func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(s)
}

var units = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"kB", 1e3},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
}

// size reads 500, 10MB or 64KiB.
func (c *compiler) size(n *node) int64 {
	v, ok := parseSize(n.text)
	if !ok {
		c.errorf(n, "P062", "", "%q is no size: %s", n.text, hintSize)
	}
	return v
}

func parseSize(s string) (bytes int64, ok bool) {
	digits, unit := s, int64(1)
	for _, u := range units {
		if d, ok := strings.CutSuffix(s, u.suffix); ok {
			digits, unit = d, u.bytes
			break
		}
	}
	v, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || v <= 0 || v > (1<<62)/unit {
		return 0, false
	}
	return v * unit, true
}
