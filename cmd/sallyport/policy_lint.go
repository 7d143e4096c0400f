// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

func policyLintCommand() *cobra.Command {
	var (
		asJSON, asSARIF bool
		unused, state   string
	)
	cmd := &cobra.Command{
		Use:   "lint FILE",
		Short: "Find rules that do nothing, promises that cannot be kept, and what is hardly meant",
		Long: `Find what is allowed in a policy and hardly meant: rules that match nothing or
that earlier rules leave nothing, denies that a later tunnel would blind, tunnels
that cannot be kept because an earlier rule must look inside, rules that no test
reaches, names that are more or other than they seem.

It ends with 1 when it finds a promise that the policy cannot keep, with 3 when
the policy does not load.`,
		Example: `  sallyport policy lint policy.yaml
  sallyport policy lint policy.yaml --unused 90d
  sallyport policy lint policy.yaml --sarif > lint.sarif`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l := policy.Linter{At: time.Now()}
			if unused != "" {
				if err := unusedRules(&l, unused, state); err != nil {
					return err
				}
			}
			found, loads := l.Load(policy.Loader{ListCache: longLists(state)}, args[0])
			out := cmd.OutOrStdout()
			var err error
			switch {
			case asSARIF:
				err = printSARIF(out, found)
			case asJSON:
				err = printJSON(out, struct {
					File        string              `json:"file"`
					Loads       bool                `json:"loads"`
					Diagnostics []policy.Diagnostic `json:"diagnostics"`
				}{args[0], loads, append([]policy.Diagnostic{}, found...)})
			case loads:
				printDiagnostics(out, found)
			default:
				printDiagnostics(cmd.ErrOrStderr(), found)
			}
			switch {
			case err != nil:
				return err
			case !loads:
				return &exitError{code: exitPolicy}
			case slices.ContainsFunc(found, func(d policy.Diagnostic) bool { return d.Severity == policy.SeverityError }):
				return &exitError{code: exitFailed}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print what is found as JSON")
	f.BoolVar(&asSARIF, "sarif", false, "print what is found as SARIF 2.1.0")
	f.StringVar(&unused, "unused", "", "tell rules without a hit for so long, as `90d`")
	stateFlag(cmd, &state)
	cmd.MarkFlagsMutuallyExclusive("json", "sarif")
	return cmd
}

// unusedRules makes l tell rules without hits.
func unusedRules(l *policy.Linter, unused, state string) error {
	limit, err := parseAge(unused)
	if err != nil || limit <= 0 {
		return &exitError{exitUsage, fmt.Errorf("--unused %s: write it as 90d or 36h", unused)}
	}
	hits, err := readHits(state)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &exitError{exitFailed, fmt.Errorf("no gateway has counted in the state directory %s: it is what sallyport run has as --state", state)}
	case err != nil:
		return &exitError{exitFailed, err}
	}
	l.Unused = limit
	l.Hits = func(rule string) (known, last time.Time) { return hits[rule].First, hits[rule].Last }
	return nil
}
