// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func policyHistoryCommand() *cobra.Command {
	var (
		state  string
		asJSON bool
		verify bool
		last   int
	)
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Show which policies were put into force, by whom, and which were refused",
		Long: `Show the audit log of the state directory: every policy that was put into
force or refused by a gateway, and every apply, edit and rollback. Each line of
the log carries the hash of the line before; history ends with exit code 1 when
the chain does not hold.`,
		Example: `  sallyport policy history
  sallyport policy history --verify
  sallyport policy history --last 20 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := openArchive(state)
			if err != nil {
				return &exitError{exitFailed, err}
			}
			entries, broken, hash, err := a.audit()
			if err != nil {
				return &exitError{exitFailed, fmt.Errorf("reading the audit log: %w", err)}
			}
			w := cmd.OutOrStdout()
			switch n := len(entries); {
			case verify && broken == nil:
				_, err = fmt.Fprintf(w, "%s: %s, the chain holds, the last has the hash %s\n", a.path(auditName), count(n, "line", "lines"), hash)
			case verify:
			case asJSON:
				err = printJSON(w, append([]auditEntry{}, newest(entries, last)...))
			default:
				err = printHistory(w, newest(entries, last))
			}
			if err == nil && broken != nil {
				err = &exitError{exitFailed, fmt.Errorf("%s: line %d is not as it was written: %s", a.path(auditName), broken.line, broken.msg)}
			}
			return err
		},
	}
	f := cmd.Flags()
	stateFlag(cmd, &state)
	f.BoolVar(&verify, "verify", false, "only verify the chain, and print the hash of the last line")
	f.BoolVar(&asJSON, "json", false, "print the entries as JSON")
	f.IntVar(&last, "last", 0, "show only so many `entries` (default all)")
	return cmd
}

// stateFlag adds --state to a command that uses the archive. It is the
// gateway's, and read from the same variable.
func stateFlag(cmd *cobra.Command, state *string) {
	dir := os.Getenv(envName("state"))
	if dir == "" {
		dir = defaultState()
	}
	cmd.Flags().StringVar(state, "state", dir, "state directory of the gateway, also as SALLYPORT_STATE")
}

func newest(entries []auditEntry, n int) []auditEntry {
	if n > 0 && len(entries) > n {
		entries = entries[len(entries)-n:]
	}
	return entries
}

// printHistory prints entries for people, the newest last.
func printHistory(w io.Writer, entries []auditEntry) error {
	if len(entries) == 0 {
		_, err := fmt.Fprintln(w, "nothing is logged yet")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TIME\tREVISION\tSOURCE\tRESULT\tBY\tRULES\tREMARK")
	for _, e := range entries {
		remark := cmp.Or(e.Message, e.what())
		if e.Message == "" && e.Error != "" {
			remark, _, _ = strings.Cut(e.Error, "\n")
		}
		rev := "-"
		if len(e.Revision) >= 8 {
			rev = e.Revision[:8]
		}
		line := []string{e.Time.Local().Format("2006-01-02 15:04:05"), rev, e.Source, e.Result, e.Author.String(), e.Changes.String(), remark}
		for i := range line {
			line[i] = visible(line[i])
		}
		fmt.Fprintln(t, strings.TrimRight(strings.Join(line, "\t"), "\t"))
	}
	return t.Flush()
}

func (c *auditChange) String() string {
	if c == nil {
		return "-"
	}
	var parts []string
	for _, p := range []struct {
		sign  string
		names []string
	}{{"+", c.Added}, {"-", c.Removed}, {"~", c.Changed}} {
		if len(p.names) > 0 {
			parts = append(parts, fmt.Sprintf("%s%d", p.sign, len(p.names)))
		}
	}
	if n := len(c.Mappings); n > 0 {
		parts = append(parts, fmt.Sprintf("mappings %d", n))
	}
	if c.More > 0 {
		parts = append(parts, fmt.Sprintf("and %d", c.More))
	}
	return strings.Join(parts, " ")
}
