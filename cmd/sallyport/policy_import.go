// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"sallyport/policy"
	"sallyport/policy/convert"
)

func policyImportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Make a policy of what another proxy is configured with",
		Long: `Make a policy of what another proxy is configured with.

The policy loads, passes the tests that come with it, and lets nobody do what the
source does not. What cannot be said in a policy is left out of rules that allow,
makes rules that deny wider, and is listed for review: as comments that begin
with REVIEW where it stands, and on standard error.`,
		Example: `  sallyport policy import squid /etc/squid/squid.conf > policy.yaml
  sallyport policy import squid /etc/squid/squid.conf --out policy
  sallyport policy import smokescreen acl.yaml > policy.yaml
  sallyport policy import domains ads.txt hosts.txt --out policy`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(os.Stderr)
			cmd.Usage()
			return &exitError{code: exitUsage}
		},
	}
	cmd.AddCommand(importDomainsCommand(), importSmokescreenCommand(), importSquidCommand())
	return cmd
}

// An importing is what all importers have in common.
type importing struct {
	out     string
	asJSON  bool
	options convert.Options
}

func (i *importing) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&i.out, "out", "", "directory to write policy.yaml and lists/ to, which must not be there yet; default: print the policy")
	cmd.Flags().BoolVar(&i.asJSON, "json", false, "print what to review as JSON, on standard error")
}

func importSquidCommand() *cobra.Command {
	i := &importing{}
	cmd := &cobra.Command{
		Use:   "squid FILE",
		Short: "Make a policy of a squid.conf",
		Long: `Make a policy of a squid.conf, with the files that it includes and that its acls
name.`,
		Example: `  sallyport policy import squid /etc/squid/squid.conf --zone Europe/Prague > policy.yaml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := readSource(args[0])
			if err != nil {
				return &exitError{exitFailed, err}
			}
			i.options.ListFiles = i.out != ""
			r, err := convert.Squid(args[0], src, readSource, i.options)
			return i.finish(cmd, r, err)
		},
	}
	i.flags(cmd)
	cmd.Flags().StringVar(&i.options.Zone, "zone", "", "time zone of the machine with Squid, such as Europe/Prague; default UTC")
	return cmd
}

func importSmokescreenCommand() *cobra.Command {
	i := &importing{}
	cmd := &cobra.Command{
		Use:     "smokescreen FILE",
		Short:   "Make a policy of an ACL of Smokescreen",
		Example: `  sallyport policy import smokescreen acl.yaml > policy.yaml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := readSource(args[0])
			if err != nil {
				return &exitError{exitFailed, err}
			}
			i.options.ListFiles = i.out != ""
			r, err := convert.Smokescreen(args[0], src, i.options)
			return i.finish(cmd, r, err)
		},
	}
	i.flags(cmd)
	return cmd
}

func importDomainsCommand() *cobra.Command {
	i := &importing{}
	cmd := &cobra.Command{
		Use:   "domains FILE...",
		Short: "Make a policy that denies what is on lists of domains",
		Long: `Make a policy that denies what is on lists: domains, hosts files, lists of ad
blockers (||example.com^), URLs. A line of domains or of an ad blocker is about
the name and all below it, a line of a hosts file or a URL about the host.`,
		Example: `  sallyport policy import domains ads.txt hosts.txt --out policy`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if i.out == "" {
				return &exitError{exitUsage, errors.New("lists are files: name a directory for them and the policy with --out")}
			}
			var sources []convert.Source
			for _, name := range args {
				src, err := readSource(name)
				if err != nil {
					return &exitError{exitFailed, err}
				}
				sources = append(sources, convert.Source{Name: name, Text: src})
			}
			r, err := convert.Domains(sources, i.options)
			return i.finish(cmd, r, err)
		},
	}
	i.flags(cmd)
	return cmd
}

// readSource reads a file that is to be converted.
func readSource(path string) ([]byte, error) {
	src, _, err := policy.ReadFile(path, maxEdited)
	return src, err
}

// finish writes what was made.
func (i *importing) finish(cmd *cobra.Command, r *convert.Result, err error) error {
	if errors.Is(err, convert.ErrTooLong) && i.out == "" {
		err = fmt.Errorf("%w: give its lists files of their own with --out", err)
	}
	if err != nil {
		return &exitError{exitFailed, err}
	}
	if i.out == "" {
		_, err = cmd.OutOrStdout().Write(r.Policy)
	} else if err = writeImport(i.out, r); err == nil {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(i.out, "policy.yaml"))
	}
	if err != nil {
		return &exitError{exitFailed, err}
	}
	w := cmd.ErrOrStderr()
	if i.asJSON {
		return printJSON(w, struct {
			Rules  int            `json:"rules"`
			Tests  int            `json:"tests"`
			Review []convert.Note `json:"review"`
		}{r.Rules, r.Tests, append([]convert.Note{}, r.Review...)})
	}
	for _, n := range r.Review {
		fmt.Fprintln(w, visible("review: "+n.String()))
	}
	fmt.Fprintf(w, "%s, %s, %s to review\n", count(r.Rules, "rule", "rules"), count(r.Tests, "test", "tests"), count(len(r.Review), "thing", "things"))
	return nil
}

// writeImport writes a policy and its lists into a directory that is not there
// or empty.
func writeImport(dir string, r *convert.Result) error {
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return fmt.Errorf("%s is not empty: name a directory that is not there yet", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(r.Lists)) {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), replaceFile(file, r.Lists[name], stamp{0o644, -1, -1})); err != nil {
			return err
		}
	}
	return replaceFile(filepath.Join(dir, "policy.yaml"), r.Policy, stamp{0o644, -1, -1})
}
