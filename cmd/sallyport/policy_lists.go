// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

func policyListsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "lists FILE",
		Short: "Show the lists of a policy, and change them",
		Long: `Show the lists of a policy: what stands under its destinations, the files, how
many entries and bad lines they have, their age, and the rules about them.`,
		Example: `  sallyport policy lists policy.yaml
  sallyport policy lists add policy.yaml blocked ads.example tracker.example
  sallyport policy lists remove policy.yaml blocked ads.example
  sallyport policy lists check policy.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			lists, err := policy.ReadLists(args[0], policy.ReadFile)
			if err != nil {
				return refused(cmd.ErrOrStderr(), err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), append([]policy.List{}, lists...))
			}
			return printLists(cmd.OutOrStdout(), lists)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the lists as JSON")
	cmd.AddCommand(listsAddCommand(), listsCheckCommand(), listsCompileCommand(), listsRemoveCommand())
	return cmd
}

// printLists prints a line for each place in which a list has entries.
func printLists(w io.Writer, lists []policy.List) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LIST\tFILE\tREAD AS\tENTRIES\tBAD LINES\tCHANGED\tSHA-256\tRULES")
	for _, l := range lists {
		rules := strings.Join(l.Rules, ", ")
		if rules == "" {
			rules = "none"
		}
		for _, f := range l.Files {
			as := f.Format
			if f.Match != "" {
				as += ", " + f.Match
			}
			changed := f.Changed.UTC().Format(time.DateOnly)
			if f.Old {
				changed += ", older than " + f.MaxAge
			}
			sum := f.SHA256[:8]
			if f.Pinned {
				sum += ", pinned"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", l.Name, visible(f.File), as, f.Entries, f.Bad, changed, sum, rules)
		}
		if l.Entries > 0 || len(l.Files) == 0 {
			as := "written here"
			if len(l.Lists) > 0 {
				as = "has " + strings.Join(l.Lists, ", ")
			}
			fmt.Fprintf(t, "%s\t-\t%s\t%d\t-\t-\t-\t%s\n", l.Name, as, l.Entries, rules)
		}
	}
	return t.Flush()
}

func listsAddCommand() *cobra.Command {
	e := &policy.ListEdit{}
	cmd := &cobra.Command{
		Use:   "add POLICY LIST ENTRY...",
		Short: "Put entries on a list",
		Long: `Put entries on a list, in its file or in the policy itself. Comments and the
order of the others stay; a sorted file stays sorted. Nothing is written when the
policy would not load, or one of its tests would fail.`,
		Example: `  sallyport policy lists add policy.yaml blocked ads.example tracker.example
  sallyport policy lists add --pin policy.yaml approved partner.example`,
		Args: cobra.MinimumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			e.List, e.Add = args[1], args[2:]
			return editList(cmd, args[0], *e)
		},
	}
	listFlags(cmd, e)
	return cmd
}

func listsRemoveCommand() *cobra.Command {
	e := &policy.ListEdit{}
	cmd := &cobra.Command{
		Use:   "remove POLICY LIST ENTRY...",
		Short: "Take entries off a list",
		Long: `Take entries off a list, as add puts them there. An entry that is there more
than once is removed everywhere; one that a wider entry covers is told.`,
		Example: `  sallyport policy lists remove policy.yaml blocked ads.example`,
		Args:    cobra.MinimumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			e.List, e.Remove = args[1], args[2:]
			return editList(cmd, args[0], *e)
		},
	}
	listFlags(cmd, e)
	return cmd
}

func listFlags(cmd *cobra.Command, e *policy.ListEdit) {
	cmd.Flags().StringVar(&e.File, "file", "", "the file of the list that is meant, as the policy names it")
	cmd.Flags().BoolVar(&e.Inline, "inline", false, "the entries in the policy itself are meant")
	cmd.Flags().BoolVar(&e.Pin, "pin", false, "change the sha256 in the policy too, where it has one for the file")
	cmd.MarkFlagsMutuallyExclusive("file", "inline")
}

// editList changes a list, and tells what it did.
func editList(cmd *cobra.Command, path string, e policy.ListEdit) error {
	full, err := filepath.Abs(path)
	if err != nil {
		return &exitError{exitFailed, err}
	}
	p, err := openPolicyFile(full)
	if err != nil {
		return &exitError{exitFailed, err}
	}
	defer p.close()
	c, err := policy.EditList(path, e, policy.ReadFile)
	if err != nil {
		return cannotEdit(cmd.ErrOrStderr(), err)
	}
	for _, f := range c.Files {
		if f.Path == p.path {
			err = p.rewrite(path, f.Before, f.After)
		} else {
			err = rewriteFile(f.Path, f.Before, f.After)
		}
		if err != nil {
			return &exitError{exitFailed, err}
		}
	}
	for _, n := range c.Notes {
		fmt.Fprintln(cmd.ErrOrStderr(), visible(n))
	}
	for _, w := range c.Added {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: added %s\n", visible(c.Where), visible(w))
	}
	for _, w := range c.Removed {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: removed %s\n", visible(c.Where), visible(w))
	}
	return nil
}

// cannotEdit tells why nothing was changed.
func cannotEdit(w io.Writer, err error) error {
	var e *policy.Error
	if errors.As(err, &e) {
		printDiagnostics(w, e.Diagnostics)
		return &exitError{exitPolicy, errors.New("nothing was changed: the policy does not load")}
	}
	return &exitError{exitFailed, err}
}

func listsCheckCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Tell what is wrong in the list files of a policy",
		Long: `Tell every bad line of the list files of a policy, entries that say nothing new,
and files that are older than their max_age. Bad lines and old files end the
command with 1.`,
		Example: `  sallyport policy lists check policy.yaml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			lists, err := policy.ReadLists(args[0], policy.ReadFile)
			if err != nil {
				return refused(cmd.ErrOrStderr(), err)
			}
			return checkLists(cmd, lists, all)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "tell everything, not only the first 20 of a file")
	return cmd
}

func checkLists(cmd *cobra.Command, lists []policy.List, all bool) error {
	const few = 20
	failed := false
	told := make(map[policy.Diagnostic]bool) // a file may be read in two ways
	files, entries := make(map[string]bool), 0
	for _, l := range lists {
		for _, f := range l.Files {
			failed = failed || f.Bad > 0 || f.Old
			files[f.Path] = true
			entries += f.Entries
			if f.Old {
				fmt.Fprintf(cmd.OutOrStdout(), "%s is older than %s: it was last changed on %s\n", visible(f.File), f.MaxAge, f.Changed.UTC().Format(time.DateOnly))
			}
			notes := slices.DeleteFunc(f.Notes, func(d policy.Diagnostic) bool { return told[d] })
			for _, d := range notes {
				told[d] = true
			}
			left := len(notes) - few
			if !all && left > 0 {
				notes = notes[:few]
			}
			printDiagnostics(cmd.OutOrStdout(), notes)
			if !all && left > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %d more of this kind; --all tells them\n", visible(f.File), left)
			}
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s, %s\n", count(len(files), "list file", "list files"), count(entries, "entry", "entries"))
	if failed {
		return &exitError{code: exitFailed}
	}
	return nil
}
