// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

func listsCompileCommand() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "compile FILE",
		Short: "Compile the long lists of a policy for the gateway",
		Long: `Compile the list files of a policy with more than 100,000 names into the state
directory of the gateway, which then maps them into memory. The gateway does that
itself when it has to; this is for doing it beforehand, by its user.`,
		Example: `  sallyport policy lists compile policy.yaml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if state == "" {
				return &exitError{exitUsage, errors.New("there is no state directory to keep compiled lists in: name one with --state")}
			}
			lists, err := policy.ReadLists(args[0], policy.ReadFile)
			if err != nil {
				return refused(cmd.ErrOrStderr(), err)
			}
			return compileLists(cmd.OutOrStdout(), lists, longLists(state))
		},
	}
	stateFlag(cmd, &state)
	return cmd
}

func compileLists(w io.Writer, lists []policy.List, cache string) error {
	done := make(map[[3]string]bool)
	for _, l := range lists {
		for _, f := range l.Files {
			key := [3]string{f.Path, f.Format, f.Match}
			if done[key] || f.Format != "domains" && f.Format != "hosts" {
				continue
			}
			done[key] = true
			c, err := policy.CompileList(f.Path, f.Format, f.Match, cache)
			if err != nil {
				return &exitError{exitFailed, err}
			}
			names := count(c.Names, "name", "names")
			switch {
			case c.File == "":
				_, err = fmt.Fprintf(w, "%s: %s, too few to be compiled\n", visible(f.File), names)
			case c.New:
				_, err = fmt.Fprintf(w, "%s: %s compiled, %.1f MB in %s\n", visible(f.File), names, float64(c.Bytes)/1e6, c.File)
			default:
				_, err = fmt.Fprintf(w, "%s: %s, compiled already in %s\n", visible(f.File), names, c.File)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
