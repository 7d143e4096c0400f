// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

func policyTestCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "test FILE",
		Short:   "Run the tests of a policy and show each request with what becomes of it",
		Example: `  sallyport policy test policy.yaml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			results, err := policy.Test(args[0])
			if asJSON {
				return printTests(cmd.OutOrStdout(), args[0], results, err)
			}
			for _, r := range results {
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), r); err != nil {
					return err
				}
			}
			if err != nil {
				return refused(cmd.ErrOrStderr(), err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the results as JSON")
	return cmd
}

// printTests prints the results of test as JSON.
func printTests(w io.Writer, file string, results []policy.TestResult, err error) error {
	return printResult(w, struct {
		File        string              `json:"file"`
		OK          bool                `json:"ok"`
		Results     []policy.TestResult `json:"results"`
		Diagnostics []policy.Diagnostic `json:"diagnostics"`
	}{file, err == nil, append([]policy.TestResult{}, results...), diagnostics(nil, err)}, err)
}
