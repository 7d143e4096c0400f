// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

func policyCheckCommand() *cobra.Command {
	var (
		asJSON, asSARIF bool
		state           string
	)
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Read a policy with its lists, run its tests, and tell everything that is wrong",
		Long: `Read a policy with its lists, run its tests, and tell everything that is wrong.
Where rules intercept, tell for which hosts certificates can be minted, and what
is new in that beside the revision of the file that was in force last.`,
		Example: `  sallyport policy check policy.yaml
  sallyport policy check policy.yaml --json
  sallyport policy check policy.yaml --sarif > check.sarif`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := policy.Loader{ListCache: longLists(state)}.Load(args[0])
			found := diagnostics(p, err)
			if err == nil {
				found = append(found, absentSecrets(args[0], state, p)...)
			}
			if asSARIF {
				if e := printSARIF(cmd.OutOrStdout(), found); e != nil || err == nil {
					return e
				}
				return &exitError{code: exitPolicy}
			}
			if asJSON {
				return printCheck(cmd.OutOrStdout(), args[0], state, p, found, err)
			}
			if err != nil {
				return refused(cmd.ErrOrStderr(), err)
			}
			printDiagnostics(cmd.ErrOrStderr(), found)
			_, requests := p.Tests()
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %s, revision %.8s\n",
				args[0], count(len(p.Rules), "rule", "rules"), count(requests, "test passes", "tests pass"), p.Revision)
			mintableBy(p, args[0], state).print(cmd.OutOrStdout())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	stateFlag(cmd, &state)
	cmd.Flags().BoolVar(&asSARIF, "sarif", false, "print the diagnostics as SARIF 2.1.0")
	cmd.MarkFlagsMutuallyExclusive("json", "sarif")
	return cmd
}

// printCheck prints the result of check as JSON.
func printCheck(w io.Writer, file, state string, p *policy.Policy, found []policy.Diagnostic, err error) error {
	out := struct {
		File        string              `json:"file"`
		OK          bool                `json:"ok"`
		Rules       int                 `json:"rules"`
		Tests       int                 `json:"tests"`
		Revision    string              `json:"revision,omitempty"`
		Mints       *mintable           `json:"mints,omitempty"`
		Diagnostics []policy.Diagnostic `json:"diagnostics"`
	}{File: file, OK: err == nil, Diagnostics: found}
	if err == nil {
		out.Rules, out.Revision = len(p.Rules), p.Revision
		_, out.Tests = p.Tests()
		m := mintableBy(p, file, state)
		out.Mints = &m
	}
	return printResult(w, out, err)
}
