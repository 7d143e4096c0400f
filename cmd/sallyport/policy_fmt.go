// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"sallyport/policy"
)

func policyFmtCommand() *cobra.Command {
	f := formatting{}
	cmd := &cobra.Command{
		Use:   "fmt FILE...",
		Short: "Print policies in the usual layout, or write them so",
		Long: `Print policies in the usual layout, or write them so.

Comments, the order of everything, and where lines break stay as they are. A
file that cannot be parsed is left alone and ends the command with 3. With
--diff, a file that is not in the usual layout ends it with 1. FILE may be -,
for standard input.`,
		Example: `  sallyport policy fmt policy.yaml
  sallyport policy fmt -w policy.yaml
  sallyport policy fmt -d policy.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			code := 0
			for _, file := range args {
				differs, err := f.file(cmd, file)
				var e *policy.Error
				var refusal *exitError
				switch {
				case errors.As(err, &refusal):
					return err
				case errors.As(err, &e):
					printDiagnostics(cmd.ErrOrStderr(), e.Diagnostics)
					code = exitPolicy
				case err != nil:
					fmt.Fprintf(cmd.ErrOrStderr(), "sallyport: %v\n", err)
					code = max(code, exitFailed)
				case differs && f.diff:
					code = max(code, exitFailed)
				}
			}
			if code != 0 {
				return &exitError{code: code}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&f.write, "write", "w", false, "write the result to the file instead of printing it")
	cmd.Flags().BoolVarP(&f.diff, "diff", "d", false, "print what would change; end with 1 when something would")
	return cmd
}

type formatting struct{ write, diff bool }

// file formats one file, and reports whether that changes it.
func (f formatting) file(cmd *cobra.Command, file string) (differs bool, err error) {
	var src []byte
	if file == "-" {
		if f.write {
			return false, &exitError{exitUsage, errors.New("standard input cannot be written to: leave out --write, or name the file")}
		}
		file = "standard input"
		src, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxPolicy+1))
	} else {
		src, _, err = policy.ReadFile(file, maxPolicy)
	}
	if err != nil {
		return false, fmt.Errorf("formatting %s: %w", file, err)
	}
	out, err := policy.Format(file, src)
	if err != nil {
		return false, err
	}
	differs = !bytes.Equal(src, out)
	if differs && f.diff {
		_, changes, _ := bytes.Cut(diff.Diff(file, src, file+" (formatted)", out), []byte("\n")) // the first line is a command
		if _, err := cmd.OutOrStdout().Write(changes); err != nil {
			return differs, err
		}
	}
	switch {
	case differs && f.write:
		return differs, rewriteFile(file, src, out)
	case !f.write && !f.diff:
		_, err = cmd.OutOrStdout().Write(out)
	}
	return differs, err
}
