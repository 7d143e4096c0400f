// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

func policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Check, test and explain policy files",
		Example: `  sallyport policy check policy.yaml
  sallyport policy test policy.yaml
  sallyport policy explain policy.yaml GET http://example.com/ --as ip:10.1.1.1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(os.Stderr)
			cmd.Usage()
			return &exitError{code: exitUsage}
		},
	}
	cmd.AddCommand(
		policyApplyCommand(),
		policyCheckCommand(),
		policyConfirmCommand(),
		policyEditCommand(),
		policyExplainCommand(),
		policyFmtCommand(),
		policyHistoryCommand(),
		policyHitsCommand(),
		policyImportCommand(),
		policyLintCommand(),
		policyListsCommand(),
		policyLSPCommand(),
		policyRollbackCommand(),
		policySchemaCommand(),
		policyStarterCommand(),
		policyTestCommand(),
		policyWhyCommand(),
		withReplay(policyDiffCommand()),
	)
	return cmd
}

func policyStarterCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "starter",
		Short:   "Print the built-in policy, to begin your own with",
		Example: `  sallyport policy starter > policy.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(policy.StarterSource())
			return err
		},
	}
}

// refused prints why a policy does not load, and ends with exit code 3.
func refused(w io.Writer, err error) error {
	var e *policy.Error
	if !errors.As(err, &e) {
		return &exitError{exitPolicy, err}
	}
	printDiagnostics(w, e.Diagnostics)
	return &exitError{code: exitPolicy}
}

// printDiagnostics prints what there is to say about a policy, in colour on a
// terminal.
func printDiagnostics(w io.Writer, ds []policy.Diagnostic) {
	f, ok := w.(*os.File)
	coloured := ok && colour(f)
	for _, d := range ds {
		d.Msg, d.Hint = printable(d.Msg), printable(d.Hint)
		s := d.String()
		if coloured {
			paint := "\x1b[1;31m"
			if d.Severity != policy.SeverityError {
				paint = "\x1b[1;33m"
			}
			label := fmt.Sprintf("%s[%s]", d.Severity, d.Code)
			s = strings.Replace(s, label, paint+label+"\x1b[0m", 1)
		}
		fmt.Fprintln(w, s)
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func diagnostics(p *policy.Policy, err error) []policy.Diagnostic {
	var e *policy.Error
	switch {
	case errors.As(err, &e):
		return e.Diagnostics
	case p != nil:
		return append([]policy.Diagnostic{}, p.Warnings()...)
	}
	return []policy.Diagnostic{}
}

func printResult(w io.Writer, v any, err error) error {
	if err := printJSON(w, v); err != nil {
		return err
	}
	if err != nil {
		return &exitError{code: exitPolicy}
	}
	return nil
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
