// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sallyport/gateway"
	"sallyport/policy"
)

// A reloader puts what the files say into force, one generation after the
// other. It works on its own goroutine: reading, building and testing a policy
// of a million names, keeping it and telling the audit log hold up no request
// and no signal.
type reloader struct {
	active *active
	server *gateway.Server
	watch  *watcher
	logger *zerolog.Logger
	expiry *expiry

	mu   sync.Mutex
	why  string // what the next build is for; "": there is none to do
	wake chan struct{}

	told    string    // what was last told of a policy that does not load
	due     time.Time // to confirm, when the timer runs
	expired time.Time // a deadline that was seen to

	// telling holds a value while a generation is swapped and told to the audit
	// log. The program does not end in between.
	telling chan struct{}
}

// tellPatience is how long the end of the program waits for the audit log.
const tellPatience = 5 * time.Second

func newReloader(a *active, server *gateway.Server, w *watcher, expiry *expiry, logger *zerolog.Logger) *reloader {
	r := &reloader{active: a, server: server, watch: w, expiry: expiry, logger: logger, wake: make(chan struct{}, 1), telling: make(chan struct{}, 1)}
	r.telling <- struct{}{} // until run has told what is in force
	return r
}

// Finish returns when the audit log has been told of what was in force, and
// lets nothing else come into force. A build that is going on is left.
func (r *reloader) Finish() {
	select {
	case r.telling <- struct{}{}:
	case <-time.After(tellPatience):
	}
}

// Ask has the files loaded, soon. Who asks during a build gets another one.
func (r *reloader) Ask(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.why == "" || why == "SIGHUP" { // which is answered in any case
		r.why = why
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reloader) asked() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	why := r.why
	r.why = ""
	return why
}

// run builds until ctx ends.
func (r *reloader) run(ctx context.Context) {
	first := r.active.now.Load()
	source := "run start"
	if first.stale != nil {
		source = "boot last-known-good"
		if first.kept.IsZero() {
			source = "boot deny-all"
		}
	}
	r.record(nil, first, source)
	<-r.telling
	if first.read != nil && first.read.overtaken() { // before anybody watched
		r.Ask("file change")
	}
	deadline := time.NewTimer(0)
	defer deadline.Stop()
	for {
		r.await(deadline)
		select {
		case <-ctx.Done():
			return
		case <-deadline.C:
			r.expired = r.due
			r.active.expire(r.logger)
			r.build(ctx, "not confirmed")
		case <-r.wake:
			if why := r.asked(); why != "" {
				r.build(ctx, why)
			}
		}
	}
}

// await sets t to the time at which something has to have been confirmed. That
// may be over: a build takes its time.
func (r *reloader) await(t *time.Timer) {
	t.Stop()
	a := r.active
	if a.archive == nil || a.path == "" {
		return
	}
	w, err := a.archive.waiting()
	if err != nil || w == nil || w.Policy != a.full || w.Deadline.Equal(r.expired) {
		return
	}
	r.due = w.Deadline
	t.Reset(max(0, time.Until(w.Deadline)))
}

// build loads the files and swaps once, or keeps what there is.
func (r *reloader) build(ctx context.Context, why string) {
	before := r.active.now.Load()
	old := before.gen.Policy
	after, read, err := r.load(ctx, old.Generation+1)
	if errors.Is(err, errUnconfirmed) && why != "not confirmed" && r.told != err.Error() {
		r.active.expire(r.logger)
		after, read, err = r.load(ctx, old.Generation+1)
	}
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		step("policy built")
	}
	select {
	case r.telling <- struct{}{}:
		defer func() { <-r.telling }()
	case <-ctx.Done():
		return
	}
	if err != nil {
		if errors.Is(err, errUnconfirmed) && before.stale == nil { // and it cannot be written over
			if last := r.active.lastGood(old.Generation+1, r.logger); last != nil {
				last.stale = err
				r.publish(before, last, "not confirmed")
			}
		}
		r.refused(before, read, why, err)
		return
	}
	again := r.told != ""
	r.told = ""
	if before.stale == nil && same(before, after) {
		after.read.forget()
		if again { // after something that did not load
			r.logger.Info().Str("trigger", why).Str("revision", old.Revision[:8]).Msg("the policy file says again what is in force")
			r.record(before, before, why)
		} else if why == "SIGHUP" {
			r.logger.Info().Str("trigger", why).Str("revision", old.Revision[:8]).Msg("policy unchanged")
		}
		return
	}
	r.active.keep(after, r.logger)
	r.publish(before, after, why)
	if after.read.overtaken() { // where nobody watched
		r.Ask("file change")
	}
}

// load loads until the files hold still meanwhile, for some time.
func (r *reloader) load(ctx context.Context, number uint64) (l *loaded, read *reading, err error) {
	for range 5 {
		l, read, err = r.active.load(number)
		if !read.overtaken() {
			break
		}
		select {
		case <-ctx.Done():
			return nil, read, ctx.Err()
		case <-time.After(settle):
		}
	}
	return l, read, err
}

// publish swaps.
func (r *reloader) publish(before, after *loaded, why string) {
	old := before.gen.Policy
	r.active.now.Store(after)
	r.server.Recheck()
	r.expiry.profiles(after, time.Now())
	changes := policy.Diff(old, after.gen.Policy)
	r.logger.Info().Str("trigger", why).
		Str("old", old.Revision[:8]).Str("new", after.gen.Policy.Revision[:8]).Uint64("generation", after.gen.Policy.Generation).
		Strs("added", changes.Added).Strs("removed", changes.Removed).Strs("changed", changes.Changed).
		Strs("mappings", changes.Mappings).Msg("policy loaded")
	r.follow(after.files)
	r.record(before, after, why)
}

func (r *reloader) follow(files []string) {
	if err := r.watch.Watch(files); err != nil {
		r.logger.Warn().Str("error", err.Error()).Msg("the policy's files cannot be watched; send SIGHUP after changing them")
	}
}

// refused tells of files that do not load, once as long as they say the same.
func (r *reloader) refused(before *loaded, read *reading, why string, err error) {
	now := r.active.now.Load()
	e := r.logger.Error().Bool("policy_stale", true).Str("trigger", why).Str("kept", now.gen.Policy.Revision[:8])
	var diags *policy.Error
	if errors.As(err, &diags) {
		e = e.Int("errors", len(diags.Diagnostics))
	}
	e.Str("error", err.Error()).Msg("policy not loaded: the last good one stays in force")
	files := append(read.paths(), now.files...) // one that is missing may come
	secret := (*secretError)(nil)
	if errors.As(err, &secret) {
		files = append(files, secret.file)
	}
	r.follow(files)
	if secret != nil {
		if _, still := readSecret(secret.file); still == nil { // it came before anybody watched
			r.Ask("file change")
		}
	}
	if r.told == err.Error() {
		return
	}
	r.told = err.Error()
	entry := auditEntry{
		Source: why, Result: resultRefused, Policy: r.active.full, Previous: now.gen.Policy.Revision, Commit: gitCommit(r.active.full),
	}
	entry.failure(err)
	r.log(entry, r.activation(now, true))
}

// record tells the audit log of a generation that is in force.
func (r *reloader) record(before, after *loaded, source string) {
	p := after.gen.Policy
	e := auditEntry{Source: source, Result: resultInForce, Policy: r.active.full, Revision: p.Revision}
	if before != nil {
		e.Previous, e.Changes = before.gen.Policy.Revision, auditDiff(before.gen.Policy, p)
	}
	if after.stale != nil {
		e.Result = resultStale
		e.failure(after.stale)
	} else if r.active.path != "" {
		e.Commit = gitCommit(r.active.full)
	}
	r.log(e, r.activation(after, after.stale != nil))
}

func (r *reloader) activation(l *loaded, stale bool) activation {
	return activation{Policy: r.active.full, Revision: l.gen.Policy.Revision, Since: time.Now(), PID: os.Getpid(), Stale: stale}
}

// log writes to the archive. When that cannot be done the gateway goes on (law 12).
func (r *reloader) log(e auditEntry, now activation) {
	a := r.active.archive
	if a == nil {
		return
	}
	err := a.locked(func() error { return errors.Join(a.setInForce(now), a.log(e)) })
	if err != nil {
		r.logger.Error().Str("source", e.Source).Str("result", e.Result).Str("error", err.Error()).Msg("the audit log was not written")
	}
}
