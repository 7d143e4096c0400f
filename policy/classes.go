// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"time"
)

// A cut divides requests into classes that some rules can tell apart: for
// each dimension of a query it has one value of each class, as far as the
// bounds of the cut go. Whatever asks about all requests asks Decide about
// these.
type cut struct {
	clients []Client
	hosts   []Host
	forms   []arrival
	methods []string
	paths   []string
	moments []time.Time
	timed   bool     // the rules depend on the time, see newGrid
	unsure  []string // where there may be more classes

	urls map[*Rule][]urlPrefix // see urlPrefixes
}

// An arrival is how a request arrives, as far as the port matters.
type arrival struct {
	kind   Kind
	scheme string
	port   uint16
	tls    bool // the client speaks TLS to the gateway
}

// Bounds on a cut and on what is asked about it.
const (
	maxIdentities = 4096
	maxPaths      = 4096
	maxEntries    = 50_000 // hosts
	maxGlobs      = 64
	maxURLs       = 256
	fewNames      = 16 // of a list file
	maxAsked      = 1_000_000
)

// newCut cuts requests for rules, at moments from at on.
func newCut(rules []*Rule, at time.Time) *cut {
	return cutFor(rules, rules, at, true, false)
}

// cutFor cuts requests that about, some of rules, may be about. When it is not
// thorough, it looks at a few names of each list file. Lean is for those who
// look for a request that as few rules as possible match, see cutClients.
func cutFor(rules, about []*Rule, at time.Time, thorough, lean bool) *cut {
	c := &cut{}
	c.clients = c.cutClients(rules, about, lean)
	c.hosts = c.cutHosts(rules, about, thorough, lean)
	c.forms = c.cutForms(rules)
	c.methods = cutMethods(rules)
	c.paths = c.cutPaths(rules)
	c.moments = cutMoments(rules, at)
	return c
}

func (c *cut) doubt(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(c.unsure, s) {
		c.unsure = append(c.unsure, s)
	}
}

// cutForms has each kind of request at a port of each class.
func (c *cut) cutForms(rules []*Rule) []arrival {
	ends := []uint32{1, 80, 81, 443, 444} // http at port 80 means 443 to originate
	for _, r := range rules {
		for _, p := range slices.Concat(r.ports, r.relayPorts) {
			ends = append(ends, uint32(p.first), uint32(p.last)+1)
		}
		for _, u := range c.urlPrefixes(r) {
			ends = append(ends, uint32(u.port), uint32(u.port)+1)
		}
	}
	slices.Sort(ends)
	ends = slices.DeleteFunc(slices.Compact(ends), func(p uint32) bool { return p == 0 || p > 65535 })
	var ports []uint16
	for i, first := range ends {
		last := uint32(65535)
		if i+1 < len(ends) {
			last = ends[i+1] - 1
		}
		if first > last {
			continue
		}
		port := first
		for _, known := range []uint32{8443, 8080, 22} { // easier to read than 1
			if first < known && known <= last {
				port = known
			}
		}
		ports = append(ports, uint16(port))
	}
	var all []arrival
	for _, p := range ports {
		for _, a := range []arrival{{kind: Connect}, {kind: Plain, scheme: "http"}, {kind: Inner, scheme: "https"}, {kind: Plain, scheme: "https"}} {
			a.port = p
			all = append(all, a)
		}
	}
	if slices.ContainsFunc(rules, func(r *Rule) bool { return r.ClientTLS }) {
		for _, a := range all[:len(all):len(all)] {
			a.tls = true
			all = append(all, a)
		}
	}
	slices.SortStableFunc(all, func(a, b arrival) int { return a.unusual() - b.unusual() })
	return all
}

// unusual orders arrivals for the reader of a sample.
func (a arrival) unusual() int {
	if a.scheme == "http" && a.port == 80 || a.scheme != "http" && a.port == 443 {
		return 0
	}
	return 1
}

// cutMethods are the methods rules speak of, and another.
func cutMethods(rules []*Rule) []string {
	var methods []string
	for _, r := range rules {
		methods = append(methods, r.methods...)
	}
	slices.Sort(methods)
	methods = slices.Compact(methods)
	for _, other := range []string{"GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE"} {
		if !slices.Contains(methods, other) {
			return append([]string{other}, methods...)
		}
	}
	other := "OTHER"
	for slices.Contains(methods, other) {
		other += "R"
	}
	return append(methods, other)
}

// cutMoments are moments from at on at which different schedules hold and
// rules have expired. Schedules are weekly: one week shows all there is in
// one time zone, and a year does where clocks change on different days.
func cutMoments(rules []*Rule, at time.Time) (moments []time.Time) {
	var schedules []*schedule
	begins := []time.Time{at}
	zones := make(map[string]bool)
	for _, r := range rules {
		if r.schedule != nil && r.schedule.zone != nil && !slices.Contains(schedules, r.schedule) {
			schedules = append(schedules, r.schedule)
			zones[r.schedule.zone.String()] = true
		}
		if !r.until.IsZero() && r.until.After(at) {
			begins = append(begins, r.until)
		}
	}
	slices.SortFunc(begins, time.Time.Compare)
	begins = slices.CompactFunc(begins, time.Time.Equal)
	days := 9
	if len(zones) > 1 {
		days = 370
	}
	seen := make(map[string]bool)
	for i, begin := range begins {
		end := begin.AddDate(0, 0, days)
		if i+1 < len(begins) && begins[i+1].Before(end) {
			end = begins[i+1]
		}
		for _, t := range switches(schedules, begin, end) {
			key := fmt.Sprint(i)
			for _, s := range schedules {
				key += fmt.Sprint(" ", s.holds(t))
			}
			if !seen[key] {
				seen[key] = true
				moments = append(moments, t)
			}
		}
	}
	return moments
}

// switches are the moments of [begin, end) at which a schedule may begin or
// cease to hold, with begin itself.
func switches(schedules []*schedule, begin, end time.Time) []time.Time {
	times := []time.Time{begin}
	for _, s := range schedules {
		minutes := []int{0}
		for _, h := range s.hours {
			minutes = append(minutes, h.from, h.to)
		}
		first := begin.In(s.zone)
		for day := -1; ; day++ {
			y, m, d := first.AddDate(0, 0, day).Date()
			if time.Date(y, m, d, 0, 0, 0, 0, s.zone).After(end) {
				break
			}
			for _, min := range minutes {
				if t := time.Date(y, m, d, min/60, min%60, 0, 0, s.zone); !t.Before(begin) && t.Before(end) {
					times = append(times, t)
				}
			}
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}
