// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

func policyDiffCommand() *cobra.Command {
	var (
		at     string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show which requests two policies decide differently, by what it means for them",
		Example: `  sallyport policy diff policy.yaml policy-new.yaml
  sallyport policy diff policy.yaml policy-new.yaml --json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			moment, err := moment(at)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			before, after, err := loadBoth(args[0], args[1])
			if err != nil {
				return refused(cmd.ErrOrStderr(), err)
			}
			c := policy.Compare(before, after, moment)
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), c)
			} else {
				_, err = io.WriteString(cmd.OutOrStdout(), printable(c.String()))
			}
			if err == nil && !c.Same() {
				return &exitError{code: exitFailed}
			}
			return err
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "the time from which schedules are compared, as `2026-11-24T22:00:00+01:00`; default now")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the differences as JSON")
	return cmd
}

// loadBoth loads two policies and tells what is wrong with either.
func loadBoth(old, next string) (before, after *policy.Policy, err error) {
	before, err = policy.Load(old)
	after, err2 := policy.Load(next)
	var a, b *policy.Error
	if errors.As(err, &a) && errors.As(err2, &b) {
		return nil, nil, &policy.Error{Diagnostics: append(a.Diagnostics, b.Diagnostics...)}
	}
	if err == nil {
		err = err2
	}
	return before, after, err
}
