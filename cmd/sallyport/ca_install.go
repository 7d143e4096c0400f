// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// A caInstaller makes this machine trust roots, or not any more.
type caInstaller struct {
	caFlags
	kinds []string
	cert  string
	dry   bool

	cmd    *cobra.Command
	run    commandRunner
	record *trustRecord
	asked  bool     // the stores were named, and not just all of them
	undone []string // what was not done, a line each
	byRoot int      // places that only root may change
}

func (c *caInstaller) add(cmd *cobra.Command) {
	stateFlag(cmd, &c.state)
	f := cmd.Flags()
	f.StringSliceVar(&c.kinds, "stores", storeKinds, "which stores: system, nss (Firefox, Chromium), java")
	f.BoolVar(&c.dry, "dry-run", false, "print the commands and do nothing")
}

func caInstallCommand() *cobra.Command {
	var c caInstaller
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Make this machine trust the edge root",
		Long: `Put the edge root into the trust stores of this machine: the system's, the NSS
databases of Firefox and Chromium in your home, and Java's. Every command that
changes something is printed before it is run. What is done is remembered in the
state directory, and ca uninstall undoes exactly that. What is there already is
left alone, and so are stores of other users.

Without root's rights the commands for the system's store are printed with sudo in
front, not run, and the exit code is 1. On a machine without the CA, --cert names
a file with the root, as ca root --domain edge prints it.`,
		Example: `  sallyport ca install --dry-run
  sudo sallyport ca install --state /var/lib/sallyport --stores system,java
  sallyport ca install --stores nss --cert edge.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.asked = cmd.Flags().Changed("stores")
			return c.install(cmd)
		},
	}
	c.add(cmd)
	cmd.Flags().StringVar(&c.passphraseFile, "passphrase-file", os.Getenv(envName("passphrase-file")), "`file` with the CA's passphrase, when no gateway runs (default: a systemd credential, or STATE/ca/passphrase)")
	cmd.Flags().StringVar(&c.cert, "cert", "", "PEM `file` with the root, instead of the CA's in the state directory")
	return cmd
}

func caUninstallCommand() *cobra.Command {
	var c caInstaller
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Undo what ca install did",
		Long: `Take out of the trust stores of this machine what ca install has put there, as
the state directory remembers it, and nothing else: a certificate that is not that
one any more is left alone. Every command is printed before it is run.`,
		Example: `  sallyport ca uninstall --dry-run
  sudo sallyport ca uninstall --state /var/lib/sallyport`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.uninstall(cmd) },
	}
	c.add(cmd)
	return cmd
}

// begin checks the flags and opens the record.
func (c *caInstaller) begin(cmd *cobra.Command) (err error) {
	c.cmd, c.run = cmd, commandRunner{out: cmd.OutOrStdout(), dry: c.dry}
	for _, k := range c.kinds {
		if !slices.Contains(storeKinds, k) {
			return &exitError{exitUsage, fmt.Errorf("--stores %s: there are %s", line(k), strings.Join(storeKinds, ", "))}
		}
	}
	c.record, err = openTrustRecord(c.state)
	return err
}

func (c *caInstaller) install(cmd *cobra.Command) error {
	if err := c.begin(cmd); err != nil {
		return err
	}
	roots, err := c.roots()
	if err != nil {
		return err
	}
	for i := range roots {
		roots[i].file = c.record.file(roots[i].sum)
	}
	ctx := commandContext(cmd)
	for _, s := range c.stores() {
		c.trust(ctx, s, roots)
	}
	return c.end("install")
}

// trust puts roots into a store, those that are not there.
func (c *caInstaller) trust(ctx context.Context, s *trustStore, roots []trustedRoot) {
	if s.kind == "nss" {
		if err := ownedByUs(filepath.Join(s.where, "cert9.db")); err != nil {
			c.fail("nss: " + err.Error())
			return
		}
	}
	run, changed := c.privileged(s), false
	for _, r := range roots {
		has, err := s.has(ctx, r)
		switch {
		case err != nil:
			c.fail(fmt.Sprintf("%s: %v", s, err))
		case has:
			fmt.Fprintf(c.cmd.OutOrStdout(), "# %s: %s is there already\n", s, line(r.cert.Subject.String()))
		default:
			changed = c.put(ctx, run, s, r) || changed
		}
	}
	if !changed || c.failed(s, run.run(ctx, s.added)) {
		return
	}
	if run.sudo {
		c.byRoot++
	}
	for _, r := range roots {
		if run.dry || c.record.find(s.kind, s.where, r.sum) < 0 {
			continue
		}
		if has, err := s.has(ctx, r); err != nil || !has {
			c.fail(fmt.Sprintf("%s: the commands ran, and the root is not there", s))
		}
	}
}

// put adds one root to a store, and remembers it first. It reports whether it
// could.
func (c *caInstaller) put(ctx context.Context, run commandRunner, s *trustStore, r trustedRoot) bool {
	fmt.Fprintf(c.cmd.OutOrStdout(), "# %s: %s, SHA-256 %s\n", s, line(r.cert.Subject.String()), r.sum)
	if !c.dry {
		if err := c.record.keep(r); err != nil {
			c.fail(fmt.Sprintf("the root cannot be written to %s: %v", r.file, err))
			return false
		}
		if err := c.record.put(s, r); err != nil {
			c.fail(fmt.Sprintf("what is done cannot be remembered in %s: %v", c.record.path(), err))
			return false
		}
	}
	if !c.failed(s, run.run(ctx, s.add(r))) {
		return true
	}
	if i := c.record.find(s.kind, s.where, r.sum); i >= 0 && !c.dry {
		c.forget(c.record.Entries[i : i+1])
	}
	return false
}

// privileged is how to run commands for a store: not at all when only root may.
func (c *caInstaller) privileged(s *trustStore) commandRunner {
	run := c.run
	if s.root && !writable(s.where) {
		run.dry, run.sudo = true, true
	}
	return run
}

func (c *caInstaller) fail(what string) { c.undone = append(c.undone, what) }

func (c *caInstaller) failed(s *trustStore, err error) bool {
	if err != nil {
		c.fail(fmt.Sprintf("%s: %v", s, err))
	}
	return err != nil
}

// end tells what was not done.
func (c *caInstaller) end(verb string) error {
	for _, u := range c.undone {
		fmt.Fprintf(c.cmd.ErrOrStderr(), "sallyport: %s\n", u)
	}
	switch {
	case c.dry && len(c.undone) == 0:
		return nil
	case c.byRoot > 0 && !c.dry:
		return &exitError{exitFailed, fmt.Errorf("the commands that begin with sudo were not run: run them, or sudo sallyport ca %s --state %s", verb, commandLine([]string{filepath.Dir(c.record.dir)}))}
	case len(c.undone) > 0:
		return &exitError{code: exitFailed}
	}
	return nil
}
