// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the same time zones on every machine, also in an empty container
)

// A schedule is times of the week in one time zone. The zero schedule never
// holds.
type schedule struct {
	name string
	zone *time.Location
	days [7]bool // by time.Weekday
	// minutes of the day, from inclusive, to exclusive; when to is not
	// after from, the span ends on the following day
	hours []span
}

type span struct{ from, to int }

func (s *schedule) holds(at time.Time) bool {
	if s.zone == nil {
		return false
	}
	at = at.In(s.zone)
	minute, today := at.Hour()*60+at.Minute(), at.Weekday()
	yesterday := (today + 6) % 7
	for _, h := range s.hours {
		switch {
		case h.from < h.to:
			if s.days[today] && h.from <= minute && minute < h.to {
				return true
			}
		case s.days[today] && minute >= h.from, s.days[yesterday] && minute < h.to:
			return true
		}
	}
	return false
}

var dayWords = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// parseDays reads mon, mon-fri, sat-mon or daily.
func parseDays(s string) (days [7]bool, err error) {
	if s == "daily" {
		return [7]bool{true, true, true, true, true, true, true}, nil
	}
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	a, b := slices.Index(dayWords, first), slices.Index(dayWords, last)
	if a < 0 || b < 0 {
		return days, fmt.Errorf("%q is no day: days are %s, ranges such as mon-fri, or daily", s, strings.Join(dayWords, ", "))
	}
	for ; ; a = (a + 1) % 7 {
		days[a] = true
		if a == b {
			return days, nil
		}
	}
}

// parseHours reads 07:00-19:00; 24:00 is the end of the day.
func parseHours(s string) (span, error) {
	first, last, isRange := strings.Cut(s, "-")
	from, ok1 := parseClock(first)
	to, ok2 := parseClock(last)
	switch {
	case !isRange || !ok1 || !ok2 || from == 24*60:
		return span{}, fmt.Errorf("%q are no hours: write them as 07:00-19:00", s)
	case from == to:
		return span{}, fmt.Errorf("%q is no time at all: the whole day is 00:00-24:00", s)
	}
	return span{from, to}, nil
}

func parseClock(s string) (minutes int, ok bool) {
	if s == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", s)
	return t.Hour()*60 + t.Minute(), err == nil && len(s) == 5
}
