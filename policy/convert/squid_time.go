// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// squidDays are Squid's letters for days, from Sunday on.
const squidDays = "SMTWHFA"

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// time is about the time of the week, of which Squid counts the last minute in.
func (s *squid) time(c *condition, t term, allow bool, lose func(string, ...any)) {
	days, from, to, err := squidTime(t.values)
	switch {
	case err != nil:
		lose("%v", err)
		return
	case !t.not && c.schedule != "":
		lose("two times at once")
		return
	}
	zone := s.Zone
	if zone == "" {
		zone = "UTC"
		c.notes = append(c.notes, "Squid takes the time of its machine, and this is UTC: give the time zone with --zone")
	}
	if t.not {
		var numbers []string
		for _, d := range days {
			numbers = append(numbers, strconv.Itoa(d))
		}
		z := quote2(zone)
		minute := fmt.Sprintf("now.getHours(%s) * 60 + now.getMinutes(%s)", z, z)
		c.when = append(c.when, fmt.Sprintf("!(now.getDayOfWeek(%s) in [%s] && %s >= %d && %s <= %d)", z, strings.Join(numbers, ", "), minute, from, minute, to))
		return
	}
	name := t.name
	if !allow { // a deny holds at least as long as Squid's
		to = min(to+1, 24*60)
		name += "-deny"
	}
	var names []string
	for _, d := range days {
		names = append(names, dayNames[d])
	}
	value := fmt.Sprintf("{tz: %s, days: %s, hours: %s}", quote(zone), flowLine(names), quote(clock(from)+"-"+clock(to)))
	if strings.HasPrefix(name, t.name) && from >= to {
		c.never = true
		return
	}
	c.schedule = s.define(&s.schedules, name, value)
}

func clock(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

// squidTime reads the values of a time acl, which here are one line of them.
func squidTime(values []string) (days []int, from, to int, err error) {
	to = 24*60 - 1
	hours := 0
	for _, v := range values {
		if v[0] >= '0' && v[0] <= '9' {
			var h1, m1, h2, m2 int
			if _, err := fmt.Sscanf(v, "%d:%d-%d:%d", &h1, &m1, &h2, &m2); err != nil || h1 > 24 || h2 > 24 || m1 > 59 || m2 > 59 {
				return nil, 0, 0, fmt.Errorf("%s is not understood", v)
			}
			if from, to = h1*60+m1, h2*60+m2; to < from || to > 24*60 {
				return nil, 0, 0, fmt.Errorf("%s is not understood", v)
			}
			hours++
			continue
		}
		for _, c := range v {
			switch i := strings.IndexRune(squidDays, c); {
			case c == 'D':
				days = append(days, 1, 2, 3, 4, 5)
			case i >= 0:
				days = append(days, i)
			default:
				return nil, 0, 0, fmt.Errorf("%s is not understood", v)
			}
		}
		if hours > 0 {
			hours++
		}
	}
	if hours > 1 {
		return nil, 0, 0, fmt.Errorf("it has several times")
	}
	if days == nil {
		days = []int{0, 1, 2, 3, 4, 5, 6}
	}
	slices.Sort(days)
	return slices.Compact(days), from, to, nil
}
