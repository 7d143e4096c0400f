// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"sallyport/policy"
)

// denyAll is what a gateway that has no policy says to whoever asks.
const denyAll = `version: 1
rules:
  - name: no-policy
    from: any
    to: any
    ports: any
    mode: deny
    deny: {status: 503, message: "The gateway has no policy that it can load, and lets nothing through."}
`

// openActive puts the first generation into force: the policy file, or else the
// last that was in force and still verifies, or else, when it was asked to,
// one that denies everything.
func openActive(o runOptions, origins origins, logger *zerolog.Logger) (*active, error) {
	if o.boot != "last-good" && o.boot != "deny-all" {
		return nil, &exitError{code: exitUsage, err: fmt.Errorf("--boot-policy %s: it is last-good or deny-all", o.boot)}
	}
	a := &active{path: o.policy, state: o.state, origins: origins, missing: o.missing, minting: o.minting}
	var err error
	if a.path != "" {
		if a.full, err = filepath.Abs(a.path); err != nil {
			return nil, err
		}
	}
	if a.archive, err = openArchive(o.state); err != nil {
		logger.Error().Str("error", err.Error()).Msg("no policy is kept for the next start, and there is no audit log")
	}
	a.expire(logger)
	l, r, err := a.load(1)
	if flags := (*unfindableError)(nil); errors.As(err, &flags) {
		return nil, a.notStarted(err)
	}
	if err != nil {
		l = a.lastGood(1, logger)
		if l == nil && o.boot == "deny-all" {
			l = a.closed(1)
		}
		if l == nil {
			return nil, a.notStarted(err)
		}
		l.stale = err
		l.files = append(l.files, r.paths()...)
		e := logger.Error().Bool("policy_stale", true).Str("policy", a.path).Str("revision", l.gen.Policy.Revision[:8])
		if l.kept.IsZero() {
			e.Str("error", err.Error()).Msg("the policy does not load and no earlier one was kept: everything is denied")
		} else {
			e.Time("since", l.kept).Str("error", err.Error()).Msg("the policy does not load: the last good one is in force")
		}
	}
	a.keep(l, logger)
	a.now.Store(l)
	return a, nil
}

// notStarted tells why there is no policy to start with.
func (a *active) notStarted(err error) error {
	var diags *policy.Error
	if errors.As(err, &diags) {
		fmt.Fprintln(os.Stderr, strings.TrimSuffix(diags.Error(), "\n"))
		err = fmt.Errorf("the policy %s is not loaded, nothing was started; sallyport policy check %s tells the same", a.path, a.path)
	}
	return &exitError{code: exitPolicy, err: err}
}

// lastGood is the newest revision of the policy file that was in force, can be
// verified and still passes its tests; nil when there is none.
func (a *active) lastGood(number uint64, logger *zerolog.Logger) *loaded {
	if a.archive == nil || a.path == "" {
		return nil
	}
	unconfirmed, _ := a.unconfirmed()
	revisions, bad := a.archive.of(a.full, func(r *revision) uint64 { return r.InForce })
	if bad != nil {
		logger.Error().Str("error", bad.Error()).Msg("a revision that was kept cannot be used")
	}
	for _, r := range revisions {
		if unconfirmed != "" && r.Files[0].SHA256 == unconfirmed {
			continue
		}
		p, err := a.archive.load(r)
		var l *loaded
		if err == nil {
			l, err = a.complete(p, number)
		}
		if err != nil {
			logger.Error().Str("revision", r.Revision[:8]).Str("error", err.Error()).Msg("a revision that was kept cannot be used")
			continue
		}
		l.kept = r.Time
		return l
	}
	return nil
}

// closed denies everything.
func (a *active) closed(number uint64) *loaded {
	p, err := policy.Parse("deny-all", []byte(denyAll), ".")
	if err != nil {
		panic("the policy that denies everything does not load: " + err.Error())
	}
	l, err := a.complete(p, number)
	if err != nil {
		panic(err)
	}
	return l
}

// keep stores l before it goes into force, so that the next start has it. When
// that cannot be done the gateway goes on (law 12).
func (a *active) keep(l *loaded, logger *zerolog.Logger) {
	if a.archive == nil || l.read == nil {
		return
	}
	defer l.read.forget()
	err := a.archive.locked(func() error { return a.archive.keep(a.full, l.read, l.gen.Policy, true) })
	if err != nil {
		logger.Error().Str("revision", l.gen.Policy.Revision[:8]).Str("error", err.Error()).Msg("the policy is not kept for the next start")
	}
}

// expire takes back what was to be confirmed and was not.
func (a *active) expire(logger *zerolog.Logger) {
	if a.archive == nil || a.path == "" {
		return
	}
	back, err := a.archive.expire(a.full)
	if err != nil {
		logger.Error().Str("policy", a.path).Str("error", err.Error()).Msg("the policy was not confirmed in time, and what it was before cannot be put back")
	}
	if back {
		logger.Warn().Str("policy", a.path).Msg("the policy was not confirmed in time: the file says again what it said before")
	}
}

// unconfirmed is the SHA-256 of what the policy file must not say any more,
// because it had to be confirmed and was not; "" when it may say anything.
func (a *active) unconfirmed() (sum string, w *confirmation) {
	if a.archive == nil {
		return "", nil
	}
	w, err := a.archive.waiting()
	if err != nil || w == nil || w.Policy != a.full || !w.over() {
		return "", nil
	}
	return w.Applied, w
}

var errUnconfirmed = errors.New("which had to be confirmed and was not")

// confirmed refuses what had to be confirmed and was not in time. The policy
// file can say so still, where the gateway must not write it.
func (a *active) confirmed(r *reading) error {
	sum, w := a.unconfirmed()
	if sum == "" || r.sum(a.full) != sum {
		return nil
	}
	return fmt.Errorf("%s is revision %.8s, %w by %s; sallyport policy rollback puts the one before back",
		a.path, w.Revision, errUnconfirmed, w.Deadline.Local().Format(time.DateTime))
}
