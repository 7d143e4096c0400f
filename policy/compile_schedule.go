// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "time"

func (c *compiler) buildSchedule(d *definition[schedule], name string) {
	d.print = fingerprint(d.node)
	s := &d.made
	s.name, s.zone = name, time.UTC
	if n := d.node.get("tz"); n != nil {
		zone, err := time.LoadLocation(n.text)
		if err != nil || n.text == "" || n.text == "Local" { // Local means something else on every machine
			c.errorf(n, "P060", "write a name such as Europe/Prague", "%q is no time zone", n.text)
		} else {
			s.zone = zone
		}
	}
	for _, n := range d.node.get("days").each() {
		days, err := parseDays(n.text)
		if err != nil {
			c.errorf(n, "P060", "", "%s", err)
		}
		for i, on := range days {
			s.days[i] = s.days[i] || on
		}
	}
	for _, n := range d.node.get("hours").each() {
		h, err := parseHours(n.text)
		if err != nil {
			c.errorf(n, "P060", "", "%s", err)
			continue
		}
		s.hours = append(s.hours, h)
	}
}

// until is the first moment after the day n names, in the rule's time zone.
func (c *compiler) until(n *node, s *schedule) time.Time {
	zone := time.UTC
	if s != nil && s.zone != nil {
		zone = s.zone
	}
	day, err := time.ParseInLocation(time.DateOnly, n.text, zone)
	if err != nil {
		c.errorf(n, "P061", "", "%q is no day: write it as 2026-12-31", n.text)
		return time.Time{}
	}
	return day.AddDate(0, 0, 1)
}
