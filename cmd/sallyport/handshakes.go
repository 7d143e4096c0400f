// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/gateway"
	"sallyport/policy"
)

// mostHandshakes is how many failed handshakes are kept.
const mostHandshakes = 64

// handshakes keeps the last TLS handshakes that failed, for policy explain --last.
// The zero value is ready.
type handshakes struct {
	mu   sync.Mutex
	last []failedHandshake // the newest last
}

// A failedHandshake is one TLS handshake that did not come about.
type failedHandshake struct {
	Time   time.Time `json:"time"`
	ID     string    `json:"id"` // of the record
	Event  string    `json:"event"`
	Party  string    `json:"party"` // client, origin or gateway: who has to do something
	Client string    `json:"client"`
	User   string    `json:"user,omitempty"`
	URL    string    `json:"url"` // authority alone for CONNECT
	SNI    string    `json:"sni,omitempty"`
	Rule   string    `json:"rule,omitempty"`
	Mode   string    `json:"mode"`
	What   string    `json:"what"` // and what to do
}

// Observe keeps r if its handshake failed. It is called from many goroutines at once.
func (h *handshakes) Observe(r *gateway.Record) {
	if r.Event == "" {
		return
	}
	f := failedHandshake{Time: r.Time, ID: r.ID, Event: r.Event, Client: r.Client.String(), User: r.Identity.User, URL: r.URL, Mode: r.Decision.Mode.String(), What: r.EventText}
	f.Party, _, _ = strings.Cut(r.Event, "_")
	if rule := r.Decision.Rule; rule != nil {
		if rule.Log == policy.LogNone { // nothing of it is to be told
			return
		}
		f.Rule = rule.Name
	}
	if r.Hello != nil {
		f.SNI = r.Hello.ServerName
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.last) == mostHandshakes {
		h.last = slices.Delete(h.last, 0, 1)
	}
	h.last = append(h.last, f)
}

// List returns what is kept, the newest first.
func (h *handshakes) List() []failedHandshake {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := append([]failedHandshake{}, h.last...)
	slices.Reverse(out)
	return out
}

// print shows f to people.
func (f *failedHandshake) print(w io.Writer) {
	who := f.Client
	if f.User != "" {
		who += ", user " + line(f.User)
	}
	fmt.Fprintf(w, "%s  %s  [%s]\n", f.Time.Local().Format(time.DateTime), f.Event, f.ID)
	fmt.Fprintf(w, "  client  %s\n  asked   %s\n", who, line(f.URL))
	if f.SNI != "" {
		fmt.Fprintf(w, "  sni     %s\n", line(f.SNI))
	}
	if f.Rule != "" {
		fmt.Fprintf(w, "  rule    %s, %s\n", f.Rule, f.Mode)
	}
	fmt.Fprintf(w, "  at      the %s\n  why     %s\n", f.Party, line(f.What))
}
