// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Package hsts remembers which hosts have said that they are to be reached by https
// only (RFC 6797), in place of clients that speak no TLS. It decides nothing and
// touches no disk: whoever keeps it writes down what Snapshot says.
package hsts

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of what is remembered.
const (
	MaxHosts = 50_000                    // beyond it, those go that were not heard of for longest
	longest  = 10 * 365 * 24 * time.Hour // of what a host may say
)

// A Note is what one host has said.
type Note struct {
	Until      time.Time `json:"until"`                // by which it is forgotten
	Subdomains bool      `json:"subdomains,omitempty"` // it speaks for all hosts below it, too
	Heard      time.Time `json:"heard"`                // last, to within an hour or so
}

// Hosts is the memory. The zero value is empty and ready; its methods may be called
// from many goroutines at once. A nil Hosts remembers nothing.
type Hosts struct {
	mu      sync.RWMutex
	notes   map[string]Note
	changed bool
	lost    string // why it is not known who said what; "": it is
	dropped int    // notes that went for want of room since the last Snapshot
}

// Hear takes in the Strict-Transport-Security field of an answer that came from host by
// verified TLS (§8.1). A field that says nothing valid, or stands for an
// address, is as if it were not there.
func (h *Hosts) Hear(host string, value []byte, now time.Time) {
	if h == nil || !named(host) {
		return
	}
	age, sub, ok := read(value)
	if !ok {
		return
	}
	until := now.Add(age)
	h.mu.RLock()
	old, known := h.notes[host]
	h.mu.RUnlock()
	if age == 0 && !known || age > 0 && known && old.Subdomains == sub && near(old.Until, until) && near(old.Heard, now) {
		return // as is mostly so
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changed = true
	if age == 0 {
		delete(h.notes, host)
		return
	}
	if h.notes == nil {
		h.notes = make(map[string]Note)
	}
	h.notes[host] = Note{Until: until.UTC().Truncate(time.Second), Subdomains: sub, Heard: now.UTC().Truncate(time.Second)}
	if len(h.notes) > MaxHosts {
		h.makeRoom(now)
	}
}

// near spares a writing for what is heard again with every answer.
func near(a, b time.Time) bool { return a.Sub(b).Abs() < time.Hour }

// named reports whether host, in the one spelling that policies know, is no address.
func named(host string) bool {
	return host != "" && strings.Trim(host[strings.LastIndexByte(host, '.')+1:], "0123456789") != "" && !strings.Contains(host, ":")
}

// makeRoom forgets what is over, and then a twentieth of the rest: of the domains
// that have most to say first, so that who makes up hosts below one of his own pushes
// those out, and among them those not heard of for longest.
func (h *Hosts) makeRoom(now time.Time) {
	var hosts []string
	said := make(map[string]int)
	for host, n := range h.notes {
		if !n.Until.After(now) {
			delete(h.notes, host)
			continue
		}
		hosts = append(hosts, host)
		said[domain(host)]++
	}
	if len(hosts) <= MaxHosts*19/20 {
		return
	}
	slices.SortFunc(hosts, func(a, b string) int {
		return cmp.Or(cmp.Compare(said[domain(b)], said[domain(a)]), h.notes[a].Heard.Compare(h.notes[b].Heard), cmp.Compare(a, b))
	})
	for _, host := range hosts[:len(hosts)-MaxHosts*19/20] {
		delete(h.notes, host)
		h.dropped++
	}
}

// domain is host's last two labels.
func domain(host string) string {
	i := strings.LastIndexByte(host, '.')
	if i < 0 {
		return host
	}
	return host[strings.LastIndexByte(host[:i], '.')+1:]
}

// Known reports whether host is to be reached by https only, who has said so, and
// until when. by is host or a host above it.
func (h *Hosts) Known(host string, now time.Time) (by string, until time.Time, ok bool) {
	if h == nil || !named(host) {
		return "", time.Time{}, false
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for name := host; ; {
		if n, found := h.notes[name]; found && n.Until.After(now) && (name == host || n.Subdomains) {
			return name, n.Until, true
		}
		_, above, more := strings.Cut(name, ".")
		if !more {
			return "", time.Time{}, false
		}
		name = above
	}
}

// Lost says why nobody knows what was remembered; "" when that is known. Then every
// host may have said it.
func (h *Hosts) Lost() string {
	if h == nil {
		return ""
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.lost
}

// Lose has Lost say why from now on.
func (h *Hosts) Lose(why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost = why
}

// Restore puts notes in place of all there are.
func (h *Hosts) Restore(notes map[string]Note) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = notes
}

// Snapshot is what is remembered now; changed is false when that is what the last
// Snapshot was, or Restore put there. dropped is how many notes went since then for
// want of room.
func (h *Hosts) Snapshot(now time.Time) (notes map[string]Note, dropped int, changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.changed {
		return nil, 0, false
	}
	dropped, h.dropped, h.changed = h.dropped, 0, false
	notes = make(map[string]Note, len(h.notes))
	for host, n := range h.notes {
		if n.Until.After(now) {
			notes[host] = n
		}
	}
	return notes, dropped, true
}

// Again has the next Snapshot say that something has changed: the last was not kept.
func (h *Hosts) Again() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changed = true
}
