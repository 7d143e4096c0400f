// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

func policyHitsCommand() *cobra.Command {
	var (
		state  string
		unused string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "hits FILE",
		Short: "Show how often each rule decided, and which never do",
		Long: `Show how often each rule of a policy was the one that decided, as the gateways
with this state directory have counted. A running gateway writes its counts every
ten seconds and at its end; a tunnel counts when it ends.`,
		Example: `  sallyport policy hits policy.yaml
  sallyport policy hits policy.yaml --unused 90d
  sallyport policy hits policy.yaml --state /var/lib/sallyport --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var limit time.Duration
			if unused != "" {
				var err error
				if limit, err = parseAge(unused); err != nil {
					return &exitError{exitUsage, fmt.Errorf("--unused %s: write it as 90d or 36h", unused)}
				}
			}
			p, err := policy.Load(args[0])
			if err != nil {
				return refused(cmd.ErrOrStderr(), err)
			}
			f, err := readHitsFile(hitsPath(state))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return &exitError{exitFailed, fmt.Errorf("no gateway has counted in the state directory %s: it is what sallyport run has as --state", state)}
			case err != nil:
				return &exitError{exitFailed, err}
			}
			u := usageOf(p, f, limit, time.Now())
			u.File = args[0]
			if asJSON {
				return printJSON(cmd.OutOrStdout(), u)
			}
			var b strings.Builder
			u.print(&b)
			_, err = io.WriteString(cmd.OutOrStdout(), printable(b.String()))
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&state, "state", defaultState(), "state directory of the gateway that counted")
	f.StringVar(&unused, "unused", "", "only rules without a hit for so long, as `90d`")
	f.BoolVar(&asJSON, "json", false, "print the counts as JSON")
	return cmd
}

// parseAge reads 90d, or a duration as Go writes it.
func parseAge(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * day, err
	}
	d, err := time.ParseDuration(s)
	if err == nil && d <= 0 {
		err = errors.New("no duration")
	}
	return d, err
}

const day = 24 * time.Hour

// A usage is what the rules of a policy have done.
type usage struct {
	File    string      `json:"file"`
	Total   uint64      `json:"total"` // decisions counted, those without a rule and of rules that are gone too
	Rules   []ruleUsage `json:"rules"` // in the order of the policy; with Unused only those
	NoRule  ruleHits    `json:"no_rule"`
	Gone    []ruleUsage `json:"gone"` // no longer in the policy, the latest first
	Unused  string      `json:"unused,omitempty"`
	Counted int         `json:"rules_in_policy"`

	limit time.Duration
	now   time.Time
}

type ruleUsage struct {
	Name  string  `json:"rule"`
	Line  int     `json:"line,omitempty"`
	Share float64 `json:"share"` // of the total, 0 to 1; 0 for what was only audited
	Audit bool    `json:"audit,omitempty"`
	ruleHits
	TooEarly bool `json:"too_early,omitempty"` // to call it unused: it has not been known for so long
}

// usageOf puts the counts to the rules; with a limit, only to those that have
// had no hit for so long.
func usageOf(p *policy.Policy, f hitsFile, limit time.Duration, now time.Time) usage {
	u := usage{NoRule: f.NoRule, Counted: len(p.Rules), Rules: []ruleUsage{}, Gone: []ruleUsage{}, limit: limit, now: now}
	u.Total = f.NoRule.Count
	for _, h := range f.Rules {
		u.Total += h.Count - h.Audited
	}
	present := make(map[string]bool)
	for _, r := range p.Rules {
		present[r.Name] = true
		x := ruleUsage{Name: r.Name, Line: r.Line, Audit: r.Audit, ruleHits: f.Rules[r.Name]}
		x.share(u.Total)
		if limit > 0 {
			x.TooEarly = x.First.IsZero() || now.Sub(x.First) < limit
			if !x.Last.IsZero() && now.Sub(x.Last) < limit {
				continue
			}
		}
		u.Rules = append(u.Rules, x)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Rules)) {
		if !present[name] && limit == 0 {
			x := ruleUsage{Name: name, ruleHits: f.Rules[name]}
			x.share(u.Total)
			u.Gone = append(u.Gone, x)
		}
	}
	slices.SortStableFunc(u.Gone, func(a, b ruleUsage) int { return cmp.Or(b.Gone.Compare(a.Gone), cmp.Compare(a.Name, b.Name)) })
	if limit > 0 {
		u.Unused = ageText(limit)
	}
	return u
}

func (x *ruleUsage) share(total uint64) {
	if total > 0 {
		x.Share = float64(x.Count-x.Audited) / float64(total)
	}
}

func (u *usage) print(b *strings.Builder) {
	if u.limit > 0 {
		u.printUnused(b)
		return
	}
	fmt.Fprintf(b, "%s counted since %s\n", count(int(u.Total), "decision", "decisions"), shortTime(u.NoRule.First))
	const row = "  %-24s %10s %6s  %s\n"
	fmt.Fprintf(b, row, "rule", "hits", "share", "last")
	var never, audit []ruleUsage
	for _, x := range u.Rules {
		if x.Audit || x.Audited > 0 {
			audit = append(audit, x)
		}
		switch {
		case x.Count > x.Audited:
			fmt.Fprintf(b, row, x.Name, strconv.FormatUint(x.Count-x.Audited, 10), percent(x.Share), shortTime(x.Last))
		case !x.Audit:
			never = append(never, x)
		}
	}
	if u.NoRule.Count > 0 {
		fmt.Fprintf(b, row, "(no rule matched)", strconv.FormatUint(u.NoRule.Count, 10), percent(float64(u.NoRule.Count)/float64(u.Total)), shortTime(u.NoRule.Last))
	}
	section := func(title string, of []ruleUsage, what func(ruleUsage) string) {
		if len(of) > 0 {
			fmt.Fprintf(b, "%s\n", title)
		}
		for _, x := range of {
			fmt.Fprintf(b, "  %-24s %s\n", x.Name, what(x))
		}
	}
	section("never hit:", never, func(x ruleUsage) string { return fmt.Sprintf("line %-4d %s", x.Line, u.known(x)) })
	section("audit rules, which would have decided:", audit, func(x ruleUsage) string {
		if x.Audited == 0 {
			return "       0         " + u.known(x)
		}
		return fmt.Sprintf("%10d         %s", x.Audited, shortTime(x.Last))
	})
	section("no longer in the policy:", u.Gone, func(x ruleUsage) string {
		return fmt.Sprintf("%10d %6s  %s, gone since %s", x.Count, percent(x.Share), cmp.Or(shortTime(x.Last), "never hit"), shortTime(x.Gone))
	})
}

func (u *usage) printUnused(b *strings.Builder) {
	fmt.Fprintf(b, "%d of %s without a hit for %s\n", len(u.Rules), count(u.Counted, "rule", "rules"), u.Unused)
	for _, x := range u.Rules {
		said := "last hit " + shortTime(x.Last)
		if x.Last.IsZero() {
			said = "never hit, " + u.known(x)
			if x.TooEarly && !x.First.IsZero() {
				said += " only"
			}
		}
		fmt.Fprintf(b, "  %-24s line %-4d %s\n", x.Name, x.Line, said)
	}
}

// known says for how long a rule could have been hit.
func (u *usage) known(x ruleUsage) string {
	if x.First.IsZero() {
		return "not known to a gateway yet"
	}
	return "known for " + ageText(u.now.Sub(x.First))
}

func ageText(d time.Duration) string {
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return fmt.Sprintf("%d minutes", max(0, d/time.Minute))
}

func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

// shortTime is a time for people, where they are; "" for none.
func shortTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}
