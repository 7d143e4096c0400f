// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

func policyWhyCommand() *cobra.Command {
	var (
		state  string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "why [FILE] LOG-LINE | why [FILE] -",
		Short: "Decide one line of the access log again, and show why",
		Long: `Decide what one line of the access log tells again, by the policy in FILE, show
the walk, and say whether it comes out as it was recorded. Without FILE it is
decided by the policy that the line names, when it is still kept in the state
directory, and else by the one that is in force.`,
		Example: `  grep 7f3k2mzq5xw4a6bd access.log | sallyport policy why policy.yaml -
  sallyport policy why policy.yaml "$(tail -n 1 access.log)"
  sallyport policy why --state /var/lib/sallyport "$(tail -n 1 access.log)"`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := oneRecord(args[len(args)-1], cmd.InOrStdin())
			if err != nil {
				return err
			}
			var p *policy.Policy
			if len(args) == 2 {
				p, err = policy.Load(args[0])
			} else {
				p, err = keptPolicy(state, r)
			}
			var exit *exitError
			switch {
			case errors.As(err, &exit):
				return err
			case err != nil:
				return refused(cmd.ErrOrStderr(), err)
			}
			w := whyOf(p, r)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), w)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), printable(w.String()))
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&state, "state", defaultState(), "state directory of the gateway, for policies it has had in force")
	f.BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

// keptPolicy is the policy that decided r as it was kept in the state directory,
// or what is in force now.
func keptPolicy(state string, r recorded) (*policy.Policy, error) {
	if starter := policy.Starter(); r.of(starter) {
		return starter, nil
	}
	if _, err := os.Stat(filepath.Join(state, "policy")); err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("no policy FILE was given, and no gateway has run with the state directory %q", state)}
	}
	a, err := openArchive(state)
	if err != nil {
		return nil, &exitError{exitFailed, err}
	}
	all, _ := a.all()
	for _, rev := range all {
		if len(r.Revision) >= 8 && strings.HasPrefix(rev.Revision, r.Revision) {
			return a.load(rev)
		}
	}
	now, ok, err := a.inForce()
	switch {
	case err != nil:
		return nil, &exitError{exitFailed, err}
	case !ok:
		return nil, &exitError{exitUsage, fmt.Errorf("no policy FILE was given, and none is kept in %s", state)}
	case now.Policy == "":
		return policy.Starter(), nil
	}
	rev, err := a.find(now.Policy, now.Revision)
	if err != nil {
		return nil, &exitError{exitFailed, err}
	}
	return a.load(rev)
}

// oneRecord reads the one decision in arg, or on in when arg is "-".
func oneRecord(arg string, in io.Reader) (recorded, error) {
	if arg != "-" {
		in = strings.NewReader(arg)
	}
	var (
		r    recorded
		n    int
		fail error
	)
	err := readLog(in, func(l logLine) error {
		text := bytes.TrimSpace(l.Text)
		if len(text) == 0 && !l.TooLong {
			return nil
		}
		if n++; n > 1 {
			return &exitError{exitUsage, errors.New("one line at a time; a whole log is for sallyport policy diff --replay")}
		}
		if l.TooLong || text[0] != '{' {
			fail = errors.New("this is no line of the access log in JSON; the console format leaves out what a decision depends on: run the gateway with --log json (and journalctl with -o cat)")
			return nil
		}
		r, fail = readRecord(text)
		return nil
	})
	switch {
	case err != nil:
		return r, err
	case n == 0:
		return r, &exitError{exitUsage, errors.New("there is no line to explain")}
	case fail != nil:
		return r, &exitError{exitFailed, fmt.Errorf("the line cannot be decided again: %w", fail)}
	}
	return r, nil
}

// A why is one recorded decision, made again.
type why struct {
	Same        bool               `json:"same"`
	SamePolicy  bool               `json:"same_policy"`
	Revision    string             `json:"revision"` // of the policy that decided now
	Decided     policy.Outcome     `json:"decided"`
	Audited     string             `json:"audited,omitempty"`
	Recorded    recordedText       `json:"recorded"`
	Explanation policy.Explanation `json:"explanation"`
}

// recordedText is what a line of the log said.
type recordedText struct {
	policy.Outcome
	Audited  string      `json:"audited,omitempty"`
	Revision string      `json:"revision"`
	ID       string      `json:"id"`
	Time     time.Time   `json:"time"`
	Done     policy.Mode `json:"done"`
	Error    string      `json:"error,omitempty"`
}

func whyOf(p *policy.Policy, r recorded) why {
	d := p.Decide(r.Query)
	w := why{SamePolicy: r.of(p), Revision: p.Revision, Explanation: p.Explain(r.Query)}
	w.Recorded = recordedText{r.outcome(), r.Audited, r.Revision, r.ID, r.Query.At, r.Done, r.Error}
	if !w.SamePolicy {
		d = p.DecideAll(r.Query)
	}
	w.Same, w.Decided, w.Audited = r.same(d), outcomeOf(d), auditedName(d)
	return w
}

// String is what the command prints.
func (w why) String() string {
	var b strings.Builder
	o := w.Recorded
	fmt.Fprintf(&b, "recorded  %s\n", audited(o.Outcome, o.Audited))
	fmt.Fprintf(&b, "          %s, id %s, policy revision %s\n", o.Time.Format(time.RFC3339Nano), o.ID, o.Revision)
	if o.Done != o.Mode {
		fmt.Fprintf(&b, "done      %s: %s\n", o.Done, o.Error)
	}
	b.WriteString(w.Explanation.String())
	now, decided := fmt.Sprintf("%.*s", len(o.Revision), w.Revision), audited(w.Decided, w.Audited)
	switch {
	case w.Same && w.SamePolicy:
		fmt.Fprintf(&b, "same      as recorded, by the same policy\n")
	case w.Same:
		fmt.Fprintf(&b, "same      as recorded, although this is another policy, revision %s\n", now)
	case w.SamePolicy:
		fmt.Fprintf(&b, "differs   decided now: %s, by the very policy that decided then; please report this\n", decided)
	default:
		fmt.Fprintf(&b, "differs   decided now: %s, because this is another policy, revision %s\n", decided, now)
	}
	return b.String()
}

func audited(o policy.Outcome, rule string) string {
	if rule == "" {
		return o.String()
	}
	return o.String() + ", audited by " + rule
}
