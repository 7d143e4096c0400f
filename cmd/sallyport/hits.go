// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"sallyport/gateway"
	"sallyport/policy"
)

// ruleHits is how often a rule was the one that decided, as far as gateways with
// one state directory have counted.
type ruleHits struct {
	Count   uint64    `json:"count"`             // transactions it decided or, with audit: true, would have
	Audited uint64    `json:"audited,omitempty"` // of these, while it had audit: true
	Last    time.Time `json:"last,omitzero"`     // when the latest of them ended; zero: none yet
	First   time.Time `json:"first,omitzero"`    // when a gateway first had the rule
	Gone    time.Time `json:"gone,omitzero"`     // since when the policy has it no more; zero: it has it
}

// hitsFile is what is kept in STATE/policy/hits.json.
type hitsFile struct {
	Rules  map[string]ruleHits `json:"rules"`
	NoRule ruleHits            `json:"no_rule"` // denied because no rule matched
}

func hitsPath(state string) string { return filepath.Join(state, "policy", "hits.json") }

// readHits returns the counts of each rule, by its name, that gateways with this
// state directory have kept; they are up to hitsInterval old. The error is
// fs.ErrNotExist when there are none yet.
func readHits(state string) (map[string]ruleHits, error) {
	f, err := readHitsFile(hitsPath(state))
	return f.Rules, err
}

func readHitsFile(path string) (f hitsFile, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return hitsFile{}, fmt.Errorf("%s is damaged: %w", path, err)
	}
	return f, nil
}

// hitsInterval is how often a running gateway writes what it has counted.
const hitsInterval = 10 * time.Second

// maxGone bounds what is remembered of rules that no policy has any more.
const maxGone = 1000

// hits counts in memory, and adds to the file now and then what has come since:
// so that counts outlast a restart, and two gateways with one state directory
// add up.
type hits struct {
	state string   // directory; "" for none
	rules sync.Map // of *tally by name; "" stands for no rule

	// Only the goroutine that keeps the file uses these.
	written *policy.Policy // whose rules the file has
	failing bool           // and it was told
}

// A tally is what has come since the file was written.
type tally struct {
	count, audited atomic.Uint64
	last           atomic.Int64 // Unix nanoseconds
}

// Observe counts a transaction that was decided. It is called from many
// goroutines at once.
func (h *hits) Observe(r *gateway.Record) {
	if r.Revision == "" { // no policy was asked
		return
	}
	end := r.Time.Add(r.Total)
	h.tally(r.Decision.RuleName()).add(end)
	if a := r.Decision.Audited; a != nil {
		t := h.tally(a.Name)
		t.add(end)
		t.audited.Add(1)
	}
}

func (h *hits) tally(name string) *tally {
	if t, ok := h.rules.Load(name); ok {
		return t.(*tally)
	}
	t, _ := h.rules.LoadOrStore(name, new(tally))
	return t.(*tally)
}

func (t *tally) add(end time.Time) {
	t.count.Add(1)
	t.seen(end.UnixNano())
}

func (t *tally) seen(at int64) {
	for {
		last := t.last.Load()
		if at <= last || t.last.CompareAndSwap(last, at) {
			return
		}
	}
}

// keep writes the file at once, whenever there is something new, and when stop
// is called, which returns after that.
func (h *hits) keep(now func() *policy.Policy, logger *zerolog.Logger) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(hitsInterval)
		defer tick.Stop()
		for {
			h.tell(h.write(now(), time.Now()), logger)
			select {
			case <-tick.C:
			case <-quit:
				h.tell(h.write(now(), time.Now()), logger)
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

// tell says once that the file cannot be kept, and goes on trying.
func (h *hits) tell(err error, logger *zerolog.Logger) {
	if err != nil && !h.failing {
		logger.Warn().Str("error", err.Error()).Msg("hits of rules are not kept; the gateway serves on")
	}
	h.failing = err != nil
}

// write adds to the file what has come since, and which rules p has.
func (h *hits) write(p *policy.Policy, now time.Time) error {
	type share struct {
		name           string
		count, audited uint64
		last           int64
	}
	var news []share
	h.rules.Range(func(name, v any) bool {
		t := v.(*tally)
		if n := t.count.Swap(0); n > 0 {
			news = append(news, share{name.(string), n, t.audited.Swap(0), t.last.Load()})
		}
		return true
	})
	if len(news) == 0 && h.written == p {
		return nil
	}
	err := h.change(func(f *hitsFile) {
		for _, s := range news {
			last := time.Unix(0, s.last).UTC()
			if s.name == "" {
				f.NoRule = f.NoRule.with(s.count, s.audited, last)
				continue
			}
			f.Rules[s.name] = f.Rules[s.name].with(s.count, s.audited, last)
		}
		f.have(p, now.UTC().Truncate(time.Second))
	})
	if err != nil { // counted next time
		for _, s := range news {
			t := h.tally(s.name)
			t.count.Add(s.count)
			t.audited.Add(s.audited)
		}
		return err
	}
	h.written = p
	return nil
}

func (r ruleHits) with(count, audited uint64, last time.Time) ruleHits {
	r.Count += count
	r.Audited += audited
	if last.After(r.Last) {
		r.Last = last
	}
	return r
}

// have notes which rules there are, and which are no more.
func (f *hitsFile) have(p *policy.Policy, now time.Time) {
	if f.NoRule.First.IsZero() {
		f.NoRule.First = now
	}
	present := make(map[string]bool)
	for _, r := range p.Rules {
		present[r.Name] = true
		e := f.Rules[r.Name]
		if e.Gone = (time.Time{}); e.First.IsZero() {
			e.First = now
		}
		f.Rules[r.Name] = e
	}
	var gone []string
	for name, e := range f.Rules {
		if present[name] {
			continue
		}
		if e.First.IsZero() { // it came and went between two writings
			e.First = now
		}
		if e.Gone.IsZero() {
			e.Gone = now
		}
		f.Rules[name] = e
		gone = append(gone, name)
	}
	if len(gone) > maxGone {
		slices.SortFunc(gone, func(a, b string) int { return f.Rules[b].Gone.Compare(f.Rules[a].Gone) })
		for _, name := range gone[maxGone:] {
			delete(f.Rules, name)
		}
	}
}

// change reads the file, changes it and writes it whole, while nobody else does.
// One that cannot be read is put aside.
func (h *hits) change(by func(*hitsFile)) error {
	a, err := openArchive(h.state) // anew: the directory may have been replaced
	if err != nil {
		return err
	}
	defer a.root.Close()
	path := hitsPath(h.state)
	return a.locked(func() error {
		f, err := readHitsFile(path)
		var unreadable *fs.PathError
		switch {
		case err == nil || errors.Is(err, fs.ErrNotExist):
		case errors.As(err, &unreadable):
			return err
		default:
			if err := os.Rename(path, fmt.Sprintf("%s.damaged-%d", path, time.Now().Unix())); err != nil {
				return err
			}
		}
		if f.Rules == nil {
			f.Rules = make(map[string]ruleHits)
		}
		by(&f)
		b, err := json.Marshal(f)
		if err != nil {
			return err
		}
		return a.replace(filepath.Base(path), append(b, '\n'))
	})
}
